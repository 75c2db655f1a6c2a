"""How the application is served: uvicorn's options, how a server stops, and Gunicorn's workers."""

"""The entry point of servers: `uvicorn service.main:app`. Importing it reads the settings, and nothing else."""

from service.application import create_app

__all__ = ["app", "create_app"]

app = create_app()

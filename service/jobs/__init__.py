"""Background jobs: what kinds there are, and the worker that runs them."""

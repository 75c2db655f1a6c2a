"""What Gunicorn needs for metrics of several workers, and no more."""

from gunicorn.arbiter import Arbiter
from gunicorn.workers.base import Worker

from service.observability.metrics import multiprocess

worker_class = "uvicorn_worker.UvicornWorker"
graceful_timeout = 5


def on_starting(server: Arbiter) -> None:
    multiprocess.begin_service()


def child_exit(server: Arbiter, worker: Worker) -> None:
    multiprocess.forget_worker(worker.pid)

"""Gunicorn on a host: `gunicorn -c deploy/gunicorn/gunicorn.conf.py service.main:app`.

Read by Gunicorn itself, at the start and on SIGHUP. What is about Rowhouse comes from its settings (`.env.example`);
BIND and WEB_CONCURRENCY are the two that are Gunicorn's. Decision 29 says why each value is as it is.
"""

import gc
import os
import shutil
import sys
import tempfile
from pathlib import Path

# The metrics of all workers are gathered from files. Each master has a folder of its own, which goes with it; this file
# is read again on SIGHUP, and by a second master that the first one starts on SIGUSR2. It goes first, since
# what counts reads the variable when it is imported.
_FOLDER = "rowhouse-metrics-"
_own_folder = f"{_FOLDER}{os.getpid()}-"
_given = Path(os.environ.get("PROMETHEUS_MULTIPROC_DIR") or _FOLDER).name
if _given.startswith(_FOLDER) and not _given.startswith(_own_folder):
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = tempfile.mkdtemp(prefix=_own_folder)
_metrics = Path(os.environ["PROMETHEUS_MULTIPROC_DIR"])

from service.core.errors import ConfigurationError  # noqa: E402
from service.core.settings import Settings  # noqa: E402
from service.observability.metrics import multiprocess  # noqa: E402
from service.serving.cpus import usable_cpus  # noqa: E402
from service.serving.server import REQUEST_SECONDS  # noqa: E402

try:
    _settings = Settings.load()
except ConfigurationError as error:
    sys.exit(f"rowhouse: {error.message}")

bind = os.environ.get("BIND") or f"{_settings.server.host}:{_settings.server.port}"
backlog = 2048
worker_class = "service.serving.gunicorn.RowhouseWorker"
logger_class = "service.serving.gunicorn.RowhouseLogger"
proc_name = "rowhouse"
control_socket_disable = True  # nobody needs it, and it is one more way in

# One process a processor: each turns one event loop. The application divides the database's connections by it.
workers = int(os.environ.get("WEB_CONCURRENCY") or usable_cpus())
raw_env = [f"WEB_CONCURRENCY={workers}"]

# Stopping: the delay in which load balancers notice, the requests that run, and closing what is left.
graceful_timeout = round(_settings.drain_delay) + REQUEST_SECONDS + 15
# A worker that has not been heard of for so long is killed. One that drains is not heard of until it has.
timeout = 2 * graceful_timeout

# This file has imported the code, so that workers share its memory and are there at once. The application itself is
# made in each worker: SIGHUP brings new settings (.env); new code needs a restart.
preload_app = False


def on_starting(server):
    if "GUNICORN_PID" in os.environ:  # another master is still at work beside this one
        multiprocess.make_directory()
    else:
        multiprocess.begin_service()


def when_ready(server):
    gc.collect()
    gc.freeze()  # collections in the workers leave these pages alone: they stay shared


def child_exit(server, worker):
    multiprocess.forget_worker(worker.pid)


def on_exit(server):
    if _metrics.name.startswith(_own_folder):
        shutil.rmtree(_metrics, ignore_errors=True)

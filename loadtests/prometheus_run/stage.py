"""Everything that a fault can be done to."""

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx2

from deploy.ports import free_port
from loadtests.prometheus_run.database import Server, Standby
from loadtests.prometheus_run.load import Load
from loadtests.prometheus_run.processes import PYTHON, Program, Prometheus, waited
from loadtests.prometheus_run.receiver import Receiver
from loadtests.prometheus_run.slow_link import SlowLink

_WORKERS = 2


@dataclass(frozen=True, slots=True)
class Stage:
    database: Server
    standby: Standby
    link: SlowLink
    receiver: Receiver
    gunicorn: Program
    worker: Program
    prometheus: Prometheus
    load: Load
    metrics: Path

    def serving(self) -> list[int]:
        """The workers that have begun to count."""
        return [pid for pid in self.gunicorn.children() if (self.metrics / f"exemplars_{pid}.json").exists()]


@contextmanager
def staged() -> Iterator[Stage]:
    """All of it, running, until the block ends."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="rowhouse-prometheus-")))
        folder.chmod(0o755)
        database = Server(folder)
        stack.callback(database.stop)
        standby = Standby(database, folder)
        stack.callback(standby.stop)
        link = SlowLink(folder / "link", database.embedded.socket_dir)
        link.start()
        stack.callback(link.stop)
        receiver = Receiver()
        stack.callback(receiver.stop)

        ports = {name: free_port() for name in ("http", "metrics", "worker", "standby_http", "standby")}
        common = {
            "JWT_SECRET": "x" * 40,
            "DATA_DIR": str(folder / "data"),
            "LOG_LEVEL": "WARNING",
            "ACCESS_LOG": "false",
            "CONNECT_TIMEOUT": "20",  # a slow database is not a lost one
            "CREDENTIAL_CACHE_SECONDS": "60",
            "RATE_LIMIT": "1000000",
            "LOGIN_RATE_LIMIT": "20",
            "POOL_MAX_SIZE": "4",
            "WEBHOOK_ALLOW_HTTP": "true",
            "WEBHOOK_ALLOWED_HOSTS": f"127.0.0.1:{receiver.port}",
            "WEBHOOK_RETRY_SECONDS": "0.1",
        }
        own = common | {"DATABASE_URL": f"postgresql://rowhouse_service@/rowhouse?host={link.folder}"}
        metrics = folder / "metrics"
        served = own | {"METRICS_PORT": str(ports["metrics"]), "PROMETHEUS_MULTIPROC_DIR": str(metrics)}
        command = [PYTHON, "-m", "gunicorn", "service.main:app", "--bind", f"127.0.0.1:{ports['http']}"]
        options = ["--workers", str(_WORKERS), "--config", "deploy/gunicorn/gunicorn.conf.py"]
        run = "from service.cli.main import run; run()"
        programs = {
            "gunicorn": Program("gunicorn", [*command, *options], served, folder),
            "worker": Program(
                "worker", [PYTHON, "-c", run, "worker"], own | {"WORKER_METRICS_PORT": str(ports["worker"])}, folder
            ),
            "standby": Program(
                "standby",
                [PYTHON, "-c", run, "serve"],
                common
                | {
                    "DATABASE_URL": standby.url,
                    "PORT": str(ports["standby_http"]),
                    "METRICS_PORT": str(ports["standby"]),
                },
                folder,
            ),
        }
        prometheus = Prometheus(
            folder,
            {
                "rowhouse": [f"127.0.0.1:{ports['metrics']}", f"127.0.0.1:{ports['standby']}"],
                "rowhouse-worker": [f"127.0.0.1:{ports['worker']}"],
            },
        )
        for program in (*programs.values(), prometheus.program):
            program.start()
            stack.callback(program.stop)
        url = f"http://127.0.0.1:{ports['http']}"
        if waited(lambda: httpx2.get(f"{url}/readyz").status_code == 200, 90) is None:
            raise RuntimeError((folder / "gunicorn.log").read_text()[-3000:])
        made = httpx2.post(
            f"{url}/api/v1/-/webhooks",
            json={"table": "airlines", "url": f"http://127.0.0.1:{receiver.port}/hook"},
            headers={"X-API-Key": database.key},
            timeout=30,
        )
        if made.status_code != 201:
            raise RuntimeError(made.text)
        load = Load(url, database.key, folder)
        load.start()
        stack.callback(load.stop)
        yield Stage(
            database, standby, link, receiver, programs["gunicorn"], programs["worker"], prometheus, load, metrics
        )

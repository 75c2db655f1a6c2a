"""`rowhouse worker` with the jobs of the tests, in a hurry. TICK adds a periodic one, due every so many seconds."""

import asyncio
import os
from datetime import timedelta
from functools import partial

from service.cli.worker import work
from service.core.settings import Settings
from service.jobs.job_type import Periodic
from service.jobs.timing import Timing
from service.worker import Worker
from tests.jobs.job_types import INSERT, TYPES

if __name__ == "__main__":
    tick = os.environ.get("TICK")
    settings = Settings.load(env_file=None)
    asyncio.run(
        work(
            settings,
            partial(
                Worker,
                types=[item for item in TYPES if not (tick and item is INSERT)],
                periodic=[Periodic(INSERT, timedelta(seconds=float(tick)))] if tick else (),
                timing=Timing(
                    lease=1.5, sweep=0.1, drain=settings.jobs.jobs_drain_seconds, first_backoff=0.02, most_backoff=0.1
                ),
            ),
        )
    )

"""A worker process for tests: `python -m tests.poison_worker STATE QUEUE…`; one kind of its work kills it."""

import os
import sys
import threading
import time
from datetime import UTC, datetime
from pathlib import Path

from edge import database, tasks
from edge.bell import bell
from edge.models import Event, Job
from edge.settings import Settings
from edge.worker import Workers

OPEN = ("scheduled", "waiting", "running")


def kill(world: tasks.World, now: datetime) -> None:
    """What a driver that crashes, or a kernel short of memory, does to its process."""
    os._exit(9)


def work(world: tasks.World, now: datetime, n: int) -> tasks.WriteDown:
    return lambda then: Event.create(name="worked", at=then, data={"n": n})


def main(state: Path, queues: list[str]) -> None:
    """Work until nothing is open in these queues any more."""
    tasks.TASKS["test.kill"] = tasks.Task(kill, repeatable=True)
    tasks.TASKS["test.work"] = tasks.Task(work, repeatable=True)
    settings = Settings(state=state)
    database.open_database(settings.database_path)
    bell.point_to(settings.bell_path)
    database.writer.start()
    workers = Workers(settings, queues)
    workers.start()
    until = time.monotonic() + 60
    while Job.select().where(Job.queue.in_(queues), Job.state.in_(OPEN)).exists() and time.monotonic() < until:
        threading.Event().wait(0.02)
    workers.stop()
    database.writer.stop()
    print(f"{datetime.now(UTC):%T} nothing is open")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])

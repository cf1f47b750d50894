"""`edge queue`: the work that was promised."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import click

from edge import jobs
from edge.cli.command import BoxGroup, asked, show, table
from edge.domain import queues
from edge.models import Job
from edge.pages.views import show_instant
from edge.worker import work_once


@click.group(cls=BoxGroup)
def queue() -> None:
    """The work that was promised."""


@queue.command()
def status() -> None:
    """How much waits, runs and failed, a queue."""
    with asked().box():
        document = queues.status(datetime.now(UTC))

        def lines() -> Iterator[str]:
            columns = ("name", "waiting", "scheduled", "running", "done", "failed", "oldest_s", "workers")
            yield from table([tuple(entry[c] for c in columns) for entry in document["queues"]], columns)
            yield "healthy" if document["healthy"] else "not healthy: " + "; ".join(document["reasons"])

        show(document, lines)


@queue.command()
@click.option("--limit", type=click.IntRange(1), default=50, show_default=True)
def failed(limit: int) -> None:
    """The newest failed jobs and their last words."""
    with asked().box():
        found = [_view(job) for job in queues.failed(limit)]

        def lines() -> Iterator[str]:
            rows = [(j["id"], j["queue"], j["name"], j["cause"], j["finished_at"], j["error"][:80]) for j in found]
            yield from table(rows, ("id", "queue", "job", "cause", "failed at", "last words"))

        show({"jobs": found}, lines)


@queue.command()
@click.argument("which", nargs=-1, required=True, metavar="ID…|all")
def retry(which: tuple[str, ...]) -> None:
    """Give failed jobs another round: by their ids, or `all`."""
    with asked().box():
        count = _retry(_ids(which), datetime.now(UTC))
        show({"retried": count}, lambda: iter([f"{count} jobs will be tried again."]))


@queue.command()
@click.option("--once", is_flag=True, help="End when nothing is due any more.")
@click.option("--queue", "names", multiple=True, type=click.Choice(sorted(jobs.QUEUES)), help="Only these queues.")
def work(once: bool, names: tuple[str, ...]) -> None:
    """Do what is due, here and now, one job after the other."""
    if not once:
        raise click.UsageError("say --once; for workers that stay, there is `edge worker`")
    with asked().box() as told:
        count = work_once(told, names)
        show({"done": count}, lambda: iter([f"{count} jobs done."]))


def _retry(ids: list[int] | None, now: datetime) -> int:
    if ids is None:
        return queues.retry_all(now)
    for job_id in ids:
        queues.retry(job_id, now)
    return len(ids)


def _ids(which: tuple[str, ...]) -> list[int] | None:
    if which == ("all",):
        return None
    if not all(text.isdecimal() and len(text) < 18 for text in which):
        raise click.UsageError("name jobs by their numbers, or say all")
    return [int(text) for text in which]


def _view(job: Job) -> dict[str, Any]:
    return {
        "id": job.id, "queue": job.queue, "name": job.name, "cause": job.cause, "attempt": job.attempt,
        "created_at": show_instant(job.created_at), "finished_at": show_instant(job.finished_at),
        "error": job.errors[-1]["words"] if job.errors else "", "errors": job.errors,
    }  # fmt: skip

"""`edge run`, `edge web`, `edge worker`: the box at work."""

import click

from edge import boot, logs, telemetry
from edge.cli.command import BoxCommand, asked
from edge.jobs import QUEUES
from edge.settings import Settings

PORT = click.option("--port", type=click.IntRange(0, 65535), help="Listen here instead of [web] port; 0 takes any.")


def serve(told: Settings, *, web: bool, work: bool, queues: tuple[str, ...] = ()) -> None:
    """These parts of the box in this process, until it is told to stop."""
    process = "box" if web and work else "web" if web else "worker"
    logs.configure(told.log, told.state, process)
    telemetry.configure(told.telemetry, process)
    boot.open_box(told)
    boot.service_of(told, web=web, work=work, queues=queues).run(say=click.echo)


@click.command(cls=BoxCommand)
@PORT
def run(port: int | None) -> None:
    """Run the whole box in one process: web and workers."""
    serve(boot.with_port(asked().settings(), port), web=True, work=True)


@click.command(cls=BoxCommand)
@PORT
def web(port: int | None) -> None:
    """Run the web part alone."""
    serve(boot.with_port(asked().settings(), port), web=True, work=False)


@click.command(cls=BoxCommand)
@click.option("--queue", "queues", multiple=True, type=click.Choice(sorted(QUEUES)), help="Only these queues.")
def worker(queues: tuple[str, ...]) -> None:
    """Run the workers alone."""
    serve(asked().settings(), web=False, work=True, queues=queues)

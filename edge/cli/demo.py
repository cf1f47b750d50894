"""`edge demo`: the box at work, everything simulated."""

import click

from edge import demo as rehearsal
from edge.cli.command import BoxCommand


@click.command(cls=BoxCommand)
@click.option("--port", type=click.IntRange(0, 65535), default=8080, show_default=True, help="Of the portal.")
@click.option("--no-guests", is_flag=True, help="Leave the stage to you: nobody else buys.")
def demo(port: int, no_guests: bool) -> None:
    """Run everything simulated in a throw-away folder: M-Pesa, router, modem, and guests of its own."""
    rehearsal.run(port, guests=not no_guests, say=click.echo)



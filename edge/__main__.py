"""The `edge` command: every noun in one place."""

import logging
import os

import click

from edge import __version__
from edge.cli import doctor, first_run, payments, plans, queue, routers, serving, simulate, staff
from edge.cli.command import BoxGroup


@click.group(cls=BoxGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="edge")
def edge() -> None:
    """Edge sells WiFi by the hour and takes M-Pesa.

    First run: `edge init`, then `edge run`. To see it all without hardware: `edge demo`.
    """


for command in (
    first_run.init, serving.run, serving.web, serving.worker, serving.demo, simulate.simulate, doctor.doctor,
    routers.router, plans.plan, payments.payment, queue.queue, staff.staff,
):  # fmt: skip
    edge.add_command(command)


def main() -> None:
    """Run the command line."""
    logging.basicConfig(
        level=os.environ.get("EDGE_LOG", "INFO").upper(), format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    for name in ("huey", "urllib3"):
        logging.getLogger(name).setLevel(logging.WARNING)
    logging.getLogger("waitress.queue").setLevel(logging.ERROR)  # it would tell of every burst, line by line
    edge(prog_name="edge")


if __name__ == "__main__":
    main()

"""The `edge` command: every noun in one place."""

import click

from edge import __version__, logs
from edge.cli import doctor, first_run, payments, plans, queue, routers, serving, simulate, staff, workers
from edge.cli.command import BoxGroup
from edge.settings import Log


@click.group(cls=BoxGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="edge")
def edge() -> None:
    """Edge sells WiFi by the hour and takes M-Pesa.

    First run: `edge init`, then `edge run`. To see it all without hardware: `edge demo`.
    """


for command in (
    first_run.init, serving.run, serving.web, serving.worker, serving.demo, simulate.simulate, doctor.doctor,
    routers.router, plans.plan, payments.payment, queue.queue, workers.workers, staff.staff,
):  # fmt: skip
    edge.add_command(command)


def main() -> None:
    """Run the command line."""
    logs.configure(Log())
    edge(prog_name="edge")


if __name__ == "__main__":
    main()

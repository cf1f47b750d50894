"""The `edge` command: every noun in one place."""

from importlib import import_module

import click

from edge import __version__, logs
from edge.cli.command import BoxGroup
from edge.settings_sections import Log

# Noun → where it is; read when it is asked for, so that a worker that died is back sooner.
NOUNS = {
    "init": "first_run", "run": "serving", "web": "serving", "worker": "serving", "demo": "demo",
    "simulate": "simulate", "doctor": "doctor", "router": "routers", "plan": "plans", "payment": "payments",
    "books": "books", "voucher": "vouchers",
    "webhooks": "webhooks",
    "device": "devices", "modem": "modem",
    "queue": "queue", "workers": "workers", "staff": "staff", "sessions": "sessions",
    "templates": "templates", "notify": "notify",
    "mpesa": "mpesa",
    "sms": "sms", "credits": "credits", "campaign": "campaign",
}  # fmt: skip


class Edge(BoxGroup):
    """All nouns, each brought in by its name."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """In the order in which one needs them."""
        return list(NOUNS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """None when there is no such noun."""
        if cmd_name not in NOUNS:
            return None
        command: click.Command = getattr(import_module(f"edge.cli.{NOUNS[cmd_name]}"), cmd_name)
        return command


@click.group(cls=Edge, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="edge")
def edge() -> None:
    """Edge sells WiFi by the hour and takes M-Pesa.

    First run: `edge init`, then `edge run`. To see it all without hardware: `edge demo`.
    """


def main() -> None:
    """Run the command line."""
    logs.configure(Log())
    edge(prog_name="edge")


if __name__ == "__main__":
    main()

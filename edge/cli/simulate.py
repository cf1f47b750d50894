"""`edge simulate`: one pretend device by itself, for rehearsals and for other programs."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from edge.cli.command import BoxGroup
from edge.errors import EdgeError
from edge.simulators import modem as pretend_modem
from edge.simulators import mpesa as pretend_mpesa
from edge.simulators import paystack as pretend_paystack
from edge.simulators import router as pretend_router
from edge.simulators import sms_gateway as pretend_sms_gateway
from edge.simulators.mpesa.simulator import SANDBOX_PASSKEY


@contextmanager
def _told_of_taken_ports() -> Iterator[None]:
    try:
        yield
    except OSError as reason:
        raise EdgeError(f"can't listen there ({reason.strerror}): name another --port") from reason


@click.group(cls=BoxGroup)
def simulate() -> None:
    """One simulator by itself, until Ctrl-C."""


@simulate.command()
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", default=8174, show_default=True, help="0 takes any.")
@click.option("--shortcode", default="174379", show_default=True)
@click.option("--passkey", default=SANDBOX_PASSKEY, help="Else the one Safaricom published for its sandbox.")
@click.option("--delay", "delay_s", default=5.0, show_default=True, help="Seconds until a customer acts.")
@click.option("--till", default="", help="A till number as well: then payments without account go to it.")
def mpesa(host: str, port: int, shortcode: str, passkey: str, delay_s: float, till: str) -> None:
    """M-Pesa's Daraja: prompts, payments by hand, refunds. Set [mpesa] base_url to the address it prints."""
    with _told_of_taken_ports():
        pretend_mpesa.serve(host, port, shortcode, passkey, delay_s, log=click.echo, till=till)


@simulate.command()
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", default=8175, show_default=True, help="0 takes any.")
@click.option("--secret-key", default=pretend_paystack.SECRET_KEY, show_default=True)
@click.option("--webhook-url", default="http://127.0.0.1:8080/hooks/paystack", show_default=True)
@click.option("--delay", "delay_s", default=5.0, show_default=True, help="Seconds until a customer acts.")
def paystack(host: str, port: int, secret_key: str, webhook_url: str, delay_s: float) -> None:
    """Paystack: charges, verification, signed webhooks. Set [paystack] base_url to the address it prints."""
    with _told_of_taken_ports():
        pretend_paystack.serve(host, port, secret_key, webhook_url, delay_s, log=click.echo)


@simulate.command("sms-gateway")
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", default=8176, show_default=True, help="0 takes any.")
@click.option("--delay", "answer_s", default=0.1, show_default=True, help="Seconds until it answers.")
@click.option("--report-delay", "report_delay_s", default=2.0, show_default=True, help="Seconds until it reports.")
@click.option("--box", "box_url", default="http://127.0.0.1:8080", show_default=True, help="Where it reports to.")
def sms_gateway(host: str, port: int, answer_s: float, report_delay_s: float, box_url: str) -> None:
    """Africa's Talking, Twilio and a plain HTTP gateway in one. Copy the lines it prints to edge.toml."""
    with _told_of_taken_ports():
        pretend_sms_gateway.serve(host, port, answer_s, report_delay_s, box_url, log=click.echo)


@simulate.command()
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", default=8728, show_default=True, help="Of the API; 0 takes any.")
@click.option("--http-port", default=8180, show_default=True, help="Of the hotspot's own login page; 0 takes any.")
@click.option("--username", default="edge", show_default=True)
@click.option("--password", default="edge", show_default=True)
@click.option("--portal-url", default="http://127.0.0.1:8080/", show_default=True, help="Where guests are sent to buy.")
def router(host: str, port: int, http_port: int, username: str, password: str, portal_url: str) -> None:
    """A MikroTik hotspot: the RouterOS API and the login page guests meet."""
    with _told_of_taken_ports():
        pretend_router.serve(host, port, http_port, username, password, portal_url, log=click.echo)


@simulate.command()
@click.option("--link", type=click.Path(path_type=Path), help="Put a symbolic link to the port here.")
@click.option("--family", type=click.Choice(list(pretend_modem.FAMILIES)), default="generic", show_default=True)
@click.option("--pin", default="", help="Of its SIM; else it has none.")
@click.option("--delay", "delay_s", default=1.5, show_default=True, help="Seconds a text takes.")
@click.option("--fault", "faults", multiple=True, help="'error chance=0.05', 'deaf seconds=20', chaos … Repeatable.")
def modem(link: Path | None, family: str, pin: str, delay_s: float, faults: tuple[str, ...]) -> None:
    """A GSM modem on a pseudo terminal. Set [modem] port to what it prints.

    With --link it can be texted: by `edge simulate text`, or by one line to the Unix socket LINK.texts that reads
    SENDER TEXT (before them, if wanted, smsc=+254… pid=… order=2,1 only=1); and broken, by `edge simulate modem-fault`.
    """
    pretend_modem.serve(log=click.echo, link=link, pin=pin, delay_s=delay_s, family=family, faults=faults)


@simulate.command("modem-fault")
@click.option("--to", "door", type=click.Path(path_type=Path), required=True, help="LINK.texts of edge simulate modem.")
@click.argument("words", nargs=-1, required=True)
def modem_fault(door: Path, words: tuple[str, ...]) -> None:
    """Break the pretend modem, or mend it: `fault error chance=0.05`, `unplug 20`, `well`.

    fault NAME [texts=N] [chance=0.1] [for=S] [seconds=S] [code=N] [sent=yes|no]; fault (what there is); well [NAME];
    chaos [SECONDS [SEED]]; unplug [SECONDS]; plug; signal 0-31; service on|off; airtime SHILLINGS; restart; status.
    """
    if words[0] not in pretend_modem.ORDERS:
        raise EdgeError(f"{words[0]} is no order; there are {', '.join(pretend_modem.ORDERS)}")
    click.echo(pretend_modem.bring_text(door, " ".join(words)))


@simulate.command()
@click.option("--to", "door", type=click.Path(path_type=Path), required=True, help="LINK.texts of edge simulate modem.")
@click.option("--smsc", default="+254722500029", show_default=True, help="The message centre it comes by.")
@click.option("--pid", default=0, show_default=True, help="TP-PID; 0 in an ordinary text.")
@click.argument("sender")
@click.argument("text")
def text(door: Path, smsc: str, pid: int, sender: str, text: str) -> None:
    """Have SENDER (MPESA, or a number with +) text the pretend modem."""
    click.echo(pretend_modem.bring_text(door, f"smsc={smsc} pid={pid} {sender} {text}"))

"""The rehearsal: a whole box in a throw-away folder, with everything around it simulated on the real wire."""

import logging
import secrets
import shutil
import socket
import sys
import tempfile
import threading
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from edge import boot, settings
from edge.cli.first_run import sample_plans
from edge.devices import radius
from edge.domain import credits, org_requests, people, plans
from edge.settings import Settings
from edge.simulators.guests import Crowd
from edge.simulators.modem import ModemSimulator, TextDoor, tell_texts
from edge.simulators.mpesa import MpesaSimulator
from edge.simulators.router import RouterSimulator
from edge.simulators.router.radius_client import RadiusClient

PHONES_ANSWER_AFTER_S = 4.0
SHOP = "Mama Njeri WiFi"
FIRST_PORT = 10_000
FREE_CREDITS = 5_000
OWNERS_PHONE, OWNERS_PIN = "0700000001", "4821"
REPORTS_AFTER_S = 2.0
Say = Callable[[str], object]


@dataclass
class Stage:
    """Everything that stands around the box."""

    mpesa: MpesaSimulator
    modem: ModemSimulator
    gate: RouterSimulator
    garden: RouterSimulator | None  # in mode radius, where FreeRADIUS is installed


def run(port: int, *, guests: bool, say: Say) -> None:
    """Set the stage, serve until Ctrl-C, clear everything away."""
    logging.getLogger("edge").setLevel(logging.WARNING)
    folder = Path(tempfile.mkdtemp(prefix="edge-demo-"))
    try:
        with ExitStack() as closing:
            web_port = port if is_free(port) else free_port()
            if web_port != port and port:
                say(f"Port {port} is taken: the portal is on port {web_port}.")
            stage = set_stage(folder, web_port, closing, say)
            told = settings.load(folder, environ={})
            service, password = open_shop(told)
            service.heed()
            service.start()
            crowd = Crowd([router.login_url.rsplit("/", 1)[0] for router in _routers(stage)], say)
            if guests:
                crowd.start()
                closing.callback(crowd.stop)
            service.serve(lambda: introduce(told, stage, password, guests, say))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        say("The rehearsal is over; its folder is gone.")


def set_stage(folder: Path, web_port: int, closing: ExitStack, say: Say) -> Stage:
    """Start the simulators and write the settings that lead to them."""
    portal = f"http://127.0.0.1:{web_port}"
    mpesa = closing.enter_context(MpesaSimulator(by_digit=True))
    mpesa.digit_delay_s = PHONES_ANSWER_AFTER_S
    modem = closing.enter_context(ModemSimulator(folder / "modem"))
    modem.delivery_reports, modem.report_delay_s = True, REPORTS_AFTER_S
    closing.enter_context(TextDoor(modem, folder / "modem.texts"))
    mpesa.on_money = lambda text, row: modem.receive("MPESA", text)  # the till's SIM is in the box's modem
    (folder / "mpesa.pem").write_bytes(mpesa.initiator.certificate_pem)
    threading.Thread(target=tell_texts, args=(modem, say), daemon=True).start()
    gate = closing.enter_context(RouterSimulator(identity="gate", portal_url=portal))
    garden, radius_ports = None, (free_udp_port(), free_udp_port())
    secret = secrets.token_urlsafe(24)
    if radius.installed():
        garden = closing.enter_context(RouterSimulator(identity="garden", portal_url=portal))
        garden.radius = RadiusClient("127.0.0.1", *radius_ports, secret, nas_identifier="garden")
    stage = Stage(mpesa, modem, gate, garden)
    config = folder / "edge.toml"
    config.touch(mode=0o600)
    config.write_text(_toml(stage, folder, web_port, radius_ports, secret), encoding="utf-8")
    return stage


def _toml(stage: Stage, folder: Path, web_port: int, radius_ports: tuple[int, int], secret: str) -> str:
    lines = [
        f'[box]\nname = "{SHOP}"',
        f'[web]\nhost = "127.0.0.1"\nport = {web_port}\npublic_url = "http://127.0.0.1:{web_port}"',
        f'[mpesa]\nmode = "simulated"\nbase_url = "{stage.mpesa.base_url}"\nc2b = "v2"\nunverified_limit = 100\n'
        f'initiator = "{stage.mpesa.initiator.name}"\ninitiator_password = "{stage.mpesa.initiator.password}"\n'
        f'certificate_file = "{folder / "mpesa.pem"}"',
        f'[modem]\nport = "{stage.modem.port}"\nbalance_code = "*144#"',
        f'[sms]\nreports = true\nowner_numbers = ["{OWNERS_PHONE}"]\nowner_pin = "{OWNERS_PIN}"',
        f'[radius]\nhost = "127.0.0.1"\nauth_port = {radius_ports[0]}\nacct_port = {radius_ports[1]}'
        + (f"\ncoa_port = {stage.garden.coa_port}" if stage.garden is not None else ""),
    ]
    for router in _routers(stage):
        is_radius = router is stage.garden
        lines.append(
            f'[[routers]]\nname = "{router.identity}"\nhost = "127.0.0.1"\nport = {router.port}\n'
            f'username = "{router.username}"\npassword = "{router.password}"\n'
            f'mode = "{"radius" if is_radius else "local"}"\n'
            f'login_url = "{router.login_url}"' + (f'\nradius_secret = "{secret}"' if is_radius else "")
        )
    return "\n\n".join(lines) + "\n"


def _routers(stage: Stage) -> list[RouterSimulator]:
    return [stage.gate] if stage.garden is None else [stage.gate, stage.garden]


def open_shop(told: Settings) -> tuple[boot.Service, str]:
    """A new box with an owner and the sample prices; its service, not started, and the first password."""
    boot.open_box(told, is_new=True)
    now = datetime.now(UTC)
    plans.seed(sample_plans())
    credits.top_up(FREE_CREDITS, "for the rehearsal", None, now)
    password = "-".join(secrets.token_hex(2) for _ in range(3))
    people.add("owner", password, "owner", now)
    org_requests.promise_register(told.mpesa.shortcode, now)
    return boot.service_of(told, web=True, work=True), password


def introduce(told: Settings, stage: Stage, password: str, guests: bool, say: Say) -> None:
    """What a visitor needs to know, and nothing else."""
    base = f"http://127.0.0.1:{told.web.port}"
    say("")
    say(f"As a guest  {stage.gate.login_url.rsplit('/', 1)[0]}/   a phone that joined the WiFi: leads to the portal")
    say(f"Portal      {base}/")
    say(f"Dashboard   {base}/admin/   sign in as owner with {password}")
    say("")
    say("To pay as a guest: open that address, pick a plan, type a phone number. Its last digit decides what happens:")
    say("  0-6 pays   7 cancels   8 has no money   9 pays, and M-Pesa calls back twice")
    say(f"The phone \"rings\" for {PHONES_ANSWER_AFTER_S:g} seconds; texts from the modem appear below.")
    say("To pay by hand, as from the phone's own M-Pesa menu (the page of a purchase shows the account):")
    paying = '{"msisdn": "0712345678", "amount": 20, "account": "…"}'
    say(f"  curl {stage.mpesa.base_url}/simulator/pay -d '{paying}'")
    _introduce_texts(told, say)
    say(f"M-Pesa away for a minute, and its statement: {stage.mpesa.base_url}/simulator/ (outage, statement.csv)")
    if stage.garden is None:
        say("FreeRADIUS is not installed: one router, in local mode. (sudo apt-get install freeradius)")
    else:
        garden = stage.garden.login_url.rsplit("/", 1)[0]
        say(f"Two routers: gate (users over the API) and garden (asks the box by RADIUS; as its guest: {garden}/)")
    say(f"The same by command: {sys.argv[0]} --state {told.state} payment list   (also: queue status, doctor)")
    say("Guests of its own come a few a minute." if guests else "No guests of its own: the stage is yours.")
    say("Ctrl-C ends it.")
    say("")


def _introduce_texts(told: Settings, say: Say) -> None:
    """How to text the box, and how to rehearse a modem that fails."""
    pretend, door = f"{sys.argv[0]} simulate", told.state / "modem.texts"
    owner = "+254" + OWNERS_PHONE[1:]
    say("To text the box, as a guest (SALIO, STOP, HELP, any question) and as its owner, with the PIN (STATUS, LEO):")
    say(f"  {pretend} text --to {door} +254712345670 SALIO")
    say(f"  {pretend} text --to {door} {owner} '{OWNERS_PIN} STATUS'")
    say("To pull its modem out for half a minute, or have it fail (`fault` alone lists the ways, `well` ends them):")
    say(f"  {pretend} modem-fault --to {door} unplug 30")
    say(f"  {pretend} modem-fault --to {door} fault error chance=0.05")


def is_free(port: int) -> bool:
    """Can this TCP port be listened on?"""
    with socket.socket() as trial:
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            trial.bind(("127.0.0.1", port))
        except OSError:
            return False
    return port != 0


def free_port() -> int:
    """A TCP port that nobody uses now, nor will before a server takes it."""
    return _free(socket.SOCK_STREAM)


def free_udp_port() -> int:
    """The same of UDP."""
    return _free(socket.SOCK_DGRAM)


def _free(kind: socket.SocketKind) -> int:
    """Below those that the kernel gives to whoever calls out: one of them may be gone any moment."""
    end = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    while True:
        port = FIRST_PORT + secrets.randbelow(max(1000, end - FIRST_PORT))
        with socket.socket(socket.AF_INET, kind) as trial, suppress(OSError):
            trial.bind(("0.0.0.0", port))
            return port

"""Settings: one TOML file and the environment, read once, checked together, every fault told with its cure."""

import ipaddress
import os
import re
import stat
import tomllib
from dataclasses import dataclass, is_dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from edge.errors import EdgeError
from edge.sealing import FILE as KEY_FILE
from edge.settings_sections import (
    Box,
    Database,
    Email,
    Log,
    ModemSettings,
    Mpesa,
    Paystack,
    Privacy,
    Queues,
    Radius,
    RouterSettings,
    Sms,
    Telemetry,
    Web,
)
from edge.values.networks import is_ipv4


class BadSettings(EdgeError):
    """All faults of the settings at once, one a line."""


@dataclass(frozen=True)
class Settings:
    """Everything the box was told, and the state folder it was told in."""

    state: Path
    box: Box = Box()
    web: Web = Web()
    database: Database = Database()
    queue: Queues = Queues()
    mpesa: Mpesa = Mpesa()
    paystack: Paystack = Paystack()
    routers: tuple[RouterSettings, ...] = ()
    radius: Radius = Radius()
    modem: ModemSettings = ModemSettings()
    sms: Sms = Sms()
    email: Email = Email()
    privacy: Privacy = Privacy()
    log: Log = Log()
    telemetry: Telemetry = Telemetry()

    @property
    def database_path(self) -> Path:
        """Where the database lies when it is a file."""
        return self.state / self.database.url.removeprefix("sqlite:///")

    @property
    def database_place(self) -> Path | str:
        """The file, or the address of the server."""
        return self.database_path if self.database.is_file else self.database.url

    @property
    def delivery_url(self) -> str:
        """What carries rings to other machines: Redis where it is named, else the database server."""
        return self.queue.url or self.database.url

    @property
    def key_path(self) -> Path:
        """What is sealed in the database opens with this file."""
        if self.privacy.key_file:
            return Path(self.privacy.key_file)
        return (self.database_path.parent if self.database.is_file else self.state) / KEY_FILE

    @property
    def bell_path(self) -> Path:
        return self.state / "bell.sock"


SMS_ROUTES = ("modem", "africastalking", "twilio", "http")
MODEM_FAMILIES = ("auto", "huawei", "sim800", "sim7600", "quectel", "generic")
SMS_KINDS = ("code", "notice", "alert", "reply", "hand", "campaign")
QUIET_HOURS = re.compile(r"([01][0-9]|2[0-3]):[0-5][0-9]-([01][0-9]|2[0-3]):[0-5][0-9]")
SECRETS = frozenset({
    "consumer_key", "consumer_secret", "passkey", "password", "radius_secret", "pin", "url", "initiator_password",
    "secret_key", "api_key", "auth_token", "callback_token", "owner_pin", "headers", "body",
})  # fmt: skip
SECTIONS: dict[str, type[Any]] = {
    "box": Box, "web": Web, "database": Database, "queue": Queues, "mpesa": Mpesa, "paystack": Paystack,
    "radius": Radius, "modem": ModemSettings, "sms": Sms, "email": Email, "privacy": Privacy,
    "log": Log, "telemetry": Telemetry,
}  # fmt: skip


def load(state: Path, config: Path | None = None, environ: dict[str, str] | None = None) -> Settings:
    """Read `config` (else `edge.toml` in the state folder, which may be missing) and the environment."""
    environ = dict(os.environ) if environ is None else environ
    faults: list[str] = []
    document = _read_file(config, state / "edge.toml", faults)
    for name in environ:
        section = name.removeprefix("EDGE_").partition("__")[0].lower()
        if name.startswith("EDGE_") and "__" in name and section not in SECTIONS:
            faults.append(f"{name}: there is no section [{section}]; known are {', '.join(sorted(SECTIONS))}")
    for name in document.keys() - SECTIONS.keys() - {"routers"}:
        faults.append(f"[{name}]: there is no such section; known are {', '.join(sorted(SECTIONS))} and [[routers]]")
    parts: dict[str, Any] = {}
    for name, kind in SECTIONS.items():
        given = document.get(name, {})
        if not isinstance(given, dict):
            faults.append(f"{name}: write it as a section, [{name}]")
            given = {}
        given = {**given, **_from_environment(name, kind, environ)}
        parts[name] = _build(kind, given, f"[{name}]", faults)
    routers = document.get("routers", [])
    if not isinstance(routers, list):
        faults.append("routers: write each as [[routers]]")
        routers = []
    built = tuple(_build(RouterSettings, entry, "[[routers]]", faults) for entry in routers)
    settings = Settings(state=state, routers=built, **parts)
    faults += _check(settings)
    if faults:
        raise BadSettings("\n".join(faults))
    return settings


def _read_file(config: Path | None, default: Path, faults: list[str]) -> dict[str, Any]:
    path = config or default
    if not path.exists():
        if config is not None:
            faults.append(f"{path}: there is no such file; leave --config away or name the right one")
        return {}
    if path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO) & ~stat.S_IXGRP & ~stat.S_IXOTH:
        faults.append(f"{path}: others can read it, and it holds secrets; mend it with: chmod 600 {path}")
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as reason:
        faults.append(f"{path}: not readable as TOML: {reason}")
    except OSError as reason:
        faults.append(f"{path}: {reason.strerror}; it must be a file that the box may read")
    return {}


def _from_environment(section: str, kind: type[Any], environ: dict[str, str]) -> dict[str, Any]:
    """EDGE_<SECTION>__<KEY>, lists separated by commas, and EDGE_<SECTION>__<KEY>_FILE."""
    prefix = f"EDGE_{section.upper()}__"
    found = {name.removeprefix(prefix).lower(): value for name, value in environ.items() if name.startswith(prefix)}
    told: dict[str, Any] = {}
    for name, value in found.items():
        key, _, inner = name.partition("__")
        if inner:  # EDGE_QUEUE__WORKERS__SMS; a queue's name is written with dashes
            told[key] = {**(told.get(key) or {}), inner.replace("_", "-"): value}
        else:
            told[key] = value
    return told


def _build(kind: type[Any], given: Any, where: str, faults: list[str]) -> Any:
    """One section from what was written, with every key's type checked and secrets read from their files."""
    if not isinstance(given, dict):
        faults.append(f"{where}: write it as a section")
        return kind()
    hints = get_type_hints(kind)
    values: dict[str, Any] = {}
    for key, value in given.items():
        name = key
        if key not in hints and key.endswith("_file") and key.removesuffix("_file") in hints:
            name = key.removesuffix("_file")
            try:
                value = Path(str(value)).read_text(encoding="utf-8").strip()
            except (OSError, ValueError) as reason:
                faults.append(f"{where} {key}: {getattr(reason, 'strerror', None) or 'not a text file'}: {value}")
                continue
        if name not in hints:
            faults.append(f"{where} {key}: there is no such key; known are {', '.join(sorted(hints))}")
            continue
        try:
            if is_dataclass(hints[name]):
                values[name] = _build(hints[name], _plain_keys(value), f"[{where.strip('[]')}.{name}]", faults)
            else:
                values[name] = _coerce(value, hints[name])
        except (TypeError, ValueError):
            shown = "what is written there" if name in SECRETS else repr(value)
            faults.append(f"{where} {key}: {shown} is not {_kind_in_words(hints[name])}")
    return kind(**values)


def _plain_keys(given: Any) -> Any:
    """The environment writes a queue's name with dashes, and a key of an inner section the same way."""
    return {str(name).replace("-", "_"): value for name, value in given.items()} if isinstance(given, dict) else given


def _coerce(value: Any, kind: Any) -> Any:
    origin = get_origin(kind)
    if origin is tuple:
        entries = [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value
        if not isinstance(entries, list):
            raise TypeError(value)
        return tuple(_coerce(entry, get_args(kind)[0]) for entry in entries)
    if origin is dict:
        if not isinstance(value, dict):
            raise TypeError(value)
        return {str(name): _coerce(count, get_args(kind)[1]) for name, count in value.items()}
    if kind is bool:
        if isinstance(value, bool):
            return value
        words = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
        if str(value).lower() not in words:
            raise ValueError(value)
        return words[str(value).lower()]
    if not isinstance(value, str | int | float) or isinstance(value, bool):
        raise TypeError(value)
    if kind is int and isinstance(value, float) and value != int(value):
        raise ValueError(value)
    return kind(value)


def _kind_in_words(kind: Any) -> str:
    words = {str: "a text", int: "a whole number", float: "a number", bool: "true or false"}
    return words.get(kind, "a list" if get_origin(kind) is tuple else "a table")


def _check(settings: Settings) -> list[str]:
    """What types can't say."""
    faults: list[str] = []

    def demand(holds: bool, words: str) -> None:
        if not holds:
            faults.append(words)

    demand(_is_zone(settings.box.timezone), "[box] timezone: write it like Africa/Nairobi")
    demand(0 <= settings.web.port < 65536, "[web] port: a port is a number from 1 to 65535")
    demand(4 <= settings.web.threads <= 512, "[web] threads: a number from 4 to 512")
    demand(settings.box.currency == "KES", '[box] currency: only "KES" is supported yet')
    for key in ("auth_port", "acct_port", "coa_port"):
        demand(0 < getattr(settings.radius, key) < 65536, f"[radius] {key}: a port is a number from 1 to 65535")
    demand(settings.modem.quirks in MODEM_FAMILIES, f"[modem] quirks: one of {', '.join(MODEM_FAMILIES)}")
    demand(settings.modem.balance_every_h >= 1, "[modem] balance_every_h: at least 1")
    faults.extend(_check_sms(settings.sms))
    faults.extend(_check_email(settings.email))
    demand(0 < settings.mpesa.timeout_s <= 120, "[mpesa] timeout_s: a number of seconds from 1 to 120")
    demand(0 < settings.modem.submit_timeout_s <= 150, "[modem] submit_timeout_s: a number of seconds from 1 to 150")
    for key in ("admin_networks", "trusted_proxies"):
        for network in getattr(settings.web, key):
            demand(_is_network(network), f"[web] {key}: {network!r} is not a network like 192.168.88.0/24")
    for network in settings.mpesa.callback_allow:
        demand(_is_network(network), f"[mpesa] callback_allow: {network!r} is not a network like 196.201.214.0/24")
    demand(_is_url(settings.web.public_url), "[web] public_url: write it like https://pay.example.org, or empty")
    demand(settings.queue.mode in ("queue", "inline"), '[queue] mode: "queue" or "inline"')
    faults.extend(_check_places(settings))
    faults.extend(_check_mpesa(settings.mpesa))
    faults.extend(_check_routers(settings.routers))
    faults.extend(_check_paystack(settings.paystack))
    faults.extend(_check_log(settings.log))
    demand(_is_url(settings.telemetry.endpoint), "[telemetry] endpoint: like http://127.0.0.1:4318, or empty")
    return faults


def _check_places(settings: Settings) -> list[str]:
    """Where the rows are, and what carries rings to other machines."""
    faults = []
    url, is_file = settings.database.url, settings.database.is_file
    if is_file and not url.startswith("sqlite:///"):
        faults.append("[database] url: write sqlite:///edge.db, or postgresql://USER:PASSWORD@HOST/NAME")
    if not is_file and not _is_server(url, ("postgresql",)):
        faults.append("[database] url: write it like postgresql://edge:PASSWORD@db.example.org/edge")
    if settings.queue.url and not _is_server(settings.queue.url, ("redis", "rediss", "unix")):
        faults.append("[queue] url: write it like redis://:PASSWORD@10.0.0.5:6379/0, or leave it empty")
    if settings.queue.url and is_file:
        faults.append("[queue] url: Redis is for many machines, which need [database] url = \"postgresql://…\" too")
    if not is_file and any(router.mode == "radius" for router in settings.routers):
        faults.append('[[routers]] mode: "radius" reads the SQLite file of one machine; beside PostgreSQL use "local"')
    return faults


def _is_server(url: str, schemes: tuple[str, ...]) -> bool:
    """An address of one of these kinds; of a database, its name as well. It may name two hosts, with a comma."""
    try:
        parts = urlsplit(url)
        _ = "," in parts.netloc or parts.port
    except ValueError:
        return False
    return parts.scheme in schemes and (parts.scheme != "postgresql" or len(parts.path) > 1)


def _check_mpesa(mpesa: Mpesa) -> list[str]:
    faults = []
    if mpesa.mode not in ("simulated", "sandbox", "live"):
        faults.append('[mpesa] mode: "simulated", "sandbox" or "live"')
    if mpesa.type not in ("paybill", "till"):
        faults.append('[mpesa] type: "paybill" or "till"')
    if mpesa.type == "till" and not mpesa.till:
        faults.append("[mpesa] till: name the till number; shortcode is the store number Safaricom gave at go-live")
    if not _is_url(mpesa.base_url):
        faults.append("[mpesa] base_url: write it like https://api.safaricom.co.ke, or leave it empty")
    if mpesa.mode in ("sandbox", "live"):
        for key in ("consumer_key", "consumer_secret", "shortcode", "passkey"):
            if not getattr(mpesa, key):
                faults.append(f"[mpesa] {key}: needed in mode {mpesa.mode!r}; Safaricom's Daraja portal shows it")
    if not mpesa.poll_s or any(later <= sooner for sooner, later in pairwise((0, *mpesa.poll_s))):
        faults.append("[mpesa] poll_s: a growing list of seconds, like [10, 20, 35]")
    if mpesa.queries_per_minute < 1:
        faults.append("[mpesa] queries_per_minute: at least 1")
    if mpesa.misfit not in ("hold", "nearest", "credit"):
        faults.append('[mpesa] misfit: "hold", "nearest" or "credit"')
    if mpesa.c2b not in ("off", "v1", "v2"):
        faults.append('[mpesa] c2b: "off", "v1" or "v2"')
    if mpesa.unverified_limit < 0 or mpesa.unverified_open < 1:
        faults.append("[mpesa] unverified_limit: shillings, 0 for never; unverified_open: at least 1")
    if bool(mpesa.initiator) != bool(mpesa.initiator_password):
        faults.append("[mpesa] initiator: needs initiator_password, and the other way round")
    return faults


def _check_paystack(paystack: Paystack) -> list[str]:
    faults = []
    if paystack.secret_key and not paystack.email:
        faults.append("[paystack] email: needed with secret_key; Paystack sends its receipts there")
    if not paystack.base_url or not _is_url(paystack.base_url):
        faults.append("[paystack] base_url: write it like https://api.paystack.co")
    if not 0 < paystack.timeout_s <= 120:
        faults.append("[paystack] timeout_s: a number of seconds from 1 to 120")
    return faults


def _check_sms(sms: Sms) -> list[str]:
    faults = []
    if not sms.route or not set(sms.route) <= set(SMS_ROUTES):
        faults.append(f"[sms] route: a list of {', '.join(SMS_ROUTES)}")
    if sms.by not in ("order", "cost"):
        faults.append('[sms] by: "order" or "cost"')
    for key, given in (("per_minute", sms.per_minute), ("per_day", sms.per_day)):
        if not set(given) <= set(SMS_ROUTES) or min(given.values(), default=1) < 1:
            faults.append(f"[sms.{key}]: so many texts, at least 1, for {', '.join(SMS_ROUTES)}")
    for kind, route in sms.kinds.items():
        if kind not in SMS_KINDS or not set(route.split()) <= set(SMS_ROUTES):
            faults.append(f"[sms.kinds] {kind}: kinds are {', '.join(SMS_KINDS)}; routes {', '.join(SMS_ROUTES)}")
    if sms.quiet_hours and not QUIET_HOURS.fullmatch(sms.quiet_hours):
        faults.append('[sms] quiet_hours: write it like "19:00-07:00", or empty')
    if sms.refund not in ("unsent", "undelivered"):
        faults.append('[sms] refund: "unsent" or "undelivered"')
    if sms.person_per_week < 0 or sms.low_credits < 0:
        faults.append("[sms] person_per_week and low_credits: 0 or more")
    if sms.owner_numbers and not re.fullmatch(r"[0-9]{4,8}", sms.owner_pin):
        faults.append("[sms] owner_pin: 4 to 8 digits; without it nobody's text is obeyed")
    for name, url in (("africastalking", sms.africastalking.base_url), ("twilio", sms.twilio.base_url)):
        if not url or not _is_url(url):
            faults.append(f"[sms.{name}] base_url: write it like https://api.example.com")
    if not _is_url(sms.http.url) or sms.http.method not in ("GET", "POST"):
        faults.append('[sms.http] url: like https://gateway.example/send; method "GET" or "POST"')
    for name, timeout_s in (("africastalking", sms.africastalking.timeout_s), ("twilio", sms.twilio.timeout_s),
                            ("http", sms.http.timeout_s)):  # fmt: skip
        if not 0 < timeout_s <= 25:
            faults.append(f"[sms.{name}] timeout_s: a number of seconds from 1 to 25")
    for key, pattern, groups in (("accepted", sms.http.accepted, 0), ("reference", sms.http.reference, 1)):
        if pattern and not _is_pattern(pattern, groups):
            faults.append(f"[sms.http] {key}: a regular expression, with {groups} groups in it")
    for name, token in (("africastalking", sms.africastalking.callback_token), ("http", sms.http.callback_token)):
        if token and not re.fullmatch(r"[A-Za-z0-9_-]{20,}", token):
            faults.append(f"[sms.{name}] callback_token: at least 20 letters and digits that nobody guesses")
    if bool(sms.africastalking.api_key) != bool(sms.africastalking.username):
        faults.append("[sms.africastalking] username: needed with api_key, and the other way round")
    if sms.twilio.account_sid and not (sms.twilio.auth_token and sms.twilio.sender):
        faults.append("[sms.twilio] auth_token and sender: needed with account_sid")
    return faults


def _is_pattern(pattern: str, groups: int) -> bool:
    try:
        return re.compile(pattern).groups >= groups
    except re.error:
        return False


def _check_email(email: Email) -> list[str]:
    faults = []
    if email.tls not in ("starttls", "tls", "none"):
        faults.append('[email] tls: "starttls" (port 587), "tls" (port 465) or "none"')
    if email.host and not re.fullmatch(r"[^@\s<>]+@[^@\s<>]+", email.sender):
        faults.append("[email] sender: the address that letters come from, like shop@example.org")
    if not 0 < email.port < 65536 or not 0 < email.timeout_s <= 100:
        faults.append("[email] port: 1 to 65535; timeout_s: 1 to 100")
    return faults


def _check_routers(routers: tuple[RouterSettings, ...]) -> list[str]:
    faults = []
    names = [router.name for router in routers]
    for router in routers:
        where = f"[[routers]] {router.name or '(no name)'}"
        if not router.name or names.count(router.name) > 1:
            faults.append(f"{where}: every router needs a name of its own")
        if not router.host:
            faults.append(f"{where} host: the router's address is missing")
        if router.mode == "radius" and router.host and not is_ipv4(router.host):
            faults.append(f"{where} host: in mode radius write the address the router asks from, like 192.168.88.1")
        if router.mode not in ("local", "radius"):
            faults.append(f'{where} mode: "local" or "radius"')
        if router.mode == "radius" and len(router.radius_secret) < 8:
            faults.append(f"{where} radius_secret: needed in mode radius, at least 8 characters")
    return faults


def _check_log(log: Log) -> list[str]:
    faults = []
    if log.level not in ("debug", "info", "warning", "error"):
        faults.append('[log] level: "debug", "info", "warning" or "error"')
    if log.format not in ("text", "json"):
        faults.append('[log] format: "text" or "json"')
    if not 1 <= log.max_mib <= 1024 or not 1 <= log.keep <= 100:
        faults.append("[log] max_mib: from 1 to 1024; keep: from 1 to 100")
    return faults


def _is_network(text: str) -> bool:
    try:
        ipaddress.ip_network(text, strict=False)
    except ValueError:
        return False
    return True


def _is_zone(name: str) -> bool:
    try:
        ZoneInfo(name)
    except (ValueError, OSError, ZoneInfoNotFoundError):
        return False
    return True


def _is_url(text: str) -> bool:
    try:
        parts = urlsplit(text)
        _ = parts.port
    except ValueError:
        return False
    return not text or (parts.scheme in ("http", "https") and bool(parts.hostname))


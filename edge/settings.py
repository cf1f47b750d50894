"""Settings: one TOML file and the environment, read once, checked together, every fault told with its cure."""

import ipaddress
import os
import stat
import tomllib
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from edge.errors import EdgeError
from edge.values.networks import is_ipv4


class BadSettings(EdgeError):
    """All faults of the settings at once, one a line."""


@dataclass(frozen=True)
class Box:
    name: str = "Edge WiFi"
    timezone: str = "Africa/Nairobi"
    currency: str = "KES"
    country: str = "KE"
    language: str = "en"


@dataclass(frozen=True)
class Web:
    host: str = "0.0.0.0"
    port: int = 8080
    admin_networks: tuple[str, ...] = ("127.0.0.0/8", "::1/128", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16")
    public_url: str = ""
    trusted_proxies: tuple[str, ...] = ()
    threads: int = 64


@dataclass(frozen=True)
class Database:
    url: str = "sqlite:///edge.db"

    @property
    def is_file(self) -> bool:
        return not self.url.startswith("postgresql:")


@dataclass(frozen=True)
class Queues:
    mode: str = "queue"
    url: str = ""
    workers: dict[str, int] = field(default_factory=dict)
    timeout_s: dict[str, int] = field(default_factory=dict)
    tries: dict[str, int] = field(default_factory=dict)
    backoff_s: dict[str, tuple[int, ...]] = field(default_factory=dict)
    keep_done_days: int = 7
    keep_done: int = 100
    keep_failed_days: int = 30
    keep_failed: int = 200


@dataclass(frozen=True)
class Mpesa:
    mode: str = "simulated"
    base_url: str = ""
    consumer_key: str = ""
    consumer_secret: str = ""
    shortcode: str = "174379"
    till: str = ""
    passkey: str = ""
    type: str = "paybill"
    callback_allow: tuple[str, ...] = ()
    poll_s: tuple[int, ...] = (10, 20, 35, 60, 120, 300, 900, 3600)
    queries_per_minute: int = 5
    placeholder_url: str = "https://box.invalid/none"
    timeout_s: float = 20.0
    by_hand: bool = True
    misfit: str = "hold"
    c2b: str = "off"
    initiator: str = ""
    initiator_password: str = ""
    certificate_file: str = ""
    unverified_limit: int = 0
    unverified_open: int = 5


@dataclass(frozen=True)
class Paystack:
    secret_key: str = ""
    base_url: str = "https://api.paystack.co"
    email: str = ""
    timeout_s: float = 20.0


@dataclass(frozen=True)
class RouterSettings:
    name: str = ""
    host: str = ""
    port: int = 8728
    tls: bool = False
    username: str = ""
    password: str = ""
    mode: str = "local"
    radius_secret: str = ""
    hotspot_server: str = ""
    login_url: str = ""


@dataclass(frozen=True)
class Radius:
    enabled: bool = True
    host: str = "0.0.0.0"
    auth_port: int = 1812
    acct_port: int = 1813
    coa_port: int = 3799


@dataclass(frozen=True)
class ModemSettings:
    port: str = ""
    baud: int = 115200
    pin: str = ""
    quirks: str = "auto"
    submit_timeout_s: float = 120.0


@dataclass(frozen=True)
class Sms:
    route: tuple[str, ...] = ("modem",)


@dataclass(frozen=True)
class Log:
    level: str = "info"
    format: str = "text"
    file: str = "logs/edge.log"
    max_mib: int = 4
    keep: int = 5


@dataclass(frozen=True)
class Telemetry:
    endpoint: str = ""
    service: str = "edge"


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
    def bell_path(self) -> Path:
        return self.state / "bell.sock"


SECRETS = frozenset({
    "consumer_key", "consumer_secret", "passkey", "password", "radius_secret", "pin", "url", "initiator_password",
    "secret_key",
})  # fmt: skip
SECTIONS: dict[str, type[Any]] = {
    "box": Box, "web": Web, "database": Database, "queue": Queues, "mpesa": Mpesa, "paystack": Paystack,
    "radius": Radius, "modem": ModemSettings, "sms": Sms, "log": Log, "telemetry": Telemetry,
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
            values[name] = _coerce(value, hints[name])
        except (TypeError, ValueError):
            shown = "what is written there" if name in SECRETS else repr(value)
            faults.append(f"{where} {key}: {shown} is not {_kind_in_words(hints[name])}")
    return kind(**values)


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
    demand(set(settings.sms.route) <= {"modem"}, '[sms] route: only "modem" is supported yet')
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


"""The sections of the settings file: every key with its default. What they mean: `data/edge.example.toml`."""

from dataclasses import dataclass, field


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
    resets: bool = True
    balance_code: str = ""
    balance_pattern: str = ""
    balance_every_h: int = 6
    balance_low: int = 50


@dataclass(frozen=True)
class AfricasTalking:
    username: str = ""
    api_key: str = ""
    sender: str = ""
    base_url: str = "https://api.africastalking.com"
    callback_token: str = ""
    prefixes: tuple[str, ...] = ()
    cents_per_segment: int = 80
    timeout_s: float = 20.0


@dataclass(frozen=True)
class Twilio:
    account_sid: str = ""
    auth_token: str = ""
    sender: str = ""
    base_url: str = "https://api.twilio.com"
    prefixes: tuple[str, ...] = ()
    cents_per_segment: int = 800
    timeout_s: float = 20.0


@dataclass(frozen=True)
class HttpSms:
    url: str = ""
    method: str = "POST"
    headers: dict[str, str] = field(default_factory=dict)
    body: str = ""
    accepted: str = ""
    reference: str = ""
    callback_token: str = ""
    prefixes: tuple[str, ...] = ()
    cents_per_segment: int = 100
    timeout_s: float = 20.0


@dataclass(frozen=True)
class Sms:
    route: tuple[str, ...] = ("modem", "africastalking", "twilio", "http")
    by: str = "order"
    kinds: dict[str, str] = field(default_factory=dict)
    per_minute: dict[str, int] = field(default_factory=dict)
    per_day: dict[str, int] = field(default_factory=dict)
    simplify: bool = True
    reports: bool = False
    quiet_hours: str = "19:00-07:00"
    person_per_week: int = 3
    replies: bool = True
    owner_numbers: tuple[str, ...] = ()
    owner_pin: str = ""
    refund: str = "unsent"
    low_credits: int = 100
    africastalking: AfricasTalking = AfricasTalking()
    twilio: Twilio = Twilio()
    http: HttpSms = HttpSms()


@dataclass(frozen=True)
class Email:
    host: str = ""
    port: int = 587
    tls: str = "starttls"
    username: str = ""
    password: str = ""
    sender: str = ""
    timeout_s: float = 20.0


@dataclass(frozen=True)
class Privacy:
    key_file: str = ""


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

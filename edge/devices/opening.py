"""The one place that chooses real or simulated, and opens what the settings name."""

import threading
from collections.abc import Callable
from pathlib import Path

from edge.devices.gateways import AtTheCounter, Gateway, MpesaGateway
from edge.devices.mail import Account, Mail
from edge.devices.mpesa import Mpesa
from edge.devices.mpesa_org import MpesaOrg
from edge.devices.paystack import Paystack
from edge.devices.router import Router
from edge.devices.sms_africastalking import AfricasTalking
from edge.devices.sms_gateways import SmsGateway
from edge.devices.sms_http import HttpSms, Template
from edge.devices.sms_twilio import Twilio
from edge.errors import Away, Refused
from edge.gsm_modem import Modem
from edge.modem_power import UsbPower
from edge.settings import Settings
from edge.simulators.mpesa import MpesaSimulator
from edge.values.sms_callbacks import twilio_url

BASE_URLS = {"sandbox": "https://sandbox.safaricom.co.ke", "live": "https://api.safaricom.co.ke"}
SANDBOX_PASSKEY = "bfb279f9aa9bdbcf158e97dd71a467cd2e0c893059b10f78e6b72ada1ed2c919"  # published by Safaricom
SIMULATED_KEY = "edge-rehearsal"


class Devices:
    """Every device of one worker process, opened when first asked for and kept open."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        self._mpesa: Mpesa | None = None
        self._mpesa_org: MpesaOrg | None = None
        self._simulator: MpesaSimulator | None = None
        self._modem: Modem | None = None
        self._sms_gateways: dict[str, SmsGateway] = {}
        self._mail: Mail | None = None
        self._routers: dict[tuple[str, int, str, str, bool, str], Router] = {}

    def mpesa(self) -> Mpesa:
        """M-Pesa by the settings; in mode simulated with no address, a simulator of our own inside this process."""
        with self._lock:
            if self._mpesa is None:
                told = self._settings.mpesa
                url = told.base_url or BASE_URLS.get(told.mode, "") or self._simulated_mpesa()
                simulated = told.mode == "simulated"
                self._mpesa = Mpesa(
                    url,
                    told.consumer_key or (SIMULATED_KEY if simulated else ""),
                    told.consumer_secret or (SIMULATED_KEY if simulated else ""),
                    told.shortcode,
                    told.passkey or (SANDBOX_PASSKEY if simulated else ""),
                    till=told.till,
                    kind="till" if told.type == "till" else "paybill",
                    timeout_s=told.timeout_s,
                )
            return self._mpesa

    def mpesa_org(self) -> MpesaOrg:
        """M-Pesa's organisation APIs, on the same token as `mpesa`."""
        wire = self.mpesa().wire
        with self._lock:
            if self._mpesa_org is None:
                told = self._settings.mpesa
                pretend = self._simulator.initiator if self._simulator is not None and not told.initiator else None
                self._mpesa_org = MpesaOrg(
                    wire,
                    told.shortcode,
                    till=told.till if told.type == "till" else "",
                    initiator=pretend.name if pretend else told.initiator,
                    initiator_password=pretend.password if pretend else told.initiator_password,
                    certificate=(lambda: pretend.certificate_pem) if pretend else _reader_of(told.certificate_file),
                )
            return self._mpesa_org

    def _simulated_mpesa(self) -> str:
        self._simulator = MpesaSimulator(
            shortcode=self._settings.mpesa.shortcode,
            passkey=self._settings.mpesa.passkey or SANDBOX_PASSKEY,
            consumer_key=self._settings.mpesa.consumer_key or SIMULATED_KEY,
            consumer_secret=self._settings.mpesa.consumer_secret or SIMULATED_KEY,
        )
        self._simulator.__enter__()
        return self._simulator.base_url

    def gateway(self, name: str) -> Gateway:
        """Whoever takes this kind of money (`Payment.provider`); Refused when the settings do not name it."""
        if name == "mpesa":
            return MpesaGateway(self.mpesa())
        if name in ("cash", "voucher"):
            return AtTheCounter(name)
        told = self._settings.paystack
        if name != "paystack" or not (told.secret_key and told.email):
            raise Refused(f"{name} is not set up: edge.toml names no secret_key and email in [{name}]")
        return Paystack(told.base_url, told.secret_key, told.email, timeout_s=told.timeout_s)

    def router(self, host: str, port: int, username: str, password: str, *, tls: bool, server: str) -> Router:
        """The one connection to this router; its jobs share a lane, so nobody else uses it meanwhile."""
        key = (host, port, username, password, tls, server)
        with self._lock:
            if key not in self._routers:
                self._routers[key] = Router(host, port, username, password, tls=tls, hotspot_server=server)
            return self._routers[key]

    def modem(self) -> Modem:
        """The GSM modem; Refused when the settings name none."""
        with self._lock:
            told = self._settings.modem
            if not told.port:
                raise Refused("no modem is set up")
            if self._modem is None:
                self._modem = Modem(
                    told.port, told.baud, told.pin, told.quirks, submit_timeout_s=told.submit_timeout_s,
                    resets=told.resets, pin_guard=self._settings.state / "modem-pin-refused",
                    power=UsbPower() if told.resets else None,
                )  # fmt: skip
            return self._modem

    def sms_gateway(self, route: str) -> SmsGateway:
        """The gateway of this route, its connections kept; Away when the settings do not name it, or can't be used."""
        with self._lock:
            if route not in self._sms_gateways:
                self._sms_gateways[route] = self._open_sms_gateway(route)
            return self._sms_gateways[route]

    def mail(self) -> Mail | None:
        """The mail account; None when the settings name no relay: then letters are simulated."""
        with self._lock:
            told = self._settings.email
            if told.host and self._mail is None:
                account = Account(
                    told.host, told.port, told.tls, told.username, told.password, told.sender, self._settings.box.name
                )
                self._mail = Mail(account, timeout_s=told.timeout_s)
            return self._mail

    def _open_sms_gateway(self, route: str) -> SmsGateway:
        told, public_url = self._settings.sms, self._settings.web.public_url
        if route == "africastalking" and told.africastalking.api_key:
            one = told.africastalking
            return AfricasTalking(one.base_url, one.username, one.api_key, one.sender, timeout_s=one.timeout_s)
        if route == "twilio" and told.twilio.account_sid:
            two = told.twilio
            callback_url = twilio_url(public_url) if public_url else ""
            return Twilio(
                two.base_url, two.account_sid, two.auth_token, two.sender, callback_url=callback_url,
                timeout_s=two.timeout_s,
            )  # fmt: skip
        if route == "http" and told.http.url:
            own = told.http
            template = Template(own.url, own.method, own.headers, own.body, own.accepted, own.reference)
            return HttpSms(template, timeout_s=own.timeout_s)
        raise Away(f"{route} is not set up: edge.toml names no key in [sms.{route}]")

    def close(self) -> None:
        """Hang up everywhere."""
        closers: list[Callable[[], object]] = [router.close for router in self._routers.values()]
        closers += [gateway.close for gateway in self._sms_gateways.values()]
        if self._modem is not None:
            closers.append(self._modem.close)
        if self._mail is not None:
            closers.append(self._mail.close)
        for close in closers:
            close()
        if self._simulator is not None:
            self._simulator.__exit__(None, None, None)


def _reader_of(path: str) -> Callable[[], bytes] | None:
    """To be read at each use, so that a renewed file needs no restart; None when none is named."""
    return Path(path).read_bytes if path else None

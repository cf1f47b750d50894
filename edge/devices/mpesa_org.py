"""M-Pesa's organisation APIs: register addresses, ask about a transaction, send money back or out."""

import base64
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from edge.devices.mpesa_wire import Answer, Wire, as_text, clean, is_name
from edge.errors import BadInput, Refused, Unconfirmed, Unreachable
from edge.values.mpesa_urls import url_faults
from edge.values.org_api import OrgAnswer

__all__ = ["Addresses", "MpesaOrg", "Registered", "security_credential", "url_faults"]

STATUS_PATH = "/mpesa/transactionstatus/v1/query"
BALANCE_PATH = "/mpesa/accountbalance/v1/query"
REVERSAL_PATH = "/mpesa/reversal/v1/request"
B2C_PATH = "/mpesa/b2c/v3/paymentrequest"
SHORT_CODE, TILL = "4", "2"  # IdentifierType
REVERSAL_PARTY = "11"
B2C_LEAST_CENTS, B2C_MOST_CENTS = 10_00, 250_000_00
COMMANDS = {"paybill": "CustomerPayBillOnline", "till": "CustomerBuyGoodsOnline"}
# Codes of the gateway that mean: come back later (Daraja portal, organisation APIs).
BUSY_CODES = frozenset({"26", "100000100", *(str(100_000_000 + last) for last in range(12))})


@dataclass(frozen=True)
class Addresses:
    """Where the answer goes, and where word goes when a request expired in M-Pesa's queue."""

    result_url: str
    timeout_url: str


@dataclass(frozen=True)
class Registered:
    """The short code's confirmations come to us; `already`: they were registered before, here or elsewhere, and M-Pesa
    changed nothing (production takes them once).
    """

    already: bool
    words: str


def security_credential(password: str, certificate_pem: bytes | str) -> str:
    """The initiator's password for the wire: RSA with PKCS#1 v1.5, then base64; another text each time, all good.

    Takes M-Pesa's certificate of this environment, or its public key, in PEM. Certificates in use are years past their
    date: only the key counts (Daraja portal, Security Credential). BadInput when it is neither.
    """
    pem = certificate_pem.encode() if isinstance(certificate_pem, str) else certificate_pem
    try:
        is_key = b"PUBLIC KEY-----" in pem
        key = load_pem_public_key(pem) if is_key else x509.load_pem_x509_certificate(pem).public_key()
    except ValueError as reason:
        raise BadInput(f"this is no certificate or public key in PEM: {reason}", "certificate_file") from None
    if not isinstance(key, RSAPublicKey):
        raise BadInput("M-Pesa's certificate holds an RSA key, and this one does not", "certificate_file")
    try:
        return base64.b64encode(key.encrypt(password.encode(), padding.PKCS1v15())).decode()
    except ValueError as reason:
        raise BadInput(f"the password can't be encrypted with this key: {reason}", "initiator_password") from None


class MpesaOrg:
    """One organisation (a short code and its API initiator) on a Daraja app; safe to share between threads."""

    def __init__(
        self, wire: Wire, short_code: str, *, till: str = "", initiator: str = "", initiator_password: str = "",
        certificate: Callable[[], bytes] | None = None, pay_out_code: str = "",
    ) -> None:  # fmt: skip
        """`certificate` is asked at each order, so that a new file needs no restart; it may raise OSError."""
        self._wire = wire
        self._short_code = short_code
        self._till = till
        self._initiator = initiator
        self._password = initiator_password
        self._certificate = certificate
        self._pay_out_code = pay_out_code or short_code
        wire.keep_quiet(initiator_password)

    def register_c2b(
        self, confirmation_url: str, validation_url: str, *, short_code: str = "",
        response_type: Literal["Completed", "Cancelled"] = "Completed", version: Literal["v1", "v2"] = "v2",
    ) -> Registered:  # fmt: skip
        """Have the short code's payments told to these addresses; a lost answer is Unreachable, for it may be repeated.

        `response_type`: what M-Pesa does with a payment when validation is on and cannot be reached.
        """
        body = {
            "ShortCode": short_code or self._short_code, "ResponseType": response_type,
            "ConfirmationURL": confirmation_url, "ValidationURL": validation_url,
        }  # fmt: skip
        return _read_registration(self._ask(f"/mpesa/c2b/{version}/registerurl", body), version)

    def simulate_c2b(
        self, msisdn: str, amount_cents: int, account: str = "", *, short_code: str = "",
        version: Literal["v1", "v2"] = "v2",
    ) -> OrgAnswer:  # fmt: skip
        """Have the sandbox pretend that a customer paid by hand. The sandbox alone knows this."""
        kind = "till" if self._till and not account else "paybill"
        body: dict[str, Any] = {
            "ShortCode": int(short_code or self._short_code), "CommandID": COMMANDS[kind],
            "Amount": _shillings(amount_cents), "Msisdn": int(msisdn),
            "BillRefNumber": account if kind == "paybill" else None,
        }  # fmt: skip
        return _read_order(self._wire.post(f"/mpesa/c2b/{version}/simulate", body))

    def transaction_status(
        self, addresses: Addresses, *, receipt: str = "", original_conversation_id: str = "", remarks: str = "Status"
    ) -> OrgAnswer:
        """Ask what became of a transaction, by its receipt or by the id of the request that made it. Changes nothing:
        a lost answer is only Unreachable.
        """
        if bool(receipt) == bool(original_conversation_id):
            raise Refused("ask by the receipt or by the conversation, and by one of them alone")
        about = {"TransactionID": receipt} if receipt else {"OriginalConversationID": original_conversation_id}
        body = about | {
            "Initiator": self._initiator, "SecurityCredential": self._credential(),
            "CommandID": "TransactionStatusQuery", "PartyA": self._till or self._short_code,
            "IdentifierType": TILL if self._till else SHORT_CODE, "Occasion": "",
        }  # fmt: skip
        return _read_order(self._ask(STATUS_PATH, body | _returning(addresses, remarks)))

    def account_balance(self, addresses: Addresses) -> OrgAnswer:
        """Ask for the organisation's balances; a lost answer is only Unreachable."""
        body = {
            "Initiator": self._initiator, "SecurityCredential": self._credential(), "CommandID": "AccountBalance",
            "PartyA": self._short_code, "IdentifierType": SHORT_CODE,
        }  # fmt: skip
        return _read_order(self._ask(BALANCE_PATH, body | _returning(addresses, "Balance")))

    def reversal(self, addresses: Addresses, receipt: str, amount_cents: int, remarks: str = "Refund") -> OrgAnswer:
        """Send a customer's payment back. Unconfirmed when it may have been taken although no answer came."""
        body = {
            "Initiator": self._initiator, "SecurityCredential": self._credential(),
            "CommandID": "TransactionReversal", "TransactionID": receipt, "Amount": str(_shillings(amount_cents)),
            "ReceiverParty": self._till or self._short_code, "RecieverIdentifierType": REVERSAL_PARTY, "Occasion": "",
        }  # fmt: skip
        return _read_order(self._wire.post(REVERSAL_PATH, body | _returning(addresses, remarks)))

    def b2c(
        self, addresses: Addresses, originator_id: str, msisdn: str, amount_cents: int, remarks: str = "Refund",
        command: Literal["BusinessPayment", "SalaryPayment", "PromotionPayment"] = "BusinessPayment",
    ) -> OrgAnswer:  # fmt: skip
        """Pay a phone from the utility account, KSh 10 to 250,000. `originator_id` is ours and unique: with it a lost
        answer (Unconfirmed) can be asked about, and the same order sent twice is not paid twice.
        """
        if not B2C_LEAST_CENTS <= amount_cents <= B2C_MOST_CENTS:
            raise Refused("M-Pesa pays out from KSh 10 to KSh 250,000")
        body = {
            "OriginatorConversationID": originator_id, "InitiatorName": self._initiator,
            "SecurityCredential": self._credential(), "CommandID": command, "Amount": str(_shillings(amount_cents)),
            "PartyA": self._pay_out_code, "PartyB": msisdn, "Occassion": "",
        }  # fmt: skip
        return _read_order(self._wire.post(B2C_PATH, body | _returning(addresses, remarks)))

    def _ask(self, path: str, body: dict[str, Any]) -> Answer:
        """What may be asked again without harm."""
        try:
            return self._wire.post(path, body)
        except Unconfirmed as lost:
            raise Unreachable(str(lost)) from None

    def _credential(self) -> str:
        if not self._initiator or not self._password or self._certificate is None:
            raise Refused("set initiator, initiator_password and certificate_file under [mpesa] in edge.toml first")
        try:
            return security_credential(self._password, self._certificate())
        except OSError as reason:
            raise Refused(f"[mpesa] certificate_file can't be read: {reason.strerror}") from None
        except BadInput as reason:
            raise Refused(f"[mpesa] {reason.field}: {reason}") from None


def _shillings(amount_cents: int) -> int:
    shillings, cents = divmod(amount_cents, 100)
    if cents or shillings < 1:
        raise Refused("M-Pesa takes whole shillings only, at least one")
    return shillings


def _returning(addresses: Addresses, remarks: str) -> dict[str, str]:
    return {
        "Remarks": clean(remarks, 100, "WiFi"), "QueueTimeOutURL": addresses.timeout_url,
        "ResultURL": addresses.result_url,
    }  # fmt: skip


def _read_order(answer: Answer) -> OrgAnswer:
    """The acknowledgement, or which error it is. A duplicate of our own id was taken before: perhaps done."""
    code = as_text(answer.document.get("ResponseCode"))
    if answer.status == 200 and code == "0":
        names = ("OriginatorConversationID", "OriginatorCoversationID")  # the second is Safaricom's own misspelling
        told = [str(answer.document[name]) for name in names if is_name(answer.document.get(name))]
        conversation = answer.document.get("ConversationID")
        return OrgAnswer(told[0] if told else "", str(conversation) if is_name(conversation) else "")
    if answer.says("duplicate originatorconversationid"):
        raise Unconfirmed("M-Pesa has this request already: see how it ended")
    if answer.is_busy or code in BUSY_CODES:
        raise Unreachable(f"M-Pesa did not take it now: {answer.words}")
    if answer.is_refusal or (answer.status == 200 and code not in ("", "0")):
        raise Refused(f"M-Pesa said no: {answer.words}")
    raise Unconfirmed(f"M-Pesa's answer does not say whether it took this: {answer.words}")


def _read_registration(answer: Answer, version: str) -> Registered:
    code = as_text(answer.document.get("ResponseCode"))
    if answer.status == 200 and code == "0":
        return Registered(already=False, words=answer.words)
    if answer.says("already registered"):
        return Registered(already=True, words=answer.words)
    if answer.says("duplicate notification info"):
        raise Refused(
            f"an old registration of this short code stands in the way: {answer.words}. Delete its addresses in the "
            "M-Pesa portal (self service, URL management), or ask apisupport@safaricom.co.ke to"
        )
    if answer.says("no apiproduct match"):
        other = "v1" if version == "v2" else "v2"
        raise Refused(f'this app does not have C2B {version}: try [mpesa] c2b = "{other}" ({answer.words})')
    if answer.is_refusal or (answer.status == 200 and code not in ("", "0") and code not in BUSY_CODES):
        raise Refused(f"M-Pesa said no: {answer.words}")
    raise Unreachable(f"M-Pesa did not register the addresses now: {answer.words}")

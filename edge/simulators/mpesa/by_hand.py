"""Customers who pay by hand (C2B): registered addresses, validation, confirmation, and the sandbox's simulate."""

import hashlib
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from edge.simulators.mpesa import wire
from edge.simulators.mpesa.book import Row
from edge.simulators.mpesa.front import Front
from edge.simulators.mpesa.ground import Door
from edge.simulators.mpesa.wire import Posted, Reply, reply
from edge.values.msisdn import mask_msisdn

FORBIDDEN = ("mpesa", "m-pesa", "safaricom", "exe", "cmd", "sql", "query", "ngrok", "mockbin", "requestbin")
SOAP_FAULT = {
    "Envelope": {
        "encodingStyle": "http://schemas.xmlsoap.org/soap/encoding/",
        "Body": {
            "Fault": {
                "faultcode": "soap:Server",
                "faultstring": "Execution of ServiceCallout SC-SearchURL failed. Reason: ResponseCode 503 is treated "
                "as error",
                "faultactor": {},
                "detail": {"source": {"errorcode": "steps.servicecallout.ExecutionFailed"}},
            }
        },
    }
}
REGISTER_FAULTS = {
    "unreachable": "Service is currently unreachable. Please try again later.",
    "foreign": "Duplicate notification info, SP ID is 107031",
}
NO_PRODUCT = "Error Occurred - Invalid Access Token - Invalid API call as no apiproduct match found"
ANSWER_WITHIN_S = 8.0
MsisdnForm = Literal["", "full", "masked", "masked_tight", "hashed", "masked_hash"]


@dataclass(frozen=True)
class Registration:
    """Where the payments of one short code are told."""

    confirmation_url: str
    validation_url: str
    response_type: str
    version: str


class ByHand(Front):
    """What the paybill menu, the till menu and a QR code lead to."""

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        for version in ("v1", "v2"):
            self._doors[f"/mpesa/c2b/{version}/registerurl"] = Door(
                lambda told, version=version: self._register(told, version), wire.REGISTER_FIELDS  # type: ignore[misc]
            )
            self._doors[f"/mpesa/c2b/{version}/simulate"] = Door(self._simulate, wire.SIMULATE_FIELDS)
        self.registrations: dict[str, Registration] = {}
        self.c2b_posts: list[Posted] = []
        self.c2b_version: Literal["", "v1", "v2"] = ""  # the one that the app has; empty: both
        self.register_once = False  # as in production
        self.register_fault: Literal["", "soap", "unreachable", "foreign"] = ""
        self.c2b_validation = False  # off by default, as M-Pesa has it
        self.validation_timeout_s = ANSWER_WITHIN_S
        self.c2b_msisdn: MsisdnForm = ""  # empty: by the version registered
        self.c2b_names: Literal["first", "all", "empty", "absent"] = "first"
        self.c2b_type: str | None = None  # instead of what goes with the short code
        self.c2b_amount: Literal["20.00", "20"] = "20.00"
        self.c2b_confirmations = 1  # 0 loses them, 2 doubles them
        self.c2b_delay_s = 0.0
        self.till_posts_as: Literal["till", "store"] = "till"  # reports differ
        self.stk_c2b: Literal["after", "before", ""] = "after"  # prompts on a registered short code tell both

    def pay_by_hand(
        self, msisdn: str, amount: int, account: str = "", *, is_till: bool | None = None, name: str = ""
    ) -> str | None:
        """Somebody pays so many shillings from the menu of his phone; returns the receipt, None when the shop's
        validation turned him away. The confirmation is posted a moment later.

        `is_till`: Buy Goods, which has no account; by default whenever there is a till and no account.
        """
        as_till = bool(self._till) and not account if is_till is None else is_till
        account = "" if as_till else account[:20]
        now = datetime.now(UTC)
        with self._lock:
            receipt = self._names.receipt(now)
        name = name or self._customer_of(msisdn).name
        draft = Row(receipt, now, now, "", "", "payment", msisdn, name, account, amount * 100, is_till=as_till)
        third_party_id = self._validate(draft)
        if third_party_id is None:
            self._log(f"by hand: KSh {amount} from {mask_msisdn(msisdn)}, turned away by the shop")
            return None
        row = self._take_money(
            msisdn, amount, account, is_till=as_till, by_prompt=False, started_at=now, receipt=receipt, name=name
        )
        self._log(f"by hand: KSh {amount} from {mask_msisdn(msisdn)} for {account or 'the till'}, receipt {receipt}")
        self._later(self._confirm, row, third_party_id)()
        return receipt

    def reverse_by_customer(self, receipt: str) -> str:
        """The payer forwards the message to 456 and M-Pesa sends his money back; the receipt of the reversal."""
        row = self.book.find(receipt)
        if row is None or row.kind != "payment" or row.is_reversed:
            raise KeyError(receipt)
        return self._reverse(row, row.in_cents, "by the customer").receipt

    # Registering.

    def _register(self, told: dict[str, Any], version: str) -> Reply:
        if self.c2b_version not in ("", version):
            return self._refuse(401, "401.003.01", NO_PRODUCT)
        if self.register_fault == "soap":
            return reply(500, SOAP_FAULT)
        if self.register_fault:
            return self._refuse(500, "500.003.1001", REGISTER_FAULTS[self.register_fault])
        for field in ("ConfirmationURL", "ValidationURL"):
            url = told[field].lower()
            word = next((word for word in FORBIDDEN if word in url), None)
            if word is not None:
                words = f"Bad Request - Invalid {field} - URL has the word {word.upper()}"
                return self._refuse(400, "400.003.02", words)
            if self.https_only and not url.startswith("https://"):
                return self._refuse(400, "400.003.02", f"Bad Request - Invalid {field}")
        code = wire.as_text(told["ShortCode"])
        with self._lock:
            if self.register_once and code in self.registrations:
                return self._refuse(500, "500.003.1001", "Urls are already registered.")
            self.registrations[code] = Registration(
                told["ConfirmationURL"], told["ValidationURL"], told["ResponseType"], version
            )
        self._log(f"C2B {version}: the payments of {code} are told to {told['ConfirmationURL'].split('/')[2]}")
        return self._took("Success")

    def _took(self, words: str) -> Reply:
        with self._lock:
            request_id = self._names.request_id()
        return reply(
            200, {"OriginatorCoversationID": request_id, "ResponseCode": "0", "ResponseDescription": words}
        )

    def _simulate(self, told: dict[str, Any]) -> Reply:
        is_till = told["CommandID"] == "CustomerBuyGoodsOnline"
        if wire.as_text(told["ShortCode"]) not in (self._shortcode, self._till):
            return self._refuse(400, "400.002.02", "Bad Request - Invalid ShortCode")
        account = wire.as_text(told.get("BillRefNumber"))
        msisdn, amount = wire.as_text(told["Msisdn"]), int(told["Amount"])
        found = self._took("Accept the service request successfully.")
        pay = self._later(lambda: self.pay_by_hand(msisdn, amount, account, is_till=is_till))
        return Reply(found.status, found.body, then=pay)

    # Telling the shop.

    def _registration_of(self, is_till: bool) -> Registration | None:
        codes = [self._till, self._shortcode] if is_till else [self._shortcode]
        return next((self.registrations[code] for code in codes if code in self.registrations), None)

    def _validate(self, row: Row) -> str | None:
        """The shop's ThirdPartyTransID, often empty; None when it says no, or can't be asked and had that meant no."""
        told = self._registration_of(row.is_till)
        if told is None or not self.c2b_validation:
            return ""
        body = self._notice(row, told, "")
        found = self._post(told.validation_url, body, self.validation_timeout_s)
        with self._lock:
            self.c2b_posts.append(Posted("validation", told.validation_url, body, found and found[0]))
        try:
            answer = json.loads(found[1]) if found is not None and found[0] == 200 else None
        except ValueError:
            answer = None
        if not isinstance(answer, dict):
            return "" if told.response_type == "Completed" else None
        said_yes = wire.as_text(answer.get("ResultCode")) == "0"
        return wire.as_text(answer.get("ThirdPartyTransID")) if said_yes else None

    def _confirm(self, row: Row, third_party_id: str = "") -> None:
        told = self._registration_of(row.is_till)
        if told is None or self._closing.wait(self.c2b_delay_s):
            return
        body = self._notice(row, told, f"{row.balance_cents / 100:.2f}", third_party_id)
        for _ in range(self.c2b_confirmations):
            found = self._post(told.confirmation_url, body)
            with self._lock:
                self.c2b_posts.append(Posted("confirmation", told.confirmation_url, body, found and found[0]))
            heard = f"answered {found[0]}" if found else "nobody answered"
            self._log(f"confirmation of {row.receipt}: {heard}")

    def _notice(self, row: Row, told: Registration, balance: str, third_party_id: str = "") -> dict[str, str]:
        kind = self.c2b_type
        if kind is None:  # portal samples say "Buy Goods"; production tills were seen to send the other
            kind = "Customer Merchant Payment" if row.is_till else "Pay Bill"
        code = self._till if row.is_till and self._till and self.till_posts_as == "till" else self._shortcode
        shillings = row.in_cents // 100
        notice = {
            "TransactionType": kind,
            "TransID": row.receipt,
            "TransTime": str(wire.nairobi_stamp(row.at)),
            "TransAmount": f"{shillings}.00" if self.c2b_amount == "20.00" else str(shillings),
            "BusinessShortCode": code,
            "BillRefNumber": row.account,
            "InvoiceNumber": "",
            "OrgAccountBalance": balance,
            "ThirdPartyTransID": third_party_id,
            "MSISDN": show_payer(row.msisdn, self.c2b_msisdn or ("hashed" if told.version == "v1" else "masked")),
        }
        return notice | self._name_fields(row.name)

    def _name_fields(self, name: str) -> dict[str, str]:
        first, _, rest = name.partition(" ")
        middle, _, last = rest.partition(" ") if " " in rest else ("", "", rest)
        names = {
            "absent": {},
            "empty": {"FirstName": "", "MiddleName": "", "LastName": ""},
            "first": {"FirstName": first, "MiddleName": "", "LastName": ""},
            "all": {"FirstName": first, "MiddleName": middle, "LastName": last},
        }
        return names[self.c2b_names]


def show_payer(msisdn: str, form: str) -> str:
    """The payer's number in M-Pesa's five ways to tell it, and not to tell it."""
    digest = hashlib.sha256(msisdn.encode()).hexdigest()
    forms = {
        "full": msisdn,
        "masked": f"{msisdn[:4]} ***** {msisdn[-3:]}",
        "masked_tight": f"{msisdn[:5]}****{msisdn[-3:]}",
        "hashed": digest,
        "masked_hash": f"{digest[:34]} ***** {digest[-25:]}",
    }
    return forms[form]

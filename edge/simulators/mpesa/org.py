"""The organisation APIs of the pretend M-Pesa: they take an order, and post what came of it later."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

from edge.simulators.mpesa import wire
from edge.simulators.mpesa.book import NAIROBI, Row
from edge.simulators.mpesa.credentials import Initiator
from edge.simulators.mpesa.customers import name_of
from edge.simulators.mpesa.front import Front
from edge.simulators.mpesa.ground import Door
from edge.simulators.mpesa.wire import Posted, Reply

ACCEPTED = "Accept the service request successfully."
DONE = "The service request is processed successfully."
QUEUE_ADDRESS = "https://internalsandbox.safaricom.co.ke/mpesa/abresults/v1/submit"
Parameter = tuple[str, Any]
BAD_CREDENTIAL = {"2001": "The initiator information is invalid.", "8006": "The security credential is locked."}


@dataclass(frozen=True)
class Result:
    """What came of an order."""

    code: int | str
    words: str
    receipt: str = ""
    parameters: tuple[Parameter, ...] = ()


@dataclass
class Order:
    """One order or question that was taken."""

    path: str
    fields: dict[str, str]
    originator_id: str
    conversation_id: str
    result: Result | None = None


@dataclass(frozen=True)
class _Api:
    work: Callable[["Order"], Result]
    caller: str  # the field that names the initiator
    paths: tuple[str, ...]
    fields: tuple[tuple[str, str, str], ...] = field(default=())


class OrgDesk(Front):
    """Transaction status, balance, reversal and pay-out; read `orders` and `org_posts`."""

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        self.initiator = Initiator()
        apis = (
            _Api(self._status, "Initiator", ("transactionstatus/v1/query",), wire.STATUS_FIELDS),
            _Api(self._balance, "Initiator", ("accountbalance/v1/query",), wire.BALANCE_FIELDS),
            _Api(self._reversal, "Initiator", ("reversal/v1/request",), wire.REVERSAL_FIELDS),
            _Api(self._b2c, "InitiatorName", ("b2c/v1/paymentrequest", "b2c/v3/paymentrequest"), wire.B2C_FIELDS),
        )
        for api in apis:
            for path in (f"/mpesa/{end}" for end in api.paths):
                self._doors[path] = Door(self._taking(path, api), api.fields)
        self.orders: list[Order] = []
        self.org_posts: list[Posted] = []
        self.org_delay_s = 0.0
        # timeout: it expired in the queue undone. timeout_done: the same notice, though it was done. silent: no word.
        self.org_outcome: Literal["result", "timeout", "timeout_done", "silent"] = "result"
        self.org_results = 1  # 2 posts each result twice
        self.org_code_form: Literal["int", "string"] = "int"
        self.org_single = False  # one parameter alone, which then is an object instead of a list
        self.org_value_missing = False  # the first parameter comes without its Value
        self.lose_org_answer = False  # takes the order, then hangs up
        self.unregistered: set[str] = set()  # phones without M-Pesa

    def _taking(self, path: str, api: _Api) -> Callable[[dict[str, Any]], Reply]:
        return lambda told: self._take_order(path, api, told)

    def _take_order(self, path: str, api: _Api, told: dict[str, Any]) -> Reply:
        fields = {name: wire.as_text(value) for name, value in told.items()}
        refusal = self._refuse_order(path, fields)
        if refusal is not None:
            return refusal
        now = datetime.now(UTC)
        with self._lock:
            ours = fields.get("OriginatorConversationID", "") if "b2c/v3" in path else ""
            order = Order(path, fields, ours or self._names.request_id(), self._names.conversation_id(now))
            self.orders.append(order)
        document = {
            "OriginatorConversationID": order.originator_id,
            "ConversationID": order.conversation_id,
            "ResponseCode": "0",
            "ResponseDescription": ACCEPTED,
        }
        then = self._later(self._fulfil, order, api)
        return Reply(200, json.dumps(document).encode(), lost=self.lose_org_answer, then=then)

    def _refuse_order(self, path: str, fields: dict[str, str]) -> Reply | None:
        """What each API looks at before it takes an order."""
        if "transactionstatus" in path and not (fields.get("TransactionID") or fields.get("OriginalConversationID")):
            return self._refuse(400, "400.002.02", "Bad Request - Invalid TransactionID")
        if "b2c" in path and int(fields["Amount"]) < 10:
            return self._refuse(400, "400.002.02", "Bad Request - Invalid Amount")
        if "b2c/v3" in path:
            ours = fields.get("OriginatorConversationID", "")
            if not ours:
                return self._refuse(400, "400.002.02", "Bad Request - Invalid OriginatorConversationID")
            with self._lock:
                is_known = any(order.originator_id == ours for order in self.orders)
            if is_known:
                return self._refuse(500, "500.002.1001", "Duplicate OriginatorConversationID.")
        return None

    def _fulfil(self, order: Order, api: _Api) -> None:
        if self._closing.wait(self.org_delay_s):
            return
        outcome = self.org_outcome
        if outcome != "timeout":
            order.result = self._result_of(order, api)
            self._log(f"{order.path.split('/')[2]}: result {order.result.code}")
        if outcome == "result":
            for _ in range(self.org_results):
                self._post_result("result", order.fields["ResultURL"], self._envelope(order))
        elif outcome != "silent":
            self._post_result("timeout", order.fields["QueueTimeOutURL"], self._timeout(order))

    def _result_of(self, order: Order, api: _Api) -> Result:
        refusal = self.initiator.refusal(order.fields[api.caller], order.fields["SecurityCredential"])
        if refusal:
            return Result(int(refusal), BAD_CREDENTIAL[refusal], self._new_receipt())
        return api.work(order)

    def _post_result(self, kind: str, url: str, body: dict[str, Any]) -> None:
        found = self._post(url, body)
        with self._lock:
            self.org_posts.append(Posted(kind, url, body, found and found[0]))

    def _envelope(self, order: Order) -> dict[str, Any]:
        result = order.result or Result(1, "Expired")
        as_string = self.org_code_form == "string"
        told: dict[str, Any] = {
            "ResultType": "0" if as_string else 0,
            "ResultCode": str(result.code) if as_string else result.code,
            "ResultDesc": result.words,
            "OriginatorConversationID": order.originator_id,
            "ConversationID": order.conversation_id,
            "TransactionID": result.receipt or self._new_receipt(),
        }
        listed: list[dict[str, Any]] = [{"Key": key, "Value": value} for key, value in result.parameters]
        listed = listed[:1] if self.org_single else listed
        if listed and self.org_value_missing:
            del listed[0]["Value"]
        if listed:  # one is an object, several are a list
            told["ResultParameters"] = {"ResultParameter": listed if len(listed) > 1 else listed[0]}
        told["ReferenceData"] = {"ReferenceItem": {"Key": "QueueTimeoutURL", "Value": QUEUE_ADDRESS}}
        return {"Result": told}

    def _timeout(self, order: Order) -> dict[str, Any]:
        told = {
            "ResultType": 1, "ResultCode": 1, "ResultDesc": "The request expired in the queue.",
            "OriginatorConversationID": order.originator_id, "ConversationID": order.conversation_id,
            "TransactionID": self._new_receipt(),
        }  # fmt: skip
        return {"Result": told}

    def _new_receipt(self) -> str:
        with self._lock:
            return self._names.receipt(datetime.now(UTC))

    # What each API does; the names of the parameters are those of the Daraja portal.

    def _status(self, order: Order) -> Result:
        row = self.book.find(order.fields.get("TransactionID") or order.fields["OriginalConversationID"])
        if row is None:  # what M-Pesa says of a receipt it does not know, nobody has recorded
            return Result("E9002", "The transaction receipt number does not exist.")
        payer, shop = row.other_party, f"{self._till or self._shortcode} - {self.holder}"
        parties = (payer, shop) if row.in_cents else (shop, payer)
        parameters: tuple[Parameter, ...] = (
            ("DebitPartyName", parties[0]),
            ("DebitPartyName", parties[1]),  # twice, as in the portal's sample
            ("OriginatorConversationID", row.originator_id or order.originator_id),
            ("InitiatedTime", wire.nairobi_stamp(row.started_at)),
            ("DebitAccountType", "MMF Account For Customer" if row.in_cents else "Utility Account"),
            ("DebitPartyCharges", "Fee For B2C Payment|KES|22.40" if row.out_cents else ""),
            ("TransactionReason", ""),
            ("ReasonType", row.reason),
            ("TransactionStatus", row.status),
            ("FinalisedTime", wire.nairobi_stamp(row.at)),
            ("Amount", (row.in_cents or row.out_cents) / 100),
            ("ConversationID", order.conversation_id),
            ("ReceiptNo", row.receipt),
        )
        return Result(0, DONE, parameters=parameters)

    def _balance(self, order: Order) -> Result:
        told = f"{self.book.balance_cents / 100:.2f}"
        accounts = f"Working Account|KES|0.00|0.00|0.00|0.00&Utility Account|KES|{told}|{told}|0.00|0.00"
        moment = wire.nairobi_stamp(datetime.now(UTC))
        return Result(0, DONE, parameters=(("AccountBalance", accounts), ("BOCompletedTime", moment)))

    def _reversal(self, order: Order) -> Result:
        row, cents = self.book.find(order.fields["TransactionID"]), int(order.fields["Amount"]) * 100
        if row is None or row.kind != "payment":
            return Result("R000002", "The OriginalTransactionID is invalid.")
        with self._lock:
            if row.is_reversed:
                return Result("R000001", "The transaction has already been reversed.")
            if cents > row.in_cents or cents > self.book.balance_cents:
                return Result(1, "The balance is insufficient for the transaction.")
            row.is_reversed = True
        back = self._reverse(row, cents, "by the organisation")
        parameters: tuple[Parameter, ...] = (
            ("DebitAccountBalance", f"Utility Account|KES|{back.balance_cents / 100:.2f}|0.00|0.00"),
            ("Amount", cents / 100),
            ("TransCompletedTime", wire.nairobi_stamp(back.at)),
            ("OriginalTransactionID", row.receipt),
            ("Charge", 0),
            ("CreditPartyPublicName", row.other_party),
            ("DebitPartyPublicName", f"{self._shortcode} - {self.holder}"),
        )
        return Result(0, DONE, back.receipt, parameters)

    def _b2c(self, order: Order) -> Result:
        msisdn, cents = order.fields["PartyB"], int(order.fields["Amount"]) * 100
        if msisdn in self.unregistered:
            return Result(2040, "Credit party customer type can't be supported.")
        if cents > self.book.balance_cents:
            return Result(1, "The balance is insufficient for the transaction.")
        now, name = datetime.now(UTC), self._customer_of(msisdn).name or name_of(msisdn)
        row = self.book.add(
            Row(self._new_receipt(), now, now, f"Business Payment to Customer via API to {msisdn} - {name}",
                "Business Payment to Customer via API", "pay_out", msisdn, name, out_cents=cents,
                originator_id=order.originator_id)
        )  # fmt: skip
        parameters: tuple[Parameter, ...] = (
            ("TransactionAmount", cents / 100),
            ("TransactionReceipt", row.receipt),
            ("ReceiverPartyPublicName", row.other_party),
            ("TransactionCompletedDateTime", now.astimezone(NAIROBI).strftime("%d.%m.%Y %H:%M:%S")),
            ("B2CUtilityAccountAvailableFunds", row.balance_cents / 100),
            ("B2CWorkingAccountAvailableFunds", 0.0),
            ("B2CRecipientIsRegisteredCustomer", "Y"),
            ("B2CChargesPaidAccountAvailableFunds", 0.0),
        )
        return Result(0, DONE, row.receipt, parameters)

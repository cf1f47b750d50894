"""How the pretended SMS gateways word their answers and reports: Africa's Talking, Twilio and a plain one."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Literal

ACCOUNT_SID = "AC00000000000000000000000000000000"
Outcome = Literal["delivered", "failed", "blocked", "silent"]
Answer = tuple[int, dict[str, object]]


@dataclass(frozen=True)
class Taken:
    """One text that was taken. `to` is 2547…."""

    route: str
    to: str
    text: str
    sender: str
    reference: str
    callback_url: str = ""


class Wire(ABC):
    """How one gateway words its answers: status and document. `to` and `text` name the fields of a request."""

    route = to = text = ""

    def __init__(self, is_known: bool) -> None:
        self.is_known = is_known  # by its credentials

    @abstractmethod
    def accepted(self, taken: Taken) -> Answer:
        """It was taken."""

    @abstractmethod
    def no(self, what: str, number: str = "") -> Answer:
        """It was not: unauthorised, busy, no_credit, no_route, invalid, blocked."""


class AfricasTalking(Wire):
    route, to, text = "africastalking", "to", "message"
    CODES = {"no_credit": (405, "InsufficientBalance"), "no_route": (407, "CouldNotRoute"),
             "invalid": (403, "InvalidPhoneNumber"), "blocked": (406, "UserInBlacklist")}  # fmt: skip

    def accepted(self, taken: Taken) -> Answer:
        parts = max(1, -(-len(taken.text) // 160))
        cost = f"KES {0.8 * parts:.4f}"
        told = {"statusCode": 101, "number": f"+{taken.to}", "status": "Success", "cost": cost,
                "messageId": taken.reference, "messageParts": parts}  # fmt: skip
        return 201, {"SMSMessageData": {"Message": f"Sent to 1/1 Total Cost: {cost}", "Recipients": [told]}}

    def no(self, what: str, number: str = "") -> Answer:
        if what == "unauthorised":
            return 401, {"SMSMessageData": {"Message": "The supplied authentication is invalid", "Recipients": []}}
        if what == "busy":
            return 429, {"SMSMessageData": {"Message": "Too many requests", "Recipients": []}}
        code, words = self.CODES[what]
        told = {"statusCode": code, "number": f"+{number}", "status": words, "cost": "0", "messageId": "None"}
        return 201, {"SMSMessageData": {"Message": "Sent to 0/1 Total Cost: 0", "Recipients": [told]}}


class Twilio(Wire):
    route, to, text = "twilio", "To", "Body"
    CODES = {
        "unauthorised": (401, 20003, "Authenticate"), "busy": (429, 20429, "Too Many Requests"),
        "no_credit": (403, 20005, "Account not active"), "no_route": (400, 21612, "The message can't be routed"),
        "invalid": (400, 21211, "The 'To' number {number} is not a valid phone number."),
        "blocked": (400, 21610, "Attempt to send to unsubscribed recipient"),
    }  # fmt: skip

    def accepted(self, taken: Taken) -> Answer:
        return 201, {"sid": taken.reference, "status": "queued", "num_segments": "1", "price": None,
                     "price_unit": "USD", "error_code": None, "to": f"+{taken.to}", "from": taken.sender}  # fmt: skip

    def no(self, what: str, number: str = "") -> Answer:
        status, code, words = self.CODES[what]
        more = f"https://www.twilio.com/docs/errors/{code}"
        return status, {"code": code, "message": words.replace("{number}", f"+{number}"), "more_info": more,
                        "status": status}  # fmt: skip


class Plain(Wire):
    route, to, text = "http", "to", "text"
    STATUSES = {"unauthorised": 401, "busy": 429, "no_credit": 402, "no_route": 503, "invalid": 422, "blocked": 422}

    def accepted(self, taken: Taken) -> Answer:
        return 200, {"status": "accepted", "id": taken.reference}

    def no(self, what: str, number: str = "") -> Answer:
        return self.STATUSES[what], {"status": "error", "error": what}


def report_of(taken: Taken, outcome: Outcome) -> dict[str, str]:
    """As each of them tells it."""
    number = f"+{taken.to}"
    if taken.route == "twilio":
        told = {"AccountSid": ACCOUNT_SID, "ApiVersion": "2010-04-01", "From": taken.sender, "To": number,
                "MessageSid": taken.reference, "SmsSid": taken.reference}  # fmt: skip
        state = "delivered" if outcome == "delivered" else "undelivered"
        error = {"failed": {"ErrorCode": "30003"}, "blocked": {"ErrorCode": "21610"}}.get(outcome, {})
        return {**told, "MessageStatus": state, "SmsStatus": state, **error}
    if taken.route == "africastalking":
        state = "Success" if outcome == "delivered" else "Failed"
        why = {"failed": {"failureReason": "DeliveryFailure"}, "blocked": {"failureReason": "UserInBlackList"}}
        return {"id": taken.reference, "status": state, "phoneNumber": number, "networkCode": "63902",
                "retryCount": "0", **why.get(outcome, {})}  # fmt: skip
    words = {"blocked": {"reason": "blacklisted"}}.get(outcome, {})
    return {"id": taken.reference, "status": "delivered" if outcome == "delivered" else "failed", **words}

"""What M-Pesa itself does not have: addresses under /simulator by which another program has customers pay and faults
happen. For rehearsals on the same machine; nothing here asks who calls.
"""

import json
from dataclasses import asdict
from typing import Any, get_args

from edge.errors import BadInput
from edge.simulators.mpesa.by_hand import ByHand
from edge.simulators.mpesa.customers import Customer, Kind
from edge.simulators.mpesa.org import OrgDesk
from edge.simulators.mpesa.wire import Reply, as_text, reply
from edge.values.msisdn import read_msisdn

OUTAGE_MOST_S = 86_400
# Each with what it wants to be told.
ADDRESSES = (
    'POST /simulator/pay {"msisdn", "amount", "account"}: a customer pays by hand; answers with the receipt',
    'POST /simulator/reverse {"receipt"}: that customer takes his money back',
    'POST /simulator/customer {"msisdn", "kind"}: how this phone answers prompts from now on',
    'POST /simulator/outage {"seconds"}: M-Pesa is away for so long; 0 ends it',
    "GET /simulator/statement.csv: the organisation's statement (?preamble=1: with the portal's head)",
    "GET /simulator/book: the same as JSON",
    "GET /simulator/certificate.pem: of the API initiator, to be named as certificate_file",
)


class Control(ByHand, OrgDesk):
    """The addresses above."""

    def _control(self, method: str, path: str, question: str, raw: bytes) -> Reply:
        if (method, path) == ("GET", "/simulator/statement.csv"):
            text = self.statement_csv(preamble=question == "preamble=1")
            return Reply(200, text.encode(), "text/csv; charset=UTF-8")
        if (method, path) == ("GET", "/simulator/book"):
            rows = [asdict(row) for row in self.statement_rows()]
            return Reply(200, json.dumps({"rows": rows}, default=lambda moment: moment.isoformat()).encode())
        if (method, path) == ("GET", "/simulator/certificate.pem"):
            return Reply(200, self.initiator.certificate_pem, "application/x-pem-file")
        verbs = {
            "/simulator/pay": self._told_to_pay,
            "/simulator/reverse": self._told_to_reverse,
            "/simulator/customer": self._told_of_customer,
            "/simulator/outage": self._told_of_outage,
        }
        if method != "POST" or path not in verbs:
            return reply(404, {"error": "there is nothing here", "addresses": list(ADDRESSES)})
        try:
            told = json.loads(raw)
            if not isinstance(told, dict):
                raise BadInput("a JSON object is needed")
            return verbs[path](told)
        except (BadInput, ValueError, RecursionError) as reason:
            return reply(400, {"error": str(reason)})

    def _told_to_pay(self, told: dict[str, Any]) -> Reply:
        amount = as_text(told.get("amount"))
        if not amount.isascii() or not amount.isdigit() or not 1 <= int(amount[:7]) <= 250_000:
            raise BadInput("amount: whole shillings from 1 to 250,000", "amount")
        account, name = as_text(told.get("account")), as_text(told.get("name"))
        receipt = self.pay_by_hand(read_msisdn(as_text(told.get("msisdn"))), int(amount), account, name=name)
        if receipt is None:
            return reply(409, {"error": "the shop turned the payment away", "receipt": None})
        return reply(200, {"receipt": receipt})

    def _told_to_reverse(self, told: dict[str, Any]) -> Reply:
        try:
            return reply(200, {"receipt": self.reverse_by_customer(as_text(told.get("receipt")))})
        except KeyError:
            return reply(404, {"error": "there is no such payment, or it was reversed before"})

    def _told_of_customer(self, told: dict[str, Any]) -> Reply:
        kind = as_text(told.get("kind"))
        if kind not in get_args(Kind):
            raise BadInput(f"kind: one of {', '.join(get_args(Kind))}", "kind")
        msisdn = read_msisdn(as_text(told.get("msisdn")))
        self.script(msisdn, Customer(kind, delay_s=self.digit_delay_s))  # type: ignore[arg-type]
        return reply(200, {"msisdn": msisdn, "kind": kind})

    def _told_of_outage(self, told: dict[str, Any]) -> Reply:
        seconds = told.get("seconds")
        if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 <= seconds <= OUTAGE_MOST_S:
            raise BadInput("seconds: a number from 0 to 86400", "seconds")
        self.outage(float(seconds))
        return reply(200, {"seconds": seconds})

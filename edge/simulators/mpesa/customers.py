"""How pretend customers answer the prompt on their phones."""

from dataclasses import dataclass
from typing import Literal

Kind = Literal["pays", "cancels", "no_money", "wrong_pin", "no_answer", "pays_late", "unknown_code"]


@dataclass(frozen=True)
class Customer:
    """One phone's behaviour; `pays_late` without a delay waits for `MpesaSimulator.release`."""

    kind: Kind = "pays"
    delay_s: float = 0.0
    callbacks: int = 1
    callback_first: bool = False
    amount_form: Literal["float", "int", "string"] = "float"
    phone_form: Literal["int", "string", "masked"] = "int"
    balance: Literal["absent", "no_value"] = "absent"
    reordered: bool = False
    receipt: str | None = None
    name: str = ""  # as M-Pesa knows the payer; else one that goes with the number
    code: int | str = "E9001"  # what `unknown_code` ends with


@dataclass(frozen=True)
class Outcome:
    """How a checkout ended; callback and query tell the same code in different prose (measured, 2026)."""

    code: int | str
    callback_desc: str
    query_desc: str


PAID = Outcome(
    0, "The service request is processed successfully.", "The service request is processed successfully."
)
RULE_LIMITED = Outcome(17, "Rule limited.", "Rule limited.")
WRONG_TILL = Outcome("SFC_IC0003", "The operator does not exist.", "The operator does not exist.")
_OUTCOMES: dict[str, Outcome] = {
    "pays": PAID,
    "pays_late": PAID,
    "cancels": Outcome(1032, "Request cancelled by user", "Request Cancelled by user."),
    "no_money": Outcome(
        1,
        "The balance is insufficient for the transaction.",
        "The balance is insufficient for the transaction",
    ),
    "wrong_pin": Outcome(
        2001, "The initiator information is invalid.", "The initiator information is invalid."
    ),
    "no_answer": Outcome(1037, "No response from user.", "DS timeout user cannot be reached."),
}


def outcome_of(customer: Customer) -> Outcome:
    """What this customer's checkout comes to."""
    told = _OUTCOMES.get(customer.kind)
    return told or Outcome(customer.code, "An error nobody has described.", "An error nobody has described")


def by_last_digit(msisdn: str, delay_s: float = 0.0) -> Customer:
    """0-6 pays, 7 cancels, 8 has no money, 9 pays and is called back twice."""
    kinds: dict[str, Kind] = {"7": "cancels", "8": "no_money"}
    last = msisdn[-1:]
    return Customer(kinds.get(last, "pays"), delay_s=delay_s, callbacks=2 if last == "9" else 1)


FIRST_NAMES = ("JANE", "ASHA", "JUMA", "WANJIKU", "OTIENO", "KAMAU", "FATUMA", "MUTUA", "CHEBET", "BARAKA")
LAST_NAMES = ("DOE", "MWANGI", "ODHIAMBO", "HASSAN", "NJOROGE", "KIPROTICH", "ACHIENG", "MUSYOKA", "WAFULA", "NYAMBURA")


def name_of(msisdn: str) -> str:
    """The same name for the same number, always."""
    digits = sum(int(digit) * place for place, digit in enumerate(msisdn, 1) if digit.isdecimal())
    return f"{FIRST_NAMES[digits % 10]} {LAST_NAMES[digits // 10 % 10]}"

"""The texts that the owner of a till or paybill gets from M-Pesa (templates T1, T2 and T6 of recorded ones)."""

from datetime import datetime
from typing import Literal

from edge.simulators.mpesa.book import NAIROBI, Row

PhoneForm = Literal["full", "masked", "absent"]
TAIL = "Separate personal and business funds through Pochi la Biashara on *334#."


def text_of(row: Row, cost_cents: int = 0, phone_form: PhoneForm = "full") -> str:
    """What lands on the nominated number for this row; empty where no text is known of."""
    if row.kind == "reversal":
        return (
            f"{row.receipt} Confirmed. Transaction {row.linked} has been reversed.  "
            f"Your account balance is now Ksh{_money(row.balance_cents)}."
        )
    if row.kind != "payment":
        return ""
    phone = _phone(row.msisdn, phone_form)
    if row.is_till:
        payer = " ".join(filter(None, (phone, row.name.title())))
        return (
            f"{row.receipt} Confirmed.on {_when(row.at)}KSH{_money(row.in_cents)} received from {payer}. "
            f"New Account balance is KSH{_money(row.balance_cents)}. Transaction cost, KSH{_money(cost_cents)}. {TAIL}"
        )
    payer = " ".join(filter(None, (row.name, phone)))
    return (
        f"{row.receipt} Confirmed. on {_when(row.at)} Ksh{_money(row.in_cents)} received from {payer}.  "
        f"Account Number {row.account} New Utility balance is Ksh{_money(row.balance_cents)}"
    )


def _phone(msisdn: str, form: PhoneForm) -> str:
    if form == "absent":
        return ""
    return msisdn if form == "full" else f"0{msisdn[3:6]}***{msisdn[-3:]}"


def _when(moment: datetime) -> str:
    """`5/11/26 at 2:30 PM`: Nairobi time, no leading zeros, to the minute."""
    day = moment.astimezone(NAIROBI)
    return f"{day.day}/{day.month}/{day:%y} at {day.hour % 12 or 12}:{day:%M} {'AM' if day.hour < 12 else 'PM'}"


def _money(cents: int) -> str:
    return f"{cents / 100:,.2f}"

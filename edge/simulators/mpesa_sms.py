"""M-Pesa's confirmation texts, written in every layout that was seen, as irregular as the real ones."""

import random
import secrets
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from zoneinfo import ZoneInfo

NAIROBI = ZoneInfo("Africa/Nairobi")
FIRST_YEAR = 2006  # A in a receipt code's first place
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
PLACES = "0123456789" + LETTERS
CREDITS = ("T1", "T1a", "T1b", "T2", "T2a", "T3", "T3m", "T4", "T5")
REVERSALS = ("T6", "T6a", "T6b")
OTHERS = ("X1", "X2", "X3 cash", "X3 withdraw", "X3 airtime", "X3 transfer", "X3 balance", "X3 failed")

LAYOUTS = {
    "T1": "{code} Confirmed.on {date} at {time}{ksh}{amount} received from {long} {name}. New Account balance is "
    "{ksh}{balance}. Transaction cost, {ksh}0.00. Get more from M-PESA with {ksh}0 charges.",
    "T1a": "{code} Confirmed.\non {date} at {time}\n{ksh}{amount} received from\n{long} {name}.\n"
    "New Account balance is {ksh}{balance}",
    "T1b": "{code} Confirmed on {date} at {time} {ksh}{amount} received from 488519-NCBA Bank M- pesa:{long}. "
    "New Account balance is {ksh}{balance}",
    "T2": "{code} Confirmed. on {date} at {time} {ksh}{amount} received from {name} {long}.  Account Number {account} "
    "New Utility balance is {ksh}{balance}",
    "T2a": "{code} Confirmed.\non {date} at {time}\n{ksh}{amount} received from {name} {long}.\nAccount Number "
    "{account}\nNew Utility balance is {ksh}{balance}\nTime: {stamp}",
    "T3": "{code} Confirmed.You have received {ksh}{amount} from {name} {short} on {date} at {time}  New M-PESA "
    "balance is {ksh}{balance}. Separate personal and business funds through Pochi la Biashara on *334#.",
    "T3m": "{code} Confirmed.You have received {ksh}{amount} from {name} {masked} on {date} at {time}  New M-PESA "
    "balance is {ksh}{balance}.",
    "T4": "{code} Confirmed.You have received {ksh}{amount} from {name} on {date} at {time}  New business balance is "
    "{ksh}{balance}. To access your funds, Dial *334#,select Pochi la Biashara & Withdraw funds.",
    "T5": "{code} Confirmed.You have received {ksh}{amount} from 501901 - KCB Money Transfer Services on {date} at "
    "{time} New M-PESA balance is {ksh}{balance}.",
    "T6": "{own} Confirmed. Transaction {code} has been reversed.  Your account balance is now {ksh}{balance}.",
    "T6a": "{own} Confirmed. Reversal of transaction {code} has been successfully reversed on {date} at {time}. "
    "New M-PESA balance is {ksh}{balance}.",
    "T6b": "{own} confirmed. Your Pay Shop transaction {code} of {amount}Ksh has been refunded by 971577 - SHOP.",
    "X1": "{code} Confirmed. {ksh}{amount} sent to SHOP for account {account} on {date} at {time} New M-PESA balance "
    "is {ksh}{balance}. To reverse, forward this message to 456.",
    "X2": "{code} Confirmed. {ksh}{amount} paid to SHOP. on {date} at {time}.New M-PESA balance is {ksh}{balance}. "
    "To reverse, forward this message to 456.",
    "X3 cash": "{code} Confirmed. on {date} at {time} Give {ksh}{amount} cash to AGENT New M-PESA balance is "
    "{ksh}{balance}",
    "X3 withdraw": "{code} Confirmed.on {date} at {time}Withdraw {ksh}{amount} from 123456 - AGENT New M-PESA balance "
    "is {ksh}{balance}.",
    "X3 airtime": "{code} confirmed.You bought {ksh}{amount} of airtime on {date} at {time}.New M-PESA balance is "
    "{ksh}{balance}.",
    "X3 transfer": "{code} Confirmed. {ksh}{amount} transferred to 971577 SHOP on {date} at {time}. Merchant Account "
    "Balance is {ksh}{balance}",
    "X3 balance": "{code} Confirmed. Your M-PESA balance was {ksh}{balance} on {date} at {time}",
    "X3 failed": "Failed. You do not have enough money in your M-PESA account to pay {ksh}{amount} to SHOP.",
}  # fmt: skip


@dataclass(frozen=True)
class Notice:
    """What a text is to tell. `msisdn`: twelve digits; `is_number_hidden` masks it in every layout."""

    receipt: str
    amount_cents: int
    at: datetime
    name: str = "ASHA  OTIENO"
    msisdn: str = "254712345678"
    account: str = "WIFI7"
    balance_cents: int = 109_005
    is_number_hidden: bool = False
    own_receipt: str = ""  # of a reversal itself


def new_receipt(at: datetime) -> str:
    """A code as M-Pesa makes them: year, month and day, then seven that tell nothing."""
    local = at.astimezone(NAIROBI)
    day = "0123456789ABCDEFGHIJKLMNOPQRSTUV"[local.day]
    rest = "".join(secrets.choice(PLACES) for _ in range(7))
    return LETTERS[local.year - FIRST_YEAR] + LETTERS[local.month - 1] + day + rest


def write(layout: str, notice: Notice, *, ksh: str = "Ksh") -> str:
    """The text of this layout, its money written with `ksh` (KSH is seen as well)."""
    local = notice.at.astimezone(NAIROBI)
    hidden = f"0{notice.msisdn[3:6]}***{notice.msisdn[-3:]}"
    return LAYOUTS[layout].format(
        code=notice.receipt, own=notice.own_receipt or new_receipt(notice.at), ksh=ksh, name=notice.name,
        amount=_money(notice.amount_cents), balance=_money(notice.balance_cents), account=notice.account,
        long=hidden if notice.is_number_hidden else notice.msisdn, masked=hidden,
        short=hidden if notice.is_number_hidden else "0" + notice.msisdn[3:],
        date=f"{local.day}/{local.month}/{local:%y}",
        time=f"{local.hour % 12 or 12}:{local:%M} {local:%p}", stamp=f"{local:%d/%m/%Y %H:%M:%S}",
    )  # fmt: skip


def ruffle(text: str, dice: random.Random) -> str:
    """The same words with other white space, and perhaps other capitals in Ksh: as between one year and the next."""
    blanks = ("", " ", "  ", "\n", " \n")
    words = text.split()
    said = words[0]
    for before, word in pairwise(words):
        can_touch = before.endswith("Confirmed.") or (before in ("AM", "PM") and word.upper().startswith("KSH"))
        said += dice.choice(blanks if can_touch else blanks[1:]) + word
    return said.replace("Ksh", dice.choice(("Ksh", "KSH", "Ksh. ", "Ksh ")))


def _money(cents: int) -> str:
    return f"{cents // 100:,}.{cents % 100:02d}"

"""M-Pesa's result codes in plain English, for the guest and for the owner, each with what to do next."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Words:
    """What one result code means to the guest who was asked to pay and to the owner of the shop."""

    guest: str
    owner: str


_TRY_AGAIN = "M-Pesa could not finish this. Nothing was paid. Please try again in a minute."
_UNCLEAR = "M-Pesa lost track of this. If a text says you paid, show it to the shop; if not, try again."
_ASK_SHOP = "M-Pesa could not take this payment. Nothing was paid. Please tell the shop."
_WRONG_PIN = "The M-Pesa PIN was not right. Nothing was paid. Please try again and type your PIN with care."
_CANCELLED = "You cancelled the payment, or the prompt closed by itself. Try again when you are ready."
_NO_ANSWER = "Your phone did not answer. Keep it on and try again. If no prompt comes, dial *234*1*6# first."
_WAIT_LINE = "Your phone is busy with another M-Pesa request. Finish it, wait two minutes and try again."
_PROMPT = "The prompt could not be sent. If it happens often, shorten the plan's name."
_SETUP = (
    "M-Pesa does not know this till or paybill as we named it. Check type, shortcode (for a till: the store "
    "number) and till under [mpesa] in edge.toml."
)

# The codes and their meanings: Safaricom's Daraja portal (M-Pesa Express) and recorded callbacks.
_WORDS = {
    "0": Words("Paid. Thank you.", "Paid."),
    "1": Words(
        "There was not enough money in M-Pesa. Top up or choose a smaller plan, then try again.",
        "The guest had too little money. Nothing to do.",
    ),
    "2": Words(_ASK_SHOP, "The price is below M-Pesa's smallest amount, KSh 1. Raise the plan's price."),
    "3": Words(_ASK_SHOP, "The price is above M-Pesa's largest amount, KSh 250,000. Lower the plan's price."),
    "4": Words(
        "Your M-Pesa limit for today is used up. Please try again tomorrow or pay from another number.",
        "The guest reached the daily M-Pesa limit. Nothing to do.",
    ),
    "8": Words(_ASK_SHOP, "The shop's M-Pesa account is full. Move money out of it."),
    "11": Words(_ASK_SHOP, "One of the two M-Pesa accounts is not active. If it is yours, call Safaricom."),
    "17": Words(
        "You were just asked to pay the same amount. Wait two minutes, then try again.",
        "M-Pesa allows the same amount from one phone once in two minutes. Nothing to do.",
    ),
    "26": Words(_TRY_AGAIN, "M-Pesa was too busy. It mends itself."),
    "1001": Words(_WAIT_LINE, "The guest's phone was busy with another M-Pesa request. Nothing to do."),
    "1019": Words("The prompt was answered too late. Please try again.", "The prompt expired."),
    "1025": Words(_TRY_AGAIN, _PROMPT),
    "1031": Words(_CANCELLED, "The guest cancelled."),
    "1032": Words(_CANCELLED, "The guest cancelled, or the prompt closed by itself."),
    "1036": Words(_UNCLEAR, "The phone network lost the guest's answer. Nothing to do."),
    "1037": Words(_NO_ANSWER, "The phone was off, busy or unanswered, or its SIM is old. Nothing to do."),
    "1101": Words(_ASK_SHOP, _PROMPT),
    "1102": Words(_ASK_SHOP, _PROMPT),
    "2001": Words(_WRONG_PIN, "The guest typed a wrong PIN. Nothing to do."),
    "2006": Words(_ASK_SHOP, "An M-Pesa account rule said no; the account may be inactive. Call Safaricom."),
    "2008": Words(_WRONG_PIN, "The guest's PIN was not accepted. Nothing to do."),
    "2026": Words(_TRY_AGAIN, "The guest's M-Pesa session was lost. Nothing to do."),
    "2028": Words(_ASK_SHOP, _SETUP),
    "4999": Words("Look at your phone and type your M-Pesa PIN.", "No answer yet. We keep asking."),
    "8006": Words(
        "Your M-Pesa PIN is locked. Call Safaricom on 100 to unlock it.",
        "The guest's PIN is locked. Nothing to do.",
    ),
    "9999": Words(_UNCLEAR, _PROMPT),
    "SFC_IC0003": Words(_ASK_SHOP, _SETUP),
    "E3008": Words(
        "M-Pesa refused because of an unpaid Fuliza or other debt. Pay from another number.",
        "M-Pesa says that the guest has a debt. Nothing to do.",
    ),
}

FINAL_FAILURES = frozenset(_WORDS) - {"0", "4999"}


def explain(result_code: str, result_desc: str = "") -> Words:
    """The words for a result code; a code nobody has told us about still gets a next step."""
    known = _WORDS.get(result_code)
    if known is not None:
        return known
    told = f' It says: "{result_desc}".' if result_desc else ""
    return Words(
        "M-Pesa did not confirm this payment. If an M-Pesa text says you paid, show it to the shop. "
        "Otherwise try again in a minute.",
        f"M-Pesa answered with code {result_code or 'none'}, which we do not know.{told} "
        "Compare with the M-Pesa statement before you act.",
    )

"""M-Pesa's result codes in plain words, for the guest and for the owner, each with what to do next."""

from typing import Literal

from edge.values.mpesa_words_sw import ORG_WORDS_SW, UNKNOWN_SW, WORDS_SW
from edge.values.result_words import Words

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
    "12": Words(_ASK_SHOP, "One of the two M-Pesa accounts is not active. If it is yours, call Safaricom."),
    "13": Words(_ASK_SHOP, "M-Pesa does not know one of the two accounts. Check shortcode and till under [mpesa]."),
    "14": Words(_ASK_SHOP, "M-Pesa does not know one of the two accounts. Check shortcode and till under [mpesa]."),
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

# Of organisation APIs and C2B validation alone, or with another meaning there than after a prompt (Daraja portal).
_INITIATOR = "initiator or initiator_password under [mpesa] is wrong, or certificate_file is not this environment's."
_ROLE = "The API initiator lacks a role: give it one for this in the M-Pesa portal (status, reversals, B2C)."
_BACK_OFF = "M-Pesa's gateway is too busy. It is tried again by itself."
_NOT_NOW = "M-Pesa can't do this just now. Please ask the shop again later."
_NOT_DONE = "M-Pesa could not do this. The shop has been told."
_TURNED_AWAY = "M-Pesa did not take this payment. Check what you typed, or ask the shop."
_ORG_WORDS = {
    "0": Words("Done.", "Done."),
    "1": Words(_NOT_NOW, "The M-Pesa account holds too little for this. Move money into the utility account."),
    "2": Words(_NOT_DONE, "The amount is below M-Pesa's smallest: KSh 10 for a pay-out. Give it back in cash."),
    "11": Words(_NOT_DONE, "The paying account is not active. Call Safaricom."),
    "12": Words(_NOT_DONE, "The receiving account is not active. Pay to another number, or in cash."),
    "13": Words(_NOT_DONE, "M-Pesa does not know the paying account. Check shortcode under [mpesa]."),
    "14": Words(_NOT_DONE, "M-Pesa does not know the receiving account. Check the phone number."),
    "15": Words(_NOT_NOW, "M-Pesa has this request already. See on the statement how it ended; don't send it again."),
    "17": Words(_NOT_NOW, "The same amount went to this phone less than two minutes ago. Wait, then try again."),
    "18": Words(_NOT_DONE, f"M-Pesa does not accept the initiator's password: {_INITIATOR}"),
    "20": Words(_NOT_DONE, f"M-Pesa does not know the initiator: {_INITIATOR}"),
    "21": Words(_NOT_DONE, _ROLE),
    "22": Words(_NOT_DONE, f"{_ROLE} Or it is not active: see its state there."),
    "26": Words(_NOT_NOW, _BACK_OFF),
    "2001": Words(_NOT_DONE, f"M-Pesa does not accept the initiator: {_INITIATOR}"),
    "2006": Words(_NOT_DONE, "An M-Pesa account rule said no; the account may be inactive. Call Safaricom."),
    "2028": Words(_NOT_DONE, "This short code may not do that. Ask Safaricom to add that product."),
    "2040": Words(
        "This number is not registered with M-Pesa. Give the shop another.",
        "The number is not registered with M-Pesa: pay to another one, or in cash.",
    ),
    "8006": Words(_NOT_DONE, "The initiator is locked. Unlock it in the M-Pesa portal, then mend initiator_password."),
    "R000001": Words("Your money was sent back before.", "It was reversed before. Nothing to do."),
    "R000002": Words(_NOT_DONE, "M-Pesa does not know this receipt as one to reverse. Compare with the statement."),
    "C2B00011": Words(_TURNED_AWAY, "We turned the payment away: the phone number was not valid."),
    "C2B00012": Words(
        "The account number was not right. Look at it on the WiFi page and pay again.",
        "We turned the payment away: nobody knows that account number.",
    ),
    "C2B00013": Words(
        "The amount was not right. Look at the price on the WiFi page and pay again.",
        "We turned the payment away: the amount was not valid.",
    ),
    "C2B00014": Words(_TURNED_AWAY, "We turned the payment away: the payer's details were not valid."),
    "C2B00015": Words(_TURNED_AWAY, "We turned the payment away: it was for another short code."),
    "C2B00016": Words(_TURNED_AWAY, "We turned the payment away. The journal tells why."),
    **{str(code): Words(_NOT_NOW, _BACK_OFF) for code in (*range(100_000_000, 100_000_012), 100_000_100)},
}

FINAL_FAILURES = frozenset(_WORDS) - {"0", "4999"}


def explain(
    result_code: str, result_desc: str = "", language: str = "en", api: Literal["prompt", "org"] = "prompt"
) -> Words:
    """The words for a result code; a code nobody has told us about still gets a next step.

    `language`: en or sw. `api`: a code may mean one thing after a prompt (2001: wrong PIN) and another when the
    organisation APIs say it (2001: wrong initiator); a code that one of them does not have is looked up at the other.
    """
    is_swahili = language.partition("-")[0] == "sw"
    tables = (WORDS_SW, ORG_WORDS_SW) if is_swahili else (_WORDS, _ORG_WORDS)
    for table in tables if api == "prompt" else reversed(tables):
        if result_code in table:
            return table[result_code]
    if is_swahili:
        told = f' Inasema: "{result_desc}".' if result_desc else ""
        return Words(UNKNOWN_SW.guest, UNKNOWN_SW.owner.format(code=result_code or "isiyotajwa", told=told))
    told = f' It says: "{result_desc}".' if result_desc else ""
    return Words(
        "M-Pesa did not confirm this payment. If an M-Pesa text says you paid, show it to the shop. "
        "Otherwise try again in a minute.",
        f"M-Pesa answered with code {result_code or 'none'}, which we do not know.{told} "
        "Compare with the M-Pesa statement before you act.",
    )

"""Texts in the words of the catalogue: states, kinds, routes and prices; and who sees how much of one."""

from dataclasses import dataclass
from datetime import UTC, datetime

from edge.domain import airtime, credits, routing, text_figures
from edge.domain.messages import Quote
from edge.errors import BadInput
from edge.models import Message, Staff
from edge.pages.board_words import mask
from edge.pages.staff_words import plain
from edge.sms_models import Campaign, CreditEntry
from edge.texts import say
from edge.values.money import show_money

KINDS = ("code", "notice", "alert", "reply", "hand", "campaign")
SIMULATED = "simulated"
SOMEBODY = "254700000000"
LONGEST = 2_000  # letters of one text; 14 segments of plain letters
HINTED = 60  # letters of a text in a list
PILLS = {
    "listed": "scheduled", "queued": "waiting", "sent": "running", "delivered": "done", "failed": "failed",
    "unconfirmed": "paused", "suppressed": "cancelled",
}  # fmt: skip


def state(message: Message) -> str:
    """Where it stands."""
    return say(f"texts_page.state_{message.state}")


def state_name(name: str) -> str:
    """A state as a filter is named."""
    return say(f"texts_page.state_{name}")


def kind(name: str) -> str:
    """What kind of text."""
    return _said(f"texts_page.kind_{name}", name)


def route(name: str) -> str:
    """By which way; one that the catalogue does not know keeps its own name."""
    return _said(f"texts_page.route_{name}", name) if name else say("texts_page.route_none")


def ways(now: datetime) -> list[str]:
    """By which routes a text of staff to a number of this country would leave; none, or `simulated` alone."""
    return [found.name for found in routing.candidates("hand", SOMEBODY, (), now)]


def held_up(kind: str) -> str:
    """Why texts of this kind wait, while all their routes are left alone; else nothing."""
    routes = routing.held_up(kind, datetime.now(UTC))
    return say("texts_page.held_up", routes=", ".join(map(route, routes))) if routes else ""


def has_reports(asks_modem: bool, kind: str) -> bool:
    """Does anybody tell whether texts of this kind arrived? Gateways do; the modem's network if it is asked to."""
    return asks_modem or routing.first_way(kind) not in (routing.MODEM, "")


def price(message: Message) -> str:
    """What it cost: as the gateway told, else in credits; empty where nobody counts."""
    if message.price_cents is not None:
        return show_money(message.price_cents)
    return counted_credits(message.cost) if message.cost else ""


def counted(segments: int) -> str:
    """So many segments."""
    return say("texts_page.one_segment") if segments == 1 else say("texts_page.segments", count=f"{segments:,}")


def counted_credits(amount: int) -> str:
    """So many credits."""
    return say("texts_page.one_credit") if abs(amount) == 1 else say("texts_page.credits_n", count=f"{amount:,}")


def shown_text(message: Message, sees_secrets: bool) -> str:
    """The words of a text. Codes that were sold are the owner's to see; numbers in it are cut for others."""
    if not message.text:
        return say("texts_page.not_filled_in")
    if sees_secrets:
        return message.text
    return say("texts_page.has_code") if message.kind == "code" else mask(message.text)


def hint_of(message: Message) -> str:
    """By what one recognises it in a list; codes are in none."""
    if message.kind == "code" or not message.text:
        return ""
    line = plain(mask(message.text))
    return line if len(line) <= HINTED else line[: HINTED - 1].rstrip() + "…"


def letters(forcing: tuple[str, ...]) -> str:
    """The letters that make a text dear, the first few of them."""
    named = [letter if letter.isprintable() and not letter.isspace() else f"U+{ord(letter):04X}" for letter in forcing]
    return " ".join(named[:8]) + (" …" if len(named) > 8 else "")


def quote_words(quote: Quote) -> str:
    """What a text takes, in one sentence."""
    told = say("texts_page.quote", letters=quote.letters, segments=counted(quote.segments),
               credits=counted_credits(quote.segments))  # fmt: skip
    return f"{told} {say('texts_page.dear', letters=letters(quote.forcing))}" if quote.forcing else told


def step(told: text_figures.Step) -> str:
    """One thing that happened to a text."""
    values = {name: plain(value) for name, value in told.data.items()}
    if told.name == "sent":
        name = "sent_reference" if told.data["reference"] else "sent"
        return say(f"texts_page.story_{name}", route=route(told.data["route"]), reference=values["reference"])
    return say(f"texts_page.story_{told.name}", **values)


def writer(message: Message) -> str:
    """Who wrote it; empty for what the box wrote by itself."""
    person = Staff.get_or_none(Staff.id == message.staff_id) if message.staff_id else None
    return plain(person.name) if person is not None else ""


# Credits.


@dataclass(frozen=True)
class Line:
    """One line of the statement in words; `change` is what it did to the credits that are available."""

    entry: CreditEntry
    change: int
    why: str
    who: str
    campaign: str


def statement(entries: list[CreditEntry]) -> list[Line]:
    """The lines with the names of whoever and whatever they are about."""
    people = _names(Staff, {entry.staff_id for entry in entries})
    campaigns = _names(Campaign, {entry.campaign_id for entry in entries})
    return [
        Line(
            entry, _change(entry), _said(f"texts_page.why_{entry.why}", entry.why),
            people.get(entry.staff_id, ""), campaigns.get(entry.campaign_id, ""),
        )
        for entry in entries
    ]  # fmt: skip


def _names(table: type[Staff] | type[Campaign], ids: set[int | None]) -> dict[int, str]:
    wanted = [number for number in ids if number is not None]
    return {row.id: plain(row.name) for row in list(table.select(table.id, table.name).where(table.id.in_(wanted)))}


def _change(entry: CreditEntry) -> int:
    """Spending takes what was set aside before: it leaves the available ones as they are."""
    if entry.taker == credits.AVAILABLE:
        return int(entry.amount)
    return -int(entry.amount) if entry.giver == credits.AVAILABLE else 0


def running_low(low_credits: int, now: datetime) -> list[tuple[str, str]]:
    """What the owner should fill up before texts stay behind: the page about it, and the words."""
    notes, held = [], credits.balance()
    if is_low(held, low_credits):
        notes.append(("/admin/sms/credits", say("texts_page.today_low", left=f"{held.available:,}")))
    last = airtime.latest() if airtime.is_too_low(now) else None
    if last is not None:
        notes.append(("/admin/sms/modem", say("texts_page.today_airtime", balance=show_money(last.balance_cents or 0))))
    return notes


def is_low(held: credits.Balance, low: int) -> bool:
    """Fewer than the owner wants; a shop that never had any does not miss them."""
    return held.issued > 0 and held.available < low


# What was typed.


def read_text(typed: str) -> str:
    """A text to be sent: with the line ends of phones; BadInput when it says nothing, or more than anybody reads."""
    text = typed.replace("\r\n", "\n").replace("\r", "\n").strip()
    if not text:
        raise BadInput(say("texts_page.say_something"), "text")
    if len(text) > LONGEST:
        raise BadInput(say("texts_page.too_long", most=LONGEST, count=len(text)), "text")
    return text


def read_amount(typed: str) -> int:
    """A whole number of credits, perhaps below zero: `1,000`, `-20`."""
    plain_digits = typed.strip().replace(",", "").replace(" ", "")
    digits = plain_digits.removeprefix("+").removeprefix("-")
    if not (digits.isascii() and digits.isdigit() and len(digits) < 10):
        raise BadInput(say("texts_page.bad_amount"), "amount")
    return -int(digits) if plain_digits.startswith("-") else int(digits)


def _said(name: str, otherwise: str) -> str:
    try:
        return say(name)
    except KeyError:
        return plain(otherwise)

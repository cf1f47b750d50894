"""Texts that come in, judged once: words that are obeyed at once, codes that let somebody in, and what people read."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from zoneinfo import ZoneInfo

from edge import texts
from edge.database import transaction
from edge.domain import (
    access,
    answers,
    contacts,
    guest_codes,
    incoming_texts,
    owner_commands,
    renewal,
    templates,
    vouchers,
)
from edge.domain.owner_commands import Owners
from edge.domain.vouchers import NotGood
from edge.errors import TooMany
from edge.models import Grant
from edge.money_models import IncomingText
from edge.sealing import seal
from edge.texts import Catalogue, say
from edge.values.codes import mask_code
from edge.values.sms_words import Keyword, count_words, keyword

SHOWN = 3  # grants in one answer
OFTEN = 6  # answers about time and codes that one number gets a day
CONFIRMED = 2  # of STOP, and of START, a day: who changes his mind more often is obeyed without a word

_CODE = re.compile(r"[A-Z0-9]{6,22}", re.ASCII)
_RECEIPT = re.compile(r"[A-Z][A-Z0-9]{9}", re.ASCII)  # M-Pesa's, of somebody who paid and asks
_GROUPS = re.compile(r"(?:[A-Z0-9]{3,}[ -]?){1,4}", re.ASCII)
_MIXED = re.compile(r"[0-9][A-Z]|[A-Z][0-9]", re.ASCII)

# Answers to what was asked: given the text, the number and the instant; what came of it in words, or None when it is no
# answer. Whoever asks people something plugs it in.
OnOrder = Callable[[IncomingText, str, datetime], str | None]
on_order: OnOrder | None = None


@dataclass(frozen=True)
class Rules:
    """What the settings say: may the box answer, and whom does it obey? `zone` is that of the clock on the wall."""

    replies: bool = True
    owners: Owners = field(default_factory=Owners)
    zone: ZoneInfo = field(default_factory=lambda: ZoneInfo("UTC"))


@dataclass(frozen=True)
class Verdict:
    """What a text was, what came of it, and whether staff need not read it."""

    kind: str
    outcome: str
    is_done: bool = False


@transaction
def answer(text_id: int, rules: Rules, now: datetime) -> str:
    """Judge this text, once, and do what it wants; returns what came of it in words."""
    row = incoming_texts.to_judge(text_id, now)
    if row is None:
        return ""
    verdict = _judge(row, answers.number_of(row), rules, now)
    if verdict is None:
        return ""
    row.put(
        kind=verdict.kind, outcome=verdict.outcome[:300], state="settled" if verdict.kind != "person" else row.state,
        read_at=now if verdict.is_done else None,
        text=row.text if row.part_key else owner_commands.hide(row, rules.owners),  # a part stays a piece
    )  # fmt: skip
    return verdict.outcome


def _judge(row: IncomingText, number: str, rules: Rules, now: datetime) -> Verdict | None:
    """None for a part of a text that may wait for the others."""
    if row.part_key:
        said = keyword(incoming_texts.words_of(row))
        return _stop(row, number, said, rules, now) if number and said is not None and said.kind == "stop" else None
    if number:
        for look in (_as_owner, _as_keyword, _as_code, _as_order):
            verdict = look(row, number, rules, now)
            if verdict is not None:
                return verdict
    looks_bad = incoming_texts.looks_like_mpesa(row)
    return Verdict("person", incoming_texts.NOT_FROM_MPESA if looks_bad else "for a person to read")


def _as_owner(row: IncomingText, number: str, rules: Rules, now: datetime) -> Verdict | None:
    outcome = owner_commands.obey(row, number, rules.owners, rules.replies, now)
    return None if outcome is None else Verdict("owner", outcome, is_done=True)


def _as_keyword(row: IncomingText, number: str, rules: Rules, now: datetime) -> Verdict | None:
    said = keyword(row.text)
    return None if said is None else _KEYWORDS[said.kind](row, number, said, rules, now)


def _as_order(row: IncomingText, number: str, rules: Rules, now: datetime) -> Verdict | None:
    outcome = on_order(row, number, now) if on_order is not None else None
    return None if outcome is None else Verdict("order", outcome, is_done=True)


# Keywords. Who writes more than the word may want more than the word: a person reads it, too.


def _stop(row: IncomingText, number: str, said: Keyword, rules: Rules, now: datetime) -> Verdict:
    is_new = contacts.opt_out(number, say("sms_inbox.how_text", word="STOP"), now)
    told = is_new and rules.replies and answers.give(
        row, number, _words("stop", said), now, most=CONFIRMED, of="stop-told"
    )  # fmt: skip
    outcome = "no campaign goes there any more" if is_new else "no campaign went there as it was"
    return Verdict("stop", outcome + ("; confirmed" if told else ""), is_done=count_words(row.text) == 1)


def _start(row: IncomingText, number: str, said: Keyword, rules: Rules, now: datetime) -> Verdict:
    is_new = contacts.opt_in(number, say("sms_inbox.how_text", word="START"), now)
    told = is_new and rules.replies and answers.give(
        row, number, _words("start", said), now, most=CONFIRMED, of="start-told"
    )  # fmt: skip
    outcome = "offers may go there again" if is_new else "offers went there as it was"
    return Verdict("start", outcome + ("; confirmed" if told else ""), is_done=count_words(row.text) == 1)


def _help(row: IncomingText, number: str, said: Keyword, rules: Rules, now: datetime) -> Verdict:
    told = rules.replies and answers.give_once_a_day(row, number, _words("help", said), now)
    return Verdict("help", "told how to reach the shop" if told else _silence(rules), count_words(row.text) == 1)


def _balance(row: IncomingText, number: str, said: Keyword, rules: Rules, now: datetime) -> Verdict:
    """To the phone that bought them, and no other: a text's sender may be forged, but not who gets the answer."""
    live = Grant.select().where(Grant.msisdn == number, Grant.state == "live").order_by(Grant.id.desc())
    found = [grant for grant in list(live.limit(4 * SHOWN)) if not access.left(grant, now).is_nothing]
    if found:
        words, kind = "\n".join(_line(grant, now, said.language) for grant in found[:SHOWN]), "code"
    else:
        words, kind = _words("no_time", said), "reply"
    told = rules.replies and answers.give(row, number, words, now, kind=kind, most=OFTEN, of="answer-often")
    outcome = "time is left on " + ("1 code" if len(found) == 1 else f"{len(found) or 'no'} codes")
    return Verdict("balance", f"{outcome}; {'answered' if told else _silence(rules)}", is_done=True)


def _line(grant: Grant, now: datetime, language: str = "") -> str:
    """In the language of whoever asked, unless the owner has words of his own for it."""
    is_own = templates.get("CODE_AGAIN").is_changed
    spoken = texts.catalogue.language if is_own or not language else language
    values = {"left": renewal.show_left(grant, now, spoken), "code": grant.username, "pin": grant.password}
    return templates.render("CODE_AGAIN", values, language=spoken)


def _words(name: str, said: Keyword) -> str:
    """In the language that he used."""
    key = f"sms_inbox.{name}_{said.language}"
    return answers.in_one_segment(lambda catalogue: catalogue.say(key))


def _silence(rules: Rules) -> str:
    return "not answered: it was answered enough today" if rules.replies else "not answered: [sms] replies is false"


_KEYWORDS = {"stop": _stop, "start": _start, "help": _help, "balance": _balance}


# A voucher's code: redeemed for the phone that sent it.


def _as_code(row: IncomingText, number: str, rules: Rules, now: datetime) -> Verdict | None:
    typed = row.text.strip(" \t\r\n.,;:!\"'")
    code = guest_codes.plain(typed)
    if not _CODE.fullmatch(code) or not answers.can_be_answered(number):
        return None
    try:
        grant = _redeem(code, number, now)
    except TooMany as reason:
        return Verdict("person", f"a code, not looked at: {reason}")
    except NotGood as reason:
        return _not_good(row, number, typed, reason, rules, now)
    told = rules.replies and answers.give(
        row, number, _line(grant, now), now, kind="code", most=OFTEN, of="answer-often"
    )  # fmt: skip
    outcome = f"voucher {mask_code(code)} is this phone's now" + ("" if told else f"; {_silence(rules)}")
    return Verdict("voucher", outcome, is_done=True)


def _redeem(code: str, number: str, now: datetime) -> Grant:
    """Used now, it is this phone's. Used before, its code and PIN are told to the phone that used it, and no other."""
    grant = vouchers.redeem(code, "", f"sms:{seal.number(number)}", {}, now)
    voucher = vouchers.named(code)
    if voucher is not None and voucher.used_at == now and not grant.msisdn:
        grant.put(msisdn=number)
    if grant.msisdn != number:
        used_at = voucher.used_at if voucher is not None else grant.created_at
        raise NotGood("in_use", "This voucher was used already, on another device.", used_at)
    return grant


def _not_good(
    row: IncomingText, number: str, typed: str, reason: NotGood, rules: Rules, now: datetime
) -> Verdict | None:
    """An unknown word may be anything: only what looks like a code is answered, and a person reads it."""
    if reason.why == "unknown" and not _looks_like_code(typed):
        return None
    when = "" if reason.at is None else f"{reason.at.astimezone(rules.zone):%a %d %b, %H:%M}"

    def words(catalogue: Catalogue) -> str:
        return f"{catalogue.shop}: {catalogue.say(f'voucher.{reason.why}', when=when, place=reason.place)}"

    told = rules.replies and answers.give_once_a_day(row, number, answers.in_one_segment(words), now)
    if reason.why == "unknown":
        return Verdict("person", "a code that is not known" + ("; answered" if told else ""))
    code = mask_code(guest_codes.plain(typed))
    outcome = f"voucher {code}: {reason.why.replace('_', ' ')}"
    return Verdict("voucher", outcome + ("; answered" if told else ""), is_done=True)


def _looks_like_code(typed: str) -> bool:
    """`abc def gh2`, and not `wifi 1 hour`: groups of letters, with a digit among them."""
    words = typed.upper()
    is_receipt = _RECEIPT.fullmatch(guest_codes.plain(words)) is not None
    return bool(_GROUPS.fullmatch(words)) and _MIXED.search(words) is not None and not is_receipt

"""The SIM's airtime: asked for by USSD now and then, written down, and told of before it ends."""

from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo

from edge import jobs
from edge.database import db, transaction
from edge.domain import checks, notices
from edge.domain.routing import MODEM_CENTS
from edge.sms_models import Airtime
from edge.texts import say
from edge.values import airtime as answers
from edge.values.airtime import NAIROBI, Reading
from edge.values.money import show_money
from edge.values.ussd import check_code

CHECK = "airtime"
LANE = "modem"
TAKES_S = 150  # 45 s for the network, after whatever else the modem has in hand
KEPT = 400
RETRY = timedelta(hours=1)  # after an answer that told no balance
SOONEST = timedelta(minutes=15)
OLD = timedelta(hours=24)  # a reading that nobody could renew for so long, or for two turns, stops nothing
ENDS_SOON = timedelta(days=2)
PATTERN_CURE = "write the answer's own words as [modem] balance_pattern, with {balance} where the amount stands"
TOP_UP = "top the SIM up, or buy it a bundle of texts"
NO_ANSWER_CURE = "dial the code by hand (edge modem ussd) and mend [modem] balance_code"

SEGMENTS_SINCE = """
SELECT COUNT(*) FROM message_segments WHERE id > COALESCE(
  (SELECT id FROM message_segments WHERE sent_at <= ? ORDER BY id DESC LIMIT 1), 0)
"""


@dataclass(frozen=True)
class Rules:
    """What [modem] says of the balance. Without a code nothing is asked; without a pattern the usual ones are tried."""

    code: str = ""
    pattern: str = ""
    every: timedelta = timedelta(hours=6)
    low_cents: int = 5_000
    zone: tzinfo = NAIROBI


_rules = Rules()


def configure(rules: Rules) -> None:
    """Take over what the settings say; BadInput when the code or the pattern is none."""
    global _rules
    if rules.code:
        check_code(rules.code)
    if rules.pattern:
        answers.check_template(rules.pattern)
    _rules = rules


def latest() -> Airtime | None:
    """The last answer in which a balance, or a bundle, could be read."""
    return _newest("(balance_cents IS NOT NULL OR bundles <> '')")


def answer_to(code: str, since: datetime) -> Airtime | None:
    """What came of asking this code, once it came."""
    return Airtime.one_where("code = ? AND at >= ? ORDER BY id DESC", code, since.timestamp())


def texts_left(row: Airtime) -> int | None:
    """How many segments it lasts for, as far as that is known: bundles first, the rest at the SIM's usual price."""
    if row.balance_cents is None and not row.bundles:
        return None
    return int(answers.count_texts(row.bundles) + max(0, row.balance_cents or 0) // MODEM_CENTS)


def is_too_low(now: datetime) -> bool:
    """Would a campaign eat what codes need? As the network last said; a bundle of texts is as good as money."""
    row = latest()
    return row is not None and abs(now - row.at) <= max(OLD, 2 * _rules.every) and _is_low(row)


# Asking.


@transaction
def ask(code: str, now: datetime) -> int | None:
    """Promise to dial this code for somebody who waits; None when it is promised already. BadInput for no code.

    It may buy something, so it is never dialled twice. The answer is a row: see `answer_to`.
    """
    return jobs.promise(
        "modem.ussd", "sms", now, args={"code": check_code(code)}, priority=jobs.NORMAL, lane=LANE,
        unique_key=f"ussd:{check_code(code)}", timeout_s=TAKES_S,
    )  # fmt: skip


def ask_if_due(now: datetime) -> bool:
    """Promise to ask for the balance when its time has come, behind all texts; call now and then."""
    if not _rules.code or not _is_due(now):
        return False
    job_id = jobs.promise(
        "modem.balance", "sms", now, args={"code": _rules.code}, priority=jobs.LOW, lane=LANE, unique_key="airtime",
        timeout_s=TAKES_S,
    )  # fmt: skip
    return job_id is not None


def _is_due(now: datetime) -> bool:
    last = _newest("1 = 1")
    if last is None:
        return True
    passed = abs(now - last.at)  # the clock may have been put back
    if last.balance_cents is None and not last.bundles:
        return passed >= min(RETRY, _rules.every)
    return passed >= _rules.every or (passed >= SOONEST and not _is_low(last) and _is_used_up(last))


def _is_used_up(row: Airtime) -> bool:
    """Were so many texts sent since that the floor must be near?"""
    above = max(0, (row.balance_cents or 0) - _rules.low_cents)
    room = answers.count_texts(row.bundles) + above // MODEM_CENTS
    return int(db.execute_sql(SEGMENTS_SINCE, (row.at.timestamp(),)).fetchone()[0]) > room


# What came of it.


@transaction
def record(code: str, words: str, now: datetime) -> Airtime:
    """Write the network's words down; those of the balance's code are read, judged and told of."""
    reading = answers.read(words, _rules.pattern, _rules.zone) if code == _rules.code else None
    told = reading or Reading()
    row = _write(code, words, now, told)
    if code == _rules.code:
        _judge(row, now)
    return row


@transaction
def record_no_answer(code: str, words: str, now: datetime) -> Airtime:
    """Nothing was said. Only when that lasts it is more than the modem's own trouble, which its check tells."""
    row = _write(code, words, now, Reading())
    if code == _rules.code:
        known = latest()
        first = known or Airtime.one_where("code = ? ORDER BY id", code)
        if first is not None and now - first.at > 3 * _rules.every:
            checks.record(CHECK, "problem", f"the balance is not known: {words}"[:300], now, NO_ANSWER_CURE)
    return row


def _write(code: str, words: str, now: datetime, told: Reading) -> Airtime:
    row: Airtime = Airtime.create(
        at=now, code=code, balance_cents=told.balance_cents, ends_at=told.ends_at, bundles="; ".join(told.bundles),
        words=words.replace("\x00", "\ufffd"),
    )  # fmt: skip
    db.execute_sql("DELETE FROM airtime WHERE id <= ?", (row.id - KEPT,))
    return row


def _judge(row: Airtime, now: datetime) -> None:
    if row.balance_cents is None and not row.bundles:
        checks.record(CHECK, "problem", f"the answer could not be read: {row.words}"[:300], now, PATTERN_CURE)
    elif _is_low(row):
        words = f"{_words(row)}: less than {show_money(_rules.low_cents)}"
        checks.record(CHECK, "problem", words, now, TOP_UP)
        _tell(row, "airtime.low", _last_good(row), now)
    elif row.ends_at is not None and row.ends_at < now + ENDS_SOON:
        checks.record(CHECK, "problem", _words(row), now, TOP_UP)
        _tell(row, "airtime.ends", int(row.ends_at.timestamp()), now)
    else:
        checks.record(CHECK, "ok", _words(row), now)


def _is_low(row: Airtime) -> bool:
    """By money; who has texts in a bundle, or never told of money, is not low of it."""
    cents = row.balance_cents
    return cents is not None and cents < _rules.low_cents and answers.count_texts(row.bundles) == 0


def _words(row: Airtime) -> str:
    """`KSh 42.50 and 120 SMS, until 30 Dec 2027: about 162 texts`."""
    held = " and ".join(filter(None, ("" if row.balance_cents is None else show_money(row.balance_cents), row.bundles)))
    until = "" if row.ends_at is None else f", until {row.ends_at.astimezone(_rules.zone):%-d %b %Y}"
    return f"{held}{until}: about {texts_left(row) or 0:,} texts"


def _tell(row: Airtime, name: str, occasion: int, now: datetime) -> None:
    """Once an occasion: a balance that stays low is no news before it has recovered."""
    kind = name.partition(".")[2]
    title, body = say(f"airtime.{kind}"), say(f"airtime.{kind}_more", held=_words(row))
    notices.tell(name, title, body, now, link="/admin/sms/modem", key=f"{name}:{occasion}")


def _last_good(row: Airtime) -> int:
    """The answer before which it was not low yet; 0 for never."""
    found = db.execute_sql(
        "SELECT id FROM airtime WHERE code = ? AND id < ? AND balance_cents >= ? ORDER BY id DESC LIMIT 1",
        (row.code, row.id, _rules.low_cents),
    ).fetchone()
    return int(found[0]) if found else 0


def _newest(condition: str) -> Airtime | None:
    return Airtime.one_where(f"code = ? AND {condition} ORDER BY id DESC", _rules.code) if _rules.code else None

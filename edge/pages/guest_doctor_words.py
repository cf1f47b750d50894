"""What was found of one guest, in the words of the owner's catalogue. What routers and M-Pesa say is hostile text."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

from edge.domain.guest_checks import Finding
from edge.domain.guest_doctor import Examination
from edge.pages.staff_words import plain
from edge.texts import say
from edge.values.codes import mask_code
from edge.values.duration import show_duration
from edge.values.mac import mask_mac
from edge.values.money import show_money
from edge.values.sizes import show_bytes

Clock = Callable[[datetime], str]


def sentence(finding: Finding, clock: Clock, sees_secrets: bool) -> str:
    """One finding as a sentence of its own; `clock` shows an instant on the shop's wall."""
    return _stand_alone(_clause(finding, clock, sees_secrets))


def headline(found: Examination, clock: Clock, sees_secrets: bool) -> str:
    """The first thing that stands in his way, after what went well: “He paid at 14:02, but router gate …”."""
    problem = found.first_problem
    if problem is None:
        is_on = any(one.part == "session" and one.state == "ok" for one in found.findings)
        name = "well_online" if is_on else "well_asking" if found.is_asking else "well_so_far"
        return _stand_alone(say(f"doctor.{name}"))
    clause = _clause(problem, clock, sees_secrets)
    payment = found.subject.payment
    if payment is None or payment.state != "paid" or problem.part == "payment":
        return _stand_alone(clause)
    return _stand_alone(say("doctor.but", at=clock(payment.paid_at), problem=clause))


def part_name(part: str) -> str:
    """`garden` → Way to the portal."""
    return say(f"doctor_part.{part}")


def cure_name(cure: str) -> str:
    """What the button says."""
    return say(f"doctor_cure.{cure}")


def _clause(finding: Finding, clock: Clock, sees_secrets: bool) -> str:
    told = {name: _show(name, value, clock, sees_secrets) for name, value in finding.data.items()}
    words = say(f"doctor_say.{finding.words}", **told)
    if finding.data.get("bytes") is not None and finding.part == "grant":
        words += say("doctor.and_data", data=told["bytes"])
    if finding.data.get("credited_s"):
        words += say("doctor.and_credited", time=told["credited_s"])
    if finding.data.get("is_private") and not finding.words.endswith("_private"):
        words += say("doctor.and_private")
    return words


def _show(name: str, value: Any, clock: Clock, sees_secrets: bool) -> str:
    if isinstance(value, datetime):
        return clock(value)
    if value is None:
        return "–"
    if name in ("seconds", "credited_s"):
        return show_duration(value)
    if name == "bytes":
        return show_bytes(value)
    if name == "cents":
        return show_money(value)
    if name == "mac" and not sees_secrets:
        return mask_mac(value)
    if name == "code" and not sees_secrets:
        return mask_code(plain(value))
    if name == "why":
        return _why(str(value))
    return plain(value).rstrip(".")


def _why(why: str) -> str:
    try:
        return say(f"doctor_why.{why}")
    except KeyError:
        return plain(why)


def _stand_alone(clause: str) -> str:
    text = clause[:1].upper() + clause[1:]
    return text if text.endswith((".", "?", "!", "…")) else text + "."

"""Lists of numbers that the owner uploads: checked, each number once, and with a word on how these people agreed."""

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from edge.database import transaction
from edge.domain import contacts, events
from edge.errors import BadInput
from edge.models import Staff
from edge.sms_models import SmsList
from edge.values.msisdn import local_msisdn
from edge.values.phone_list import Fault, PhoneList, read_phone_list

PHONE = "phone"
OPTED_OUT = "This number wants no texts: its owner said STOP."
LONGEST_NAME, LONGEST_CONSENT = 80, 500


@dataclass(frozen=True)
class Upload:
    """A list as it was kept, and what was left out of it; `faults` are the first of `fault_count`."""

    row: SmsList
    faults: tuple[Fault, ...]
    fault_count: int


def add(
    name: str, raw: bytes, consent: str, staff: Staff | None, now: datetime, country: str = "KE"
) -> Upload:  # fmt: skip
    """Read a CSV file and keep whom it names; BadInput when nobody is left. The same file twice in a row is one list.

    `consent`: how they agreed to advertising, in the owner's words; without it only those get any who agreed
    themselves.
    """
    found = read_phone_list(raw, country)
    _leave_out_blocked(found)
    if not found.rows:
        first = f" Line {found.faults[0].line}: {found.faults[0].words}" if found.faults else ""
        raise BadInput(f"Nobody on this list can be texted.{first}", "file")
    name = " ".join(name.split())[:LONGEST_NAME] or "List"
    row = _keep(name, found, consent.strip()[:LONGEST_CONSENT], staff, now)
    return Upload(row, tuple(sorted(found.faults, key=lambda fault: fault.line)), found.fault_count)


def _leave_out_blocked(found: PhoneList) -> None:
    blocked = contacts.blocked_among(msisdn for _, msisdn, _ in found.rows)
    if blocked:
        for line, msisdn, _ in found.rows:
            if msisdn in blocked:
                found.refuse(line, OPTED_OUT)
        found.rows = [row for row in found.rows if row[1] not in blocked]


@transaction
def _keep(name: str, found: PhoneList, consent: str, staff: Staff | None, now: datetime) -> SmsList:
    body = io.StringIO()
    csv.writer(body).writerows([msisdn, *cells] for _, msisdn, cells in found.rows)
    last = SmsList.one_where("1 = 1 ORDER BY id DESC")
    known = (name, consent, found.columns, body.getvalue())
    if last is not None and (last.name, last.consent, last.columns, last.body) == known:
        return last
    row: SmsList = SmsList.create(
        name=name, columns=found.columns, body=body.getvalue(), rows=len(found.rows), consent=consent, staff=staff,
        created_at=now,
    )  # fmt: skip
    events.record("sms.list_added", now, list=row.id, rows=row.rows, who=staff.name if staff is not None else "")
    return row


def get(list_id: int) -> SmsList:
    """This list, else BadInput."""
    row: SmsList | None = SmsList.get_or_none(SmsList.id == list_id)
    if row is None:
        raise BadInput(f"There is no list {list_id}." if list_id else "Choose a list, or upload one.", "list_id")
    return row


def everything() -> list[SmsList]:
    """All lists, the newest first, without whom they name."""
    kept = (SmsList.id, SmsList.name, SmsList.columns, SmsList.rows, SmsList.consent, SmsList.staff, SmsList.created_at)
    return list(SmsList.select(*kept).order_by(SmsList.id.desc()))


@transaction
def set_consent(row: SmsList, consent: str) -> None:
    """How these people agreed, in the owner's words."""
    if not consent.strip():
        raise BadInput("Say how these people agreed, like: they signed up at the counter.", "consent")
    row.put(consent=consent.strip()[:LONGEST_CONSENT])


@transaction
def delete(row: SmsList) -> None:
    """Forget whom it names; campaigns that were listed from it have their own recipients."""
    row.delete_instance()


def people(row: SmsList) -> Iterator[tuple[str, dict[str, str]]]:
    """Each number with what the file says of it."""
    names = row.columns
    for msisdn, *cells in csv.reader(io.StringIO(row.body, newline="")):
        yield msisdn, {PHONE: local_msisdn(msisdn), **dict(zip(names, cells, strict=False))}

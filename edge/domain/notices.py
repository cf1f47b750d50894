"""Notices: what staff should know, kept on the dashboard until somebody has read it, and posted to whom it concerns."""

import secrets
from datetime import datetime, timedelta
from typing import Any

from edge import jobs
from edge.database import db, transaction
from edge.domain import events
from edge.errors import BadInput
from edge.models import Staff
from edge.sms_models import Mail, Notification
from edge.texts import say
from edge.values.email_address import mask_address

KEPT = timedelta(days=90)
MAIL_TAKES_S = 240  # a relay may take its time with each of its answers
MOST_COUNTED = 99  # unread ones; the bell says 99 for more
SIMULATED = "simulated: no [email] host"

# What this person sees: the own ones, and an owner those that are for every owner.
MINE = "(n.staff_id = ? OR (n.staff_id IS NULL AND ?))"
UNREAD = f"SELECT COUNT(*) FROM (SELECT 1 FROM notifications n WHERE n.read_at IS NULL AND {MINE} LIMIT {MOST_COUNTED})"
FORGET = "DELETE FROM {0} WHERE id IN (SELECT id FROM {0} WHERE created_at < ? LIMIT ?)"


@transaction
def tell(
    name: str, title: str, body: str, now: datetime, *, staff_id: int | None = None, link: str = "",
    key: str | None = None,
) -> Notification | None:  # fmt: skip
    """Tell one person, or every owner, in the caller's transaction: on the dashboard and by e-mail.

    `name` in the past tense, as campaign.completed. `link`: a page of the dashboard. `key`: the same is told once;
    None when it was told before.
    """
    notice: Notification | None = Notification.create_unless_there(
        name=name, staff=staff_id, title=_one_line(title), body=body, link=link, key=key, created_at=now
    )
    if notice is None:
        return None
    jobs.promise(
        "notice.send", "notifications", now, args={"notification_id": notice.id}, unique_key=f"notice:{notice.id}"
    )
    return notice


def test(staff: Staff, now: datetime) -> Notification:
    """A letter to this person's own address, to see that letters arrive; BadInput when there is no address."""
    if not staff.email:
        raise BadInput(say("notices.no_address", who=staff.name), "email")
    notice = tell("mail.test", say("notices.test_title"), say("notices.test_body"), now, staff_id=staff.id)
    assert notice is not None  # it has no key
    return notice


def unread(staff: Staff) -> int:
    """How many this person has not read; at most 99 are counted."""
    return int(db.execute_sql(UNREAD, (staff.id, staff.role == "owner")).fetchone()[0])


def of(staff: Staff, *, before: int | None = None, limit: int = 50, only_unread: bool = False) -> list[Notification]:
    """The newest that this person may see; those older than the number `before`."""
    found = Notification.select().where(_mine(staff))
    if before is not None:
        found = found.where(Notification.id < before)
    if only_unread:
        found = found.where(Notification.read_at.is_null())
    return list(found.order_by(Notification.id.desc()).limit(limit))


@transaction
def mark_read(notification_id: int, staff: Staff, now: datetime) -> Notification | None:
    """This person has read it, and nobody else needs to; None when there is no such notice for this person."""
    notice: Notification | None = Notification.get_or_none(_mine(staff), Notification.id == notification_id)
    if notice is not None and notice.read_at is None:
        notice.put(read_at=now)
    return notice


@transaction
def mark_all_read(staff: Staff, now: datetime) -> int:
    """All that this person has not read; returns how many."""
    return int(Notification.update(read_at=now).where(_mine(staff), Notification.read_at.is_null()).execute())


def _mine(staff: Staff) -> Any:
    own = Notification.staff == staff.id
    return own | Notification.staff.is_null() if staff.role == "owner" else own


# Letters.


@transaction
def write_letters(notification_id: int, domain: str, address: str, now: datetime) -> int:
    """One letter to everybody it concerns who has an address; returns how many.

    `domain`: of the sender, for the Message-ID. `address`: where the dashboard is, '' when it is not known.
    """
    notice = Notification.get_by_id(notification_id)
    addresses = {person.email for person in _whom(notice)} - {""}
    for recipient in sorted(addresses):
        letter = Mail.create(
            notification=notice, address=recipient, subject=notice.title, body=_body(notice, address),
            header_id=f"<{secrets.token_hex(12)}.{notice.id}@{domain or 'edge.invalid'}>", created_at=now,
        )  # fmt: skip
        jobs.promise(
            "mail.send", "emails", now, args={"mail_id": letter.id}, unique_key=f"mail:{letter.id}",
            timeout_s=MAIL_TAKES_S,
        )  # fmt: skip
    return len(addresses)


def _whom(notice: Notification) -> list[Staff]:
    if notice.staff_id is not None:
        return list(Staff.select().where(Staff.id == notice.staff_id))
    return list(Staff.select().where(Staff.role == "owner"))


def _body(notice: Notification, address: str) -> str:
    if not notice.link:
        return f"{notice.body}\n"
    where = f"{address.rstrip('/')}{notice.link}" if address else f"On the dashboard: {notice.link}"
    return f"{notice.body}\n\n{where}\n"


@transaction
def mark_sent(mail_id: int, words: str, now: datetime) -> None:
    """The relay took it. Late news counts too: what was unconfirmed is known now."""
    Mail.update(state="sent", words=words, sent_at=now).where(
        Mail.id == mail_id, Mail.state.in_(("queued", "unconfirmed"))
    ).execute()


@transaction
def mark_simulated(mail_id: int, now: datetime) -> None:
    """No mail account is set up: it stays in the box."""
    Mail.update(state="simulated", words=SIMULATED).where(Mail.id == mail_id, Mail.state == "queued").execute()


@transaction
def mark_failed(mail_id: int, words: str, now: datetime) -> None:
    """It surely did not leave."""
    _settle(mail_id, "failed", words, now)


@transaction
def mark_unconfirmed(mail_id: int, words: str, now: datetime) -> None:
    """The relay may have it: not sent again, since two letters make people wonder which one counts."""
    _settle(mail_id, "unconfirmed", words, now)


def _settle(mail_id: int, state: str, words: str, now: datetime) -> None:
    if Mail.update(state=state, words=words).where(Mail.id == mail_id, Mail.state == "queued").execute() == 1:
        letter = Mail.get_by_id(mail_id)
        events.record(f"mail.{state}", now, address=mask_address(letter.address), words=words)


def letters_of(notices: list[Notification]) -> dict[int, list[Mail]]:
    """What became of the letters about these notices, by the notice's number."""
    found: dict[int, list[Mail]] = {}
    wanted = [notice.id for notice in notices]
    for letter in list(Mail.select().where(Mail.notification.in_(wanted)).order_by(Mail.id)):
        found.setdefault(letter.notification_id, []).append(letter)
    return found


@transaction
def prune(now: datetime, most: int = 1_000) -> int:
    """Forget letters and notices of long ago; returns how many."""
    held = ((now - KEPT).timestamp(), most)
    return sum(int(db.execute_sql(FORGET.format(table), held).rowcount) for table in ("mails", "notifications"))


def _one_line(text: str) -> str:
    return " ".join(text.split())[:150]

"""Notices on their way: who gets a letter, and the letters handed to the mail account."""

from datetime import datetime, timedelta
from functools import partial

from edge.devices.mail import Letter
from edge.domain import checks, notices
from edge.errors import Away, Refused
from edge.handlers.world import Later, World, WriteDown
from edge.models import Check
from edge.sms_models import Mail

PAUSE = timedelta(minutes=2)  # until the account is tried again
TOO_OLD = timedelta(days=2)
CURE = "check [email] in edge.toml and the internet connection; then Notices, Send me a test letter"


def send_notice(world: World, now: datetime, notification_id: int) -> WriteDown | None:
    """Write its letters. The dashboard shows it already."""
    domain = world.settings.email.sender.rpartition("@")[2]
    return partial(notices.write_letters, notification_id, domain, world.settings.web.public_url)


def send_mail(world: World, now: datetime, mail_id: int) -> WriteDown | None:
    """Hand one letter to the relay, once. An account that is not served loses no letter: it waits, and is told of."""
    letter = Mail.get_by_id(mail_id)
    if letter.state == "unconfirmed":
        raise Refused("it is not known whether this letter left: it is not sent a second time")
    if letter.state != "queued":
        return None
    account = world.devices.mail()
    if account is None:
        return lambda then: _done(mail_id, "", then)
    if now - letter.created_at > TOO_OLD:
        raise Refused("it could not be sent within two days")
    try:
        words = account.send(Letter(letter.address, letter.subject, letter.body, letter.header_id, letter.created_at))
    except Away as reason:
        checks.record("mail", "problem", str(reason), now, CURE)
        raise Later(now + PAUSE) from reason
    return lambda then: _done(mail_id, words, then)


def _done(mail_id: int, words: str, then: datetime) -> None:
    """`words`: the relay's; empty when there is none, and it is simulated."""
    if words:
        notices.mark_sent(mail_id, words, then)
    else:
        notices.mark_simulated(mail_id, then)
    if Check.any_where("name = 'mail' AND state <> 'ok'"):
        checks.record("mail", "ok", words or notices.SIMULATED, then)

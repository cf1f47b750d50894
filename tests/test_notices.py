"""Notices: kept for whom they concern, shown by a bell, and posted as letters through a real SMTP server."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from aiosmtpd.controller import Controller
from click.testing import CliRunner

from edge import jobs
from edge.__main__ import edge
from edge.domain import notices, people
from edge.errors import BadInput
from edge.models import Check, Event, Job, Staff
from edge.settings_sections import Email, Web
from edge.sms_models import Mail, Notification
from edge.web import build
from edge.worker import work_once
from tests.test_mail import GREETED, Rude, free_port
from tests.web_client import Browser


@pytest.fixture
def now():
    return datetime.now(UTC)


@pytest.fixture
def njeri(settings):
    people.set_email(people.named("Njeri"), "njeri@example.com")
    return people.named("Njeri")


class Relay:
    """Takes every letter, unless an address is to be refused."""

    def __init__(self):
        self.letters, self.refused = [], {}

    async def handle_RCPT(self, server, session, envelope, address, rcpt_options):
        envelope.rcpt_tos.append(address)
        return self.refused.get(address, "250 OK")

    async def handle_DATA(self, server, session, envelope):
        self.letters.append((envelope.rcpt_tos[0], envelope.content.decode()))
        return "250 kept"


@pytest.fixture
def relay():
    relay = Relay()
    controller = Controller(relay, hostname="127.0.0.1", port=free_port(), ready_timeout=30)
    controller.start()
    relay.port = controller.port
    yield relay
    controller.stop()


def with_mail(settings, port, timeout_s=10):
    email = Email(host="127.0.0.1", port=port, tls="none", sender="shop@example.com", timeout_s=timeout_s)
    return replace(settings, email=email, web=Web(public_url="https://duka.example.com"))


def campaign_ended(now, **more):
    body = "Recipients: 2,000\nSent: 1,900 (95 %)\nFailed: 100"
    told = {"link": "/admin/sms/campaigns/3", "key": "campaign:3:0:completed"} | more
    return notices.tell("campaign.completed", "Campaign Easter: completed", body, now, **told)


# Who is told.


def test_the_same_is_told_once(settings, njeri, now):
    assert campaign_ended(now) is not None
    assert campaign_ended(now) is None
    assert campaign_ended(now, key=None) is not None
    assert campaign_ended(now, key=None) is not None
    assert notices.unread(njeri) == 3


def test_every_owner_sees_it_or_the_one_whom_it_concerns(settings, njeri, now):
    otieno = people.named("Otieno")
    campaign_ended(now)
    own = campaign_ended(now, key="other", staff_id=otieno.id)
    assert [notice.id for notice in notices.of(otieno)] == [own.id]
    assert (notices.unread(njeri), notices.unread(otieno)) == (1, 1)
    assert notices.mark_read(own.id, njeri, now) is None
    assert notices.mark_read(own.id, otieno, now).id == own.id
    assert (notices.unread(njeri), notices.unread(otieno)) == (1, 0)
    assert notices.of(otieno, only_unread=True) == []
    assert notices.mark_all_read(njeri, now) == 1


def test_the_bell_counts_no_further_than_it_shows(settings, njeri, now):
    for number in range(120):
        Notification.create(name="x", title=str(number), created_at=now)
    assert notices.unread(njeri) == notices.MOST_COUNTED


def test_notices_and_letters_of_long_ago_are_forgotten(settings, njeri, now):
    long_ago = now - timedelta(days=100)
    notices.write_letters(campaign_ended(long_ago).id, "", "", long_ago)
    campaign_ended(now, key="new")
    assert notices.prune(now) == 2
    assert notices.prune(now) == 0
    assert [notice.key for notice in Notification.select()] == ["new"]


# Letters.


def test_a_campaigns_end_reaches_its_owner_as_a_letter(settings, njeri, relay, now):
    campaign_ended(now, staff_id=njeri.id)
    work_once(with_mail(settings, relay.port))
    (address, text), = relay.letters
    letter = Mail.get()
    assert address == "njeri@example.com"
    for words in ("Subject: Campaign Easter: completed", "Sent: 1,900 (95 %)", "Auto-Submitted: auto-generated",
                  "https://duka.example.com/admin/sms/campaigns/3", letter.header_id, "@example.com>"):  # fmt: skip
        assert words in text
    assert (letter.state, letter.words) == ("sent", "250 kept")
    assert Job.get(Job.name == "notice.send").queue == "notifications"
    assert Job.get(Job.name == "mail.send").queue == "emails"


def test_a_letter_goes_to_each_owner_with_an_address_and_one_bad_one_harms_no_other(settings, njeri, relay, now):
    for name in ("Wairimu", "Kamau", "Nobody"):
        people.add(name, "three long words", "owner", now)
    people.set_email(people.named("Wairimu"), "gone@example.com")
    people.set_email(people.named("Kamau"), "kamau@example.com")
    relay.refused["gone@example.com"] = "550 no such person"
    campaign_ended(now)
    work_once(with_mail(settings, relay.port))
    assert sorted(address for address, _ in relay.letters) == ["kamau@example.com", "njeri@example.com"]
    failed = Mail.get(Mail.state == "failed")
    assert (failed.address, failed.words) == ("gone@example.com", "550 no such person")
    assert Event.get(Event.name == "mail.failed").data["address"] == "g•••@example.com"


def test_without_a_mail_account_a_letter_is_simulated_and_says_so(settings, njeri, now):
    campaign_ended(now)
    work_once(settings)
    letter = Mail.get()
    assert (letter.state, letter.words, letter.sent_at) == ("simulated", "simulated: no [email] host", None)


def test_a_letter_put_off_is_tried_again_and_sent_once(settings, njeri, relay, now):
    relay.refused["njeri@example.com"] = "451 greylisted"
    campaign_ended(now)
    work_once(with_mail(settings, relay.port))
    job = Job.get(Job.name == "mail.send")
    assert (job.state, Mail.get().state, relay.letters) == ("scheduled", "queued", [])
    assert job.attempt < job.tries
    relay.refused.clear()
    job.put(state="waiting", run_at=now)
    work_once(with_mail(settings, relay.port))
    assert (Mail.get().state, len(relay.letters)) == ("sent", 1)


def test_a_relay_that_is_away_costs_no_letter_and_is_told_of(settings, njeri, relay, now):
    campaign_ended(now)
    for _ in range(5):
        work_once(with_mail(settings, free_port()))
        Job.update(state="waiting", run_at=now).where(Job.name == "mail.send").execute()
    check = Check.get(Check.name == "mail")
    assert (check.state, "can't be reached" in check.words, "[email]" in check.cure) == ("problem", True, True)
    work_once(with_mail(settings, relay.port))
    assert (Mail.get().state, len(relay.letters)) == ("sent", 1)
    assert Check.get(Check.name == "mail").state == "ok"


def test_a_letter_nobody_could_send_for_two_days_is_dropped_with_a_reason(settings, njeri, now):
    campaign_ended(now - timedelta(days=3))
    notices.write_letters(1, "", "", now - timedelta(days=3))
    work_once(with_mail(settings, free_port()), ["emails"])
    assert (Mail.get().state, "two days" in Mail.get().words) == ("failed", True)


def test_a_letter_that_may_have_gone_is_not_sent_again(settings, njeri, relay, now):
    campaign_ended(now)
    work_once(with_mail(settings, relay.port), ["notifications"])
    job = jobs.claim("emails", "dead", now)
    notices.mark_unconfirmed(Mail.get().id, "the worker died while this was under way", now)
    jobs.unclaim(job, now)
    work_once(with_mail(settings, relay.port))
    assert (Mail.get().state, relay.letters) == ("unconfirmed", [])


def test_silence_after_the_whole_letter_is_never_answered_by_sending_again(settings, njeri, now):
    campaign_ended(now)
    with Rude(*GREETED, "354 go on") as rude:
        work_once(with_mail(settings, rude.port, timeout_s=1))
    with Rude(*GREETED, "354 go on", "250 kept") as again:
        work_once(with_mail(settings, again.port))
        assert again.heard == []
    assert (Mail.get().state, Job.get(Job.name == "mail.send").state) == ("unconfirmed", "failed")


def test_late_news_makes_an_unconfirmed_letter_a_sent_one_and_no_other_way_round(settings, njeri, now):
    campaign_ended(now)
    notices.write_letters(1, "", "", now)
    notices.mark_unconfirmed(1, "silence", now)
    notices.mark_sent(1, "250 kept", now)
    notices.mark_failed(1, "too late", now)
    notices.mark_simulated(1, now)
    assert Mail.get().state == "sent"


def test_the_address_of_a_letter_is_sealed_on_the_card(settings, njeri, now):
    campaign_ended(now)
    notices.write_letters(1, "", "", now)
    assert b"njeri@example.com" not in b"".join(
        bytes(str(row), "utf-8") for row in Mail._meta.database.execute_sql("SELECT address FROM mails").fetchall()
    )


# Where letters go.


@pytest.mark.parametrize(
    "typed",
    ["njeri", "njeri@", "@example.com", "a b@example.com", "a@example", "a@b.cc\r\nBcc: x@y.zz", "njérì@example.com",
     "a" * 65 + "@example.com", "a@" + "b" * 250 + ".com"],
)  # fmt: skip
def test_what_is_no_address_is_refused(settings, njeri, typed):
    with pytest.raises(BadInput, match="not an e-mail address"):
        people.set_email(njeri, typed)
    assert Staff.get_by_id(njeri.id).email == "njeri@example.com"


def test_a_test_letter_needs_an_address(settings, now):
    with pytest.raises(BadInput, match="no e-mail address"):
        notices.test(people.named("Otieno"), now)


# On the dashboard.


def signed_in(settings, name):
    browser = Browser(build(settings))
    assert browser.sign_in(name).status == 303
    return browser


def test_the_bell_shows_what_is_new_until_it_is_read(settings, njeri, now):
    owner = signed_in(settings, "Njeri")
    assert "1 new" not in owner.get("/admin/plans").words
    notice = campaign_ended(now)
    assert "1 new" in owner.get("/admin/plans").words
    page = owner.get("/admin/notices")
    assert "Sent: 1,900 (95 %)" in page.text
    read = owner.post(f"/admin/notices/{notice.id}/read")
    assert (read.status, read.header("Location")) == (303, "/admin/sms/campaigns/3")
    assert "1 new" not in owner.get("/admin/plans").words
    campaign_ended(now, key="two")
    assert owner.post("/admin/notices/read").status == 303
    assert notices.unread(njeri) == 0


def test_a_notice_is_read_by_nobody_else_and_leads_nowhere_else(settings, njeri, now):
    notice = campaign_ended(now, link="https://evil.example.com/")
    cashier = signed_in(settings, "Wanjiku")
    assert "Easter" not in cashier.get("/admin/notices").text
    assert cashier.post(f"/admin/notices/{notice.id}/read").status == 404
    owner = signed_in(settings, "Njeri")
    assert owner.post(f"/admin/notices/{notice.id}/read").header("Location") == "/admin/notices"


def test_many_notices_are_turned_over_page_by_page(settings, njeri, now):
    for number in range(45):
        Notification.create(name="x", title=f"Notice {number}.", created_at=now)
    owner = signed_in(settings, "Njeri")
    first = owner.get("/admin/notices")
    assert "Notice 44." in first.text
    assert "Notice 4." not in first.text
    assert "Notice 4." in owner.get("/admin/notices", "before=6").text


def test_everybody_says_where_letters_go_and_tries_it(settings, relay):
    told = with_mail(settings, relay.port)
    cashier = signed_in(told, "Wanjiku")
    wrong = cashier.post("/admin/account", {"email": "wanjiku"})
    assert (wrong.status, "not an e-mail address" in wrong.words) == (400, True)
    assert cashier.post("/admin/account", {"email": " wanjiku@example.com "}).status == 303
    assert cashier.post("/admin/account/test").status == 303
    work_once(told)
    assert "A letter went to wanjiku@example.com. 250 kept" in cashier.get("/admin/account").words
    assert "This letter shows" in relay.letters[0][1]
    assert cashier.post("/admin/account", {"email": ""}).header("Location").endswith("said=none")


# By command.


def edge_says(settings, *words, fails=False, **more):
    result = CliRunner().invoke(edge, [*words, "--state", str(settings.state), "--json"], **more)
    assert (result.exit_code != 0) == fails, result.output
    return json.loads(result.stdout.splitlines()[-1])


def test_the_command_tells_marks_and_tests(settings, njeri, now):
    notice = campaign_ended(now)
    told = edge_says(settings, "notify", "list")["notices"]
    assert [(one["id"], one["name"]) for one in told] == [(notice.id, "campaign.completed")]
    assert edge_says(settings, "notify", "read", str(notice.id))["read_at"]
    assert edge_says(settings, "notify", "list")["notices"] == []
    assert len(edge_says(settings, "notify", "list", "--all")["notices"]) == 1
    assert "no e-mail address" in edge_says(settings, "notify", "test", "Otieno", fails=True)["error"]
    assert edge_says(settings, "staff", "email", "otieno", "otieno@example.com")["email"] == "otieno@example.com"
    assert edge_says(settings, "notify", "test", "Otieno")["email"] == "otieno@example.com"
    assert edge_says(settings, "notify", "read", "--all", "--as", "Otieno") == {"read": 1}
    assert "not an e-mail" in edge_says(settings, "staff", "email", "Otieno", "x", fails=True)["error"]
    plain = CliRunner().invoke(edge, ["notify", "list", "--all", "--state", str(settings.state)])
    assert "Campaign Easter: completed" in plain.stdout


def test_a_new_box_knows_its_owners_address(tmp_path):
    words = ["init", "--owner", "Njeri", "--password-stdin", "--email"]
    state = ["--state", str(tmp_path / "box")]
    wrong = CliRunner().invoke(edge, [*words, "njeri", *state], input="three long words\n")
    assert (wrong.exit_code, "not an e-mail address" in wrong.output) == (1, True)
    made = CliRunner().invoke(edge, [*words, "njeri@example.com", *state], input="three long words\n")
    assert made.exit_code == 0, made.output
    listed = CliRunner().invoke(edge, ["staff", "list", *state])
    assert "njeri@example.com" in listed.stdout

"""Campaigns on the dashboard and for programs: priced before they go, followed while they go, asked for once."""

import json
import re
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from selenium.webdriver.common.by import By

from edge import database, jobs, tasks
from edge.__main__ import edge
from edge.devices.opening import Devices
from edge.domain import (
    breakers,
    campaign_run,
    campaigns,
    contacts,
    credits,
    messages,
    people,
    plans,
    quiet_hours,
    routing,
    send_requests,
    sms_lists,
)
from edge.handlers.world import World
from edge.models import Grant, Message
from edge.pages import campaign_api, campaign_words
from edge.settings_sections import HttpSms, Sms
from edge.sms_models import Campaign, SmsList
from edge.web import build
from tests.browser import needs_chromium, patiently, press, says, set_width
from tests.test_dashboard_browser import sign_in
from tests.web_client import Answer, Browser

ASHA, JUMA = "254712345678", "254722000111"
JSON = "application/json"
LIST = b"phone,name\n0712345678,Asha\n0722000111,Juma\nwrong,Nobody\n"


@pytest.fixture(autouse=True)
def a_shop_that_texts(settings: Any) -> Iterator[None]:
    routing.configure(Sms(), has_modem=False, is_rehearsal=True)
    quiet_hours.configure("")
    campaign_run.configure(0)
    messages.configure(messages.Rules())
    credits.top_up(1_000, "", None, datetime.now(UTC))
    yield
    quiet_hours.configure("")


@pytest.fixture
def app(settings: Any) -> Any:
    return build(settings)


@pytest.fixture
def owner(app: Any) -> Browser:
    return signed_in(app, "Njeri")


@pytest.fixture
def drive(settings: Any) -> Callable[..., int]:
    """Do what is due on the queue of texts, as a worker would."""
    world = World(Devices(settings), settings)

    def run(most: int = 100_000) -> int:
        done, now = 0, datetime.now(UTC)
        jobs.promote(now)
        while done < most and (job := jobs.claim("sms", "w", datetime.now(UTC))) is not None:
            tasks.run(job, world=world)
            done += 1
        return done

    return run


def signed_in(app: Any, name: str) -> Browser:
    browser = Browser(app)
    assert browser.sign_in(name).status == 303
    return browser


def numbers(count: int) -> str:
    return "\n".join(f"07{place:08d}" for place in range(count))


def draft(owner: Browser, **more: str) -> str:
    """A draft by the form; the address of its page."""
    form = {"name": "Closed on Friday", "kind": "service", "text": "We close at six.", "whom": "numbers"}
    answer = owner.post("/admin/sms/campaigns/new", {**form, "numbers": "0712345678", "do": "save", **more})
    assert answer.status == 303, answer.words
    return answer.header("Location")


def shown(owner: Browser, address: str) -> str:
    path, _, query = address.partition("?")
    page = owner.get(path, query)
    assert page.status == 200
    return page.words


def upload(owner: Browser, raw: bytes, name: str = "regulars.csv", **fields: str) -> Answer:
    mark = "----edge"
    parts = [
        f'--{mark}\r\nContent-Disposition: form-data; name="{key}"\r\n\r\n{value}\r\n'.encode()
        for key, value in {"csrf": owner.csrf, **fields}.items()
    ]
    head = f'--{mark}\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n\r\n'
    body = b"".join(parts) + head.encode() + raw + f"\r\n--{mark}--\r\n".encode()
    return owner.call("POST", "/admin/sms/lists", body=body, kind=f"multipart/form-data; boundary={mark}")


# The dashboard.


def test_a_draft_says_who_gets_it_how_it_reads_and_what_it_takes(owner: Browser, drive: Callable[..., int]) -> None:
    contacts.opt_out(JUMA, "STOP", datetime.now(UTC))
    place = draft(owner, numbers="0712345678, 0722 000 111; 0733000222", text="Karibu {{phone}} – 😀")
    counting = owner.get(place)
    assert "are being counted" in counting.words
    assert counting.header("Refresh") == "2"  # without a script as well
    drive()
    page = owner.get(place)
    assert page.header("Refresh") == ""
    assert "Recipients 2 Segments 2 Credits 2 1,000 are there" in page.words
    assert "Karibu 0712345678 - 😀" in page.words
    assert "To 0712•••678, 1 segment" in page.words
    assert "1 opted out" in page.words
    assert "😀" in page.words.partition("1 segment")[2]  # which letter makes it dear
    assert "It is simulated" in page.words
    assert "Send to 2 now" in page.words
    assert "draft" in shown(owner, "/admin/sms/campaigns")


@pytest.mark.parametrize(
    ("has_modem", "per_minute", "words"),
    [(True, {}, "20 minutes, sent by"), (False, {"http": 100}, "3 minutes"), (False, {}, "1 minute, sent by")],
)
def test_how_long_it_takes_is_told_beforehand(
    settings: Any, has_modem: bool, per_minute: dict[str, int], words: str
) -> None:
    sms = Sms(per_minute=per_minute, http=HttpSms(url="https://sms.example/send", body="{text}"))
    routing.configure(sms, has_modem=has_modem, is_rehearsal=False)
    quote = campaigns.Quote(300, 300, 300, {}, True, ())
    assert words in campaign_words.estimate(quote, sms, datetime.now(UTC))


def test_a_campaign_that_stands_still_says_that_the_modem_is_away(owner: Browser, drive: Callable[..., int]) -> None:
    place = draft(owner, numbers=numbers(3))
    drive()
    owner.post(f"{place}/send", {"when": "now"})
    routing.configure(Sms(), has_modem=True, is_rehearsal=False)
    assert "can't send" not in shown(owner, place)
    for _ in range(breakers.FAILURES):
        breakers.note_failure("modem", "no modem", datetime.now(UTC))
    assert "Just now the modem can't send. What waits goes" in shown(owner, place)
    assert "can't send" in owner.get(f"/sms/campaigns/{Campaign.get().id}/status").json["words"]
    assert "can't send" in campaign_api.status_view(Campaign.get())["words"]  # and a command, which is no request


def test_it_is_sent_and_followed_and_what_became_of_whom_is_shown(owner: Browser, drive: Callable[..., int]) -> None:
    place = draft(owner, numbers=numbers(120))
    drive()
    answer = owner.post(f"{place}/send", {"when": "now"})
    page = owner.get(place)
    assert "It is on its way." in shown(owner, answer.header("Location"))
    assert f'data-progress="/sms/campaigns/{Campaign.get().id}/status"' in page.text
    assert page.text.count(' name="sure"') == 1
    drive()
    done = owner.get(place)
    assert "data-progress" not in done.text  # nothing asks any more
    assert "Sent 120 100 % of those tried" in done.words
    assert "120 used, 0 set aside" in done.words
    assert done.text.count("•••") == 50
    older = re.search(r'href="([^"]*before=\d+)"', done.text)
    assert older is not None
    assert shown(owner, older[1].replace("&amp;", "&")).count("•••") == 50
    assert shown(owner, f"{place}?state=failed").count("•••") == 0
    assert shown(owner, f"{place}?state=sent").count("•••") == 50
    assert "120 of 120 sent" in shown(owner, "/admin/sms/campaigns")


def test_it_is_paused_goes_on_and_the_rest_is_cancelled(owner: Browser, drive: Callable[..., int]) -> None:
    place = draft(owner, numbers=numbers(100))
    drive()
    owner.post(f"{place}/send", {"when": "now"})
    drive(most=20)
    assert "nothing more is handed over" in shown(owner, owner.post(f"{place}/pause").header("Location"))
    status = owner.get(f"/sms{place.removeprefix('/admin/sms')}/status").json
    assert (status["status"], status["is_final"]) == ("paused", False)
    assert 0 < status["pending"] < 100
    assert "It goes on." in shown(owner, owner.post(f"{place}/resume").header("Location"))
    assert owner.post(f"{place}/cancel").status == 400
    assert owner.post(f"{place}/cancel", {"sure": "yes"}).status == 303
    drive()
    status = owner.get(f"/sms{place.removeprefix('/admin/sms')}/status").json
    assert (status["status"], status["is_final"], status["percent"]) == ("cancelled", True, 100)
    assert status["sent"] + status["suppressed"] == 100
    assert credits.balance().available == 1_000 - status["sent"]
    assert owner.post(f"{place}/resume").status == 400


def test_failed_ones_are_retried_by_hand_for_what_that_costs(owner: Browser, drive: Callable[..., int]) -> None:
    place = draft(owner, numbers=numbers(3))
    drive()
    owner.post(f"{place}/send", {"when": "now"})
    routing.configure(Sms(), has_modem=False, is_rehearsal=False)  # nothing is set up that could send it
    drive()
    page = shown(owner, place)
    assert "Try the 3 failed ones again (3 credits)" in page
    assert "3 times:" in page
    routing.configure(Sms(), has_modem=False, is_rehearsal=True)
    assert "tried again" in shown(owner, owner.post(f"{place}/retry").header("Location"))
    drive()
    page = shown(owner, place)
    assert "Sent 3" in page
    assert "Try the" not in page
    assert owner.post(f"{place}/retry").status == 400


def test_it_is_scheduled_by_the_clock_on_the_shops_wall(owner: Browser, drive: Callable[..., int]) -> None:
    place = draft(owner)
    drive()
    late = datetime.now(UTC) + timedelta(days=2)
    for at, words in (("", "Choose a day"), ("2001-01-01T10:00", "has passed"), ("tomorrow", "Choose a day")):
        answer = owner.post(f"{place}/send", {"when": "at", "at": at})
        assert (answer.status, words in answer.words) == (400, True), at
    answer = owner.post(f"{place}/send", {"when": "at", "at": f"{late:%Y-%m-%d}T09:30"})
    assert "It is scheduled" in shown(owner, answer.header("Location"))
    campaign = Campaign.get()
    assert (campaign.state, f"{campaign.scheduled_at:%H:%M}") == ("scheduled", "06:30")  # Nairobi is three hours ahead
    assert "It begins at" in shown(owner, place)


def test_too_few_credits_are_told_with_figures_and_nothing_is_sent(owner: Browser, drive: Callable[..., int]) -> None:
    place = draft(owner, numbers=numbers(1_200))
    drive()
    assert "200 credits are missing" in shown(owner, place)
    answer = owner.post(f"{place}/send", {"when": "now"})
    assert answer.status == 400
    assert "1,200" in answer.words
    assert Campaign.get().state == "draft"


def test_advertising_waits_for_the_morning_and_says_so(owner: Browser, drive: Callable[..., int]) -> None:
    now = datetime.now(UTC).astimezone(plans.shop.zone)
    quiet = f"{now - timedelta(hours=2):%H:%M}-{now + timedelta(hours=2):%H:%M}"
    contacts.agree(ASHA, "at the counter", datetime.now(UTC))
    place = draft(owner, kind="marketing", numbers="0712345678\n0722000111")
    drive()
    quiet_hours.configure(quiet)
    page = shown(owner, place)
    assert "1 did not agree to advertising" in page
    assert "Advertising rests from 19:00-07:00" in page  # as the settings say
    assert "It is quiet time: it begins at" in page
    owner.post(f"{place}/send", {"when": "now"})
    drive()
    assert Message.get().state == "listed"
    assert "It is quiet time" in shown(owner, place)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"name": " "}, "a name"), ({"text": ""}, "Write what is to be sent"), ({"text": "x" * 1_501}, "1,500"),
        ({"text": "Hi {{name}}"}, "{{name}} is not known"), ({"text": "Hi {{phone"}, "has no }}"),
        ({"kind": "spam"}, "marketing, or service"), ({"whom": "nobody"}, "An audience is one of"),
        ({"numbers": "0712345678, 020 2222222"}, "landline"), ({"numbers": ""}, "at least one number"),
        ({"whom": "guests", "within": "x"}, "whole number"), ({"whom": "guests", "spent": "-1"}, "in shillings"),
        ({"whom": "guests", "plans": "77"}, "no plan 77"), ({"whom": "list", "list": "9"}, "no list 9"),
        ({"whom": "list"}, "Choose a list"), ({"whom": "guests", "within": "7", "absent": "30"}, "Nobody was seen"),
    ],
)  # fmt: skip
def test_what_can_not_be_sent_is_said_in_the_form_and_nothing_has_to_be_typed_twice(
    owner: Browser, wrong: dict[str, str], said: str
) -> None:
    form = {"name": "Easter", "kind": "service", "text": "We open at ten", "whom": "numbers", "numbers": "0712345678"}
    answer = owner.post("/admin/sms/campaigns/new", {**form, "do": "save", **wrong})
    assert answer.status == 400
    assert said in answer.words
    assert "We open at ten" in answer.text or "text" in wrong
    assert Campaign.select().count() == 0


def test_the_server_counts_letters_without_any_script(owner: Browser) -> None:
    form = {"text": "Karibu {{plan}} 😀", "whom": "all", "name": "x", "kind": "service"}
    page = owner.post("/admin/sms/campaigns/new", {**form, "do": "count"})
    assert page.status == 200
    assert "Filled in for somebody:" in page.words
    assert "😀" in page.words
    told = owner.post("/admin/sms/campaigns/count", form)
    assert told.text in page.words
    assert "is not known here" in owner.post("/admin/sms/campaigns/count", {**form, "text": "{{nothing}}"}).text
    assert Campaign.select().count() == 0


def test_a_draft_is_changed_and_thrown_away(owner: Browser, drive: Callable[..., int]) -> None:
    place = draft(owner, whom="guests", plans="1", within="30", spent="20", text="Karibu {{plan}}")
    form = owner.get(f"{place}/edit")
    for piece in ('value="1" checked', 'name="within" value="30"', 'name="spent" value="20"', "Karibu {{plan}}"):
        assert piece in form.text
    other = {"name": "Later", "kind": "service", "text": "Closed", "whom": "numbers", "numbers": "0722000111"}
    assert owner.post(f"{place}/edit", {**other, "do": "save"}).status == 303
    drive()
    page = shown(owner, place)
    assert "0722•••111" in page
    assert "+254722000111" in owner.get(f"{place}/edit").text
    assert owner.post(f"{place}/delete").header("Location") == "/admin/sms/campaigns?did=deleted"
    assert Message.select().count() == 0
    assert owner.get(place).status == 404


def test_guests_are_texted_by_what_they_bought(owner: Browser, drive: Callable[..., int]) -> None:
    now = datetime.now(UTC)
    Grant.create(plan=1, msisdn=ASHA, username="A", password="x", seconds=3600, created_at=now, starts_at=now)
    place = draft(owner, whom="guests", plans="1", text="Thank you for {{visits}} visit with {{plan}}")
    drive()
    page = shown(owner, place)
    assert "Thank you for 1 visit with 1 hour" in page
    assert "Guests: with plan 1 hour" in page


def test_a_technician_looks_and_a_cashier_does_not(app: Any, owner: Browser, drive: Callable[..., int]) -> None:
    place = draft(owner)
    drive()
    technician, cashier = signed_in(app, "Otieno"), signed_in(app, "Wanjiku")
    page = technician.get(place)
    assert "The owner sends it." in page.words
    assert "<button" not in page.text.partition("<main")[2]
    assert cashier.get(place).status == cashier.get("/admin/sms/campaigns").status == 403
    for path in ("/admin/sms/campaigns/new", "/admin/sms/lists", f"{place}/edit"):
        assert technician.get(path).status == 403, path
    for verb in ("send", "pause", "resume", "cancel", "retry", "delete", "edit"):
        assert technician.post(f"{place}/{verb}", {"sure": "yes"}).status == 403, verb
        assert owner.post(f"{place}/{verb}", {"csrf": "wrong", "sure": "yes"}).status == 403, verb
    assert technician.post("/sms/send", {"to": "0712345678", "message": "x"}).status == 403
    assert technician.get(f"/sms{place.removeprefix('/admin/sms')}/status").status == 200


def test_there_are_campaigns_that_are_not(owner: Browser) -> None:
    for number in ("9", "9223372036854775808", "99999999999999999999"):
        assert owner.get(f"/admin/sms/campaigns/{number}").status == 404
        assert owner.get(f"/sms/campaigns/{number}/status").status == 404
        assert owner.post(f"/admin/sms/campaigns/{number}/send", {"when": "now"}).status == 404


# Lists.


def test_a_list_is_uploaded_and_every_fault_told_with_its_line(owner: Browser, drive: Callable[..., int]) -> None:
    page = upload(owner, LIST + b"0712345678,<b>Asha</b>\n")
    assert page.status == 200
    assert "Numbers taken over: 2." in page.words
    assert "Line 4: This is a name, not a phone number" in page.words
    assert "Line 5: The same number as in line 2." in page.words
    row = SmsList.get()
    assert (row.name, row.columns, row.consent) == ("regulars", ["name"], "")
    form = owner.get("/admin/sms/campaigns/new", f"list={row.id}")
    assert "{{name}}" in form.words
    wish = {"name": "Sale", "kind": "marketing", "text": "Hi {{name}}", "whom": "list", "list": str(row.id)}
    assert "how the people of this list agreed" in owner.post("/admin/sms/campaigns/new", wish).words
    assert owner.post(f"/admin/sms/lists/{row.id}/agreed", {"consent": "signed at the counter"}).status == 303
    answer = owner.post("/admin/sms/campaigns/new", wish)
    drive()
    assert "Hi Asha" in shown(owner, answer.header("Location"))
    assert owner.post(f"/admin/sms/lists/{row.id}/delete").status == 303
    assert "A list that was deleted" in shown(owner, answer.header("Location"))


@pytest.mark.parametrize(
    ("raw", "status", "said"),
    [(b"PK\x03\x04x", 400, "spreadsheet itself"), (b"", 400, "empty"), (b"x" * (4 * 2**20 + 1), 413, "4 MB")],
)
def test_another_file_than_a_list_is_refused(owner: Browser, raw: bytes, status: int, said: str) -> None:
    page = upload(owner, raw)
    assert page.status == status
    assert said in page.words
    assert sms_lists.everything() == []


# Programs.


def ask(caller: Browser, document: Any, **headers: str) -> Answer:
    body = json.dumps(document).encode()
    return caller.call("POST", "/sms/send", body=body, kind=JSON, headers={"X_CSRF_TOKEN": caller.csrf, **headers})


def test_a_program_has_texts_sent_and_asks_how_far_they_are(app: Any, drive: Callable[..., int]) -> None:
    token = people.make_token(people.named("Njeri"), "till", datetime.now(UTC))
    program, bearer = Browser(app), {"AUTHORIZATION": f"Bearer {token}"}
    answer = ask(program, {"to": ["0712345678", "+254 722 000111"], "message": "We close at six."}, **bearer)
    assert answer.status == 202
    told = answer.json
    assert {**told, "campaign_id": 0} == {
        "campaign_id": 0, "status": "pending", "recipients": 2, "segments": 2, "credits": 2, "left_out": {},
        "status_url": f"/sms/campaigns/{told['campaign_id']}/status",
    }  # fmt: skip
    drive()
    status = program.get(told["status_url"], **bearer).json
    assert (status["status"], status["total"], status["sent"], status["percent"]) == ("completed", 2, 2, 100)
    assert status["credits"] == {"reserved": 0, "spent": 2}
    for name in ("id", "name", "delivered", "failed", "unconfirmed", "suppressed", "pending", "words"):
        assert name in status
    assert status["started_at"].endswith("Z")
    assert program.get(told["status_url"]).status == 401


def test_a_form_and_a_template_do_as_well(owner: Browser) -> None:
    answer = owner.post("/sms/send", {"to": "0712345678, 0722000111", "message": "Closed", "name": "Today"})
    assert (answer.status, answer.json["recipients"]) == (202, 2)
    document = {"to": "0712345678", "template": "ORDER_READY", "variables": {"order": 1042, "kiosk": "Mama Njeri"}}
    assert ask(owner, document).status == 202
    assert "1042" in Campaign.select().order_by(Campaign.id.desc()).get().text


@pytest.mark.parametrize(
    ("document", "field"),
    [
        ({"message": "x"}, "to"), ({"to": [], "message": "x"}, "to"), ({"to": ["020 2222222"], "message": "x"}, "to"),
        ({"to": ["Safaricom"], "message": "x"}, "to"), ({"to": {"a": 1}, "message": "x"}, "to"),
        ({"to": ["0712345678"]}, "message"), ({"to": ["0712345678"], "message": " "}, "message"),
        ({"to": ["0712345678"], "message": "x" * 1_502}, "message"), ({"to": ["0712345678"], "message": 7}, "message"),
        ({"to": ["0712345678"], "message": "Hi {{name}}"}, "message"),
        ({"to": ["0712345678"], "message": "x", "template": "ORDER_READY"}, "message"),
        ({"to": ["0712345678"], "template": "NO_SUCH"}, "template"),
        ({"to": ["0712345678"], "template": "ORDER_READY", "variables": {}}, "variables"),
        ({"to": ["0712345678"], "template": "ORDER_READY", "variables": [1]}, "variables"),
        ({"to": ["0712345678"], "message": "x", "kind": "spam"}, "kind"),
        ({"to": ["0712345678"] * 5_001, "message": "x"}, "to"), ([], None), ("x", None),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_request_is_named(owner: Browser, document: Any, field: str | None) -> None:
    answer = ask(owner, document)
    assert answer.status == 400
    assert answer.header("Content-Type") == "application/problem+json"
    assert answer.json.get("field") == field
    assert Campaign.select().count() == 0


@pytest.mark.parametrize("body", [b"", b"{", b"\xff\xfe", b"[" * 100_000, b" " * (512 * 1024 + 1)])
def test_no_body_breaks_it(owner: Browser, body: bytes) -> None:
    answer = owner.call("POST", "/sms/send", body=body, kind=JSON, headers={"X_CSRF_TOKEN": owner.csrf})
    assert answer.status == 400


def test_too_few_credits_are_a_problem_with_figures(owner: Browser) -> None:
    answer = ask(owner, {"to": numbers(1_001).split(), "message": "x"})
    assert answer.status == 402
    assert (answer.json["needed"], answer.json["available"]) == (1_001, 1_000)
    assert Campaign.select().count() == Message.select().count() == 0
    assert credits.balance().available == 1_000


def test_the_same_key_is_the_same_campaign_and_never_another(owner: Browser, drive: Callable[..., int]) -> None:
    document = {"to": ["0712345678", "0722000111"], "message": "We close at six."}
    first = ask(owner, document, IDEMPOTENCY_KEY="k-1")
    drive()
    again = ask(owner, {**document, "to": ["+254722000111", "0712 345 678"]}, IDEMPOTENCY_KEY="k-1")
    assert (first.status, again.status) == (202, 200)
    assert again.json == {**first.json, "status": "completed"}
    other = ask(owner, {**document, "message": "We close at seven."}, IDEMPOTENCY_KEY="k-1")
    assert (other.status, other.json["field"]) == (422, "Idempotency-Key")
    assert ask(owner, document, IDEMPOTENCY_KEY="k-2").json["campaign_id"] != first.json["campaign_id"]
    assert ask(owner, document, IDEMPOTENCY_KEY="k" * 201).status == 400
    assert credits.balance().available == 1_000 - 4


def test_one_key_at_the_same_moment_is_one_campaign(settings: Any) -> None:
    wish = send_requests.Wish(["0712345678"], "x", "x", key="k")
    njeri = people.named("Njeri")

    def take(_: int) -> int:
        try:
            return send_requests.take(wish, njeri, datetime.now(UTC))[0].id
        finally:
            database.close_database()

    with ThreadPoolExecutor(8) as threads:
        assert len(set(threads.map(take, range(8)))) == 1
    assert credits.balance().available == 999


def test_a_thousand_recipients_are_taken_within_a_second(owner: Browser) -> None:
    document = {"to": numbers(1_000).split(), "message": "We close at six."}
    began = time.monotonic()
    assert ask(owner, document).status == 202
    assert time.monotonic() - began < 5  # 0.2 s on an idle machine; the requirement is a second
    assert Message.select().count() == 1_000


def test_texts_to_a_hundred_numbers_are_not_on_the_card_in_plain_letters(owner: Browser, settings: Any) -> None:
    assert ask(owner, {"to": ["0712345678"], "message": "We close at six."}).status == 202
    for name in ("edge.db", "edge.db-wal"):
        path = settings.state / name
        assert not path.exists() or b"712345678" not in path.read_bytes()


# The command.


def test_a_campaign_by_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("EDGE_STATE", "EDGE_CONFIG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("EDGE_SMS__QUIET_HOURS", "")  # this test may run at night

    def run(*words: str, status: int = 0, stdin: str = "") -> str:
        done = CliRunner().invoke(edge, [*words, "--state", str(tmp_path / "box")], input=stdin)
        assert done.exit_code == status, done.output
        return done.stdout or done.stderr

    run("init", "--owner", "njeri", "--password-stdin", stdin="a password of Njeri's own\n")
    file = tmp_path / "regulars.csv"
    file.write_bytes(LIST)
    wish = ("campaign", "create", "Sale", "Hi {{name}}", "--csv", str(file))
    assert "--agreed" in run(*wish, status=1)
    said = run(*wish, "--agreed", "at the counter")
    assert "Line 4: This is a name" in said
    assert "Nobody works on the queue of texts" in said
    assert "not counted yet" in run("campaign", "submit", "1", "--yes", status=1)
    run("sms", "work")
    assert "2 more are needed" in run("campaign", "submit", "1", "--yes", status=1)
    run("credits", "top-up", "10")
    run("campaign", "submit", "1", status=2)  # nobody can be asked, and nobody said --yes
    said = run("campaign", "submit", "1", "--yes")
    assert "2 recipients, 2 segments: 2 credits of 10 that are there." in said
    assert "to 0712•••678, 1 segment: Hi Asha" in said
    run("campaign", "pause", "1")
    run("campaign", "resume", "1")
    run("sms", "work")
    told = json.loads(run("campaign", "status", "1", "--json"))
    assert (told["status"], told["sent"], told["credits"]["spent"]) == ("completed", 2, 2)
    told = json.loads(run("campaign", "show", "1", "--json"))
    assert [row["state"] for row in told["recipients"]] == ["sent", "sent"]
    assert "712345678" not in json.dumps(told["recipients"])
    assert "Sale" in run("campaign", "list")
    assert "failed in a way" in run("campaign", "retry", "1", "--yes", status=1)
    said = run("campaign", "create", "News", "Closed", "--kind", "service", "--plan", "1", "--spent", "10")
    assert "Campaign 2 is drafted." in said
    assert "Guests: with plan 1 hour, who spent KSh 10 or more" in run("campaign", "show", "2")
    assert "there is no campaign 9" in run("campaign", "status", "9", status=1)
    assert "one of them" in run("campaign", "create", "x", "y", "--plan", "1", "--to", "0712345678", status=2)
    assert "no plan named" in run("campaign", "create", "x", "y", "--plan", "Forever", status=1)


# In a browser.


@needs_chromium
def test_chromium_follows_a_campaign_without_reloading_and_loads_once_at_its_end(
    browser: Any, address: str, settings: Any, drive: Callable[..., int]
) -> None:
    njeri = people.named("Njeri")
    campaign = send_requests.take(
        send_requests.Wish([f"07{place:08d}" for place in range(100)], "We close at six, " * 3, "Closed " * 11),
        njeri, datetime.now(UTC),
    )[0]  # fmt: skip
    sign_in(browser, address)
    browser.get(f"{address}/admin/sms/campaigns/{campaign.id}")
    for width in (360, 1280):
        set_width(browser, width)
        assert browser.execute_script("return document.documentElement.scrollWidth <= window.innerWidth"), width
    browser.execute_script("window.stayed = true")
    drive(most=41)
    patiently(browser, lambda page: int(figure(page, "sent")) >= 30)
    assert browser.execute_script("return document.querySelector('progress').value") >= 30
    campaigns.pause(campaign.id, njeri, datetime.now(UTC))
    patiently(browser, lambda page: page.find_element(By.CSS_SELECTOR, "form[action$=resume]").is_displayed())
    assert not browser.find_element(By.CSS_SELECTOR, "form[action$=pause]").is_displayed()
    assert browser.execute_script("return window.stayed") is True  # all that without a reload
    show_tab(browser, False)
    looks = browser.execute_script(LOOKS)
    time.sleep(3.5)  # longer than it waits between two looks
    assert browser.execute_script(LOOKS) == looks  # nobody sees it: nobody asks
    show_tab(browser, True)
    patiently(browser, lambda page: page.execute_script(LOOKS) > looks)
    press(browser, By.CSS_SELECTOR, "form[action$=resume] button")
    says(browser, "It goes on.")
    browser.execute_script("window.stayed = true")
    drive()
    says(browser, "100 % of those tried")
    assert browser.execute_script("return window.stayed") is None
    browser.execute_script("window.stayed = true")
    time.sleep(3.5)
    assert browser.execute_script(LOOKS) == 0  # it has ended: nobody asks any more
    assert browser.execute_script("return window.stayed") is True  # nor does it load again
    assert [line for line in browser.get_log("browser") if line["level"] == "SEVERE"] == []


@needs_chromium
def test_chromium_counts_letters_while_they_are_typed(browser: Any, address: str, settings: Any) -> None:
    sign_in(browser, address)
    for width in (360, 1280):
        set_width(browser, width)
        browser.get(f"{address}/admin/sms/campaigns/new")
        assert browser.execute_script("return document.documentElement.scrollWidth <= window.innerWidth"), width
    browser.find_element(By.NAME, "text").send_keys("Karibu {{plan}}")
    says(browser, "Filled in for somebody: 13 letters, 1 segment")
    assert "13 letters" in browser.find_element(By.ID, "counted").text


LOOKS = "return performance.getEntriesByType('resource').filter((one) => one.name.endsWith('/status')).length"


def show_tab(browser: Any, is_seen: bool) -> None:
    browser.execute_script(
        "const isHidden = arguments[0];"
        "Object.defineProperty(document, 'hidden', {configurable: true, get: () => isHidden});"
        "document.dispatchEvent(new Event('visibilitychange'))", not is_seen,
    )  # fmt: skip


def figure(page: Any, name: str) -> str:
    return page.find_element(By.CSS_SELECTOR, f"[data-figure={name}]").text.replace(",", "")

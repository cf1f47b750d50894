"""`edge sms`, `edge credits`, `edge modem`, and what `edge doctor` says of texts."""

import json
import threading
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import pytest
from click.testing import CliRunner

from edge import boot, settings
from edge.__main__ import edge
from edge.domain import checks, credits, messages, queues
from edge.models import Heartbeat, Job, JobMinute, Message
from edge.simulators.modem import ModemSimulator
from edge.sms_models import Airtime, Campaign, CreditAccount, ModemSample
from edge.worker import work_once

ASHA = "0712345678"


def now():
    return datetime.now(UTC)


@pytest.fixture
def command(tmp_path, monkeypatch):
    """Runs `edge` on a box of its own that rehearses: M-Pesa is simulated; (exit code, output, errors)."""
    for name in ("EDGE_STATE", "EDGE_CONFIG"):
        monkeypatch.delenv(name, raising=False)

    def run(*words, stdin=""):
        found = CliRunner().invoke(edge, [*words, "--state", str(tmp_path / "box")], input=stdin)
        if found.exception is not None and not isinstance(found.exception, SystemExit):
            raise found.exception
        return found.exit_code, found.stdout, found.stderr

    code, _, words = run("init", "--owner", "njeri", "--password-stdin", stdin="a password of Njeri's\n")
    assert code == 0, words
    return run


@pytest.fixture
def box(command, tmp_path):
    """Opens the same box, to look into it and to change it."""

    @contextmanager
    def opened():
        told = settings.load(tmp_path / "box")
        with boot.opened(told):
            yield told

    return opened


def write_settings(tmp_path, text):
    path = tmp_path / "box" / "edge.toml"
    path.write_text(text)
    path.chmod(0o600)


@pytest.fixture
def inline(command, tmp_path):
    """The command does the work itself."""
    write_settings(tmp_path, '[queue]\nmode = "inline"\n')
    return command


def document(answer, code=0):
    assert answer[0] == code, answer
    return json.loads(answer[1])


def findings(command):
    return {found["part"]: found for found in json.loads(command("doctor", "--json")[1])["findings"]}


def beat(queue="sms", count=3):
    Heartbeat.create(holder="w", queues={queue: count}, started_at=now(), seen_at=now())


# edge sms


def test_a_text_says_what_it_takes_and_what_became_of_it(inline):
    inline("credits", "top-up", "10")
    code, out, _ = inline("sms", "send", ASHA, "x" * 161, "--yes")
    assert code == 0 and "161 letters, 2 segments: 2 credits. 10 are there." in out
    assert "text 1 to 0712•••678: sent, simulated: nothing left the box" in out
    told = document(inline("sms", "show", "1", "--json"))
    assert (told["state"], told["segments"], told["credits"], told["simulated"]) == ("sent", 2, 2, True)
    assert document(inline("credits", "balance", "--json")) == {
        "available": 8, "reserved": 0, "spent": 2, "issued": 10
    }  # fmt: skip


def test_nobody_who_can_be_asked_means_that_yes_is_needed(inline):
    inline("credits", "top-up", "10")
    code, _, err = inline("sms", "send", ASHA, "Hi")
    assert code == 2 and "say --yes" in err
    assert document(inline("sms", "list", "--json")) == {"texts": []}


def test_too_few_credits_refuse_a_text_with_the_figures(inline):
    code, _, err = inline("sms", "send", ASHA, "Hi", "--yes")
    assert code == 1 and "needs 1 credits, and 0 are there" in err
    assert document(inline("sms", "list", "--json")) == {"texts": []}


@pytest.mark.parametrize(
    ("number", "words", "says"),
    [("12", "Hi", "number"), (ASHA, " ", "Write something"), (ASHA, "x" * 2_001, "2001 letters")],
)
def test_what_cannot_be_sent_is_refused_before_it_is_queued(inline, number, words, says):
    inline("credits", "top-up", "100")
    code, _, err = inline("sms", "send", number, words, "--yes")
    assert code == 1 and says in err


def test_without_workers_the_text_waits_and_work_sends_it(command):
    command("credits", "top-up", "10")
    code, out, _ = command("sms", "send", ASHA, "Hi", "--yes")
    assert code == 0 and "waiting. Nobody works on the queue of texts: `edge sms work` sends it." in out
    assert document(command("sms", "work", "--json"))["done"] >= 1
    assert document(command("sms", "show", "1", "--json"))["state"] == "sent"
    assert document(command("sms", "work", "--json")) == {"done": 0}


def test_the_outcome_is_waited_for_while_somebody_works(command, box):
    command("credits", "top-up", "10")
    with box():
        beat()

    def work():
        until = now() + timedelta(seconds=60)
        with box() as told:
            while now() < until and not work_once(told, ("sms",)):
                threading.Event().wait(0.1)

    worker = threading.Thread(target=work)
    worker.start()
    code, out, _ = command("sms", "send", ASHA, "Hi", "--yes", "--wait", "60")
    worker.join()
    assert code == 0 and "sent, simulated" in out


def test_texts_are_listed_by_state_kind_and_number(command, box):
    with box():
        messages.promise("254712345678", "one", now(), kind="notice")
        messages.mark_failed(messages.promise("254722000111", "two", now(), kind="hand").id, "no route", now())
    assert [text["id"] for text in document(command("sms", "list", "--json"))["texts"]] == [2, 1]
    assert [text["id"] for text in document(command("sms", "list", "--only", "failed", "--json"))["texts"]] == [2]
    assert [text["id"] for text in document(command("sms", "list", "--to", ASHA, "--json"))["texts"]] == [1]
    code, out, _ = command("sms", "list", "--kind", "hand")
    assert code == 0 and "0722•••111" in out and "no route" in out and "254722000111" not in out
    code, out, _ = command("sms", "show", "2")
    assert code == 0 and "Failed: no route" in out and "Written, to be sent." in out
    assert command("sms", "show", "99")[0] == 1


def test_a_template_is_filled_in_and_what_is_missing_is_an_error_before_anything_is_written(inline):
    inline("credits", "top-up", "10")
    code, _, err = inline("sms", "template", ASHA, "ORDER_READY", "order=1042", "--yes")
    assert code == 1 and "kiosk" in err and document(inline("sms", "list", "--json")) == {"texts": []}
    assert inline("sms", "template", ASHA, "ORDER_READY", "no-equals-sign", "--yes")[0] == 2
    assert inline("sms", "template", ASHA, "NO_SUCH", "--yes")[0] == 1
    assert inline("sms", "template", ASHA, "ORDER_READY", "order=1042", "kiosk=Mama Njeri", "--yes")[0] == 0
    assert "order 1042 is ready" in document(inline("sms", "show", "1", "--json"))["text"]


# edge credits


def test_credits_are_topped_up_corrected_and_told_line_by_line(command):
    assert document(command("credits", "top-up", "100", "--words", "cash", "--json"))["available"] == 100
    assert document(command("credits", "correct", "-30", "--words", "typed wrong", "--json"))["change"] == -30
    code, out, _ = command("credits", "balance")
    assert code == 0 and "available" in out and "70" in out
    told = document(command("credits", "statement", "--json"))["entries"]
    assert [(entry["why"], entry["change"], entry["available"]) for entry in told] == [
        ("correction", -30, 70), ("top-up", 100, 100)
    ]  # fmt: skip
    code, out, _ = command("credits", "statement")
    assert code == 0 and "typed wrong" in out and "-30" in out
    assert command("credits", "correct", "-300", "--words", "x")[0] == 1
    assert command("credits", "top-up", "0")[0] == command("credits", "correct", "5")[0] == 2


def test_sums_that_differ_are_found(command, box):
    command("credits", "top-up", "100")
    code, out, _ = command("credits", "verify")
    assert code == 0 and "Every account is the sum of its lines" in out
    with box():
        CreditAccount.update(balance=101).where(CreditAccount.name == "available").execute()
    assert document(command("credits", "verify", "--json"), 1)["faults"]
    assert findings(command)["credits"]["state"] == "problem"


# edge doctor


def test_the_doctor_says_that_texts_are_only_simulated_or_that_there_is_no_way(command, tmp_path):
    assert "simulated" in findings(command)["texts"]["words"]
    write_settings(tmp_path, '[mpesa]\nmode = "sandbox"\nconsumer_key = "k"\nconsumer_secret = "s"\n'
                             'shortcode = "174379"\npasskey = "p"\n')  # fmt: skip
    assert "no route is set up" in findings(command)["texts"]["words"]


def test_the_doctor_says_when_nobody_works_on_texts(command, box):
    assert "no worker serves the queue sms" in findings(command)["text workers"]["words"]
    with box():
        beat("payments")
    found = findings(command)["text workers"]
    assert (found["state"], "no worker serves the queue sms" in found["words"]) == ("problem", True)


def test_the_doctor_says_when_workers_are_too_few(command, box):
    with box():
        beat(count=1)
        for number in range(300):
            messages.promise("254712345678", f"{number}", now())
        Job.update(run_at=now() - timedelta(minutes=5)).execute()
        JobMinute.create(minute=int(now().timestamp() // 60), queue="sms", name="sms.send", done=2)
    words = findings(command)["text workers"]["words"]
    assert "too few workers for the backlog: 300 texts wait for 1, which send 2 a minute: about 150 min" in words
    with box():
        queues.pause("sms", "", now())
    assert "the queue sms is paused, and 300 texts wait" in findings(command)["text workers"]["words"]


def test_the_doctor_names_failed_and_unconfirmed_texts(command, box):
    with box():
        failed, lost = (messages.promise("254712345678", words, now()) for words in ("a", "b"))
        messages.mark_unconfirmed(lost.id, "no answer", now())
        Job.get(Job.name == "sms.send").put(state="failed", finished_at=now(), errors=[])
    found = findings(command)
    assert "1 job of the queue sms failed lately" in found["failed texts"]["words"]
    assert "of 1 text nobody knows" in found["unconfirmed texts"]["words"] and failed.state == "queued"


def test_the_doctor_finds_a_campaign_whose_credits_were_not_taken(command, box):
    with box():
        row = Campaign.create(name="Jamhuri", text="Hi", state="processing", created_at=now())
        for number in range(3):
            Message.create(msisdn=f"25471234567{number}", kind="campaign", state="listed", campaign_id=row.id,
                           segments=2, cost=2, created_at=now())  # fmt: skip
    found = findings(command)["campaign credits"]
    assert found["state"] == "problem" and "needs 6 and has 0 set aside" in found["words"]
    with box():
        credits.top_up(10, "", None, now())
        credits.reserve(6, credits.Cause("reserve:x", "reserve", "", None, row.id), now())
    assert "campaign credits" not in findings(command)


def test_the_doctor_says_when_credits_or_airtime_run_low(command, box, tmp_path):
    assert "credits" not in findings(command)
    command("credits", "top-up", "5")
    assert findings(command)["credits"]["words"] == "5 are left, fewer than 100"
    write_settings(tmp_path, '[modem]\nport = "/dev/nothing"\nbalance_code = "*144#"\n')
    assert "not asked for it yet" in findings(command)["airtime"]["words"]
    with box():
        Airtime.create(at=now(), code="*144#", balance_cents=1_250, words="Bal 12.50")
    found = findings(command)
    assert found["airtime"]["words"] == "KSh 12.50 left, less than KSh 50" and found["modem"]["state"] == "problem"


# edge modem


@pytest.fixture
def stick(command, tmp_path):
    with ModemSimulator(tmp_path / "modem") as simulator:
        write_settings(tmp_path, f'[modem]\nport = "{simulator.port}"\nbalance_code = "*144#"\n')
        yield simulator


def test_the_modem_is_asked_at_once_when_no_worker_has_it(stick, command):
    told = document(command("modem", "status", "--json"))
    assert told["state"] == "ok" and told["device"]["imei"] and told["waiting"] == 0 and told["airtime"] is None
    code, out, _ = command("modem", "status")
    assert code == 0 and "texts waiting: 0" in out


def test_the_status_tells_the_signal_and_the_airtime_that_workers_wrote_down(stick, command, box):
    with box():
        checks.record("modem", "ok", "Safaricom, signal -71 dBm", now())
        ModemSample.create(at=now(), signal_dbm=-71, registered=True, operator="Safaricom")
        Airtime.create(at=now(), code="*144#", balance_cents=4_250, words="Bal 42.50")
    told = document(command("modem", "status", "--json"))
    assert (told["signal_dbm"], told["operator"], told["airtime"]["balance_cents"]) == (-71, "Safaricom", 4_250)
    code, out, _ = command("modem", "status")
    assert code == 0 and out.count("-71 dBm") == 1 and "airtime KSh 42.50" in out


def test_a_ussd_code_is_dialled_by_the_command_itself_when_nobody_works(stick, command):
    stick.ussd_answers["*144#"] = "Airtime Bal: 42.50 KES"
    told = document(command("modem", "ussd", "*144#", "--json"))
    assert told["ok"] and told["text"] == "Airtime Bal: 42.50 KES" and told["by"] == "this command"
    code, out, _ = command("modem", "ussd", "*144#")
    assert (code, out) == (0, "Airtime Bal: 42.50 KES\n")
    assert command("modem", "ussd", "hello")[0] == 1


def test_a_ussd_code_is_dialled_by_the_worker_that_has_the_modem(stick, command, box):
    stick.ussd_answers["*131#"] = "You have 3 offers"
    with box():
        beat()
    stop = threading.Event()

    def work():
        with box() as told:
            while not stop.is_set() and not work_once(told, ("sms",)):
                stop.wait(0.1)

    worker = threading.Thread(target=work)
    worker.start()
    try:
        told = document(command("modem", "ussd", "*131#", "--json"))
    finally:
        stop.set()
        worker.join()
    assert (told["text"], told["by"]) == ("You have 3 offers", "workers")
    assert command("modem", "ussd", "*132#", "--wait", "1")[0] == 1  # nobody works any more

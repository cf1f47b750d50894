"""The board through the real application: how the work does, queues, every job's story, and what people ask of it."""

import re
import socket
from datetime import UTC, datetime, timedelta

import pytest

from edge import desk, jobs
from edge.domain import board, breakers, checks, messages, queues
from edge.models import Batch, Event, Grant, Heartbeat, Inbox, Job, JobMinute, Message, Pause, Payment, Router
from edge.pages import board_words, chart
from tests.shop import ASHA, JUMA, NOW, fail, pay, prompt, worker_is_alive
from tests.web_client import Browser, signed_in

POISON = "<script>alert(1)</script>"
MINUTE = int(NOW.timestamp() // 60)


def promise(name="router.check", queue="router-checks", at=NOW, **more):
    return Job.get_by_id(jobs.promise(name, queue, at, **more))


def failed(name="router.check", queue="router-checks", words="connection refused", at=NOW, **more):
    job = promise(name, queue, at, **more)
    fail(job, words, at)
    return job


def put(job, **columns):
    Job.update(**columns).where(Job.id == job.id).execute()
    return Job.get_by_id(job.id)


def minute(ago=0, queue="sms", name="sms.send", **more):
    JobMinute.create(minute=MINUTE - ago, queue=queue, name=name, **more)


def events(name):
    return [event.data for event in Event.select().where(Event.name == name).order_by(Event.id)]


def jobs_on(page):
    return [int(number) for number in re.findall(r'<p><a href="/admin/jobs/(\d+)">', page.text)]


# How it does


def test_a_quiet_box_says_that_all_is_well(njeri):
    worker_is_alive()
    page = njeri.get("/admin/queues")
    assert page.status == 200 and "All is well" in page.words and "needs you" not in page.words
    assert all(f'href="/admin/queues/{name}"' in page.text for name in jobs.QUEUES)


def test_the_board_counts_each_queue_by_state(njeri):
    worker_is_alive()
    promise("sms.send", "sms")
    promise("sms.send", "sms", run_at=NOW + timedelta(hours=1))
    failed("sms.send", "sms")
    words = njeri.get("/admin/queues").words
    assert re.search(r"sms 1 0 1 1 0 2 ", words), words  # waiting, running, scheduled, failed, done, workers
    assert "Waiting 1 Running 0 Scheduled 1 Failed 1 Done 0" in words


def test_the_live_part_stands_alone_and_on_the_page_alike(njeri):
    worker_is_alive()
    failed()
    fragment = njeri.get("/admin/queues/live", "span=day").text
    assert fragment.startswith('<div id="live"') and "<html" not in fragment
    assert 'data-poll="/admin/queues/live?span=day"' in fragment
    assert "<noscript>" in fragment and "Look again" in fragment
    timeless = re.compile(r"just now|\d+ s ago|[\d.]+ m?s\b")
    assert timeless.sub("", fragment) in timeless.sub("", njeri.get("/admin/queues", "span=day").text)


def test_a_week_is_drawn_anew_less_often_than_an_hour(njeri):
    pages = [njeri.get("/admin/queues", f"span={span}").text for span in board.SPANS]
    assert [re.search(r'data-every="(\d+)"', page)[1] for page in pages] == ["2", "10", "60"]


@pytest.mark.parametrize(
    ("failures", "done", "reason"),
    [
        (2, 0, ""), (4, 4, ""), (5, 4, "Most work of the queue sms fails: 5 of 9"),
        (11, 5000, "Failures pile up: 11 jobs"),
    ],
)
def test_failures_are_an_alarm_when_they_are_many_or_most(settings, failures, done, reason):
    worker_is_alive()
    for _ in range(failures):
        failed("sms.send", "sms")
    if done:
        minute(5, done=done)
    status = queues.status(NOW)
    assert status["healthy"] is not bool(reason)
    assert reason in " ".join(status["reasons"])


def test_texts_of_which_nobody_knows_are_no_alarm_for_there_is_nothing_to_mend(settings):
    worker_is_alive()
    for _ in range(30):
        failed("sms.send", "sms", "unconfirmed: +CMS ERROR: 500")
    assert queues.status(NOW)["healthy"]


def test_failures_of_long_ago_and_failures_that_were_cleared_are_no_alarm(settings):
    worker_is_alive()
    for _ in range(20):
        failed("sms.send", "sms", at=NOW - timedelta(minutes=61))
    assert queues.status(NOW)["healthy"]
    for _ in range(20):
        failed("sms.send", "sms")
    assert not queues.status(NOW)["healthy"]
    queues.clear("sms", NOW)
    assert queues.status(NOW)["healthy"]


def test_failures_keep_nobody_from_being_sent_here_and_idle_queues_do(njeri):
    worker_is_alive()
    for _ in range(11):
        failed("sms.send", "sms")
    assert njeri.get("/api/admin/queue-status").json["healthy"] is False
    assert njeri.get("/ready").status == 200
    promise("payment.prompt", "payments", NOW - timedelta(minutes=2))
    assert njeri.get("/ready").status == 503


def test_what_the_box_gets_over_by_itself_is_noted_and_no_alarm(njeri):
    gate = Router.create(name="gate", host="10.5.50.1")
    worker_is_alive()
    Heartbeat.update(stuck=2, pid=4711, host="shop").execute()
    promise("mail.send", "emails", NOW - timedelta(hours=2))
    desk.pause("emails", "the provider moves", NOW)
    for _ in range(breakers.FAILURES):
        breakers.note_failure(f"router:{gate.id}", "no answer from 10.5.50.1", datetime.now(UTC))
    status = njeri.get("/api/admin/queue-status").json
    assert status["healthy"] is True and status["reasons"] == [] and status["paused"] == ["emails"]
    assert [(row["name"], row["state"]) for row in status["breakers"]] == [("router:gate", "open")]
    assert 0 < status["breakers"][0]["retry_in_s"] <= breakers.PAUSES_S[0]
    page = njeri.get("/admin/queues")
    for words in (
        "The queue emails is paused, and 1 job wait", "2 of the threads of worker 4711 on shop", "emails Paused",
        "Router gate is left alone after 5 failures in a row", "Router gate not called no answer from 10.5.50.1",
    ):  # fmt: skip
        assert words in page.words, words


def test_the_board_shows_who_works_on_what_and_what_nobody_holds(njeri):
    now = datetime.now(UTC)
    Heartbeat.create(
        holder="w", queues={"sms": 3}, started_at=NOW, seen_at=now, host="shop", pid=4711, restart_asked_at=now
    )
    text = put(promise("sms.send", "sms"), state="running", holder="w", started_at=now, attempt=1, progress=40)
    lost = put(promise("box.tidy", "log-rotation"), state="running", holder="gone", started_at=now, attempt=1)
    page = njeri.get("/admin/queues")
    assert "Process 4711 on shop" in page.words and "begins anew as soon as" in page.words
    assert re.search(r"Send a text sms · [\d.]+ m?s · 40 %", page.words)
    assert page.words.index("Send a text sms") < page.words.index("Held by a process that is gone")
    assert f"/admin/jobs/{text.id}" in page.text and f"/admin/jobs/{lost.id}" in page.text
    assert socket.gethostname() not in page.words


# History


def test_history_is_summed_by_steps_of_the_clock_on_the_wall(settings):
    now = datetime(2026, 3, 2, 9, 44, 30, tzinfo=UTC)  # 12:44 in Nairobi
    m = int(now.timestamp() // 60)
    for ago, done in ((0, 1), (14, 2), (15, 4), (60, 8), (1_439, 16), (1_440, 32)):
        JobMinute.create(minute=m - ago, queue="sms", name="sms.send", done=done, wait_s=done * 2.0, wait_max_s=3.0)
    JobMinute.create(minute=m, queue="emails", name="mail.send", failed=1, retried=2, run_s=6.0, run_max_s=5.0)
    hour = board.history(now, "hour")
    assert len(hour) == 60 and hour[-1].start == now.replace(second=0)
    assert (hour[-1].done, hour[-1].failed, hour[-1].retried) == (1, 1, 2)
    assert (hour[-1].run_mean_s, hour[-1].run_max_s) == (1.5, 5.0)
    assert sum(slice.done for slice in hour) == 7 and hour[-15].wait_mean_s == 2.0 and hour[-15].wait_max_s == 3.0
    day = board.history(now, "day", shift_min=180)
    assert len(day) == 96 and day[-1].start == now.replace(minute=30, second=0) and sum(s.done for s in day) == 31
    assert (day[-1].done, day[-2].done) == (3, 4)
    week = board.history(now, "week", "sms", shift_min=180)
    assert len(week) == 84 and week[-1].start.hour == 9 and sum(s.done for s in week) == 63  # noon in Nairobi
    assert sum(slice.failed for slice in week) == 0


def test_a_chart_is_drawn_in_shapes_and_told_in_words_and_figures(njeri):
    minute(5, done=30, failed=2, retried=1, wait_s=3.3, wait_max_s=1.25, run_s=66)
    page = njeri.get("/admin/queues")
    assert page.text.count('<rect class="done"') == page.text.count('<rect class="failed"') == 1
    assert page.text.count('<rect class="longest"') == page.text.count('<rect class="mean"') == 1
    assert "Last hour: 30 done, 1 tries put back, 2 failed." in page.words
    assert "Last hour: 100 ms on average, 1.2 s at most." in page.words
    at = (NOW - timedelta(minutes=5)).astimezone().strftime(":%M")
    assert re.search(rf"{at} 30 1 2 100 ms 1\.2 s 2 s 0 ms", page.words)
    assert "style=" not in page.text  # the policy of the page forbids it


@pytest.mark.parametrize(
    ("most", "top"), [(0, 1), (0.03, 0.05), (1, 1), (1.1, 2), (3, 5), (6, 10), (10, 10), (11, 20), (4999, 5000)]
)
def test_a_scale_ends_at_a_round_number(most, top):
    assert chart.scale_top(most) == pytest.approx(top)


def test_a_chart_of_nothing_and_of_huge_figures_stays_within_its_frame():
    empty = [board.Slice(NOW) for _ in range(60)]
    assert chart.outcomes(empty).bars == [] and chart.waits(empty).bars == []
    busy = [*empty, board.Slice(NOW, done=10**6, failed=1, retried=1, wait_max_s=10**6, wait_mean_s=1)]
    for drawn in (chart.outcomes(busy), chart.waits(busy)):
        assert all(0 <= bar.y <= drawn.height and bar.height > 0 for bar in drawn.bars)
        assert all(0 <= bar.x < drawn.width for bar in drawn.bars)


# Lists


@pytest.mark.parametrize("state", board.STATES)
@pytest.mark.parametrize("queue", ["sms", None])
def test_a_long_list_is_paged_without_a_gap_or_a_double(settings, state, queue):
    for number in range(45):
        at = NOW + timedelta(seconds=number // 4)  # many of one instant
        job = promise("sms.send", "sms" if number % 3 else "emails", at, priority=(number % 3 - 1) * 10)
        put(job, state=state, started_at=at, finished_at=at, run_at=at)
    walked, after = [], ""
    while True:
        page = board.listed(state, queue, after, limit=7)
        walked += page.jobs
        if not page.further:
            break
        assert len(page.jobs) == 7
        after = page.further
    whole = board.listed(state, queue, limit=100).jobs
    assert [job.id for job in walked] == [job.id for job in whole]
    assert len(whole) == (30 if queue else 45)
    if state == "waiting" and queue:
        taken = [number for number, _ in jobs.upcoming("sms", 100)]
        assert [job.id for job in whole] == taken
    if state == "done":
        assert [job.finished_at for job in whole] == sorted((job.finished_at for job in whole), reverse=True)


def test_what_fails_meanwhile_does_not_shift_the_next_page(settings):
    for number in range(6):
        failed(at=NOW + timedelta(seconds=number))
    first = board.listed("failed", limit=3)
    failed(at=NOW + timedelta(seconds=60))
    second = board.listed("failed", None, first.further, limit=3)
    assert [job.id for job in first.jobs + second.jobs] == [6, 5, 4, 3, 2, 1]


def test_a_queue_page_pages_through_its_failed_jobs(njeri):
    for number in range(60):
        failed("sms.send", "sms", at=NOW - timedelta(seconds=number))
    first = njeri.get("/admin/queues/sms", "state=failed")
    link = re.search(r'href="(/admin/queues/sms\?[^"]*after=[^"]*)"', first.text)[1].replace("&amp;", "&")
    second = njeri.get(*link.split("?"))
    assert jobs_on(first) == list(range(1, 51)) and jobs_on(second) == list(range(51, 61))
    assert "Back to the first page" in second.words and "Further" not in second.words


@pytest.mark.parametrize("after", ["x", "1", "1_2_3_4", "1e5_3", "-1_-2", "1_" + "9" * 30, "%D9%A1_1", "_", "1.2.3_4"])
def test_a_place_in_a_list_that_is_none_is_refused(njeri, after):
    answer = njeri.get("/admin/queues/sms", "state=done&after=" + after)
    assert answer.status == 400 and "Begin at the top" in answer.words


@pytest.mark.parametrize("query", ["state=nonsense", "span=year", "state=done&after=zz"])
@pytest.mark.parametrize("path", ["/admin/queues", "/admin/queues/sms"])
def test_a_state_or_span_that_is_none_is_named(njeri, path, query):
    assert njeri.get(path, query).status == 400


def test_a_queue_page_shows_one_kind_of_work_when_asked(njeri):
    for name in ("payment.ask", "payment.prompt"):
        minute(1, "payments", name, done=1)
        failed(name, "payments")
    both = njeri.get("/admin/queues/payments", "state=failed")
    assert len(jobs_on(both)) == 2 and "Every kind" in both.words
    one = njeri.get("/admin/queues/payments", "state=failed&work=payment.ask")
    assert len(jobs_on(one)) == 1
    assert "work=payment.ask" in re.search(r'name="back" value="([^"]*)"', one.text)[1]


def test_a_queue_page_opens_with_what_is_under_way_else_with_what_went_wrong(njeri):
    failed("sms.send", "sms")
    assert jobs_on(njeri.get("/admin/queues/sms")) == [1]
    waiting = promise("sms.send", "sms")
    assert jobs_on(njeri.get("/admin/queues/sms")) == [waiting.id]


def test_a_queue_or_job_that_is_none_is_not_there(njeri):
    for path in ("/admin/queues/tea", "/admin/jobs/999", "/admin/jobs/0", "/admin/jobs/" + "9" * 30):
        assert njeri.get(path).status == 404, path
    for path in ("/admin/queues/tea/pause", "/admin/queues/tea/retry", "/admin/jobs/999/cancel"):
        assert njeri.post(path).status == 404, path


def test_the_old_address_of_failed_jobs_leads_to_the_board(otieno):
    assert otieno.get("/admin/jobs").header("Location") == "/admin/queues?state=failed"


# A job's story


def test_a_story_tells_what_it_is_why_and_how_each_try_went(njeri):
    gate = Router.create(name="gate", host="10.5.50.1")
    payment = pay(at=NOW - timedelta(minutes=2))
    job = Job.get(Job.name == "grant.place")
    tried_at = (NOW - timedelta(seconds=89), NOW - timedelta(seconds=87))
    notes = [{"attempt": n, "at": at.isoformat(), "words": f"refused {n}"} for n, at in enumerate(tried_at, 1)]
    job = put(
        job, state="scheduled", attempt=2, errors=notes, run_at=datetime.now(UTC) + timedelta(seconds=95),
        started_at=NOW - timedelta(seconds=88), deaths=1,
    )  # fmt: skip
    page = njeri.get(f"/admin/jobs/{job.id}")
    for words in (
        "Let the guest in at the router Scheduled", "Writes the guest's code on the router",
        f"Payment WIFI{payment.id}", "0712 345 678", "Router gate", "Tries 2 of 5", "Lane router:1 one at a time",
        "Workers that died of it 1",
        "grant_id 1", f"router_id {gate.id}", f"Trace {job.trace}",
    ):  # fmt: skip
        assert words in page.words, words
    assert re.search(r"Next try \d\d:\d\d:\d\d in 1 min 3\d s", page.words)
    parts = [
        "Promised", "Try 1 did not work refused 1", "Try 2 began", "Try 2 did not work refused 2", "Try 3 comes next",
    ]  # fmt: skip
    places = [page.words.find(part) for part in parts]
    assert -1 not in places and places == sorted(places), list(zip(parts, places, strict=True))
    assert f'href="/admin/payments/{payment.id}"' in page.text and f"/admin/queues?q={job.trace}" in page.text


def test_a_story_tells_how_far_it_is_in_whose_hands_and_of_its_batch(njeri):
    batch = Batch.create(name="Photos of March", total=8, open=5, failed=1, created_at=NOW)
    job = put(
        promise("photo.thumbnail", "photos", priority=jobs.LOW), state="running", attempt=1, holder="4711:9:abc",
        started_at=NOW, progress=40, progress_words="40 of 100 photos", batch_id=batch.id,
    )  # fmt: skip
    page = njeri.get(f"/admin/jobs/{job.id}")
    for words in (
        "photo.thumbnail Running", "How far: 40 %", "40 of 100 photos", "Photos of March: 3 of 8 ended, 1 failed",
        "In the hands of 4711:9:abc", "Priority low", "Try 1 began",
    ):  # fmt: skip
        assert words in page.words, words
    assert '<progress id="progress" max="100" value="40">' in page.text
    assert "Try again" not in page.words and "Cancel it" not in page.words and "another time" not in page.words


@pytest.mark.parametrize(
    ("columns", "waited", "ran"),
    [
        ({"state": "waiting"}, 60.0, None),
        ({"state": "running", "started_at": NOW - timedelta(seconds=20)}, 40.0, 20.0),
        ({"state": "done", "started_at": NOW - timedelta(seconds=59), "finished_at": NOW}, 1.0, 59.0),
        ({"state": "scheduled", "started_at": NOW - timedelta(seconds=59), "run_at": NOW}, None, None),
        ({"state": "failed", "finished_at": NOW}, None, None),
        ({"state": "cancelled", "finished_at": NOW}, None, None),
    ],
)
def test_durations_are_told_as_far_as_they_are_known(settings, columns, waited, ran):
    job = put(promise(at=NOW - timedelta(seconds=60)), **columns)
    assert (board.waited_s(job, NOW), board.ran_s(job, NOW)) == (waited, ran)


@pytest.mark.parametrize("state", board.STATES)
@pytest.mark.parametrize("attempt", [0, 1, 3])
def test_every_state_has_its_words(njeri, state, attempt):
    job = put(promise(), state=state, attempt=attempt, started_at=NOW if attempt else None, finished_at=NOW)
    assert njeri.get(f"/admin/jobs/{job.id}").status == 200
    assert jobs_on(njeri.get("/admin/queues", f"state={state}")) == [job.id]


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(None, "–"), (0, "0 ms"), (0.0123, "12 ms"), (3.44, "3.4 s"), (60, "1 min"), (75, "1 min 15 s"),
     (7_500, "2 h 5 min"), (3_600, "1 h"), (180_000, "2 d 2 h")],
)  # fmt: skip
def test_lengths_of_time_are_as_exact_as_people_read_them(seconds, words):
    assert board_words.span(seconds) == words


def test_phones_and_codes_in_arguments_and_errors_are_for_the_owner_alone(app):
    words = "+CMS ERROR: 38 for +254712345678 or 0722 000 111, not 1254712345678901"
    job = failed("sms.blast", "sms", words, args={"msisdn": ASHA, "text": "PIN 1234", "password": "x9y8", "count": 3})
    told = signed_in(app, "Njeri").get(f"/admin/jobs/{job.id}").words
    assert "+254712345678" in told and "PIN 1234" in told and f"msisdn {ASHA}" in told
    otieno = signed_in(app, "Otieno")
    for query in ("", "state=failed"):
        page = otieno.get("/admin/queues" if query else f"/admin/jobs/{job.id}", query)
        assert "712345678" not in page.words.replace(" ", "").replace("1254712345678901", "")
        assert "722000111" not in page.words.replace(" ", "") and "0712•••678" in page.words
    assert "PIN 1234" not in page.words and "x9y8" not in page.words
    assert "count 3" in otieno.get(f"/admin/jobs/{job.id}").words


def test_hostile_names_arguments_errors_and_causes_stay_text_on_the_board(njeri):
    worker_is_alive()
    Heartbeat.update(host=POISON).execute()
    router = Router.create(name=POISON, host="10.5.60.1")
    for _ in range(breakers.FAILURES):
        breakers.note_failure(f"router:{router.id}", f"{POISON}\u202e", NOW)
    desk.pause("sms", POISON, NOW)
    job = failed(POISON, "sms", f"{POISON}\r\n\u202e", args={POISON: POISON, "router_id": router.id}, cause=POISON)
    put(job, holder=POISON, lane=POISON, progress=1, progress_words=POISON, trace=POISON)
    for address in ("/admin/queues", "/admin/queues?state=failed", "/admin/queues/sms", f"/admin/jobs/{job.id}",
                    f"/admin/queues?q={job.id}"):  # fmt: skip
        page = njeri.get(*address.split("?"))
        assert page.status == 200
        assert "<script>alert" not in page.text and "\u202e" not in page.text, address
        assert "&lt;script&gt;alert(1)" in page.text, address


@pytest.mark.parametrize("args", [{}, {"router_id": "x"}, {"grant_id": -1}, {"message_id": 10**30}, {"inbox_id": [1]}])
@pytest.mark.parametrize("cause", ["payment:x", "grant:", "grant:99999", "payment:99999", "Photos: March"])
def test_references_that_lead_nowhere_break_no_page(njeri, args, cause):
    job = failed(args=args, cause=cause)
    assert njeri.get(f"/admin/jobs/{job.id}").status == 200
    assert njeri.get("/admin/queues", "state=failed").status == 200


# Searches


@pytest.mark.parametrize("typed", ["0712 345 678", "+254712345678", "tck1ab2cd3", "WIFI{id}", "{token}", "{checkout}"])
def test_all_work_for_a_payment_is_found_by_phone_receipt_number_token_and_checkout(njeri, typed):
    Router.create(name="gate", host="10.5.50.1")
    payment = pay()
    other = pay(JUMA, receipt="OTHER")
    call = Inbox.get(Inbox.payment == payment)
    settle = promise("inbox.settle", "payments", args={"inbox_id": call.id}, unique_key=f"inbox:{call.id}")
    grant, of_other = Grant.get(Grant.payment == payment), Grant.get(Grant.payment == other)
    wanted = typed.format(id=payment.id, token=payment.token, checkout=payment.checkout_request_id)
    found = board.search(wanted)
    assert {job.name for job in found} == {"payment.prompt", "payment.ask", "grant.place", "sms.send", "inbox.settle"}
    causes = (f"payment:{payment.id}", f"grant:{grant.id}")
    assert all(job.cause in causes or job.id == settle.id for job in found)
    assert f"grant:{of_other.id}" not in {job.cause for job in found}
    page = njeri.get("/admin/queues", "q=" + wanted.replace("+", "%2B").replace(" ", "+"))
    assert sorted(jobs_on(page)) == sorted(job.id for job in found)
    assert set(board.payments_behind(found).values()) == {payment.id}


def test_a_text_that_no_payment_caused_is_found_by_its_phone(settings):
    message = messages.promise(ASHA, "Good morning", NOW)
    messages.promise(JUMA, "Good morning", NOW)
    found = board.search("0712345678")
    assert [job.args["message_id"] for job in found] == [message.id]
    assert board.about(found[0]).msisdn == ASHA and Message.select().count() == 2


def test_a_job_is_found_by_its_number_and_its_trace(njeri):
    with_trace = [promise(), promise()]
    put(with_trace[1], trace=with_trace[0].trace)
    other = promise()
    assert [job.id for job in board.search(with_trace[0].trace.upper())] == [2, 1]
    assert board.search(str(other.id))[0].id == other.id
    assert jobs_on(njeri.get("/admin/queues", f"q={other.id}")) == [other.id]


def test_the_job_of_exactly_this_number_stands_first(settings):
    first = promise()
    payment = prompt()
    assert payment.id == first.id == 1
    assert [job.id for job in board.search("1")] == [1, *(job.id for job in board.search("WIFI1"))]


@pytest.mark.parametrize(
    "typed", ["%", "_", "nobody", "' OR 1=1 --", "0" * 60, "9" * 20, "\u0661", "f" * 31, "payment:1"]
)
def test_a_search_for_something_else_finds_nothing_and_says_so(njeri, typed):
    pay()
    assert board.search(typed) == []


def test_what_was_searched_for_comes_back_as_text(njeri):
    page = njeri.get("/admin/queues", "q=%3Cscript%3Ealert(1)%3C/script%3E")
    assert "<script>alert" not in page.text and "No work belongs to" in page.words


# What people ask of it

ACTS = ("/admin/jobs/1/retry", "/admin/jobs/1/cancel", "/admin/jobs/1/now", "/admin/jobs/1/move", "/admin/jobs/retry",
        "/admin/queues/sms/pause", "/admin/queues/sms/resume", "/admin/queues/sms/retry", "/admin/queues/sms/clear",
        "/admin/workers/restart")  # fmt: skip


def test_a_cashier_neither_looks_nor_acts(wanjiku):
    job = failed("sms.send", "sms")
    before = Job.get_by_id(job.id).state
    for path in ("/admin/queues", "/admin/queues/sms", f"/admin/jobs/{job.id}", "/admin/queues/live"):
        assert wanjiku.get(path).status == 403, path
    for path in ACTS:
        assert wanjiku.post(path, {"sure": "yes", "at": "2027-01-01T10:00"}).status == 403, path
    assert Job.get_by_id(job.id).state == before and Pause.select().count() == 0 and events("job.retried") == []


@pytest.mark.parametrize("name", ["Njeri", "Otieno"])
def test_owner_and_technician_try_a_failed_job_again(app, name):
    browser = signed_in(app, name)
    payment = pay()
    job = Job.get(Job.name == "sms.send")
    fail(job)
    answer = browser.post(f"/admin/jobs/{job.id}/retry")
    assert answer.header("Location") == f"/admin/jobs/{job.id}?did=retried"
    assert "on its way again" in browser.get(f"/admin/jobs/{job.id}", "did=retried").words
    assert Job.get_by_id(job.id).state == "waiting"
    assert events("job.retried") == [{"job": job.id, "work": "sms.send", "queue": "sms", "who": name}]
    assert f"{name} had this tried again: Send a text" in browser.get("/admin/").words
    again = browser.post(f"/admin/jobs/{job.id}/retry")
    assert again.status == 400 and "not any more" in again.words
    assert Payment.get_by_id(payment.id).state == "paid"


def test_from_a_list_one_comes_back_to_the_list_and_nowhere_else(njeri):
    first, second = failed("sms.send", "sms"), failed("sms.send", "sms")
    listed = njeri.get("/admin/queues/sms", "state=failed")
    answer = njeri.post(f"/admin/jobs/{first.id}/retry", {"back": listed.field("back")})
    assert answer.header("Location") == "/admin/queues/sms?span=hour&state=failed&did=retried"
    answer = njeri.post(f"/admin/jobs/{second.id}/retry", {"back": "//evil.example/admin/queues"})
    assert answer.header("Location") == f"/admin/jobs/{second.id}?did=retried"


def test_all_failed_work_is_tried_again_but_none_beside_its_twin(njeri):
    twins = [failed("grant.place", "provisioning", unique_key="place:1:1") for _ in range(2)]
    text = failed("sms.send", "sms")
    answer = njeri.post("/admin/jobs/retry")
    assert answer.header("Location") == "/admin/queues?state=failed&did=retried_all&count=2"
    assert "On its way again: 2" in njeri.get("/admin/queues", "state=failed&did=retried_all&count=2").words
    assert {job.id for job in Job.select().where(Job.state == "waiting")} == {twins[1].id, text.id}
    refused = njeri.post(f"/admin/jobs/{twins[0].id}/retry")
    assert refused.status == 400 and "under way again" in refused.words
    assert events("jobs.retried") == [{"count": 2, "queue": None, "who": "Njeri"}]


def test_more_failed_work_than_one_transaction_takes_is_tried_again_all_the_same(settings, monkeypatch):
    monkeypatch.setattr(queues, "AT_ONCE", 3)
    for number in range(8):
        failed("sms.send", "sms", unique_key=f"sms:{number % 7}")
    failed("mail.send", "emails")
    assert queues.retry_all(NOW, "sms") == 7
    assert [job.id for job in queues.failed()] == [9, 1]


def test_one_queue_alone_is_retried_or_cleared_and_clearing_asks_once_more(njeri):
    text, mail = failed("sms.send", "sms"), failed("mail.send", "emails")
    assert njeri.post("/admin/queues/sms/retry").header("Location") == "/admin/queues/sms?did=retried_all&count=1"
    assert (Job.get_by_id(text.id).state, Job.get_by_id(mail.id).state) == ("waiting", "failed")
    unsure = njeri.post("/admin/queues/emails/clear")
    assert unsure.status == 400 and "sure" in unsure.words and Job.get_by_id(mail.id).state == "failed"
    answer = njeri.post("/admin/queues/emails/clear", {"sure": "yes"})
    assert answer.header("Location") == "/admin/queues/emails?did=cleared&count=1"
    assert Job.get_or_none(Job.id == mail.id) is None
    assert events("jobs.cleared") == [{"count": 1, "queue": "emails", "who": "Njeri"}]


def test_a_paused_queue_says_why_and_is_taken_up_again(njeri):
    promise("mail.send", "emails")
    form = njeri.get("/admin/queues/emails")
    assert 'action="/admin/queues/emails/pause"' in form.text
    for _ in range(2):
        answer = njeri.post("/admin/queues/emails/pause", {"words": " the provider moves "})
        assert answer.header("Location") == "/admin/queues/emails?did=paused"
    assert jobs.claim("emails", "w", NOW) is None
    page = njeri.get("/admin/queues/emails")
    assert "Paused since" in page.words and "the provider moves" in page.words
    assert njeri.post("/admin/queues/emails/resume").header("Location") == "/admin/queues/emails?did=resumed"
    assert jobs.claim("emails", "w", NOW) is not None
    assert events("queue.paused") == [{"queue": "emails", "words": "the provider moves", "who": "Njeri"}]
    assert events("queue.resumed") == [{"queue": "emails", "who": "Njeri"}]


def test_scheduled_work_is_done_now_moved_and_cancelled(njeri):
    job = promise("sms.send", "sms", run_at=datetime.now(UTC) + timedelta(hours=5))
    address = f"/admin/jobs/{job.id}"
    page = njeri.get(address)
    assert "Do it now" in page.words and "Cancel it" in page.words and 'type="datetime-local"' in page.text
    wanted = (datetime.now(UTC) + timedelta(days=2)).replace(second=0, microsecond=0)
    on_the_wall = (wanted + timedelta(hours=3)).strftime("%Y-%m-%dT%H:%M")  # Nairobi
    assert njeri.post(address + "/move", {"at": on_the_wall}).header("Location") == address + "?did=moved"
    assert Job.get_by_id(job.id).run_at == wanted
    assert f'value="{on_the_wall}"' in njeri.get(address).text
    assert njeri.post(address + "/move", {"at": "1970-01-02T00:00"}).status == 303
    assert Job.get_by_id(job.id).run_at > NOW - timedelta(minutes=5)  # now: it has not waited since then
    desk.move(job.id, wanted, datetime.now(UTC))
    assert njeri.post(address + "/now").header("Location") == address + "?did=hastened"
    assert Job.get_by_id(job.id).state == "waiting"
    assert njeri.post(address + "/cancel").header("Location") == address + "?did=cancelled"
    assert Job.get_by_id(job.id).state == "cancelled" and "Cancelled" in njeri.get(address).words
    late = njeri.post(address + "/cancel")
    assert late.status == 400 and "has ended" in late.words
    names = [event.name for event in Event.select().where(Event.name.startswith("job.")).order_by(Event.id)]
    assert names == ["job.moved", "job.hastened", "job.hastened", "job.cancelled"]
    assert all(event.data["who"] == "Njeri" for event in Event.select().where(Event.name.in_(names)))


@pytest.mark.parametrize(
    "typed",
    ["", "tomorrow", "2027-02-30T10:00", "9999-12-31T23:59", "2026-13-01T00:00", "\u0662\u0660", "0001-01-01T00:00"],
)
def test_a_time_that_is_none_moves_nothing(njeri, typed):
    job = promise("sms.send", "sms", run_at=NOW + timedelta(hours=5))
    answer = njeri.post(f"/admin/jobs/{job.id}/move", {"at": typed})
    assert answer.status == 400 and Job.get_by_id(job.id).run_at == job.run_at


def test_what_runs_is_left_alone(njeri):
    job = put(promise(), state="running", attempt=1, holder="w", started_at=NOW)
    for verb in ("retry", "cancel", "now"):
        assert njeri.post(f"/admin/jobs/{job.id}/{verb}").status == 400
    assert njeri.post(f"/admin/jobs/{job.id}/move", {"at": "2030-01-01T10:00"}).status == 400
    assert Job.get_by_id(job.id).state == "running"


def test_workers_are_asked_to_begin_anew(njeri):
    worker_is_alive()
    answer = njeri.post("/admin/workers/restart")
    assert answer.header("Location") == "/admin/queues?did=restarting&count=1"
    assert "Asked to begin anew: 1" in njeri.get("/admin/queues", "did=restarting&count=1").words
    assert Heartbeat.get().restart_asked_at is not None
    assert events("workers.restarting") == [{"count": 1, "who": "Njeri"}]


@pytest.mark.parametrize("query", ["did=nonsense", "did=%3Cb%3E", "did=self"])
def test_a_notice_that_the_board_does_not_know_is_not_shown(njeri, query):
    page = njeri.get("/admin/queues", query)
    assert page.status == 200 and 'role="status">' not in page.text.split('id="offline"')[1].split("</p>", 1)[1]


# For programs


def test_the_queue_of_texts_has_its_own_status_with_the_modem(app, otieno):
    worker_is_alive()
    promise("sms.send", "sms")
    document = otieno.get("/sms/queue/status").json
    assert (document["name"], document["waiting"], document["workers"], document["paused"]) == ("sms", 1, 2, False)
    assert document["modem"] is None
    checks.record("modem", "problem", "the SIM is not ready", NOW, "check the SIM")
    modem = otieno.get("/sms/queue/status").json["modem"]
    assert (modem["state"], modem["words"], modem["cure"]) == ("problem", "the SIM is not ready", "check the SIM")
    assert Browser(app).get("/sms/queue/status").status == 401
    assert Browser(app, "41.90.1.1").get("/sms/queue/status").status == 404

"""What is done for each text, and what people look at, costs the same among 200,000 texts as among ten."""

from datetime import UTC, datetime, timedelta

import pytest

from edge import database, schema
from edge.database import db
from edge.domain import campaign_run, campaigns, clock, contacts, credits, messages, plans, routing, text_figures
from edge.models import Message, Staff
from edge.settings_sections import Sms
from edge.sms_models import Campaign

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
ASHA = "254712345678"
MANY = 100_000
FEW = 25_000  # steps of SQLite's machine; to look at each row of a campaign takes some 300,000
FILL = """
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?)
INSERT INTO messages (msisdn, text, kind, state, campaign_id, fields, segments, cost, round, route, tried, reference,
  wants_report, flash, words, created_at, sent_at)
SELECT 'n1:' || i || ?, '', ?, ?, ?, '', 1, 1, 0, ?, '', CASE WHEN ? = '' THEN '' ELSE 'r' || i END, 0, 0, '', ? - i,
  NULL
FROM n
"""


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    """Old texts, one campaign half-way, a draft with a long list, and a few texts of today."""
    path = tmp_path_factory.mktemp("many") / "edge.db"
    database.open_database(path)
    schema.migrate(path)
    clock.beat(NOW, synchronised=True)
    routing.configure(Sms(), has_modem=False, is_rehearsal=True)
    plans.configure("Africa/Nairobi", can_text=False)
    njeri = Staff.create(name="Njeri", role="owner", password_hash="", created_at=NOW)
    credits.top_up(MANY * 2, "", None, NOW)
    told = {"text": "Offer", "kind": "service", "staff": njeri, "created_at": NOW, "listed_at": NOW}
    half_way = Campaign.create(name="now", state="processing", started_at=NOW, **told)
    draft = Campaign.create(name="next", state="draft", **told)
    before = (NOW - timedelta(days=3)).timestamp()
    with db.atomic("IMMEDIATE"):
        for mark, kind, state, campaign, route in (
            ("a", "code", "delivered", None, "modem"), ("b", "campaign", "sent", half_way, "http"),
            ("c", "campaign", "listed", half_way, ""), ("d", "campaign", "listed", draft, ""),
        ):  # fmt: skip
            number = campaign and campaign.id
            db.execute_sql(FILL, (MANY // 2, mark, kind, state, number, route, route, before))
        credits.reserve(MANY, credits.Cause("reserve", "reserve", "", None, half_way.id), NOW)
    yield half_way
    database.close_database()


@pytest.fixture
def steps(shop):
    """How many steps of its machine SQLite needs for this, to the hundred."""

    def count(act):
        done = []
        db.connection().set_progress_handler(lambda: done.append(1) and None, 100)
        act()
        db.connection().set_progress_handler(None, 0)
        return 100 * len(done)

    return count


def test_each_text_is_written_and_ended_in_a_few_steps(shop, steps):
    sent = messages.promise(ASHA, "Your code is 7K2Q-9F3C", NOW)
    lost = messages.write_by_hand(ASHA, "habari", Staff.get(), NOW)
    campaign_run.step(shop.id, NOW)
    queued = list(Message.select().where(Message.state == "queued", Message.campaign_id == shop.id).limit(2))
    taken = {
        "promise": steps(lambda: messages.promise(ASHA, "Your code is 7K2Q-9F3C", NOW)),
        "mark_sent": steps(lambda: messages.mark_sent(sent.id, "http", "mine", NOW)),
        "find": steps(lambda: messages.find_by_reference("http", "mine")),
        "mark_delivered": steps(lambda: messages.mark_delivered(sent.id, NOW)),
        "mark_failed": steps(lambda: messages.mark_failed(lost.id, "no", NOW)),
        "word_on": steps(lambda: campaigns.word_on(queued[0], NOW)),
        "mark_sent of a campaign": steps(lambda: messages.mark_sent(queued[0].id, "http", "other", NOW)),
        "is_blocked": steps(lambda: contacts.is_blocked(ASHA)),
        "texted_since": steps(lambda: contacts.texted_since(ASHA, NOW)),
    }
    assert max(taken.values()) < 2_000, taken


def test_a_campaign_goes_on_and_is_watched_in_a_few_steps(shop, steps):
    taken = {
        "step": steps(lambda: campaign_run.step(shop.id, NOW)),
        "sweep": steps(lambda: campaign_run.sweep(NOW)),
        "close_forgotten": steps(lambda: messages.close_forgotten(NOW + timedelta(hours=1))),
        "pause": steps(lambda: campaigns.pause(shop.id, None, NOW)),
        "resume": steps(lambda: campaigns.resume(shop.id, None, NOW)),
    }
    assert max(taken.values()) < FEW, taken


def test_what_people_look_at_is_found_in_a_few_steps(shop, steps):
    last = Message.select().order_by(Message.created_at.desc()).first().id
    taken = {
        "outbox": steps(messages.outbox),
        "older": steps(lambda: messages.outbox(before=last)),
        "of one": steps(lambda: messages.outbox(msisdn=ASHA)),
        "stats": steps(lambda: messages.stats_of(ASHA)),
        "today": steps(lambda: text_figures.since(NOW - timedelta(hours=9))),
        "recipients": steps(lambda: campaigns.recipients(shop)),
        "listed": steps(lambda: campaigns.recipients(shop, "listed")),
        "failed": steps(lambda: campaigns.recipients(shop, "failed")),
        "balance": steps(credits.balance),
        "statement": steps(credits.statement),
    }
    assert max(taken.values()) < FEW, taken


def test_progress_is_counted_from_one_index_alone(shop, steps):
    told = campaigns.progress(shop)
    assert told.total == MANY
    assert steps(lambda: campaigns.progress(shop)) < 4 * MANY
    plan = [
        row[3] for row in db.execute_sql(f"EXPLAIN QUERY PLAN SELECT {campaigns.COUNT}", (shop.id, "sent")).fetchall()
    ]
    looks = [step for step in plan if "messages" in step]
    assert looks and all("USING COVERING INDEX messages_campaign" in step for step in looks)


def test_the_newest_texts_come_first_page_after_page(shop):
    """A campaign's texts count from when their turn came, not from when they were listed."""
    seen = []
    page = messages.outbox(limit=7)
    while page and len(seen) < 40:
        seen += page
        page = messages.outbox(before=page[-1].id, limit=7)
    told = [(text.created_at, text.id) for text in seen]
    assert told == sorted(told, reverse=True) and len(set(told)) == len(told)
    assert all(text.state != "listed" for text in seen)
    assert messages.outbox(before=10**12, limit=3) == messages.outbox(limit=3)

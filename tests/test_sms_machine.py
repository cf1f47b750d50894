"""Texts, campaigns and credits under any order of people, faults and crashes: nobody twice, and no credit astray."""

import contextlib
import os
from collections import Counter, namedtuple
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from urllib.parse import urlencode

import pytest
from hypothesis import HealthCheck, Phase, note, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from edge import database, desk, holder, jobs, schema, tasks
from edge.database import db
from edge.devices.opening import Devices
from edge.domain import (
    campaign_run,
    campaign_watch,
    campaigns,
    clock,
    contacts,
    credits,
    inbox,
    messages,
    plans,
    queues,
    quiet_hours,
    routing,
    sms_hooks,
)
from edge.errors import BadInput
from edge.handlers.world import World
from edge.models import TABLES, Job, Message, Staff
from edge.money_models import MONEY_TABLES
from edge.network_models import NETWORK_TABLES
from edge.sealing import seal
from edge.settings import Settings
from edge.settings_sections import AfricasTalking, HttpSms, Sms, Twilio
from edge.simulators.sms_gateway import API_KEY, AUTH_TOKEN, HTTP_KEY, USERNAME, SmsGatewaySimulator
from edge.simulators.sms_wires import ACCOUNT_SID, report_of
from edge.sms_models import SMS_TABLES, Campaign
from edge.values.sms_callbacks import read

PHONES = [f"2547000000{place:02d}" for place in range(12)]
ISSUED = 400
NIGHT = "19:00-07:00"
# What a gateway does to one text. `lose` and `broken_taken` took it and the box can't know; `drop`, `broken` and
# `web_page` did not, and it can't know either.
FAULTS = ("refuse", "lose", "drop", "busy", "broken", "broken_taken", "no_credit", "no_route", "web_page")
WAYS = {
    "draft": 6, "change": 1, "delete": 1, "submit": 4, "schedule": 1, "pause": 1, "resume": 2, "cancel": 1, "again": 2,
    "stop": 1, "start": 1, "by_hand": 2, "work": 14, "trouble": 3, "calm": 2, "report": 3, "clear_job": 1,
    "retry_jobs": 1, "pass_time": 3, "sweep": 3, "change_settings": 1, "power_cut": 1, "demote": 1,
}  # fmt: skip
IN_BETWEEN = ("pause", "resume", "cancel", "again", "stop", "work_one", "report", "clear_job", "retry_jobs", "sweep",
              "overdue", "change_settings", "submit")  # fmt: skip


ROWS = "SELECT id, msisdn, state, campaign_id, cost, route, words, sent_at FROM messages ORDER BY id"
CAMPAIGNS = "SELECT id, state, started_at, finished_at FROM sms_campaigns"
OPEN = f"""
SELECT (SELECT COUNT(*) FROM jobs WHERE {jobs.IS_OPEN.sql} AND queue = 'sms')
  + (SELECT COUNT(*) FROM messages WHERE state = 'queued')
  + (SELECT COUNT(*) FROM sms_campaigns WHERE state NOT IN ('draft', 'paused') AND finished_at IS NULL)
"""
Row = namedtuple("Row", "id msisdn state campaign_id cost route words sent_at")


class Killed(BaseException):
    """SIGKILL for the worker."""


class Boom(Exception):
    """The power goes, in the middle of a transaction."""


class Watched(Devices):
    """The real devices; while one of them is asked, and before its answer is written down, life goes on."""

    def __init__(self, told, machine):
        super().__init__(told)
        self.machine = machine

    def sms_gateway(self, route):
        return Between(super().sms_gateway(route), self.machine)


class Between:
    def __init__(self, gateway, machine):
        self.gateway, self.machine = gateway, machine

    def send(self, msisdn, text, reference):
        self.machine.may_send(msisdn, reference)
        self.machine.meanwhile()
        try:
            return self.gateway.send(msisdn, text, reference)
        finally:
            self.machine.meanwhile()


class Texts(RuleBasedStateMachine):
    simulator: SmsGatewaySimulator  # one for all lives

    @initialize(refund=st.sampled_from(("unsent", "undelivered")), routes=st.integers(1, 3), low=st.booleans())
    def begin(self, refund, routes, low):
        db.execute_sql("PRAGMA foreign_keys = OFF")
        for table in (*TABLES, *NETWORK_TABLES, *MONEY_TABLES, *SMS_TABLES):
            table.delete().execute()
        db.execute_sql("PRAGMA foreign_keys = ON")
        self.now = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
        tasks._now = lambda: self.now
        clock.beat(self.now, synchronised=True)
        self.simulator.texts.clear()
        self.simulator.fault, self.simulator.faults = None, []
        self.simulator.blacklist, self.simulator.invalid = {PHONES[3]}, {PHONES[4]}
        self.refund, self.count, self.depth = refund, 0, 0
        self.in_hand, self.began, self.words = [], {}, {}
        self.forbidden = set()  # why a text should not have gone out
        self.njeri = Staff.create(name="Njeri", role="owner", password_hash="", created_at=self.now)
        self.otieno = Staff.create(name="Otieno", role="owner", password_hash="", created_at=self.now)
        self.settle(routes, NIGHT if low else "")
        credits.top_up(40 if low else ISSUED, "", None, self.now)
        for msisdn in PHONES[:6]:
            contacts.opt_in(msisdn, "START", self.now)

    def settle(self, routes, quiet=""):
        """The box begins anew with other settings: one gateway, two or three."""
        url, one, two, three = self.simulator.base_url, AfricasTalking(), Twilio(), HttpSms()
        one = AfricasTalking(username=USERNAME, api_key=API_KEY, base_url=url, timeout_s=5.0)
        if routes > 1:
            two = Twilio(ACCOUNT_SID, AUTH_TOKEN, "+15005550006", url, timeout_s=5.0)
        if routes > 2:
            three = HttpSms(f"{url}/send", headers={"Authorization": f"Bearer {HTTP_KEY}"}, accepted="accepted",
                            body='{"to": "{to}", "text": "{text}"}', reference='"id": "([^"]+)"')  # fmt: skip
        told = Sms(africastalking=one, twilio=two, http=three, per_minute={"twilio": 30}, refund=self.refund)
        box = Settings(state=Path("/nowhere"), sms=told)
        if hasattr(self, "world"):
            self.world.devices.close()
        self.world = World(Watched(box, self), box)
        self.routes = routes
        routing.configure(told, has_modem=False, is_rehearsal=False)
        messages.configure(messages.Rules(True, False, self.refund))
        quiet_hours.configure(quiet)
        campaign_run.configure(3)

    @rule(dice=st.integers(0, 2**64), count=st.integers(4, 12))
    def things_happen(self, dice, count):
        self.any = Random(dice)
        for way in self.any.choices(list(WAYS), list(WAYS.values()), k=count):
            self.happen(way)
            self.check()

    def happen(self, way):
        note(f"{'  ' * self.depth}{way} {self.now:%d %H:%M:%S}")
        with contextlib.suppress(BadInput):
            getattr(self, way)()

    def meanwhile(self):
        """Between two steps of a worker: other workers and people; or he dies here."""
        if self.depth < 3 and self.any.random() < 0.35:
            self.depth += 1
            try:
                self.happen(self.any.choice(IN_BETWEEN))
            finally:
                self.depth -= 1
        if self.any.random() < 0.05:
            raise Killed

    def may_send(self, msisdn, reference):
        """The moment before a text goes out: nothing forbids it. Told later, for a worker outlives any fault."""
        message = Message.get_by_id(int(reference.split("-")[1]))
        self.forbidden |= {"it is not queued"} if message.state != "queued" else set()
        if message.campaign_id is not None:
            campaign = Campaign.get_by_id(message.campaign_id)
            is_agreed = campaign.kind != "marketing" or contacts.may_market(msisdn)
            reasons = {
                f"the campaign is {campaign.state}": campaign.state != "processing",
                "he opted out": contacts.is_blocked(msisdn), "he did not agree": not is_agreed,
                "it is night": quiet_hours.until(campaign.kind, self.now) is not None,
            }  # fmt: skip
            self.forbidden |= {why for why, holds in reasons.items() if holds}

    # What people do

    def one(self, *states):
        found = list(Campaign.select().where(Campaign.state.in_(states)).order_by(Campaign.id))
        if not found:
            raise BadInput("none")
        return self.any.choice(found)

    def draft(self):
        self.count += 1
        numbers = self.any.sample(PHONES, self.any.randint(3, 11))
        text = f"Offer {self.count} for {{{{phone}}}}" if self.any.random() < 0.5 else f"Offer {self.count}"
        text += self.any.choice(("", "", " \u2019quoted\u2019", "x" * 155, " 😀"))
        kind = self.any.choice(("service", *campaigns.KINDS))
        if self.any.random() < 0.5:
            campaigns.send_now(numbers, text, "at once", self.njeri, self.now, kind=kind)
            return
        audience = {"kind": "numbers", "numbers": numbers}
        campaigns.create("Easter", text, kind, audience, self.any.choice((self.njeri, self.otieno)), self.now)

    def change(self):
        campaign = self.one("draft")
        self.count += 1
        campaigns.change(campaign, self.now, text=f"Offer {self.count} " + "y" * self.any.choice((1, 200)))

    def delete(self):
        campaigns.delete(self.one("draft"))

    def submit(self):
        campaigns.submit(self.one("draft").id, self.any.choice((self.njeri, None)), self.now)

    def schedule(self):
        at = self.now + timedelta(minutes=self.any.choice((5, 60, 60 * 24)))
        campaigns.submit(self.one("draft").id, self.njeri, self.now, at)

    def pause(self):
        campaigns.pause(self.one(*campaigns.OPEN).id, self.njeri, self.now)

    def resume(self):
        campaigns.resume(self.one("paused").id, self.njeri, self.now)

    def cancel(self):
        campaigns.cancel(self.one(*campaigns.OPEN, "paused").id, self.njeri, self.now)

    def again(self):
        campaigns.retry_failed(self.one("completed", "failed").id, self.njeri, self.now)

    def stop(self):
        contacts.opt_out(self.any.choice(PHONES), "STOP", self.now)

    def start(self):
        contacts.opt_in(self.any.choice(PHONES), "START", self.now)

    def by_hand(self):
        self.count += 1
        messages.write_by_hand(self.any.choice(PHONES), f"By hand {self.count}", self.njeri, self.now)

    def demote(self):
        """Otieno may not send any more; or he may again."""
        self.otieno.put(role="cashier" if Staff.get_by_id(self.otieno.id).role == "owner" else "owner")

    def power_cut(self):
        """Everything in that transaction is as if it had not been."""
        before = self.figures()
        with contextlib.suppress(Boom, BadInput), db.atomic("IMMEDIATE"):
            self.happen(self.any.choice(("submit", "pause", "resume", "cancel", "again", "by_hand", "stop", "report")))
            raise Boom
        assert self.figures() == before

    def figures(self):
        asked = (ROWS, CAMPAIGNS, "SELECT id, state FROM jobs ORDER BY id", "SELECT id, key FROM credit_entries")
        return [db.execute_sql(one).fetchall() for one in asked]

    # What workers do

    def work(self):
        for _ in range(self.any.randint(5, 25)):
            self.work_one()

    def work_one(self):
        jobs.promote(self.now)
        job = jobs.claim("sms", holder.own_name(), self.now)
        if job is None:
            return False
        note(f"{'  ' * self.depth}  {job.name} {job.args}")
        self.in_hand.append(job)
        try:
            if self.any.random() < 0.02:
                raise Killed
            tasks.run(job, world=self.world)
        except Killed:
            note("killed")
            mine = (Job.id == job.id, Job.attempt == job.attempt, Job.state == "running")
            Job.update(holder="1:1:dead").where(*mine).execute()
        finally:
            self.in_hand.remove(job)
        return True

    def overdue(self):
        """A worker takes too long: his job is taken from him, and he comes to his end later."""
        if self.in_hand:
            tasks.fail_overdue(self.any.choice(self.in_hand))

    def sweep(self):
        tasks.rescue(self.now)
        campaign_run.sweep(self.now)
        messages.close_forgotten(self.now)

    def clear_job(self):
        open_ones = list(Job.select().where(Job.queue == "sms", Job.state.in_(("waiting", "scheduled"))))
        for job in self.any.sample(open_ones, min(self.any.choice((1, 1, 5)), len(open_ones))):
            self.any.choice((queues, desk)).cancel(job.id, self.now)  # with a word to its text, or without

    def retry_jobs(self):
        queues.retry_all(self.now, "sms")

    # What the world does

    def trouble(self):
        if self.any.random() < 0.3:
            self.simulator.fault = self.any.choice(FAULTS)
        else:
            self.simulator.faults = [self.any.choice((None, *FAULTS)) for _ in range(self.any.randint(1, 6))]

    def calm(self):
        self.simulator.fault, self.simulator.faults = None, []

    def report(self):
        """Late, twice, out of order, of a text long forgotten."""
        for taken in self.any.sample(self.simulator.texts, min(2, len(self.simulator.texts))):
            self.tell(taken, self.any.choice(("delivered", "delivered", "failed", "blocked")))

    def tell(self, taken, outcome):
        body = urlencode(report_of(taken, outcome)).encode()
        told = read(taken.route, body, "application/x-www-form-urlencoded")
        call = inbox.Call("/hooks", "127.0.0.1", {}, body, None, kind=sms_hooks.PREFIX + taken.route)
        sms_hooks.receive(call, told, self.now)

    def pass_time(self):
        minutes = self.any.choice((0.1, 0.1, 1, 3, 30, 300, 60 * 13, 60 * 24 * 4))
        self.now += timedelta(minutes=minutes)
        clock.beat(self.now, synchronised=True)

    def change_settings(self):
        if not self.depth:
            self.settle(self.any.randint(1, 3), self.any.choice(("", "", NIGHT)))
        else:
            quiet_hours.configure(self.any.choice(("", NIGHT)))

    # What always holds

    def check(self):
        assert credits.verify() == []
        assert not self.forbidden
        told = credits.balance()
        assert told.available + told.reserved + told.spent == told.issued and min(told.available, told.reserved) >= 0
        rows = [Row(*row) for row in db.execute_sql(ROWS).fetchall()]
        self.check_credits(rows, told)
        self.check_texts(rows)
        for number, state, began, ended in db.execute_sql(CAMPAIGNS).fetchall():
            assert self.began.setdefault(number, began) in (None, began), "it began twice"
            self.began[number] = began
            assert ended is None or state in campaigns.FINAL

    def check_credits(self, rows, told):
        """What is in hand is set aside, what went out is used up, all else is free."""
        drafts = {row[0] for row in db.execute_sql("SELECT id FROM sms_campaigns WHERE state = 'draft'").fetchall()}
        held = sum(row.cost for row in rows if row.state in Message.IN_HAND and row.campaign_id not in drafts)
        assert told.reserved == held
        out = sum(row.cost for row in rows if row.state in ("sent", "delivered", "unconfirmed") or self.is_lost(row))
        refunds = "SELECT COALESCE(SUM(amount), 0) FROM credit_entries WHERE why = 'refund'"
        assert told.spent == out - db.execute_sql(refunds).fetchone()[0]

    def is_lost(self, row):
        """It went out, and the network reported that it never arrived."""
        return row.state == "failed" and row.sent_at is not None

    def taken(self):
        """How often the gateways took each text, by number and words."""
        return Counter((one.to, one.text) for one in self.simulator.texts)

    def check_texts(self, rows):
        taken = self.taken()
        assert set(taken.values()) <= {1}, "somebody got a text twice"
        for row in rows:
            if row.id not in self.words and row.state != "listed":
                text = Message.get_by_id(row.id).text  # empty until its turn came for the first time
                self.words |= {row.id: (seal.open_number(row.msisdn), text)} if text else {}
            count = taken.pop(self.words.get(row.id), 0)
            if row.state in ("sent", "delivered") or self.is_lost(row):
                assert count == 1, f"text {row.id} is {row.state} and not taken: {self.words.get(row.id)}"
            elif row.state in ("listed", "failed", "suppressed"):
                assert count == 0, f"{row.state}, and taken all the same: {row.words}"
        assert not taken, "a text that nobody wrote"

    def teardown(self):
        if not hasattr(self, "njeri"):
            return
        if not hasattr(self, "any"):
            self.any = Random(0)
        self.depth = 9  # nothing in between any more
        self.any.random = lambda: 1.0
        self.drain()
        self.check()
        assert credits.balance().reserved == 0
        for campaign in list(Campaign.select().where(Campaign.state != "draft")):
            assert campaign.state in campaigns.FINAL, campaign.state
            assert campaign.finished_at is not None
            told = campaigns.progress(campaign)
            assert told.listed == told.queued == 0
            listed = {row.msisdn for row in campaigns.recipients(campaign, limit=100)}
            assert len(listed) == told.total
        assert not Message.select().where(Message.state == "queued").exists()

    def drain(self):
        """Calm, a free hand and time: everything comes to its end."""
        self.calm()
        self.settle(3)
        for campaign in list(Campaign.select().where(Campaign.state == "paused")):
            campaigns.resume(campaign.id, None, self.now)
        for _ in range(60):
            self.sweep()
            while self.work_one():
                pass
            self.check()
            if not db.execute_sql(OPEN).fetchone()[0]:
                return
            self.now += timedelta(minutes=45)
        raise AssertionError("it does not come to an end")


@pytest.fixture(autouse=True)
def books(monkeypatch):
    """In memory: hundreds of short lives. Campaigns go in small steps, so that a few recipients see all of them."""
    database.open_database(Path(":memory:"))
    schema.create()
    for trigger in ("ledger_never_changes", "ledger_never_forgets", "ledger_only_grows", "credits_never_changes",
                    "credits_never_forgets", "credits_only_grows"):  # fmt: skip
        db.execute_sql(f"DROP TRIGGER IF EXISTS {trigger}")  # each life begins with empty books
    monkeypatch.setattr(tasks, "_now", tasks._now)
    monkeypatch.setattr(campaign_run, "IN_HAND", 4)
    monkeypatch.setattr(campaign_run, "WOUND_UP", 2)
    monkeypatch.setattr(campaign_watch, "LOW_WATER", 1)
    plans.configure("Africa/Nairobi", can_text=False)
    with SmsGatewaySimulator() as simulator:
        simulator.reports = False
        Texts.simulator = simulator
        yield
    quiet_hours.configure("")
    db.close()


# These lives are always the same ones; EDGE_MACHINE_EXAMPLES=1000 lives new ones, and shortens what fails.
LIVES = os.environ.get("EDGE_MACHINE_EXAMPLES", "")
Texts.TestCase.settings = settings(
    max_examples=int(LIVES or 12), stateful_step_count=12, deadline=None, suppress_health_check=list(HealthCheck),
    derandomize=not LIVES, database=None, phases=(Phase.generate, Phase.shrink) if LIVES else (Phase.generate,),
)  # fmt: skip
TestTexts = Texts.TestCase

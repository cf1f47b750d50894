"""The money under any order of witnesses, repeats, refunds and crashes: every shilling once, and the chain whole."""

import contextlib
import os
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random

import pytest
from hypothesis import HealthCheck, Phase, note, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from edge import database, schema
from edge.database import db
from edge.domain import books, claims, clock, inbox, matching, payments, plans, provisional, receipts, refunds
from edge.errors import BadInput, TooMany
from edge.models import TABLES, Grant, Payment, Plan
from edge.money_models import MONEY_TABLES, LedgerEntry, Receipt
from edge.network_models import NETWORK_TABLES
from edge.values.account import account_of
from edge.values.arrival import Arrival
from edge.values.stk import PushAnswer, QueryAnswer, StkResult

PHONES = ("254712345678", "254722345678", "254733000111")
POLICIES = ("hold", "nearest", "credit")
WAYS = {
    "ask": 5, "approve": 5, "deny": 1, "pay_by_hand": 3, "tell": 14, "tell_again": 3, "crash": 2, "pass_time": 2,
    "expire": 1, "refund": 2, "give": 1, "claim": 2,
}  # fmt: skip


@dataclass
class Truth:
    """One movement as M-Pesa has it in its own books."""

    code: str
    cents: int
    msisdn: str
    account: str
    at: datetime
    checkout: int | None = None  # the payment whose prompt was approved


class Boom(Exception):
    """The power goes, in the middle of a transaction."""


class Money(RuleBasedStateMachine):
    @initialize(policy=st.sampled_from(POLICIES))
    def begin(self, policy):
        db.execute_sql("PRAGMA foreign_keys = OFF")
        for table in (*TABLES, *NETWORK_TABLES, *MONEY_TABLES):
            table.delete().execute()
        db.execute_sql("PRAGMA foreign_keys = ON")
        self.now = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
        clock.beat(self.now, synchronised=True)
        Plan.create(id=1, name="1 hour", price_cents=2000, seconds=3600)
        Plan.create(id=2, name="day", price_cents=5000, seconds=86_400)
        self.policy, self.truths, self.denied = policy, [], set()

    @rule(dice=st.integers(0, 2**64), count=st.integers(4, 12))
    def things_happen(self, dice, count):
        self.any = Random(dice)
        for way in self.any.choices(list(WAYS), list(WAYS.values()), k=count):
            note(way)
            getattr(self, way)()
            self.check()

    # What guests and M-Pesa do

    def ask(self):
        wish = payments.Wish(self.any.choice((1, 1, 2)), self.any.choice(PHONES))
        with contextlib.suppress(TooMany):
            payment, is_new = payments.initiate(wish, self.now)
            if is_new and self.any.random() < 0.9:
                payments.record_prompted(payment.id, PushAnswer(f"ws_{payment.id}", "m"), (10, 20), self.now)

    def _prompted(self):
        done = {truth.checkout for truth in self.truths} | self.denied
        rung = list(Payment.select().where(Payment.checkout_request_id.is_null(False)))
        return [payment for payment in rung if payment.id not in done]

    def approve(self):
        for payment in self._prompted()[:1]:
            self._moved(payment.amount_cents, payment.msisdn, account_of(payment.id), payment.id)

    def deny(self):
        for payment in self._prompted()[:1]:
            self.denied.add(payment.id)

    def pay_by_hand(self):
        known = [account_of(payment.id) for payment in Payment.select().limit(20)]
        account = self.any.choice((*known, "", "", "RENT", self.any.choice(PHONES)))
        self._moved(self.any.choice((2000, 2000, 5000, 1500, 500, 7000)), self.any.choice(PHONES), account)

    def _moved(self, cents, msisdn, account, checkout=None):
        code = f"UC2{len(self.truths):07d}"
        self.truths.append(Truth(code, cents, msisdn, account, self.now, checkout))

    # What is told of it

    def tell(self):
        if self.any.random() < 0.15:
            self._tell_denials()
        for truth in self.any.sample(self.truths, min(1, len(self.truths))):
            self._tell(truth, self.any.choice(("callback", "c2b", "query", "text", "status")))

    def tell_again(self):
        for truth in self.truths[-3:]:
            self._tell(truth, self.any.choice(("callback", "c2b", "status")))

    def _tell(self, truth, witness):
        note(f"{witness} {truth.code}")
        shape = self.any.choice((truth.msisdn, f"2547 ***** {truth.msisdn[-3:]}"))
        full = shape if shape == truth.msisdn else ""
        whose = {"msisdn": full, "payer_shape": shape, "account": truth.account}
        arrival = Arrival(truth.code, truth.cents, **whose, paid_at=truth.at)
        if witness == "text":
            provisional.told_by_text(arrival, (), provisional.Caps(), self.now)
        elif witness in ("c2b", "status"):
            matching.arrive(arrival, witness, self.now, self.policy)
        elif truth.checkout is not None:
            payment = Payment.get_by_id(truth.checkout)
            if witness == "query":
                answer = QueryAnswer("paid", "0", "paid")
                payments.record_answer(payment.id, answer, (10, 20), self.now)
            else:
                self._call(payment, StkResult(f"ws_{payment.id}", "m", "0", "ok", truth.cents, truth.code, truth.at))

    def _call(self, payment, result):
        call = inbox.Call(f"/cb/{payment.secret}", "196.201.214.200", {}, repr(result).encode(), result, payment)
        inbox.receive(call, self.now)
        assert database.writer.catch_up(30)

    def _tell_denials(self):
        for payment_id in sorted(self.denied)[-1:]:
            payments.record_answer(payment_id, QueryAnswer("failed", "1032", "no"), (10, 20), self.now)

    def crash(self):
        """Everything in that transaction is as if it had not been."""
        before = self._books()
        with contextlib.suppress(Boom), db.atomic("IMMEDIATE"):
            self.tell()
            raise Boom
        assert self._books() == before

    def pass_time(self):
        self.now += timedelta(minutes=self.any.choice((1, 4, 30, 60 * 30)))
        clock.beat(self.now, synchronised=True)

    def expire(self):
        payments.expire_overdue(self.now)

    # What people do

    def refund(self):
        paid = list(Payment.select().where(Payment.state == "paid"))
        for payment in self.any.sample(paid, min(1, len(paid))):
            cents = self.any.choice((payment.amount_cents, payment.amount_cents // 2))
            with contextlib.suppress(BadInput):
                refunds.ask(payment, cents, "cash", None, self.now, "sorry")

    def give(self):
        for row in receipts.held()[:1]:
            with contextlib.suppress(BadInput):
                matching.give_to(row, Plan.get_by_id(self.any.choice((1, 2))), self.any.choice(PHONES), self.now)

    def claim(self):
        for truth in self.any.sample(self.truths, min(1, len(self.truths))):
            with contextlib.suppress(BadInput):
                who = claims.Claimant(self.any.choice((truth.msisdn, *PHONES)), f"10.0.0.{self.any.randrange(200)}")
                claims.by_receipt(truth.code, who, self.now)

    # What always holds

    def _books(self):
        return [(row.sequence, row.hash) for row in LedgerEntry.select().order_by(LedgerEntry.sequence)]

    def check(self):
        rows = list(LedgerEntry.select())
        money, sold = sum(row.money_cents for row in rows), sum(row.sold_cents for row in rows)
        kept = list(Receipt.select().where(Receipt.verified))
        assert money - sold == books.held_cents() == sum(row.left_cents for row in kept) >= 0
        assert all(row.left_cents >= 0 and row.used_cents >= 0 for row in kept)
        returned = -sum(row.money_cents for row in rows if row.kind in ("refund", "reversal"))
        assert money + returned <= sum(truth.cents for truth in self.truths), "the books have money that nobody paid"
        granted = [row.payment_id for row in Grant.select().where(Grant.payment.is_null(False))]
        assert len(granted) == len(set(granted)), "two grants for one payment"
        done = {row.id for row in Payment.select().where(Payment.state.in_(("paid", "reversed")))}
        assert set(granted) == done
        worth = sum(row.amount_cents for row in Payment.select().where(Payment.id.in_(list(done))))
        assert worth == sum(row.sold_cents for row in rows if row.kind in ("sale", "allotted"))

    def teardown(self):
        if not hasattr(self, "truths"):
            return
        for truth in self.truths:  # at last M-Pesa tells all of it, in full
            arrival = Arrival(truth.code, truth.cents, msisdn=truth.msisdn, account=truth.account, paid_at=truth.at)
            matching.arrive(arrival, "statement", self.now, self.policy)
        rows = list(LedgerEntry.select())
        came = sum(row.money_cents for row in rows if row.kind not in ("refund", "reversal"))
        assert came == sum(truth.cents for truth in self.truths), "a shilling is unexplained"
        assert {truth.code for truth in self.truths} == {row.code for row in Receipt.select()}
        self.check()
        verdict = books.verify()
        assert verdict.first_bad is None, verdict.words


@pytest.fixture(autouse=True)
def ledger():
    """In memory: hundreds of short lives."""
    database.open_database(Path(":memory:"))
    schema.create()
    for trigger in ("ledger_never_changes", "ledger_never_forgets", "ledger_only_grows"):
        db.execute_sql(f"DROP TRIGGER IF EXISTS {trigger}")  # each life begins with empty books
    plans.configure("Africa/Nairobi", can_text=False)
    yield
    db.close()


# These lives are always the same ones; EDGE_MACHINE_EXAMPLES=1000 lives new ones, and shortens what fails.
LIVES = os.environ.get("EDGE_MACHINE_EXAMPLES", "")
Money.TestCase.settings = settings(
    max_examples=int(LIVES or 20), stateful_step_count=12, deadline=None, suppress_health_check=list(HealthCheck),
    derandomize=not LIVES, database=None, phases=(Phase.generate, Phase.shrink) if LIVES else (Phase.generate,),
)  # fmt: skip
TestMoney = Money.TestCase

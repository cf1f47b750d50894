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
from edge.domain import (
    books,
    claims,
    clock,
    counter,
    inbox,
    matching,
    payments,
    plans,
    provider_results,
    provisional,
    receipts,
    refunds,
    shifts,
    vouchers,
    witnesses,
)
from edge.errors import BadInput, TooMany
from edge.models import TABLES, Breaker, Grant, Payment, Plan, Staff
from edge.money_models import MONEY_TABLES, LedgerEntry, Receipt, Refund, Voucher
from edge.network_models import NETWORK_TABLES
from edge.values.account import account_of
from edge.values.arrival import Arrival
from edge.values.gateway import Answer
from edge.values.stk import PushAnswer, QueryAnswer, StkResult

PHONES = ("254712345678", "254722345678", "254733000111")
POLICIES = ("hold", "nearest", "credit")
CAPS = provisional.Caps(most_cents=5000, most_open=2)
WAYS = {
    "ask": 5, "approve": 5, "deny": 1, "pay_by_hand": 3, "tell": 14, "tell_again": 3, "crash": 2, "pass_time": 2,
    "expire": 1, "refund": 2, "refund_held": 1, "end_refund": 1, "reverse": 1, "give": 1, "claim": 2, "sell": 1,
    "voucher": 1, "shift": 1, "silence": 1, "let_in_unverified": 1,
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
    provider: str = "mpesa"


class Boom(Exception):
    """The power goes, in the middle of a transaction."""


class Money(RuleBasedStateMachine):
    @initialize(policy=st.sampled_from(POLICIES), is_till=st.booleans())
    def begin(self, policy, is_till):
        db.execute_sql("PRAGMA foreign_keys = OFF")
        for table in (*TABLES, *NETWORK_TABLES, *MONEY_TABLES):
            table.delete().execute()
        db.execute_sql("PRAGMA foreign_keys = ON")
        self.now = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
        clock.beat(self.now, synchronised=True)
        Plan.create(id=1, name="1 hour", price_cents=2000, seconds=3600)
        Plan.create(id=2, name="day", price_cents=5000, seconds=86_400)
        self.policy, self.truths, self.denied = policy, [], set()
        self.is_till = is_till  # whose payers type no account
        witnesses.rules = witnesses.Rules(policy=policy)
        self.cashier = Staff.create(name="Wanjiku", role="cashier", password_hash="", created_at=self.now)
        self.cash, self.sales = 0, 0
        shifts.open(self.cashier, 10_000, self.now)

    @rule(dice=st.integers(0, 2**64), count=st.integers(4, 12))
    def things_happen(self, dice, count):
        self.any = Random(dice)
        for way in self.any.choices(list(WAYS), list(WAYS.values()), k=count):
            note(way)
            getattr(self, way)()
            self.check()

    # What guests and M-Pesa do

    def ask(self):
        provider = self.any.choice(("mpesa", "mpesa", "mpesa", "paystack"))
        wish = payments.Wish(self.any.choice((1, 1, 2)), self.any.choice(PHONES), provider=provider)
        with contextlib.suppress(TooMany):
            payment, is_new = payments.initiate(wish, self.now)
            if is_new and self.any.random() < 0.9:
                theirs = provider_results.reference_of(payment) if provider == "paystack" else f"ws_{payment.id}"
                payments.record_prompted(payment.id, PushAnswer(theirs, "m"), (10, 20), self.now)

    def _prompted(self):
        done = {truth.checkout for truth in self.truths} | self.denied
        rung = list(Payment.select().where(Payment.checkout_request_id.is_null(False)))
        return [payment for payment in rung if payment.id not in done]

    def approve(self):
        # A prompt is gone in minutes. Where no account is named, nothing but that tells whose the money is.
        fresh = [one for one in self._prompted() if not self.is_till or self.now - one.created_at < timedelta(hours=1)]
        for payment in fresh[:1]:
            account = "" if self.is_till else account_of(payment.id)
            self._moved(payment.amount_cents, payment.msisdn, account, payment.id, payment.provider)

    def deny(self):
        for payment in self._prompted()[:1]:
            self.denied.add(payment.id)

    def pay_by_hand(self):
        known = [account_of(payment.id) for payment in Payment.select().limit(20)]
        account = self.any.choice((*known, "", "", "RENT", self.any.choice(PHONES)))
        cents = self.any.choice((2000, 2000, 5000, 1500, 500, 7000))
        self._moved(cents, self.any.choice(PHONES), "" if self.is_till else account)

    def _moved(self, cents, msisdn, account, checkout=None, provider="mpesa"):
        code = f"UC2{len(self.truths):07d}"
        self.truths.append(Truth(code, cents, msisdn, account, self.now, checkout, provider))

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
        if truth.provider == "paystack":
            self._tell_paystack(truth, witness)
            return
        shape = self.any.choice((truth.msisdn, f"2547 ***** {truth.msisdn[-3:]}"))
        full = shape if shape == truth.msisdn else ""
        whose = {"msisdn": full, "payer_shape": shape, "account": truth.account}
        arrival = Arrival(truth.code, truth.cents, **whose, paid_at=truth.at)
        if witness == "text":
            provisional.told_by_text(arrival, (), CAPS, self.now)
        elif witness in ("c2b", "status"):
            matching.arrive(arrival, witness, self.now, self.policy)
        elif truth.checkout is not None:
            payment = Payment.get_by_id(truth.checkout)
            if witness == "query":
                answer = QueryAnswer("paid", "0", "paid")
                payments.record_answer(payment.id, answer, (10, 20), self.now)
            else:
                self._call(payment, StkResult(f"ws_{payment.id}", "m", "0", "ok", truth.cents, truth.code, truth.at))

    def _tell_paystack(self, truth, witness):
        answer = Answer("paid", "success", "Approved", truth.code, truth.cents)
        payment = Payment.get_by_id(truth.checkout)
        if witness == "query":
            provider_results.record_answer(payment.id, answer, (10, 20), self.now)
        else:
            provider_results.record(payment, answer, "paystack", self.now)

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

    def refund_held(self):
        """Money that is held, or a receipt of which a part is; by M-Pesa it is only asked for."""
        kept = list(Receipt.select().where(Receipt.verified))
        for row in self.any.sample(kept, min(1, len(kept))):
            most = refunds.refundable_cents(row)
            with contextlib.suppress(BadInput):
                how = self.any.choice(("cash", "reversal", "pay_out"))
                refunds.ask(row, self.any.choice((most, most // 200 * 100)), how, None, self.now, "sorry")

    def end_refund(self):
        """M-Pesa tells how one ended, perhaps twice and otherwise."""
        asked = list(Refund.select().where(Refund.how != "cash"))
        for refund in self.any.sample(asked, min(1, len(asked))):
            record = self.any.choice((refunds.record_done, refunds.record_failed, refunds.record_unconfirmed))
            record(refund.id, "as M-Pesa says", self.now)

    def reverse(self):
        """M-Pesa sends money back by itself, whether we heard of it or not; a statement tells us."""
        for truth in self.any.sample(self.truths, min(1, len(self.truths))):
            row = receipts.find(truth.code, truth.provider)
            if row is not None and truth.provider == "mpesa":
                refunds.reverse(row, "by the statement", self.now)

    def sell(self):
        self.sales += 1
        phone, plan = self.any.choice((*PHONES, "")), Plan.get_by_id(self.any.choice((1, 2)))
        sold, _ = counter.sell(plan, self.cashier, self.now, msisdn=phone, key=str(self.sales))
        self.cash += sold.amount_cents

    def voucher(self):
        plan = Plan.get_by_id(self.any.choice((1, 2)))
        voucher = vouchers.sell_new(plan, self.cashier, shifts.current(self.cashier).id, self.now)
        self.cash += voucher.value_cents
        if self.any.random() < 0.7:
            vouchers.redeem(voucher.code, "", "10.0.1.1", {}, self.now)
        if self.any.random() < 0.3:
            vouchers.void(voucher, None, "lost", self.now)

    def shift(self):
        shift = shifts.current(self.cashier)
        with contextlib.suppress(BadInput):
            shifts.add_expense(shift, 500, "water", self.now, self.cashier)
        told = shifts.figures(shift, self.now)
        in_drawer = sum(row.money_cents for row in LedgerEntry.select().where(
            LedgerEntry.shift_id == shift.id, LedgerEntry.method == "cash"
        ))  # fmt: skip
        assert told.expected_cents == 10_000 + in_drawer
        shifts.close(shift, max(0, told.expected_cents - 100), "short", self.now, self.cashier)
        shifts.open(self.cashier, 10_000, self.now)

    def silence(self):
        """M-Pesa's API goes away, or comes back."""
        if Breaker.select().exists():
            Breaker.delete().execute()
        else:
            Breaker.create(name="mpesa", state="open", failures=5, retry_at=self.now, changed_at=self.now)

    def let_in_unverified(self):
        told = list(Receipt.select(Receipt.payment).where(~Receipt.verified, Receipt.payment.is_null(False)))
        for row in told:
            provisional.open_unverified(row.payment_id, CAPS, self.now)
        provisional.withdraw_stale(self.now)

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
        rows = [row for row in LedgerEntry.select() if row.kind not in books.DRAWER]
        money, sold = sum(row.money_cents for row in rows), sum(row.sold_cents for row in rows)
        kept = list(Receipt.select().where(Receipt.verified))
        assert money - sold == books.held_cents() == sum(row.left_cents for row in kept) >= 0
        assert all(row.left_cents >= 0 and row.used_cents >= 0 for row in kept)
        assert self._came(rows) <= sum(truth.cents for truth in self.truths) + self.cash, "money that nobody paid"
        granted = [one.payment_id for one in Grant.select().where(Grant.payment.is_null(False), ~Grant.provisional)]
        assert len(granted) == len(set(granted)), "two grants for one payment"
        done = list(Payment.select().where(Payment.state.in_(("paid", "reversed")), Payment.paid_at.is_null(False)))
        assert set(granted) == {row.id for row in done}
        worth = sum(row.amount_cents for row in done)
        assert worth == sum(row.sold_cents for row in rows if row.kind in ("sale", "allotted"))
        self.check_time()

    def check_time(self):
        """Who paid has his time and nobody else has any: under his own code, or added to another."""
        owed = sum(row.plan.seconds for row in Payment.select().where(Payment.state == "paid"))
        paper = Voucher.select().where(Voucher.state == "used")
        owed += sum(row.plan.seconds for row in paper)
        opened = Grant.select().where(Grant.state == "live", Grant.provisional)
        owed += sum(one.seconds for one in opened)
        assert owed == sum(one.seconds for one in Grant.select().where(Grant.state == "live"))

    def _came(self, rows):
        """What came in, whatever went back since."""
        return sum(row.money_cents for row in rows if row.kind not in ("refund", "reversal"))

    def teardown(self):
        if not hasattr(self, "truths"):
            return
        for truth in self.truths:  # at last M-Pesa tells all of it, in full
            if truth.provider == "paystack":
                self._tell_paystack(truth, "paystack")
                continue
            arrival = Arrival(truth.code, truth.cents, msisdn=truth.msisdn, account=truth.account, paid_at=truth.at)
            matching.arrive(arrival, "statement", self.now, self.policy)
        came = self._came(row for row in LedgerEntry.select() if row.kind not in books.DRAWER)
        unseen = Receipt.select().where(~Receipt.verified, Receipt.state == "returned")  # came, and went before we knew
        assert came + sum(row.amount_cents for row in unseen) == sum(truth.cents for truth in self.truths) + self.cash
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
    max_examples=int(LIVES or 16), stateful_step_count=12, deadline=None, suppress_health_check=list(HealthCheck),
    derandomize=not LIVES, database=None, phases=(Phase.generate, Phase.shrink) if LIVES else (Phase.generate,),
)  # fmt: skip
TestMoney = Money.TestCase

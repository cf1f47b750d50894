"""The tables of money: what arrived, what it paid for, what went back, and the books that no one can rewrite."""

from peewee import AutoField, BooleanField, CharField, ForeignKeyField, IntegerField, TextField

from edge.fields import InstantField, JsonField, SealedNumber, SealedText
from edge.models import Grant, Payment, Plan, Router, Staff, Table


class Receipt(Table):
    """Money that arrived under one receipt of a provider, whoever told us; what is not used or given back is held."""

    id = AutoField()
    provider = CharField(default="mpesa")
    code = CharField()  # M-Pesa's TransID, upper case: the one key all witnesses share
    amount_cents = IntegerField()
    used_cents = IntegerField(default=0)  # what was bought with it
    returned_cents = IntegerField(default=0)  # refunded or reversed
    payment = ForeignKeyField(Payment, null=True, backref="receipts")  # what it was first matched to
    state = CharField(default="held")  # held, used, returned
    msisdn = CharField(default="")  # the payer, where it was told in full
    payer_shape = CharField(default="")  # the number as it came: masked, hashed
    payer_name = CharField(default="")
    account = CharField(default="")  # what the payer typed
    witnesses = JsonField(default=list)  # callback, c2b, query, sms, statement, paystack … in their order
    verified = BooleanField(default=True)  # told by the provider itself; a text alone is not enough
    words = TextField(default="")  # why it is held
    paid_at = InstantField(null=True)  # when the provider says
    created_at = InstantField(index=True)

    class Meta:
        table_name = "receipts"
        indexes = ((("provider", "code"), True),)

    @property
    def left_cents(self) -> int:
        """What is held: neither used nor given back."""
        return int(self.amount_cents - self.used_cents - self.returned_cents)


class LedgerEntry(Table):
    """One line of the books, chained to the one before: written once, never changed."""

    sequence = IntegerField(primary_key=True)  # 1, 2, 3 … without a gap
    at = InstantField()
    kind = CharField()  # sale, held, allotted, refund, reversal, expense, variance, voucher
    method = CharField()  # mpesa, cash, paystack
    money_cents = IntegerField()  # what we have more, or less
    sold_cents = IntegerField()  # what was sold, or taken back
    plan_id = IntegerField(null=True)
    payment_id = IntegerField(null=True)
    receipt_id = IntegerField(null=True)
    voucher_id = IntegerField(null=True)
    shift_id = IntegerField(null=True)
    staff_id = IntegerField(null=True)
    words = TextField(default="")
    previous = CharField()  # the hash of the entry before
    hash = CharField()

    class Meta:
        table_name = "ledger"


class Refund(Table):
    """Money on its way back to a guest."""

    id = AutoField()
    payment = ForeignKeyField(Payment, null=True, backref="refunds")
    receipt = ForeignKeyField(Receipt, null=True, backref="refunds")
    amount_cents = IntegerField()
    how = CharField()  # reversal, pay_out, cash
    state = CharField(default="asked")  # asked, done, failed, unconfirmed
    msisdn = CharField(default="")
    staff = ForeignKeyField(Staff, null=True, on_delete="SET NULL")
    shift_id = IntegerField(null=True)
    words = TextField(default="")
    created_at = InstantField()
    closed_at = InstantField(null=True)

    class Meta:
        table_name = "refunds"


class OrgRequest(Table):
    """One question or order to M-Pesa's organisation APIs, answered later at its own secret address."""

    id = AutoField()
    kind = CharField()  # status, reversal, pay_out, register
    secret = CharField(unique=True)
    payment = ForeignKeyField(Payment, null=True, backref="org_requests")
    receipt = ForeignKeyField(Receipt, null=True, backref="org_requests")
    refund = ForeignKeyField(Refund, null=True, backref="org_requests")
    code = CharField(default="")  # the receipt it is about
    msisdn = CharField(default="")
    amount_cents = IntegerField(null=True)
    originator_id = CharField(null=True, unique=True)  # of our making where M-Pesa takes one, else M-Pesa's
    conversation_id = CharField(null=True)
    state = CharField(default="wanted")  # wanted, sent, done, failed, unconfirmed, timed-out
    words = TextField(default="")
    result = JsonField(null=True)
    created_at = InstantField()
    sent_at = InstantField(null=True)
    closed_at = InstantField(null=True)

    class Meta:
        table_name = "org_requests"


class Secret(Table):
    """A secret of the box itself, made when first needed."""

    name = CharField(primary_key=True)  # c2b: the shop's own address for M-Pesa's confirmations
    value = CharField(unique=True)
    created_at = InstantField()

    class Meta:
        table_name = "secrets"


class IncomingText(Table):
    """One text, or a part of one, that the modem's SIM received."""

    id = AutoField()
    digest = CharField(unique=True)
    sender = SealedNumber()
    is_name = BooleanField(default=False)  # the sender is letters, as MPESA's is
    smsc = CharField(default="")
    pid = IntegerField(default=0)
    text = SealedText()
    part_key = CharField(default="")  # the same for all parts of one text
    part = IntegerField(default=1)
    parts = IntegerField(default=1)
    sent_at = InstantField(null=True)  # by the service centre's clock
    received_at = InstantField(index=True)
    kind = CharField(default="")  # mpesa, stop, start, help, balance, voucher, owner, person; empty: not looked at
    route = CharField(default="modem")  # which of our numbers it came to: modem, africastalking, twilio
    read_at = InstantField(null=True)  # staff have seen it
    state = CharField(default="new")  # new, settled, held, ignored
    outcome = TextField(default="")
    receipt = ForeignKeyField(Receipt, null=True, backref="texts")

    class Meta:
        table_name = "incoming_texts"


class VoucherBatch(Table):
    """Vouchers made together."""

    id = AutoField()
    name = CharField(default="")
    plan = ForeignKeyField(Plan)
    seller = CharField(default="")
    value_cents = IntegerField(default=0)
    router = ForeignKeyField(Router, null=True, on_delete="SET NULL")
    expires_at = InstantField(null=True)
    staff = ForeignKeyField(Staff, null=True, on_delete="SET NULL")
    created_at = InstantField()

    class Meta:
        table_name = "voucher_batches"


class Voucher(Table):
    """A code that somebody holds on paper; whoever types it first is online."""

    id = AutoField()
    batch = ForeignKeyField(VoucherBatch, null=True, backref="vouchers")
    code = CharField(unique=True)  # capitals and digits, without dashes
    plan = ForeignKeyField(Plan)
    state = CharField(default="new")  # new, sold, used, void
    value_cents = IntegerField(default=0)
    seller = CharField(default="")
    expires_at = InstantField(null=True)
    seconds = IntegerField(null=True)  # instead of the plan's: the rest of one reissued
    bytes = IntegerField(null=True)
    sold_at = InstantField(null=True)
    sold_by = ForeignKeyField(Staff, null=True, on_delete="SET NULL")
    shift_id = IntegerField(null=True)
    used_at = InstantField(null=True)
    grant = ForeignKeyField(Grant, null=True, unique=True, backref="vouchers")
    reissue_of = ForeignKeyField("self", null=True)
    words = TextField(default="")
    created_at = InstantField()

    class Meta:
        table_name = "vouchers"


class Trial(Table):
    """Who had his free trial: a phone or a device, once."""

    key = CharField(primary_key=True)  # phone:2547…, mac:AA:…
    plan = ForeignKeyField(Plan, null=True, on_delete="SET NULL")
    grant = ForeignKeyField(Grant, null=True, on_delete="SET NULL")
    at = InstantField()

    class Meta:
        table_name = "trials"


class Shift(Table):
    """One person's time at the counter, from the opening float to the counted drawer."""

    id = AutoField()
    staff = ForeignKeyField(Staff, backref="shifts")
    float_cents = IntegerField(default=0)
    opened_at = InstantField()
    closed_at = InstantField(null=True)
    expected_cents = IntegerField(null=True)  # in the drawer, when closed
    counted_cents = IntegerField(null=True)
    words = TextField(default="")

    class Meta:
        table_name = "shifts"


class Statement(Table):
    """One statement of M-Pesa that was imported."""

    id = AutoField()
    name = CharField()
    digest = CharField(unique=True)
    lines = IntegerField(default=0)
    first_at = InstantField(null=True)
    last_at = InstantField(null=True)
    imported_at = InstantField()

    class Meta:
        table_name = "statements"


class StatementLine(Table):
    """One line of a statement, and what it is to us."""

    id = AutoField()
    statement = ForeignKeyField(Statement, backref="rows", on_delete="CASCADE")
    number = IntegerField()  # in the file
    code = CharField(index=True)
    at = InstantField()
    details = TextField(default="")
    status = CharField(default="")
    in_cents = IntegerField(default=0)
    out_cents = IntegerField(default=0)
    balance_cents = IntegerField(null=True)
    other_party = CharField(default="")
    account = CharField(default="")
    linked = CharField(default="")
    reason = CharField(default="")

    class Meta:
        table_name = "statement_lines"


MONEY_TABLES: tuple[type[Table], ...] = (
    Receipt, LedgerEntry, Refund, OrgRequest, Secret, IncomingText, VoucherBatch, Voucher, Trial, Shift, Statement,
    StatementLine,
)  # fmt: skip

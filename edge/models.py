"""Every table: its columns, its states, and the queries it is known by."""

import hashlib
from collections.abc import Sequence
from functools import cache
from typing import Any, Self

from peewee import (
    SQL,
    AutoField,
    BlobField,
    BooleanField,
    CharField,
    DoubleField,
    ForeignKeyField,
    IntegerField,
    Model,
    TextField,
)

from edge.database import db
from edge.fields import InstantField, JsonField, SealedNumber, SealedText


class Table(Model):
    """What every table has in common: the one database, and columns saved one by one."""

    class Meta:
        database = db
        legacy_table_names = False

    # The commonest statements have their words kept: Peewee builds them anew each time, which takes four times as long
    # as running them, and a sale has thirty. Everything else is Peewee's.
    @classmethod
    def create(cls, **given: Any) -> Self:
        """Write a new row, with the defaults of what is not given."""
        row = cls._insert(given, "")
        assert row is not None
        return row

    @classmethod
    def create_unless_there(cls, **given: Any) -> Self | None:
        """The same; None when a unique column has its value already."""
        return cls._insert(given, "ON CONFLICT DO NOTHING ")

    @classmethod
    def _insert(cls, given: dict[str, Any], unless: str) -> Self | None:
        row = cls(**given)
        values = row.__data__
        fields = [field for field in cls._meta.sorted_fields if field.name in values]
        found = db.execute_sql(
            _insert_words(unless, *_named(cls), tuple(field.column_name for field in fields)),
            [field.db_value(values[field.name]) for field in fields],
        ).fetchone()
        if found is None:
            return None
        row._pk = found[0]
        row._dirty.clear()
        if cls._meta.auto_increment and cls._meta.primary_key.name in given:
            db.pass_number(*_named(cls))
        return row

    @classmethod
    def get_by_id(cls, pk: Any) -> Self:
        """The row of this number, else DoesNotExist."""
        table, key = _named(cls)
        found = db.execute_sql(_select_words(table, _columns(cls._meta), f'"{key}" = ?'), [pk]).fetchone()
        if found is None:
            raise cls.DoesNotExist(f"{cls.__name__} {pk}")
        return cls.of_columns(found)

    @classmethod
    def of_columns(cls, columns: Sequence[Any]) -> Self:
        """A row as it came from the database, with all columns in their order."""
        row = cls(__no_default__=1)
        pairs = zip(cls._meta.sorted_fields, columns, strict=True)
        row.__data__ = {field.name: field.python_value(value) for field, value in pairs}
        row._dirty.clear()
        return row

    @classmethod
    def any_where(cls, condition: str, *values: Any) -> bool:
        """Is there such a row? In SQL's own words, for the looks that an idle box takes all day."""
        table, _ = _named(cls)
        return bool(db.execute_sql(f'SELECT 1 FROM "{table}" WHERE {condition} LIMIT 1', values).fetchone())

    @classmethod
    def one_where(cls, condition: str, *values: Any) -> Self | None:
        """Such a row, or None. The condition is in SQL's own words, as a sale asks it; values are plain."""
        table, _ = _named(cls)
        found = db.execute_sql(_select_words(table, _columns(cls._meta), f"{condition} LIMIT 1"), values).fetchone()
        return None if found is None else cls.of_columns(found)

    @classmethod
    def all_where(cls, condition: str, *values: Any) -> list[Self]:
        """All such rows; the condition may end in an ORDER BY."""
        found = db.execute_sql(_select_words(_named(cls)[0], _columns(cls._meta), condition), values).fetchall()
        return [cls.of_columns(row) for row in found]

    def put(self, **columns: Any) -> None:
        """Write only these columns, so two writers of one row do not undo each other."""
        self.put_if("", **columns)

    def put_if(self, condition: str, /, **columns: Any) -> bool:
        """The same if this holds in the table, in SQL's own words; False, and nothing is written, if it does not."""
        fields = [type(self)._meta.fields[name] for name in columns]
        values = [field.db_value(value) for field, value in zip(fields, columns.values(), strict=True)]
        names = tuple(field.column_name for field in fields)
        words = _update_words(*_named(type(self)), names, condition and f" AND {condition}")
        if db.execute_sql(words, [*values, self.get_id()]).rowcount != 1:
            return False
        for name, value in columns.items():
            setattr(self, name, value)
        return True


def _named(table: type[Table]) -> tuple[str, str]:
    """The names of the table and of its key."""
    return table._meta.table_name, table._meta.primary_key.column_name


@cache
def _columns(meta: Any) -> tuple[str, ...]:
    return tuple(field.column_name for field in meta.sorted_fields)


@cache
def _insert_words(unless: str, table: str, key: str, columns: tuple[str, ...]) -> str:
    names, marks = ", ".join(f'"{name}"' for name in columns), ", ".join("?" for _ in columns)
    return f'INSERT INTO "{table}" ({names}) VALUES ({marks}) {unless}RETURNING "{key}"'


@cache
def _select_words(table: str, columns: tuple[str, ...], condition: str) -> str:
    names = ", ".join(f'"{name}"' for name in columns)
    return f'SELECT {names} FROM "{table}" WHERE {condition}'


@cache
def _update_words(table: str, key: str, columns: tuple[str, ...], also: str) -> str:
    changes = ", ".join(f'"{name}" = ?' for name in columns)
    return f'UPDATE "{table}" SET {changes} WHERE "{key}" = ?{also}'


class Job(Table):
    """One piece of work that was promised, until it is done, given up or cancelled."""

    id = AutoField()
    queue = CharField()
    name = CharField()
    args = JsonField(default=dict)
    state = CharField(default="waiting")  # scheduled, waiting, running, done, failed, cancelled
    priority = IntegerField(default=0)
    run_at = InstantField()
    attempt = IntegerField(default=0)
    tries = IntegerField()
    backoff = JsonField(default=list)
    timeout_s = IntegerField()
    lane = CharField(null=True)
    unique_key = CharField(null=True)  # unique while the job is open
    once_key = CharField(null=True)  # unique as long as the row is remembered
    holder = CharField(null=True)
    lease_until = InstantField(null=True)
    cause = CharField(default="")
    errors = JsonField(default=list)
    created_at = InstantField()
    started_at = InstantField(null=True)
    finished_at = InstantField(null=True)
    trace = CharField(default="")  # the same from the request or the hour that caused it to the last log line
    deaths = IntegerField(default=0)  # of worker processes, in the middle of it
    not_after = InstantField(null=True)  # later than this it is not done unasked
    batch_id = IntegerField(null=True)
    progress = IntegerField(null=True)  # percent
    progress_words = CharField(default="")

    class Meta:
        table_name = "jobs"


class Batch(Table):
    """Jobs that belong together; when the last of them has ended, the completion is promised, once."""

    id = AutoField()
    name = CharField()
    total = IntegerField(default=0)
    open = IntegerField(default=0)
    failed = IntegerField(default=0)
    completion = JsonField(null=True)  # {"name", "queue", "args"}
    is_sealed = BooleanField(default=False)  # all its jobs are promised
    created_at = InstantField()
    finished_at = InstantField(null=True)

    class Meta:
        table_name = "batches"


class Pause(Table):
    """A queue of which nothing is taken up until a person says so."""

    queue = CharField(primary_key=True)
    at = InstantField()
    words = CharField(default="")

    class Meta:
        table_name = "pauses"


class JobMinute(Table):
    """What one kind of work did in one minute: the history that outlives the jobs."""

    id = AutoField()
    minute = IntegerField()  # since 1970
    queue = CharField()
    name = CharField()
    done = IntegerField(default=0)
    failed = IntegerField(default=0)
    retried = IntegerField(default=0)
    run_s = DoubleField(default=0.0)
    run_max_s = DoubleField(default=0.0)
    wait_s = DoubleField(default=0.0)
    wait_max_s = DoubleField(default=0.0)

    class Meta:
        table_name = "job_minutes"
        indexes = ((("minute", "queue", "name"), True),)


class Breaker(Table):
    """A provider that failed again and again is left alone for a while: M-Pesa, the modem, a router."""

    name = CharField(primary_key=True)  # mpesa, modem, router:1
    state = CharField(default="closed")  # closed, open, trial
    failures = IntegerField(default=0)  # in a row
    opened = IntegerField(default=0)  # times in a row, for a pause that grows
    retry_at = InstantField(null=True)
    changed_at = InstantField()
    words = TextField(default="")

    class Meta:
        table_name = "breakers"


class Router(Table):
    """A MikroTik that admits guests; `from_settings` rows are written over by the settings file at start."""

    id = AutoField()
    name = CharField(unique=True)
    host = CharField()
    port = IntegerField(default=8728)
    tls = BooleanField(default=False)
    username = CharField(default="")
    password = TextField(default="")
    mode = CharField(default="local")  # local, radius
    radius_secret = TextField(default="")
    hotspot_server = CharField(default="")
    login_url = CharField(default="")
    from_settings = BooleanField(default=False)
    down_since = InstantField(null=True)
    clock_offset_s = DoubleField(null=True)  # its clock less ours, when last asked
    clock_seen_at = InstantField(null=True)
    booted_at = InstantField(null=True)  # by the uptime it told; later than before is a reboot
    facts = JsonField(default=dict)  # what it last said of itself: version, board, identity, cpu_load …
    setup = JsonField(default=dict)  # what `edge router setup` changed there, and how to undo it
    setup_token = CharField(default="")  # opens the script that a technician pastes

    class Meta:
        table_name = "routers"

    @classmethod
    def is_at(cls, address: str) -> bool:
        """A router's own address may stand for all its guests: what one of them does there must not cost the others."""
        return bool(cls.select().where(cls.host == address).exists())


class Plan(Table):
    """What is sold: so much time, perhaps so much data, at such a speed, for a price."""

    id = AutoField()
    name = CharField()
    price_cents = IntegerField()
    seconds = IntegerField()
    bytes = IntegerField(null=True)
    rate = CharField(default="")  # RouterOS order: upload/download
    devices = IntegerField(default=1)
    metered = BooleanField(default=False)  # the time runs only while online
    idle_s = IntegerField(null=True)  # online and silent for so long: logged out
    on_sale = BooleanField(default=True)
    position = IntegerField(default=0)
    burst = CharField(default="")  # the rest of RouterOS's rate: burst rate, threshold, seconds
    start_within_s = IntegerField(null=True)  # its vouchers are to be begun within so long
    valid_s = IntegerField(null=True)  # metered: used up or not, it ends so long after it began
    hours = JsonField(default=list)  # when it is on sale: windows of a week; none is always
    happy = JsonField(default=list)  # windows of a week with another price
    router_ids = JsonField(default=list)  # where it is sold; none is everywhere
    is_trial = BooleanField(default=False)  # free, once a phone and once a device
    joins = BooleanField(default=True)  # bought again while time is left, it adds to what is there
    remind_s = IntegerField(null=True)  # so long before the end the guest is told

    class Meta:
        table_name = "plans"

    @property
    def full_rate(self) -> str:
        """RouterOS's whole rate limit: rate, then burst rate, threshold and seconds where there is a burst."""
        return f"{self.rate} {self.burst}" if self.rate and self.burst else str(self.rate)


class Payment(Table):
    """One checkout: from the promise to pay until M-Pesa's last word."""

    id = AutoField()
    token = CharField(unique=True)  # what the buyer holds
    secret = CharField(unique=True)  # the payment's own callback address
    plan = ForeignKeyField(Plan, backref="payments", index=False)  # few plans: an index would lead through half of all
    msisdn = CharField(index=True)
    mac = CharField(default="")
    amount_cents = IntegerField()
    state = CharField(default="pending")  # pending, prompted, paid, failed, expired, reversed
    checkout_request_id = CharField(null=True, unique=True)
    receipt = CharField(null=True, unique=True)
    idempotency_key = CharField(null=True, unique=True)
    context = JsonField(default=dict)  # how the guest arrived: ip, link-login-only …
    result_code = CharField(default="")
    witness = CharField(default="")  # callback, query, c2b, sms, staff, paystack
    provider = CharField(default="mpesa")  # mpesa, cash, paystack
    how = CharField(default="prompt")  # prompt, hand, counter
    source = CharField(default="")  # the address of the network it was asked from
    staff_id = IntegerField(null=True)  # who sold it at the counter
    shift_id = IntegerField(null=True)
    asked = IntegerField(default=0)  # how many times M-Pesa was asked
    asked_at = InstantField(null=True)
    confirmed_at = InstantField(null=True)
    disputed = BooleanField(default=False)
    created_at = InstantField(index=True)
    prompted_at = InstantField(null=True)
    paid_at = InstantField(null=True, index=True)
    closed_at = InstantField(null=True)

    class Meta:
        table_name = "payments"
        constraints = (SQL("CHECK (amount_cents > 0)"),)

    OPEN = ("pending", "prompted")

    @property
    def is_open(self) -> bool:
        return self.state in self.OPEN

    @property
    def trace(self) -> str:
        """The one trace of everything that is done for this payment, whoever sets it in motion."""
        return hashlib.blake2b(self.token.encode(), digest_size=16).hexdigest()


class Grant(Table):
    """The right to be online until `ends_at`; it begins when the network first lets the guest in."""

    id = AutoField()
    payment = ForeignKeyField(Payment, null=True, unique=True, backref="grants")
    plan = ForeignKeyField(Plan, index=False)
    why = CharField(default="payment")  # payment, voucher, trial, gift, compensation, import
    msisdn = CharField(default="")
    mac = CharField(default="")
    # Where he stood when he paid, if known.
    router = ForeignKeyField(Router, null=True, on_delete="SET NULL", index=False)
    username = CharField(unique=True)
    password = CharField()
    seconds = IntegerField()
    bytes = IntegerField(null=True)
    rate = CharField(default="")
    devices = IntegerField(default=1)
    credited_s = IntegerField(default=0)
    credited_until = InstantField(null=True)  # outages before this are settled
    metered = BooleanField(default=False)  # the time runs only while online, and has no end by the calendar
    idle_s = IntegerField(null=True)
    state = CharField(default="live")  # live, ended
    why_ended = CharField(default="")  # time, data, staff, joined, unverified, refunded, reversed
    provisional = BooleanField(default=False)  # opened on a text's word; M-Pesa has not confirmed it yet
    joined = ForeignKeyField("self", null=True)  # its time was added to this one
    valid_s = IntegerField(null=True)
    remind_s = IntegerField(null=True)
    reminded_at = InstantField(null=True)
    created_at = InstantField()
    starts_at = InstantField(null=True)
    ends_at = InstantField(null=True, index=True)

    class Meta:
        table_name = "grants"


class Placement(Table):
    """A grant as one router should have it: wanted, there, or withdrawn."""

    id = AutoField()
    grant = ForeignKeyField(Grant, backref="placements")
    router = ForeignKeyField(Router, on_delete="CASCADE")
    state = CharField(default="wanted", index=True)  # wanted, there, leaving, gone
    words = TextField(default="")
    written_at = InstantField(null=True)
    not_before = InstantField(null=True)  # given up: the next round of tries
    alarmed_at = InstantField(null=True)  # staff were told, until it succeeds
    used_s = IntegerField(default=0)  # online at this router ever, by its own counters
    used_bytes = IntegerField(default=0)
    counted = JsonField(default=dict)  # the router's counters when last read, a name: see `edge/domain/counters.py`

    class Meta:
        table_name = "placements"
        indexes = ((("grant", "router"), True),)


class Inbox(Table):
    """Everything that ever called in, raw, kept before it is believed."""

    id = AutoField()
    digest = CharField(unique=True)
    source = CharField()
    kind = CharField()
    headers = JsonField(default=dict)
    body = BlobField()
    payment = ForeignKeyField(Payment, null=True, backref="calls")
    is_proof = BooleanField(default=False)  # the payment's own address, a trusted source, our shop
    outcome = TextField(default="")
    repeats = IntegerField(default=0)
    received_at = InstantField()

    class Meta:
        table_name = "inbox"


class Message(Table):
    """One text to one person, and its story."""

    id = AutoField()
    msisdn = SealedNumber()
    text = SealedText(default="")  # empty while it is only listed: a campaign's words are filled in when its turn comes
    kind = CharField(default="code")  # code, notice, alert, reply, hand, campaign
    state = CharField(default="queued")  # listed, queued, sent, delivered, failed, unconfirmed, suppressed
    payment = ForeignKeyField(Payment, null=True, backref="messages")
    campaign_id = IntegerField(null=True)
    staff_id = IntegerField(null=True)  # who wrote it
    answers_id = IntegerField(null=True)  # the text that came in and is answered by this
    fields = SealedText(default="")  # JSON: what a campaign's placeholders mean for this person
    segments = IntegerField(default=1)
    cost = IntegerField(default=0)  # credits that were set aside for it
    round = IntegerField(default=0)  # how often it was tried anew by hand
    route = CharField(default="")  # modem, africastalking, twilio, http, simulated: who took it
    tried = CharField(default="")  # routes that surely did not take it, with commas
    reference = CharField(default="")  # the modem's message references, or the gateway's id
    price_cents = IntegerField(null=True)  # what it cost, as the gateway told
    wants_report = BooleanField(default=False)
    flash = BooleanField(default=False)  # shown at once, and often not stored (class 0)
    words = TextField(default="")
    created_at = InstantField()
    expires_at = InstantField(null=True)  # not sent any more after this
    sent_at = InstantField(null=True)
    delivered_at = InstantField(null=True)
    closed_at = InstantField(null=True)  # failed, suppressed, or nobody knows

    class Meta:
        table_name = "messages"

    IN_HAND = ("listed", "queued")


class Event(Table):
    """What staff see live; names are past tense."""

    id = AutoField()
    name = CharField()
    at = InstantField()
    data = JsonField(default=dict)

    class Meta:
        table_name = "events"


class Check(Table):
    """The last word on one part of the box, and since when it says so."""

    name = CharField(primary_key=True)  # router:gate, modem, mpesa, radius
    state = CharField()  # ok, problem, unknown
    words = TextField(default="")
    cure = TextField(default="")
    checked_at = InstantField()
    changed_at = InstantField()

    class Meta:
        table_name = "checks"


class Clock(Table):
    """The box's own sense of time: one row, which RADIUS reads instead of the machine's clock."""

    id = AutoField()
    trusted = BooleanField(default=False)
    words = TextField(default="")
    seen_at = InstantField()  # the last instant the box lived through

    class Meta:
        table_name = "clock"


class Staff(Table):
    """Somebody who may sign in."""

    id = AutoField()
    name = CharField(unique=True)
    role = CharField(default="owner")  # owner, technician, cashier
    password_hash = CharField()
    email = CharField(default="")
    created_at = InstantField()

    class Meta:
        table_name = "staff"


class StaffSession(Table):
    """A signed-in browser, or an API token; only digests are kept."""

    id = AutoField()
    staff = ForeignKeyField(Staff, backref="sessions", on_delete="CASCADE")
    digest = CharField(unique=True)
    kind = CharField(default="browser")  # browser, token
    csrf = CharField(default="")
    label = CharField(default="")
    created_at = InstantField()
    seen_at = InstantField()
    expires_at = InstantField(null=True)

    class Meta:
        table_name = "staff_sessions"


class Heartbeat(Table):
    """A worker process that says it is alive."""

    holder = CharField(primary_key=True)
    queues = JsonField(default=dict)  # queue → workers
    started_at = InstantField()
    seen_at = InstantField()
    host = CharField(default="")
    pid = IntegerField(default=0)
    stuck = IntegerField(default=0)  # threads that overran their job's time and were replaced
    restart_asked_at = InstantField(null=True)

    class Meta:
        table_name = "heartbeats"


class Throttle(Table):
    """A rate shared by all workers: the instant from which the next call is allowed."""

    name = CharField(primary_key=True)
    free_at = InstantField()
    line_until = InstantField(null=True)  # the last turn given to those who can wait
    failures = IntegerField(default=0)  # in a row, for a lock that grows

    class Meta:
        table_name = "throttles"


TABLES: tuple[type[Table], ...] = (
    Job, Router, Plan, Payment, Grant, Placement, Inbox, Message, Event, Check, Clock, Staff, StaffSession,
    Heartbeat, Throttle, Batch, Pause, JobMinute, Breaker,
)  # fmt: skip

"""The tables of texts: who may be texted, campaigns and their lists, credits, templates, and what the modem told."""

from peewee import AutoField, BooleanField, CharField, ForeignKeyField, IntegerField, TextField

from edge.fields import InstantField, JsonField, SealedNumber, SealedText
from edge.models import Message, Staff, Table


class Contact(Table):
    """One phone number: does its owner want to hear from the shop?"""

    id = AutoField()
    msisdn = SealedNumber(unique=True)
    name = SealedText(default="")
    marketing = CharField(default="")  # yes, no; empty: never asked
    blocked = BooleanField(default=False)  # wants no campaign at all: STOP, or the network says so
    how = CharField(default="")  # by which word, form, list or answer it came to be so
    changed_at = InstantField(null=True)
    answered_at = InstantField(null=True)  # the last answer that the box gave by itself
    created_at = InstantField()

    class Meta:
        table_name = "contacts"


class SmsList(Table):
    """Numbers that the owner uploaded, with what else its file says of them."""

    id = AutoField()
    name = CharField()
    columns = JsonField(default=list)  # besides the phone
    body = SealedText()  # CSV: phone (2547…), then the columns; checked, each number once
    rows = IntegerField(default=0)
    consent = TextField(default="")  # how these people agreed, in the owner's words
    staff = ForeignKeyField(Staff, null=True, on_delete="SET NULL")
    created_at = InstantField()

    class Meta:
        table_name = "sms_lists"


class Campaign(Table):
    """One text to many. Its recipients are messages; whoever counts, counts those."""

    id = AutoField()
    name = CharField()
    text = TextField()  # with placeholders
    kind = CharField(default="marketing")  # marketing, service
    audience = JsonField(default=dict)
    state = CharField(default="draft")  # draft, scheduled, pending, processing, paused, completed, failed, cancelled
    staff = ForeignKeyField(Staff, null=True, on_delete="SET NULL")
    left_out = JsonField(default=dict)  # why → how many, when its recipients were listed
    words = TextField(default="")  # what went wrong
    round = IntegerField(default=0)  # how often its failed ones were tried anew
    by_box = BooleanField(default=False)  # made by whoever commands the box itself, and no staff member
    request_key = CharField(null=True, unique=True)  # the program's Idempotency-Key, of its owner, as a digest
    request_digest = CharField(default="")  # what was asked for under it
    recipients = IntegerField(null=True)  # when it was submitted: none is added or removed after that
    created_at = InstantField()
    listed_at = InstantField(null=True)  # its recipients are all written down
    scheduled_at = InstantField(null=True)
    submitted_at = InstantField(null=True)
    started_at = InstantField(null=True)  # once
    finished_at = InstantField(null=True)

    class Meta:
        table_name = "sms_campaigns"


class CreditAccount(Table):
    """What one account of the credits holds: always the sum of its lines."""

    name = CharField(primary_key=True)  # issued (below zero), available, reserved, spent; of a campaign reserved:7
    balance = IntegerField(default=0)

    class Meta:
        table_name = "credit_accounts"


class CreditEntry(Table):
    """Credits that went from one account to another; never changed."""

    id = AutoField()
    key = CharField(unique=True)  # what it is for: the same is never booked twice
    at = InstantField()
    giver = CharField()
    taker = CharField()
    amount = IntegerField()
    why = CharField()  # top-up, reserve, spend, release, refund, correction
    words = TextField(default="")
    staff_id = IntegerField(null=True)
    campaign_id = IntegerField(null=True)
    message_id = IntegerField(null=True)
    available = IntegerField()  # after it

    class Meta:
        table_name = "credit_entries"


class SmsTemplate(Table):
    """The owner's own words in place of those the box ships."""

    name = CharField(primary_key=True)
    text = TextField()
    staff = ForeignKeyField(Staff, null=True, on_delete="SET NULL")
    changed_at = InstantField()

    class Meta:
        table_name = "sms_templates"


class MessageSegment(Table):
    """One segment as the modem handed it over, and what the network reported of it."""

    id = AutoField()
    message = ForeignKeyField(Message, backref="parts", on_delete="CASCADE")
    number = IntegerField()
    reference = IntegerField()  # TP-MR: 8 bits, it comes round again
    sent_at = InstantField()
    status = IntegerField(null=True)  # TP-Status
    done_at = InstantField(null=True)

    class Meta:
        table_name = "message_segments"


class DeliveryReport(Table):
    """A report of the network; it may come before the text is known as sent."""

    id = AutoField()
    digest = CharField(unique=True)
    reference = IntegerField()
    msisdn = SealedNumber()
    sent_at = InstantField(null=True)
    done_at = InstantField(null=True)
    status = IntegerField()
    received_at = InstantField()
    message_id = IntegerField(null=True)

    class Meta:
        table_name = "delivery_reports"


class ModemSample(Table):
    """What the modem told in one minute."""

    id = AutoField()
    at = InstantField(index=True)
    signal_dbm = IntegerField(null=True)
    registered = BooleanField(default=False)
    operator = CharField(default="")
    words = CharField(default="")  # what was wrong

    class Meta:
        table_name = "modem_samples"


class Airtime(Table):
    """What the network said of the SIM's balance."""

    id = AutoField()
    at = InstantField(index=True)
    code = CharField()
    balance_cents = IntegerField(null=True)  # None: it could not be read in the words
    ends_at = InstantField(null=True)
    bundles = TextField(default="")
    words = TextField(default="")  # the answer, or why there was none

    class Meta:
        table_name = "airtime"


class Notification(Table):
    """Something that staff should know, until somebody has read it."""

    id = AutoField()
    name = CharField()  # campaign.completed, credits.low …
    staff = ForeignKeyField(Staff, null=True, on_delete="CASCADE")  # None: every owner
    title = CharField()
    body = TextField(default="")
    link = CharField(default="")
    key = CharField(null=True, unique=True)  # the same is told once
    created_at = InstantField()
    read_at = InstantField(null=True)

    class Meta:
        table_name = "notifications"


class Mail(Table):
    """One letter to one address, and its story."""

    id = AutoField()
    notification = ForeignKeyField(Notification, null=True, backref="mails", on_delete="SET NULL")
    address = SealedText()
    subject = CharField()
    body = TextField()
    header_id = CharField(unique=True)  # its Message-ID
    state = CharField(default="queued")  # queued, sent, failed, unconfirmed
    words = TextField(default="")
    created_at = InstantField()
    sent_at = InstantField(null=True)

    class Meta:
        table_name = "mails"


SMS_TABLES: tuple[type[Table], ...] = (
    Contact, SmsList, Campaign, CreditAccount, CreditEntry, SmsTemplate, MessageSegment, DeliveryReport, ModemSample,
    Airtime, Notification, Mail,
)  # fmt: skip

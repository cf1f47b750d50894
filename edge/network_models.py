"""The tables of who is online where: devices, sessions, logins, and what routers told of themselves."""

from peewee import AutoField, BooleanField, CharField, DoubleField, ForeignKeyField, IntegerField, TextField

from edge.fields import InstantField
from edge.models import Grant, Router, Table


class Device(Table):
    """A TV or a console, which can fill in no form: let in by its MAC, on somebody's grant."""

    id = AutoField()
    grant = ForeignKeyField(Grant, backref="tvs", on_delete="CASCADE")
    mac = CharField(unique=True)
    label = CharField(default="")
    added_by = CharField(default="guest")  # guest, or the name of the member of staff
    created_at = InstantField()

    class Meta:
        table_name = "devices"


class Session(Table):
    """One device online, as its router tells it, or RADIUS. `bytes_in` came from the device, `bytes_out` went to it."""

    id = AutoField()
    key = CharField(unique=True)  # of the source, so that no session is kept twice
    source = CharField()  # router, radius
    router = ForeignKeyField(Router, null=True, on_delete="SET NULL")
    grant = ForeignKeyField(Grant, null=True, on_delete="SET NULL")
    username = CharField(default="")
    mac = CharField(default="", index=True)
    ip = CharField(default="")
    started_at = InstantField()
    seen_at = InstantField()
    ended_at = InstantField(null=True)
    seconds = IntegerField(default=0)  # online, by the router's own count
    bytes_in = IntegerField(default=0)
    bytes_out = IntegerField(default=0)
    bps_in = DoubleField(default=0.0)  # between the last two looks
    bps_out = DoubleField(default=0.0)
    cause = CharField(default="")  # why it ended, in the router's word, if it told one

    class Meta:
        table_name = "sessions"


class Stranger(Table):
    """A hotspot user whom nobody granted anything, found on a router; he stays until the owner says otherwise."""

    id = AutoField()
    router = ForeignKeyField(Router, on_delete="CASCADE")
    name = CharField()
    profile = CharField(default="")
    comment = TextField(default="")
    state = CharField(default="found")  # found, unwanted, gone
    first_seen_at = InstantField()
    seen_at = InstantField()

    class Meta:
        table_name = "strangers"
        indexes = ((("router", "name"), True),)


class Login(Table):
    """A login that RADIUS judged; codes are masked."""

    id = AutoField()
    at = InstantField(index=True)
    router = CharField(default="")
    username = CharField(default="")
    mac = CharField(default="", index=True)
    accepted = BooleanField(default=False)
    words = CharField(default="")

    class Meta:
        table_name = "logins"


class RouterSample(Table):
    """How a router did at one moment."""

    id = AutoField()
    router = ForeignKeyField(Router, on_delete="CASCADE")
    at = InstantField()
    cpu_load = IntegerField(null=True)  # percent
    free_memory = IntegerField(null=True)  # bytes
    online = IntegerField(null=True)
    hosts = IntegerField(null=True)
    bps_in = DoubleField(null=True)  # from the internet, by the uplink's own counters
    bps_out = DoubleField(null=True)

    class Meta:
        table_name = "router_samples"
        indexes = ((("router", "at"), False),)


class Flip(Table):
    """A part of the box that went from well to unwell, or back."""

    id = AutoField()
    name = CharField(index=True)
    state = CharField()
    words = TextField(default="")
    at = InstantField()

    class Meta:
        table_name = "flips"


NETWORK_TABLES: tuple[type[Table], ...] = (Device, Session, Stranger, Login, RouterSample, Flip)

"""What can go wrong, and the three ways a device can fail."""


class EdgeError(Exception):
    """Anything the box says no to, told in the words of whoever asked."""


class BadInput(EdgeError):
    """What was typed or sent can't be used; `field` names the part to mend."""

    def __init__(self, message: str, field: str = "") -> None:
        super().__init__(message)
        self.field = field


class TooMany(BadInput):
    """Slow down; after `retry_after_s` whole seconds it will be taken."""

    def __init__(self, message: str, field: str = "", retry_after_s: int = 60) -> None:
        super().__init__(message, field)
        self.retry_after_s = max(1, retry_after_s)


class NotDurable(EdgeError):
    """The database could not keep it: nothing may be acknowledged."""


class DeviceError(EdgeError):
    """A device or provider did not do what it was asked; one of the three below says what to do next."""


class Unreachable(DeviceError):
    """Nothing was done: ask again later."""


class Away(Unreachable):
    """The device itself is not there or not ready: it waits, and no try of this piece of work is spent."""


class Refused(DeviceError):
    """It answered no: asking again would get the same answer."""


class Unconfirmed(DeviceError):
    """It may have been done: find out before asking again."""

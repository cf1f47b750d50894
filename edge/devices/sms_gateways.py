"""What every SMS gateway can do: take one text."""

from typing import Protocol

from edge.values.sms_gateway import Accepted


class SmsGateway(Protocol):
    """A few verbs, the same for each gateway."""

    def send(self, msisdn: str, text: str, reference: str) -> Accepted:
        """Hand over one text, once; `reference` is ours, of this text alone.

        Away: the gateway can't be reached, or the account, its key, its sender or its balance has to be mended: it is
        the route's trouble, and this text was not taken. Unreachable: too busy, or no way to this number; not taken.
        Refused: this number or text; `Blocked` when the number wants no texts. Unconfirmed: it may have been taken.
        """
        ...

    def close(self) -> None:
        """Hang up."""
        ...

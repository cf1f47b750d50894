"""A router told to restart (RouterOS `/system/reboot`; its API asks no question back)."""

from edge.devices.routeros import Conversation, Trap
from edge.errors import Refused

LACKS_RIGHT = "the box's user may not restart this router: add the policy reboot to its group there"


def reboot(talk: Conversation) -> None:
    """Restart it. Unconfirmed when it hung up before it answered, as some releases do; never asked twice."""
    with talk.held():
        try:
            talk.ask("/system", "reboot", repeatable=False)
            return
        except Trap as trap:
            lacks_right = trap.says("not enough permissions")
            error = Refused(LACKS_RIGHT) if lacks_right else trap.as_error()
    raise error

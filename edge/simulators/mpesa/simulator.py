"""The pretend M-Pesa, whole: it listens on a local port until it is closed."""


from edge.simulators.mpesa.checkouts import Checkouts
from edge.simulators.mpesa.control import Control
from edge.simulators.mpesa.ground import SANDBOX_PASSKEY
from edge.simulators.mpesa.server import Listener

__all__ = ["SANDBOX_PASSKEY", "MpesaSimulator"]


class MpesaSimulator(Control, Checkouts):
    """Daraja on a local port; set fault attributes at any time, read `pushes`, `queries`, `callbacks`, `c2b_posts`,
    `org_posts` and `book`.
    """

    def _listen(self) -> Listener:
        return Listener(self._address, self._answer)

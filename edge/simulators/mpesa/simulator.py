"""The pretend M-Pesa, whole: it listens on a local port until it is closed."""

import threading

from edge.simulators.mpesa.checkouts import Checkouts
from edge.simulators.mpesa.control import Control
from edge.simulators.mpesa.ground import SANDBOX_PASSKEY
from edge.simulators.mpesa.server import Listener

__all__ = ["SANDBOX_PASSKEY", "MpesaSimulator"]


class MpesaSimulator(Control, Checkouts):
    """Daraja on a local port; set fault attributes at any time, read `pushes`, `queries`, `callbacks`, `c2b_posts`,
    `org_posts` and `book`.
    """

    def __enter__(self) -> "MpesaSimulator":
        self._listener = Listener(self._address, self._answer)
        threading.Thread(target=self._listener.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.set()
        if self._listener is not None:
            self._listener.shutdown()
            self._listener.server_close()
        self.wait_until_quiet()

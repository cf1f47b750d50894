"""The front of the pretend M-Pesa: what stands before its desks, tokens, and who may pass to which."""

import base64
import json
import time
from typing import Any

from edge.simulators.mpesa import wire
from edge.simulators.mpesa.ground import Ground
from edge.simulators.mpesa.wire import Reply, reply

TOKEN_LASTS_S = 3599
TOKEN_PATH = "/oauth/v1/generate"


class Front(Ground):
    """Apigee and Incapsula, the token office, and the check of keys, fields and passwords."""

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        self._tokens: dict[str, float] = {}
        self.down = self.html = self.busy = self.maintenance = self.broken = False
        self.slow_s = 0.0
        self.single_token = self.text_expiry = self.empty_400 = self.https_only = False

    def expired_tokens(self) -> None:
        """Every token given out so far is worth nothing."""
        with self._lock:
            self._tokens.clear()

    def _answer(self, method: str, target: str, headers: dict[str, str], raw: bytes) -> Reply | None:
        path, _, question = target.partition("?")
        if path.startswith("/simulator/") and not self._closing.is_set():
            return self._control(method, path, question, raw)
        if self.slow_s:
            self._closing.wait(self.slow_s)
        if self.down or self.is_away or self._closing.is_set():
            return None
        fault = self._edge_fault()
        if fault is not None:
            return fault
        if path == TOKEN_PATH:
            return self._give_token(question, headers)
        if path not in self._doors:
            return self._refuse(404, "404.001.01", "Resource not found")
        if method != "POST":
            return self._refuse(405, "405.001", f"{method} Method Not Allowed")
        return self._check_caller(headers) or self._with_body(path, headers, raw)

    def _control(self, method: str, path: str, question: str, raw: bytes) -> Reply:
        """What M-Pesa itself does not have; see `control`."""
        return reply(404, {"error": "this simulator is not to be told anything"})

    def _edge_fault(self) -> Reply | None:
        """What stands before M-Pesa proper: Incapsula's page, Apigee's brakes, maintenance."""
        if self.html:
            return Reply(403, wire.INCAPSULA.encode(), "text/html")
        if self.maintenance:
            return Reply(503, b"<html>Service is currently under maintenance</html>", "text/html")
        if self.broken:
            return self._refuse(500, "500.003.1001", "Internal Server Error")
        if self.busy:
            return self._refuse(500, "500.003.02", "System is busy. Please try again in few minutes.")
        return None

    def _give_token(self, question: str, headers: dict[str, str]) -> Reply:
        if self.empty_400:
            return Reply(400)
        if question != "grant_type=client_credentials":
            return self._refuse(400, "400.008.02", "Invalid grant type passed")
        expected = "Basic " + base64.b64encode(self._keys.encode()).decode()
        if headers.get("authorization") != expected:
            return self._refuse(400, "400.008.01", "Invalid Authentication passed")
        with self._lock:
            if self.single_token:
                self._tokens.clear()
            token = self._names.token()
            self._tokens[token] = time.monotonic() + TOKEN_LASTS_S
        lasts = str(TOKEN_LASTS_S) if self.text_expiry else TOKEN_LASTS_S
        return reply(200, {"access_token": token, "expires_in": lasts})

    def _check_caller(self, headers: dict[str, str]) -> Reply | None:
        scheme, _, token = headers.get("authorization", "").partition(" ")
        if scheme != "Bearer" or not token:
            return self._refuse(404, "404.001.04", "Invalid Authentication Header")
        with self._lock:
            good = self._tokens.get(token, 0.0) > time.monotonic()
        return None if good else self._refuse(404, "404.001.03", "Invalid Access Token")

    def _with_body(self, path: str, headers: dict[str, str], raw: bytes) -> Reply:
        if not headers.get("content-type", "").lower().startswith("application/json"):
            return self._refuse(400, "400.002.02", "Bad Request - Invalid BusinessShortCode")
        try:
            told = json.loads(raw)
        except (ValueError, RecursionError):
            told = None
        if not isinstance(told, dict):
            return self._refuse(400, "400.002.05", "Invalid Request Payload")
        door = self._doors[path]
        fault = wire.first_fault(told, door.fields)
        if fault is not None:
            return self._refuse(400, "400.002.02", f"Bad Request - Invalid {fault}")
        refusal = self._check_merchant(told) if door.is_signed else None
        return refusal or door.handler(told)

    def _check_merchant(self, told: dict[str, Any]) -> Reply | None:
        shortcode = wire.as_text(told["BusinessShortCode"])
        if shortcode != self._shortcode:
            return self._refuse(500, "500.001.1001", "Merchant does not exist")
        if told["Password"] != wire.password(shortcode, self._passkey, wire.as_text(told["Timestamp"])):
            return self._refuse(500, "500.001.1001", "Wrong credentials")
        return None

"""A browser for tests: it calls the real application by WSGI and keeps cookies."""

import html
import io
import json
import re
from dataclasses import dataclass
from http.cookies import SimpleCookie
from typing import Any
from urllib.parse import urlencode
from wsgiref.util import setup_testing_defaults

PASSWORD = "three long words"


@dataclass
class Answer:
    """What came back."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()

    @property
    def words(self) -> str:
        """The page as it is read: without tags."""
        return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", self.text)).split())

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    def header(self, name: str) -> str:
        return next((value for key, value in self.headers if key.lower() == name.lower()), "")

    def field(self, name: str) -> str:
        """The value of a hidden field."""
        found = re.search(rf'name="{name}" value="([^"]*)"', self.text)
        assert found, f"no field {name} on this page"
        return html.unescape(found[1])


class Browser:
    """Somebody at an address, with cookies."""

    def __init__(self, app: Any, address: str = "192.168.88.10") -> None:
        self.app = app
        self.address = address
        self.cookies: dict[str, str] = {}
        self.csrf = ""

    def get(self, path: str, query: str = "", **headers: str) -> Answer:
        return self.call("GET", path, query=query, headers=headers)

    def post(self, path: str, form: dict[str, str] | None = None, **headers: str) -> Answer:
        """A form; the signed-in browser's own token goes with it unless the form brings one."""
        fields = {"csrf": self.csrf, **(form or {})}
        body = urlencode(fields).encode()
        return self.call("POST", path, body=body, kind="application/x-www-form-urlencoded", headers=headers)

    def sign_in(self, name: str, password: str = PASSWORD) -> Answer:
        page = self.get("/admin/sign-in")
        answer = self.post("/admin/sign-in", {"name": name, "password": password, "csrf": page.field("csrf")})
        if answer.status == 303:
            home = self.get("/admin/")
            self.csrf = (self.get(home.header("Location")) if home.status == 303 else home).field("csrf")
        return answer

    def call(
        self, method: str, path: str, *, query: str = "", body: bytes = b"", kind: str = "",
        headers: dict[str, str] | None = None,
    ) -> Answer:  # fmt: skip
        environ: dict[str, Any] = {
            "REQUEST_METHOD": method, "PATH_INFO": path, "QUERY_STRING": query, "REMOTE_ADDR": self.address,
            "CONTENT_LENGTH": str(len(body)), "CONTENT_TYPE": kind, "wsgi.input": io.BytesIO(body),
            "wsgi.errors": io.StringIO(),
        }  # fmt: skip
        setup_testing_defaults(environ)
        if self.cookies:
            environ["HTTP_COOKIE"] = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        for name, value in (headers or {}).items():
            environ["HTTP_" + name.upper()] = value
        begun: list[Any] = []
        parts = self.app(environ, lambda status, sent, fault=None: begun.append((status, sent)))
        answer = Answer(int(begun[0][0][:3]), begun[0][1], b"".join(parts))
        if hasattr(parts, "close"):
            parts.close()
        self._keep_cookies(answer)
        return answer

    def _keep_cookies(self, answer: Answer) -> None:
        for name, value in answer.headers:
            if name.lower() == "set-cookie":
                for cookie in SimpleCookie(value).values():
                    self.cookies[cookie.key] = cookie.value
                    if not cookie.value:
                        del self.cookies[cookie.key]


def signed_in(app: Any, name: str) -> Browser:
    """This person's browser, in the shop's own network, signed in."""
    browser = Browser(app, "192.168.88.10")
    assert browser.sign_in(name).status == 303
    return browser

"""`edge demo`: a stranger's first five minutes."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import requests

from tests.walks.box import wait_for

pytestmark = pytest.mark.timeout(180)


class Demo:
    """The rehearsal as a process, and what it printed so far."""

    def __init__(self, folder: Path, *words: str) -> None:
        self._log = folder / "demo.log"
        environ = {**os.environ, "TMPDIR": str(folder), "EDGE_LOG": "WARNING"}
        with self._log.open("wb") as log:
            line = [sys.executable, "-m", "edge", "demo", *words]
            self.process = subprocess.Popen(line, stdout=log, stderr=log, env=environ)
        wait_for(lambda: "Ctrl-C ends it" in self.said or self.process.poll() is not None)
        self.portal = self.find(r"Portal +(\S+)")
        self.password = self.find(r"sign in as owner with (\S+)")

    @property
    def said(self) -> str:
        return self._log.read_text(errors="replace")

    def find(self, shape: str) -> str:
        found = re.search(shape, self.said)
        assert found, self.said
        return found[1]

    def buy(self, phone: str) -> str:
        wish = {"package_id": 1, "phone_number": phone}
        answer = requests.post(f"{self.portal}api/payments/initiate", json=wish, timeout=20)
        return f"{self.portal.rstrip('/')}{answer.json()['status_url']}"


@pytest.fixture
def demo(tmp_path):
    found = Demo(tmp_path, "--port", "0", "--no-guests")
    yield found
    found.process.kill()
    found.process.wait()


def test_a_visitor_buys_as_the_printed_lines_say_and_leaves_no_trace(demo, tmp_path):
    pays, cancels = demo.buy("0712345670"), demo.buy("0712345677")
    wait_for(lambda: requests.get(cancels, timeout=5).json()["status"] == "failed")
    told = wait_for(lambda: (found := requests.get(pays, timeout=5).json())["status"] == "online" and found)
    wait_for(lambda: told["username"] in demo.said)  # the text from the modem
    assert len(list(tmp_path.glob("edge-demo-*"))) == 1
    demo.process.send_signal(signal.SIGINT)
    assert demo.process.wait(30) == 0
    assert list(tmp_path.glob("edge-demo-*")) == []
    assert "Traceback" not in demo.said, demo.said[-6000:]


def test_the_owner_signs_in_with_the_printed_password(demo):
    browser = requests.Session()
    page = browser.get(f"{demo.portal}admin/", timeout=10)
    csrf = re.search(r'name="csrf" value="([^"]+)"', page.text)
    assert csrf
    form = {"name": "owner", "password": demo.password, "csrf": csrf[1]}
    assert "Takings" in browser.post(f"{demo.portal}admin/sign-in", form, timeout=20).text


def test_guests_of_its_own_come_and_buy(tmp_path):
    demo = Demo(tmp_path, "--port", "0")
    try:
        wait_for(lambda: "text to" in demo.said, timeout_s=90)
    finally:
        demo.process.send_signal(signal.SIGTERM)
        assert demo.process.wait(30) == 0
    assert "gave up" not in demo.said, demo.said

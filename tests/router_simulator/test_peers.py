"""The pretend router as programs of others meet it: librouteros, and a client in JavaScript."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from edge.simulators.router import RouterSimulator

PEERS = Path(__file__).parent.parent / "peers"
PEER = PEERS / "librouteros_peer.py"


@pytest.mark.parametrize("version", ["7.19.6 (stable)", "6.42.12 (long-term)"])
def test_librouteros_lives_with_it(version: str) -> None:
    with RouterSimulator(version=version) as gate:
        method = "token" if version.startswith("6") else "plain"
        seen = peer(gate.port, method, "edge")
    assert seen["resource"][0]["version"] == version
    assert seen["duplicate"] == "failure: already have user with this name for this server"
    assert (seen["no profile"], seen["category"]) == ("input does not match any value of profile", 1)
    assert [row["name"] for row in seen["either"]] == ["asha", "njeri"]
    uptime = "1h30m" if method == "plain" else "01:30:00"
    assert seen["either"][0] == {
        ".id": seen["added"], "name": "asha", "comment": "edge:1", "limit-uptime": uptime, "disabled": False,
    }  # fmt: skip
    assert seen["changed"][0]["limit-uptime"] == ("2h" if method == "plain" else "02:00:00")
    assert seen["changed"][0]["disabled"] is True
    assert (seen["nobody"], seen["count"], seen["left"]) == ([], [{"ret": 3}], ["default-trial", "njeri"])
    assert (seen["gone"], seen["length"]) == ("no such item", [70_000])
    assert seen["quit"] == "session terminated on request"


def test_librouteros_with_a_wrong_password_is_refused(gate: RouterSimulator) -> None:
    assert peer(gate.port, "plain", "wrong") == {"login": "invalid user name or password (6)"}


def peer(port: int, method: str, password: str) -> dict[str, Any]:
    told = subprocess.run(
        [sys.executable, str(PEER), str(port), method, password], capture_output=True, text=True, timeout=90
    )
    assert told.returncode == 0, told.stderr
    return dict(json.loads(told.stdout))


def test_librouteros_finds_its_way_through_the_configuration(gate: RouterSimulator) -> None:
    told = subprocess.run(
        [sys.executable, str(PEER), str(gate.port), "setup", "edge"], capture_output=True, text=True, timeout=90
    )
    assert told.returncode == 0, told.stderr
    seen = json.loads(told.stdout)
    assert seen["group"].startswith("read,write,api,!local")
    assert (seen["policy"], seen["unknown"]) == ("not enough permissions (9)", "unknown parameter colour")
    assert seen["ntp"] == {"enabled": True, "servers": "10.5.50.2"}
    assert seen["services"] == {"telnet": True, "ftp": True, "api": False}
    assert seen["garden"] == ["10.5.50.2"]
    assert (seen["option"], seen["network"]) == ({"code": 114, "raw-value": "687474703a2f2f78"}, "portal")
    assert seen["page"] == "<p>$(mac)</p>"
    first, second = (row["comment"] for row in seen["first rules"])
    assert first == "edge: first" and second.startswith("defconf: accept established")
    assert gate.rows("/radius")[0]["secret"] == "s3cret"


needs_node = pytest.mark.skipif(shutil.which("node") is None, reason="node is missing: make test installs it")


@needs_node
@pytest.mark.parametrize("version", ["7.19.6 (stable)", "6.49.10 (long-term)"])
def test_a_client_in_javascript_lives_with_it(version: str) -> None:
    with RouterSimulator(version=version) as gate:
        told = subprocess.run(
            ["node", str(PEERS / "routeros_peer.js"), str(gate.port), "edge", "edge"],
            capture_output=True, text=True, timeout=90,
        )  # fmt: skip
    assert told.returncode == 0, told.stderr
    seen = json.loads(told.stdout)
    is_new = version.startswith("7")
    assert seen["wrong"]["traps"] == [{"message": "invalid user name or password (6)"}]
    assert seen["login"]["traps"] == []
    assert seen["identity"]["rows"] == [{"name": "gate"}]
    assert set(seen["resource"]["rows"][0]) == {"version", "uptime"}
    assert (seen["nobody"]["rows"], seen["nobody"]["empty"]) == ([], is_new)
    assert seen["missing"]["traps"][0]["message"] == "no such command prefix"
    assert seen["twice"]["traps"][0]["message"] == "failure: already have user with this name for this server"
    assert seen["found"] == {"name": "Ásha", "limit": "1h30m" if is_new else "01:30:00", "length": 40_000}
    assert [row["name"] for row in seen["either"]["rows"]] == ["default-trial", "Ásha"]
    assert (seen["count"]["ret"], seen["off"]["rows"]) == ("2", [{"name": "Ásha"}])
    assert (seen["removed"]["traps"], seen["again"]["traps"][0]["message"]) == ([], "no such item")
    assert seen["service"]["rows"] == [{"name": "telnet", "disabled": "false"}]
    assert seen["me"]["rows"] == [{"name": "edge", "via": "api"}]
    assert seen["heard"] == {"mac": "02:00:00:00:00:07", "end": [{"category": "2", "message": "interrupted"}]}
    assert seen["quit"] == "session terminated on request"

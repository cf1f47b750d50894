"""Talks to a router with librouteros, in a process of its own because of its licence; prints what it saw as JSON."""

import json
import sys
from typing import Any

import librouteros
from librouteros.exceptions import ConnectionClosed, FatalError, TrapError
from librouteros.login import plain, token
from librouteros.query import Key, Or


def tour(api: Any) -> dict[str, Any]:
    """The life of one hotspot user, and the refusals on the way."""
    users = api.path("ip", "hotspot", "user")
    name, comment, key = Key("name"), Key("comment"), Key(".id")
    seen: dict[str, Any] = {"resource": list(api("/system/resource/print"))}
    seen["added"] = users.add(name="asha", password="0712", comment="edge:1", **{"limit-uptime": "5400s"})
    try:
        users.add(name="asha")
    except TrapError as trap:
        seen["duplicate"] = str(trap)
    try:
        users.add(name="juma", profile="gold")
    except TrapError as trap:
        seen["no profile"], seen["category"] = str(trap), trap.category
    users.add(name="njeri")
    either = users.select(key, name, comment, Key("limit-uptime"), Key("disabled"))
    seen["either"] = list(either.where(Or(name == "asha", name == "njeri")))
    seen["nobody"] = list(users.select(name).where(name == "nobody"))
    users.update(**{".id": seen["added"], "limit-uptime": "2h", "disabled": True})
    seen["changed"] = list(either.where(name == "asha"))
    seen["count"] = list(api("/ip/hotspot/user/print", **{"count-only": ""}))
    users.remove(seen["added"])
    seen["left"] = [row["name"] for row in users.select(name)]
    try:
        users.remove(seen["added"])
    except TrapError as trap:
        seen["gone"] = str(trap)
    seen["long"] = users.add(name="long", comment="x" * 70_000)
    seen["length"] = [len(row["comment"]) for row in users.select(comment).where(name == "long")]
    try:
        list(api("/quit"))
    except (FatalError, ConnectionClosed) as end:
        seen["quit"] = str(end)
    return seen


def setup(api: Any, port: int) -> dict[str, Any]:
    """A technician's round through the configuration menus."""
    seen: dict[str, Any] = {}
    name = Key("name")
    api.path("user", "group").add(name="box", policy="read,write,api")
    seen["group"] = next(iter(api.path("user", "group").select(Key("policy")).where(name == "box")))["policy"]
    api.path("user").add(name="box", group="box", password="pw", address="127.0.0.1/32")
    box = librouteros.connect("127.0.0.1", "box", "pw", port=port, login_method=plain, encoding="utf-8")
    for what, attempt in (
        ("policy", lambda: box.path("user").add(name="x", group="full")),
        ("unknown", lambda: box.path("ip", "address").add(colour="red")),
    ):
        try:
            attempt()
        except TrapError as trap:
            seen[what] = str(trap)
    list(box("/system/ntp/client/set", enabled="yes", servers="10.5.50.2"))
    seen["ntp"] = next(iter(box("/system/ntp/client/print", **{".proplist": "enabled,servers"})))
    services = box.path("ip", "service")
    for service in ("telnet", "ftp"):
        list(box("/ip/service/set", **{".id": service, "disabled": "yes"}))
    wanted = ("telnet", "ftp", "api")
    seen["services"] = {row["name"]: row["disabled"] for row in services if row["name"] in wanted}
    box.path("ip", "hotspot", "walled-garden", "ip").add(action="accept", **{"dst-address": "10.5.50.2"})
    seen["garden"] = [row["dst-address"] for row in box.path("ip", "hotspot", "walled-garden", "ip")]
    options, networks = box.path("ip", "dhcp-server", "option"), box.path("ip", "dhcp-server", "network")
    options.add(name="portal", code=114, value="'http://x'")
    seen["option"] = next(iter(options.select(Key("code"), Key("raw-value"))))
    network = next(iter(networks))
    networks.update(**{".id": network[".id"], "dhcp-option": "portal"})
    seen["network"] = next(iter(networks))["dhcp-option"]
    box.path("file").add(name="hotspot/try.html", contents="<p>$(mac)</p>")
    seen["page"] = next(iter(box.path("file").select(Key("contents")).where(name == "hotspot/try.html")))["contents"]
    rules = box.path("ip", "firewall", "filter")
    rules.add(chain="forward", action="accept", comment="edge: first", **{"place-before": "*0"})
    seen["first rules"] = list(rules.select(Key("comment")))[:2]
    box.path("radius").add(address="10.5.50.2", secret="s3cret", service="hotspot", timeout="3s")
    box.close()
    return seen


def main() -> None:
    port, method, password = int(sys.argv[1]), sys.argv[2], sys.argv[3]
    ways = {"plain": plain, "token": token, "setup": plain}
    try:
        api = librouteros.connect("127.0.0.1", "edge", password, port=port, login_method=ways[method], encoding="utf-8")
    except TrapError as trap:
        print(json.dumps({"login": str(trap)}))
        return
    print(json.dumps(setup(api, port) if method == "setup" else tour(api)))


if __name__ == "__main__":
    main()

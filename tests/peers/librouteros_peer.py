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


def main() -> None:
    port, method, password = int(sys.argv[1]), sys.argv[2], sys.argv[3]
    ways = {"plain": plain, "token": token}
    try:
        api = librouteros.connect(
            "127.0.0.1", "edge", password, port=port, login_method=ways[method], encoding="utf-8"
        )
    except TrapError as trap:
        print(json.dumps({"login": str(trap)}))
        return
    print(json.dumps(tour(api)))


if __name__ == "__main__":
    main()

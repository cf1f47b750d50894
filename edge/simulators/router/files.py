"""The pretend router's files: hotspot pages above all, by /file and /tool/fetch."""

import requests

from edge.simulators.router.tables import Column, Release, Row, Table, Trap

LONGEST_CONTENTS = 60_000  # through the API (facts collected from running routers: 32 to 64 KB)
LARGEST_FETCH = 8 * 1024 * 1024
V7 = (7,)
# The pages a hotspot's folder holds from the start; the simulator's own stand in for them until they are replaced.
PAGES = (
    "alogin.html", "api.json", "error.html", "errors.txt", "login.html", "logout.html", "md5.js", "radvert.html",
    "redirect.html", "rlogin.html", "status.html",
)  # fmt: skip


def _same_file(new: Row, old: Row) -> str:
    return "failure: file already exists"


class Files:
    """/file. With a `flash` folder only what lies in it outlives a reboot."""

    def __init__(self, *, flash: bool, room: int) -> None:
        self.flash, self.room = flash, room  # bytes free for more files
        self.folder = "flash/hotspot" if flash else "hotspot"
        self.table = Table(
            {
                "name": Column(),
                "type": Column(readonly=True),
                "size": Column("number", "", readonly=True),
                "last-modified": Column(readonly=True, since=(7, 12)),
                "creation-time": Column(readonly=True, until=(7, 12)),
                "contents": Column(since=V7),
            },
            _same_file,
        )
        self._originals: set[str] = set()  # names of pages that are still RouterOS's own
        self.lay_out()

    def lay_out(self) -> None:
        """The files of a fresh router."""
        self.table.clear()
        if self.flash:
            self.table.plant(name="flash", type="disk")
        self.table.plant(name=self.folder, type="directory")
        self.restore_pages()

    def restore_pages(self) -> None:
        """/ip/hotspot/reset-html: the hotspot's folder holds RouterOS's own pages again."""
        for page in PAGES:
            name = f"{self.folder}/{page}"
            for row_id in self.table.ids(name):
                self.table.remove(row_id)
            self.table.plant(name=name, type=_type_of(name), size="1024", contents=f"<!-- RouterOS's own {page} -->")
            self._originals.add(name)

    def page(self, folder: str, name: str) -> str | None:
        """The contents of a page somebody put into that folder; None: RouterOS's own, or there is none."""
        path = f"{folder}/{name}"
        rows = self.table.named(path) if path not in self._originals else []
        return rows[0]["contents"] if rows else None

    def add(self, values: Row, moment: str, release: Release) -> str:
        """/file/add name= contents=, of version 7. Its id."""
        if release < V7:
            raise Trap("no such command", 0)
        name, contents = values.get("name", ""), values.get("contents", "")
        self._check(contents, len(contents))
        row_id = self.table.add(values)
        self._describe(row_id, moment)
        self._originals.discard(name)
        return row_id

    def change(self, row_id: str, values: Row, moment: str) -> None:
        """/file/set contents= name="""
        row = self.table.rows[row_id]
        if "contents" in values:
            self._check(values["contents"], len(values["contents"]) - len(row["contents"]))
        self.table.change(row_id, values)
        self._originals.discard(row["name"])
        self._describe(row_id, moment)

    def store(self, name: str, contents: str, moment: str) -> None:
        """What a fetch brought, in place of whatever had that name."""
        before = self.table.named(name)
        if len(contents) - sum(len(row["contents"]) for row in before) > self.room:
            raise Trap("failure: not enough space on disk (no space left)")
        for row_id in self.table.ids(name):
            self.table.remove(row_id)
        self._describe(self.table.plant(name=name, contents=contents), moment)
        self._originals.discard(name)

    def remove(self, row_id: str) -> None:
        """A folder goes with all that is in it."""
        name = self.table.rows[row_id]["name"]
        for other_id in [key for key, row in self.table.rows.items() if row["name"].startswith(f"{name}/")]:
            self.remove(other_id)
        self.table.remove(row_id)
        self._originals.discard(name)

    def forget_memory(self) -> None:
        """A reboot: with a flash folder everything beside it lay in memory."""
        if self.flash:
            for row_id in [key for key, row in self.table.rows.items() if row["name"].split("/")[0] != "flash"]:
                self.table.remove(row_id)

    def _check(self, contents: str, more: int) -> None:
        if len(contents.encode("utf-8", "surrogateescape")) > LONGEST_CONTENTS:
            raise Trap("failure: contents too long")
        if more > self.room:
            raise Trap("failure: not enough space on disk (no space left)")

    def _describe(self, row_id: str, moment: str) -> None:
        row = self.table.rows[row_id]
        size = len(row["contents"].encode("utf-8", "surrogateescape"))
        row |= {"type": _type_of(row["name"]), "size": str(size)}
        row |= {"last-modified": moment, "creation-time": moment}


def _type_of(name: str) -> str:
    suffix = name.rpartition(".")[2] if "." in name.rpartition("/")[2] else ""
    return f".{suffix} file" if suffix else "file"


def fetch(url: str, timeout_s: float = 10.0) -> str:
    """What that address answers; Trap in RouterOS's words when it does not."""
    if not url.startswith(("http://", "https://")):
        raise Trap("failure: invalid URL protocol")
    session = requests.Session()
    session.trust_env = False
    try:
        with session.get(url, timeout=timeout_s, verify=False, stream=True) as answer:
            if answer.status_code != 200:
                raise Trap(f"failure: Fetch failed with status {answer.status_code}")
            raw = answer.raw.read(LARGEST_FETCH + 1, decode_content=True)
    except requests.Timeout:
        raise Trap("failure: connection timeout") from None
    except requests.RequestException:
        raise Trap("failure: connection failed") from None
    if len(raw) > LARGEST_FETCH:
        raise Trap("failure: not enough space on disk (no space left)")
    return bytes(raw).decode("utf-8", "surrogateescape")

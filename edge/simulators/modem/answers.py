"""How a command of the pretend modem ends, and the codes it ends with (3GPP 27.005 3.2.5, 27.007 9.2)."""

CME_WORDS = {
    3: "operation not allowed", 4: "operation not supported", 10: "SIM not inserted", 11: "SIM PIN required",
    12: "SIM PUK required", 14: "SIM busy", 16: "incorrect password", 30: "no network service",
    50: "incorrect parameters", 100: "unknown",
}  # fmt: skip


class Trouble(Exception):
    """Ends a command with this line instead of OK."""

    def __init__(self, line: str) -> None:
        super().__init__(line)
        self.line = line


class Hang(Exception):
    """The command never ends."""


def cms(code: int | str) -> str:
    """The final line of a failed text; words are said as they stand."""
    return code if isinstance(code, str) else f"+CMS ERROR: {code}"


def cme(code: int, loudness: int) -> str:
    """The final line of a failed command, as loud as +CMEE wants it: 0 not, 1 a number, 2 words."""
    return "ERROR" if not loudness else f"+CME ERROR: {code if loudness == 1 else CME_WORDS[code]}"


def by_kind(kind: str, test: str, read: str) -> list[str]:
    """What a command that only holds a setting says: "=?" test, "?" read, anything else nothing."""
    line = {"=?": test, "?": read}.get(kind, "")
    return [line] if line else []

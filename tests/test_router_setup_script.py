"""The pasted script: what a name may hold never becomes a command, and the one line works for both versions."""

import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.errors import BadInput
from edge.values.router_script import paste_line, quote, script, word
from edge.values.router_setup import Wish

ESCAPES = {"n": "\n", "r": "\r", "t": "\t", '"': '"', "\\": "\\", "$": "$", "_": " "}
HOSTILE = 'Njeri"; /system reset-configuration; $x [/user print] {}\\\n\r#' + "ش" + "\u202e" + "y" * 300


def read_string(text: str, start: int) -> tuple[str, int]:
    """A string of RouterOS's scripts, by its manual: the text it means, and where it ends."""
    assert text[start] == '"'
    raw, place = bytearray(), start + 1
    while text[place] != '"':
        letter = text[place]
        if letter == "\\":
            found = re.match(r"[0-9A-F]{2}", text[place + 1 :])
            if found:
                raw.append(int(found[0], 16))
                place += 3
            else:
                raw += ESCAPES[text[place + 1]].encode()
                place += 2
        else:
            assert letter not in "$\n", "would be read as more than text"
            raw += letter.encode()
            place += 1
    return raw.decode("utf-8", "surrogatepass"), place + 1


def read_script(text: str) -> list[str]:
    """The strings of a script; fails where quotes or brackets do not close."""
    strings, open_ones, place = [], [], 0
    pairs = {")": "(", "]": "[", "}": "{"}
    while place < len(text):
        letter = text[place]
        if letter == '"':
            string, place = read_string(text, place)
            strings.append(string)
            continue
        if letter in "([{":
            open_ones.append(letter)
        elif letter in ")]}":
            assert open_ones and open_ones.pop() == pairs[letter], text[max(0, place - 80) : place + 1]
        place += 1
    assert open_ones == []
    return strings


def wish(**more: object) -> Wish:
    told = {
        "box": "192.168.88.10", "web_port": 8080, "mode": "radius", "login": "", "host": "192.168.88.1",
        "radius_secret": "a-secret-of-its-own", "api_user": "edge", "api_password": "made-by-the-box",
        "pages": {"login.html": "x", "api.json": "{}"},
    }  # fmt: skip
    return Wish(**{**told, **more})  # type: ignore[arg-type]


@given(st.text(st.characters(), max_size=400) | st.just(HOSTILE))
@settings(max_examples=300, deadline=None)
def test_every_text_comes_back_as_it_was_and_means_nothing_else(text: str) -> None:
    quoted = quote(text)
    assert read_string(quoted, 0) == (text, len(quoted))
    assert quoted.isascii() and quoted.isprintable()
    assert not set(quoted[1:-1]) & set('"$[]{};\n\r?')


@given(st.text(st.characters(), max_size=60))
@settings(max_examples=200, deadline=None)
def test_a_value_is_bare_only_where_it_can_be_nothing_but_a_word(text: str) -> None:
    written = word(text)
    assert written == text if re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._/,-]*", text) else written.startswith('"')


@given(
    st.text(st.characters(), max_size=80) | st.just(HOSTILE),
    st.text(st.characters(), max_size=80) | st.just(HOSTILE),
    st.sampled_from(["local", "radius"]),
)
@settings(max_examples=60, deadline=None)
def test_a_hostile_name_stays_a_name_in_the_whole_script(server: str, interface: str, mode: str) -> None:
    text = script(wish(server=server, interface=interface, radius_secret=server, mode=mode))
    strings = read_script(text)
    assert interface in strings
    assert text.count("\n") == script(wish(server="s" if server else "", interface="i", mode=mode)).count("\n")
    assert text.isascii()


def test_whatever_ends_the_script_is_said_first() -> None:
    """The line that was pasted catches the error, and RouterOS shows no words of an error that is caught."""
    ends = re.findall(r'(:put ("[^"]*"); )?:error ("[^"]*")', script(wish(server="lobby")))
    assert len(ends) == 4 and all(said == error for _, said, error in ends)


def test_every_line_of_ours_can_be_run_again() -> None:
    """Whatever is added stands behind a look whether it is there."""
    lines = script(wish()).splitlines()
    for place, line in enumerate(lines):
        if re.match(r"\s+/.* add ", line):
            before = "\n".join(lines[max(0, place - 5) : place])
            assert ":if ([:len [" in before and "= 0" in before, line


def test_what_only_newer_releases_know_is_read_when_it_is_run() -> None:
    text = script(wish()) + script(wish(ntp="192.168.88.10"))
    outside = re.sub(r'"(\\.|[^"\\])*"', "", text)
    for name in ("require-message-auth", "device-mode", "primary-ntp", "servers=", "server-dns-names"):
        assert name in text and name not in outside


def test_the_script_of_a_router_in_mode_local_asks_no_radius_and_holds_no_secret() -> None:
    text = script(wish(mode="local"))
    assert "/radius" not in text and "a-secret-of-its-own" not in text
    assert "made-by-the-box" in text


def test_without_a_user_to_make_the_script_leaves_the_users_alone() -> None:
    assert "/user" not in script(wish(api_user="", api_password=""))


def test_the_line_to_paste_fetches_runs_and_forgets_the_script() -> None:
    line = paste_line("http://192.168.88.10:8080/setup/" + "a" * 32 + ".rsc")
    assert line == (
        '/tool fetch url="http://192.168.88.10:8080/setup/' + "a" * 32 + '.rsc" mode=http dst-path=edge.rsc; '
        ":delay 2s; :do { /import edge.rsc } on-error={ "
        ':put "Edge: the set-up stopped half-way. Mend what is said above, and make a new line." }; '
        "/file remove edge.rsc"
    )


def test_the_api_is_open_before_the_old_services_close_and_the_script_narrows_nothing() -> None:
    lines = [line for line in script(wish()).splitlines() if line.startswith("/ip service")]
    assert lines[0] == "/ip service set api disabled=no"
    assert {line.split()[3] for line in lines[1:]} == {"ftp", "telnet", "www"}
    assert "192.168.88.10/32" not in script(wish(mode="local"))


def test_a_named_server_that_is_missing_ends_the_script_before_anything_is_made() -> None:
    text = script(wish(server="lobby"))
    missing = text.index(':error "Edge: this router has no hotspot server named lobby"')
    assert missing < text.index(" add ")
    assert "has no hotspot server" not in script(wish())


def test_somebodys_full_user_of_our_name_ends_the_script_before_anything_is_made() -> None:
    text = script(wish())
    assert text.index('group="full"') < text.index(" add ")


@pytest.mark.parametrize(
    "url", ['http://box"; /system reset', "ftp://box/x", "http://b\nox/", "http://box/?a=$x", "", "https://box/x"]
)
def test_no_other_address_gets_into_the_line(url: str) -> None:
    with pytest.raises(BadInput, match="looks like"):
        paste_line(url)


def test_the_login_page_works_without_the_box() -> None:
    """A form that posts to the router itself; the way to the portal is taken only when the box answers."""
    page = (Path(__file__).parent.parent / "data" / "router" / "login.html").read_text(encoding="utf-8")
    assert '<form method="post" action="$(link-login-only)">' in page
    assert 'name="username"' in page and 'name="password"' in page
    assert "http-equiv" not in page and "http://BOX:8080/health" in page
    link = re.search(r'id="go" href="([^"]*)"', page)
    assert link is not None
    variables = re.findall(r"\$\(([a-z-]+)\)", link[1])
    assert {name for name in variables if not name.endswith("-esc")} == {"endif"}
    assert "numeric" not in page and page.count('autocapitalize="none"') == 2  # imported codes may be of small letters
    assert len(page) < 4096  # version 6 shows no more of a file

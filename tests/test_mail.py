"""Letters to a real SMTP server on loopback: accepted, refused, put off, hung up on, met with silence."""

import contextlib
import socket
import threading
from datetime import UTC, datetime
from email import message_from_string, policy

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult

from edge.devices.mail import Account, Letter, Mail
from edge.errors import Away, Refused, Unconfirmed, Unreachable

AT = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Relay:
    """What the server does with each address, and what it got."""

    def __init__(self):
        self.letters = []
        self.connections = set()
        self.answers = {}  # address → reply to RCPT
        self.answer = "250 OK, kept as 42"  # to the letter

    async def handle_RCPT(self, server, session, envelope, address, rcpt_options):
        envelope.rcpt_tos.append(address)
        return self.answers.get(address, "250 OK")

    async def handle_DATA(self, server, session, envelope):
        self.connections.add(session.peer)
        if self.answer.startswith("250"):
            self.letters.append((tuple(envelope.rcpt_tos), envelope.content.decode()))
        return self.answer


@pytest.fixture
def relay():
    handler = Relay()
    handler.port = free_port()
    controller = Controller(handler, hostname="127.0.0.1", port=handler.port, ready_timeout=30)
    controller.start()
    yield handler
    controller.stop()


def mail_to(port, **more):
    return Mail(Account("127.0.0.1", port, "none", sender="shop@example.com", name="Njeri's WiFi", **more), timeout_s=5)


@pytest.fixture
def mail(relay):
    mail = mail_to(relay.port)
    yield mail
    mail.close()


def letter(address="njeri@example.com", subject="Campaign done", body="All sent.", number=1):
    return Letter(address, subject, body, f"<{number}@edge.example.com>", AT)


class Rude:
    """A server that says what it is told to, line by line, and then hangs up or falls silent."""

    def __init__(self, *answers, last="hang up"):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.heard = []
        self._answers, self._last, self._done = answers, last, threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._done.set()
        self.listener.close()
        self._thread.join(30)

    def _serve(self):
        with contextlib.suppress(OSError):
            guest, _ = self.listener.accept()
            with guest, guest.makefile("rb") as lines:
                for answer in self._answers:
                    guest.sendall(answer.encode() + b"\r\n")
                    self.heard.append(self._hear(lines, answer))
                if self._last == "silence":
                    self._done.wait(30)

    def _hear(self, lines, answer):
        """One command; after 354 the whole letter."""
        got = lines.readline()
        while answer.startswith("354") and got and got != b".\r\n":
            got = lines.readline()
        return got


GREETED = ("220 rude ESMTP", "250 rude", "250 sender", "250 recipient")


def test_a_letter_that_is_accepted_is_told_in_the_relays_own_words(mail, relay):
    assert mail.send(letter()) == "250 OK, kept as 42"
    (addresses, text), = relay.letters
    assert addresses == ("njeri@example.com",)
    for line in (
        "From: Njeri's WiFi <shop@example.com>", "To: njeri@example.com", "Subject: Campaign done",
        "Message-ID: <1@edge.example.com>", "Date: Mon, 02 Mar 2026 09:00:00 +0000", "Auto-Submitted: auto-generated",
        "All sent.",
    ):  # fmt: skip
        assert line in text.split("\r\n")


def test_letters_beyond_ascii_and_lines_of_a_dot_arrive_as_they_were(mail, relay):
    mail.send(letter(subject="Karibu – Café", body="Asante sana – 😀\n.\n..dots\nend"))
    got = message_from_string(relay.letters[0][1], policy=policy.default)
    assert got["subject"] == "Karibu – Café"
    assert got.get_content().splitlines() == ["Asante sana – 😀", ".", "..dots", "end"]


def test_several_letters_go_through_one_connection_each_to_one_address(mail, relay):
    for number in range(5):
        mail.send(letter(f"staff{number}@example.com", number=number))
    assert [addresses for addresses, _ in relay.letters] == [(f"staff{n}@example.com",) for n in range(5)]
    assert len(relay.connections) == 1


def test_after_a_hundred_letters_the_connection_is_a_new_one(mail, relay):
    for number in range(101):
        mail.send(letter(number=number))
    assert len(relay.letters) == 101
    assert len(relay.connections) == 2


def test_an_idle_connection_that_the_relay_cut_is_opened_anew(relay, mail):
    with Rude("220 rude", "250 rude", "250 s", "250 r", "354 go on", "250 kept") as rude:
        impatient = mail_to(rude.port)
        assert impatient.send(letter()) == "250 kept"
        impatient.account = mail.account  # the same relay, back after a restart
        assert impatient.send(letter()) == "250 OK, kept as 42"
        impatient.close()


def test_an_address_that_is_refused_for_good_harms_no_other(mail, relay):
    relay.answers["gone@example.com"] = "550 no such person"
    with pytest.raises(Refused, match="550 no such person"):
        mail.send(letter("gone@example.com"))
    mail.send(letter())
    assert [addresses for addresses, _ in relay.letters] == [("njeri@example.com",)]


def test_a_letter_that_is_put_off_may_be_sent_again(mail, relay):
    relay.answers["njeri@example.com"] = "451 greylisted, try later"
    with pytest.raises(Unreachable, match="451 greylisted") as told:
        mail.send(letter())
    assert not isinstance(told.value, Away)
    relay.answers.clear()
    assert mail.send(letter()).startswith("250")


@pytest.mark.parametrize(("answer", "kind"), [("554 looks like spam", Refused), ("452 disk full", Unreachable)])
def test_the_answer_to_the_letter_itself_is_read_by_its_class(mail, relay, answer, kind):
    relay.answer = answer
    with pytest.raises(kind, match=answer):
        mail.send(letter())


def test_a_relay_that_hangs_up_before_the_letter_is_whole_has_taken_nothing():
    for answers in (GREETED[:3], GREETED):
        with Rude(*answers) as rude, pytest.raises(Unreachable, match="hung up"):
            mail_to(rude.port).send(letter())


def test_a_relay_that_hangs_up_after_the_last_dot_leaves_it_unconfirmed():
    with Rude(*GREETED, "354 go on") as rude:
        with pytest.raises(Unconfirmed, match="has the whole letter"):
            mail_to(rude.port).send(letter())
        assert rude.heard[-1] == b".\r\n"


@pytest.mark.parametrize(
    ("answers", "kind"), [((), Away), (GREETED[:1], Away), (GREETED[:3], Unreachable), ((*GREETED, "354"), Unconfirmed)]
)
def test_a_silent_relay_is_waited_for_only_so_long(answers, kind):
    with Rude(*answers, last="silence") as rude:
        mail = mail_to(rude.port)
        mail._timeout_s = 0.3
        with pytest.raises(kind, match="timed out"):
            mail.send(letter())


def test_nobody_there_is_away():
    with pytest.raises(Away, match="can't be reached"):
        mail_to(free_port()).send(letter())


def test_a_relay_without_starttls_never_sees_the_letter(relay):
    mail = Mail(Account("127.0.0.1", relay.port, "starttls", sender="shop@example.com"), timeout_s=5)
    with pytest.raises(Away, match="does not offer"):
        mail.send(letter())
    assert relay.letters == []


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ("535 5.7.8 Username and Password not accepted", "535 5.7.8"),
        ("535 5.7.139 Authentication unsuccessful, basic authentication is disabled.", "Microsoft no longer"),
        ("534 5.7.9 Application-specific password required. https://support.google.com", "app password"),
    ],
)
def test_a_wrong_password_is_the_accounts_trouble_and_not_the_letters(answer, words):
    with Rude("220 rude", "250-rude\r\n250 AUTH PLAIN", answer) as rude, pytest.raises(Away, match=words) as told:
        mail_to(rude.port, username="shop@example.com", password="not-the-password").send(letter())
    assert "not-the-password" not in str(told.value)


@pytest.mark.filterwarnings("ignore:Requiring AUTH")  # on loopback nobody listens
def test_a_right_password_opens_the_door():
    handler, port = Relay(), free_port()
    controller = Controller(
        handler, hostname="127.0.0.1", port=port, ready_timeout=30, auth_require_tls=False, auth_required=True,
        authenticator=lambda *told: AuthResult(success=told[4].password == b"right", handled=False),
    )
    controller.start()
    try:
        mail = mail_to(port, username="shop", password="right")
        assert mail.send(letter()).startswith("250")
        mail.close()
        with pytest.raises(Away, match="does not serve this account"):
            mail_to(port, username="shop", password="wrong").send(letter())
        with pytest.raises(Away, match="does not serve this account: 530"):
            mail_to(port).send(letter())
    finally:
        controller.stop()


def test_no_header_can_be_smuggled_in(mail, relay):
    mail.send(letter(subject="Hi\r\nBcc: thief@example.com\r\n\r\nbody"))
    text = relay.letters[0][1]
    assert "\r\nBcc:" not in text
    with pytest.raises(Refused, match="not an e-mail address"):
        mail.send(letter("njeri@example.com\r\nRCPT TO:<thief@example.com>"))
    assert len(relay.letters) == 1


@pytest.mark.parametrize("sender", ["", "shop", "shöp@example.com", "a@b\r\nX: y"])
def test_a_sender_that_is_no_address_is_told_as_a_setting_to_mend(relay, sender):
    mail = Mail(Account("127.0.0.1", relay.port, "none", sender=sender), timeout_s=5)
    with pytest.raises(Away, match=r"\[email\] sender"):
        mail.send(letter())


def test_threads_send_at_once_without_mixing_their_letters(mail, relay):
    threads = [threading.Thread(target=mail.send, args=(letter(f"s{n}@example.com", number=n),)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(addresses for addresses, _ in relay.letters) == [(f"s{n}@example.com",) for n in range(8)]


def test_the_account_can_be_checked_without_a_letter(mail, relay):
    assert mail.check().startswith("250")
    assert relay.letters == []

"""Vouchers on the guest's page, on the dashboard and on the command line."""

import csv
import io
import json
import re
from datetime import UTC, datetime
from urllib.parse import parse_qs, urlencode, urlsplit

import pypdfium2
import pytest
import zxingcpp
from click.testing import CliRunner

from edge.__main__ import edge
from edge.domain import access, vouchers, vouchers_guessed
from edge.models import Grant, Plan, Router
from edge.money_models import LedgerEntry, Voucher, VoucherBatch
from edge.values.voucher_code import show_code
from edge.web import build
from tests.web_client import Browser

PHONE = "AA:BB:CC:DD:EE:01"
ARRIVED = {"mac": PHONE, "ip": "10.5.50.8", "link-login-only": "http://10.5.50.1/login"}


@pytest.fixture
def app(settings):
    return build(settings)


@pytest.fixture
def guest(app):
    return Browser(app, "10.5.50.8")


@pytest.fixture
def owner(app):
    return signed_in(app, "Njeri")


@pytest.fixture
def gate(settings):
    return Router.create(name="gate", host="10.5.50.1", username="edge", password="x",
                         login_url="http://10.5.50.1/login")  # fmt: skip


@pytest.fixture
def voucher(settings):
    return Voucher.get(Voucher.batch == vouchers.make(Plan.get(), 1, datetime.now(UTC)))


def signed_in(app, name):
    browser = Browser(app)
    assert browser.sign_in(name).status == 303
    return browser


def press(guest, path, **form):
    kind = "application/x-www-form-urlencoded"
    return guest.call("POST", path, body=urlencode(form).encode(), kind=kind)


def see(guest, address):
    parts = urlsplit(address)
    return guest.get(parts.path, parts.query)


# The guest.


def test_to_look_at_a_vouchers_page_uses_nothing_up_and_tells_nothing(guest, voucher):
    page = guest.get(f"/v/{voucher.code}", urlencode(ARRIVED))
    assert page.status == 200
    assert show_code(voucher.code) in page.words
    assert "Use this voucher" in page.words
    assert len(page.body) < 10_000
    assert not guest.cookies
    assert Voucher.get().state == "new"

    def without(code):
        return guest.get(f"/v/{code}").text.replace(code, "").replace(show_code(code), "")

    assert without(voucher.code) == without("NOSUCHCDE")


def test_its_button_leads_to_the_time_and_connect(guest, voucher, gate):
    page = guest.get(f"/v/{voucher.code}", urlencode(ARRIVED))
    told = {name: page.field(name) for name in ("mac_address", "ip", "link-login-only")}
    answer = press(guest, f"/v/{voucher.code}", **told)
    assert answer.status == 303
    assert parse_qs(urlsplit(answer.header("Location")).query)["mac"] == [PHONE]
    access.record_placed(Grant.get().id, gate.id, datetime.now(UTC))
    shown = see(guest, answer.header("Location"))
    assert "1 hour left" in shown.words
    assert 'action="http://10.5.50.1/login"' in shown.text
    assert Grant.get().mac == PHONE


def test_outside_the_hotspot_it_works_too(guest, voucher, gate):
    answer = press(guest, f"/v/{voucher.code.lower()}")
    assert answer.status == 303
    assert see(guest, answer.header("Location")).status == 200


def test_the_code_form_takes_a_voucher_without_a_pin(guest, voucher):
    answer = press(guest, "/code", code=f" {show_code(voucher.code).lower()} ", pin="", mac_address=PHONE)
    assert answer.status == 303
    assert answer.header("Location").startswith("/g/")
    assert press(guest, "/code", code=voucher.code, pin=" ", mac_address=PHONE).header("Location") == answer.header(
        "Location"
    )
    assert " required" not in re.search(r'<input[^>]*name="pin"[^>]*>', guest.get("/").text)[0]


def test_why_a_voucher_opens_nothing_is_said_in_place(guest, voucher):
    unknown = press(guest, "/code", code="NOSUCHCDE", pin="")
    assert (unknown.status, "not known" in unknown.words) == (400, True)
    grant = Grant.get(Grant.username == voucher.code) if press(guest, f"/v/{voucher.code}").status == 303 else None
    access.end(grant, "time", datetime.now(UTC))
    over = press(guest, f"/v/{voucher.code}")
    assert over.status == 400
    assert re.search(r"used already, on \w{3} \d\d \w{3}, \d\d:\d\d, and its time is over", over.words)
    for way, form in (("/code", {"code": "WRONG", "pin": ""}), ("/v/WRONGCODE", {})):
        answers = [press(guest, way, **form).status for _ in range(vouchers_guessed.FREE + 1)]
        assert answers[-1] == 429
    assert press(Browser(guest.app, "10.5.50.9"), "/code", code="WRONG", pin="").status == 400


@pytest.mark.parametrize("code", ["%3Cscript%3E", "x" * 200, "%ff%fe", "..%2f..", "a b'\"", "\u00e9" * 9])
def test_no_trick_in_a_vouchers_address_does_anything(guest, code):
    for answer in (guest.get(f"/v/{code}"), press(guest, f"/v/{code}")):
        assert answer.status in (400, 404)
        assert "<script>" not in answer.text.replace("<script src", "")


# The dashboard.


def make(owner, **form):
    return owner.post("/admin/vouchers", {"plan": "1", "count": "3", "length": "9", **form})


def test_the_owner_makes_a_batch_and_sees_what_became_of_it(owner):
    answer = make(owner, seller="Mama Pima", value="15.50", expires="2099-12-31", prefix="KS", sold="yes")
    assert answer.status == 303
    page = see(owner, answer.header("Location"))
    assert "The vouchers are made." in page.words
    assert "Mama Pima" in page.words
    assert "Fri 01 Jan 2100, 00:00" in page.words  # the whole last day, on the shop's wall
    batch = VoucherBatch.get()
    assert (batch.value_cents, LedgerEntry.get().money_cents) == (1550, 4650)
    for voucher in batch.vouchers:
        assert show_code(voucher.code) in page.words
    assert "3 × 1 hour" in owner.get("/admin/vouchers").words


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"count": "x"}, "whole number"), ({"count": "0"}, "1 to 10,000"), ({"value": "-1"}, "in shillings"),
        ({"expires": "31/12/2099"}, "A day looks like"), ({"prefix": "O0"}, "Leave 0O out"), ({"plan": ""}, "plan"),
        ({"plan": "77"}, "no plan"), ({"expires": "2001-01-01"}, "expired"),
    ],
)  # fmt: skip
def test_what_can_not_be_made_is_said_in_the_form_and_nothing_has_to_be_typed_twice(owner, wrong, said):
    answer = make(owner, seller="Mama Pima", **wrong)
    assert answer.status == 400
    assert said in answer.words
    assert 'value="Mama Pima"' in answer.text
    assert VoucherBatch.select().count() == 0


def test_a_batch_is_printed_and_its_pictures_lead_to_the_portal(owner):
    batch = see(owner, make(owner).header("Location"))
    address = re.search(r'href="(/admin/vouchers/batches/\d+/print)\?paper=a4', batch.text)[1]
    for paper, pages in (("a4", 1), ("58", 3), ("80", 3)):
        answer = owner.get(address, f"paper={paper}&part=1")
        assert (answer.status, answer.header("Content-Type")) == (200, "application/pdf")
        assert answer.header("Content-Disposition").endswith('.pdf"')
        assert len(pypdfium2.PdfDocument(answer.body)) == pages
    picture = pypdfium2.PdfDocument(owner.get(address).body)[0].render(scale=200 / 72).to_pil()
    told = {found.text.rsplit("/", 2)[2] for found in zxingcpp.read_barcodes(picture)}
    assert told == {voucher.code for voucher in Voucher.select()}
    assert owner.get(address, "paper=papyrus").status == 400
    assert owner.get(address, "part=9").status == 400


def test_a_table_of_a_batch_holds_no_formulas(owner):
    place = make(owner, seller="=cmd|' /C calc'!A0").header("Location").partition("?")[0]
    answer = owner.get(f"{place}/csv")
    rows = list(csv.DictReader(io.StringIO(answer.body.decode("utf-8-sig"))))
    assert len(rows) == 3
    assert {row["code"] for row in rows} == {voucher.code for voucher in Voucher.select()}
    assert {row["seller"][0] for row in rows} == {"'"}


def test_one_is_made_void_or_exchanged(owner, voucher):
    place = f"/admin/vouchers/{voucher.id}"
    assert owner.post(f"{place}/void").status == 400
    new = owner.post(f"{place}/reissue").header("Location")
    page = see(owner, new)
    assert "This is the new code" in page.words
    assert owner.post(f"{place}/reissue").status == 400
    answer = owner.post(f"{new.partition('?')[0]}/void", {"sure": "yes", "words": "lost"})
    assert "lets nobody in any more" in see(owner, answer.header("Location")).words
    assert {one.state for one in Voucher.select()} == {"void"}


def test_a_batch_is_paid_and_made_void(owner):
    place = make(owner).header("Location").partition("?")[0]
    assert "The seller has paid KSh 60" in owner.get(place).words
    owner.post(f"{place}/paid")
    assert LedgerEntry.get().money_cents == 6000
    assert owner.post(f"{place}/void").status == 400
    assert owner.post(f"{place}/void", {"sure": "yes"}).status == 303
    assert Voucher.select().where(Voucher.state == "void").count() == 3
    assert owner.get(f"{place}/print").status == 400


def test_a_code_is_looked_up_as_it_is_typed_and_batches_by_how_codes_begin(owner):
    make(owner, prefix="KSM")
    code = Voucher.get().code
    answer = owner.get("/admin/vouchers", urlencode({"q": show_code(code).lower()}))
    assert show_code(code) in see(owner, answer.header("Location")).words
    assert owner.get("/admin/vouchers", "q=ksm").text.count('class="code"') == 3
    assert "No voucher has the code" in owner.get("/admin/vouchers", "q=ZZZZ").words
    assert owner.get("/admin/vouchers/99").status == 400
    assert owner.get("/admin/vouchers/batches/99").status == 400


def test_a_cashier_sees_how_one_code_stands_and_no_other_code(app, owner, voucher):
    cashier = signed_in(app, "Wanjiku")
    answer = cashier.get("/admin/vouchers", f"q={voucher.code}")
    page = see(cashier, answer.header("Location"))
    assert "new" in page.words
    assert voucher.code not in page.text  # whoever counts up numbers finds no codes
    assert show_code(voucher.code) not in page.text
    assert voucher.code not in cashier.get("/admin/vouchers", f"q={voucher.code[:4]}").text
    assert "Make vouchers" not in cashier.get("/admin/vouchers").words
    for path in (f"/admin/vouchers/{voucher.id}/print", "/admin/vouchers/batches/1", "/admin/vouchers/batches/1/csv",
                 "/admin/vouchers/batches/1/print"):  # fmt: skip
        assert cashier.get(path).status == 403, path
    for path in ("", f"/{voucher.id}/void", f"/{voucher.id}/reissue", "/batches/1/void", "/batches/1/paid"):
        assert cashier.post(f"/admin/vouchers{path}", {"sure": "yes"}).status == 403, path


# The command.


def test_vouchers_by_command(tmp_path, monkeypatch):
    for name in ("EDGE_STATE", "EDGE_CONFIG"):
        monkeypatch.delenv(name, raising=False)

    def run(*words, status=0, stdin=""):
        done = CliRunner().invoke(edge, [*words, "--state", str(tmp_path / "box")], input=stdin)
        assert done.exit_code == status, done.output
        return done.stdout or done.stderr

    run("init", "--owner", "njeri", "--password-stdin", stdin="a password of Njeri's own\n")
    said = run("voucher", "create", "1", "2", "--length", "6", "--seller", "Mama Pima", "--expires", "2099-12-31")
    assert "fewer than 40" in said
    assert "Mama Pima" in run("voucher", "list")
    codes = [one["code"] for one in json.loads(run("voucher", "list", "1", "--json"))["vouchers"]]
    assert len(codes) == 2
    paper = tmp_path / "sheet.pdf"
    assert "/v/" not in run("voucher", "print", "1", "--paper", "58", "-o", str(paper))
    assert len(pypdfium2.PdfDocument(paper)) == 2
    assert codes[0] in run("voucher", "export", "1")
    assert "stand in the books" in run("voucher", "paid", "1")
    assert json.loads(run("voucher", "show", codes[0], "--json"))["state"] == "sold"
    new = json.loads(run("voucher", "reissue", codes[0], "--json"))
    assert (new["state"], len(new["code"])) == ("sold", 9)
    assert "void" in run("voucher", "void", new["code"], "--why", "lost")
    assert "1 vouchers of batch 1 are void" in run("voucher", "void", "--batch", "1")
    assert "No voucher" in run("voucher", "show", "NOSUCH", status=1)
    assert "no plan" in run("voucher", "create", "7 years", "1", status=1)

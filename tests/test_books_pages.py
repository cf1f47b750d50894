"""The books on the dashboard and on the command line: the owner's alone, and read as he reads them."""

import json
from datetime import UTC, datetime

import pytest
from click.testing import CliRunner
from selenium.webdriver.common.by import By

from edge.__main__ import edge
from edge.database import close_database
from edge.domain import books, refunds, statements
from edge.models import Grant, Payment
from edge.money_models import LedgerEntry, Receipt, Refund, Statement
from edge.values.statement import EAT
from edge.web import ROUTES, build
from tests.browser import needs_chromium, press, says, set_width, words_of
from tests.shop import ASHA, JUMA, pay, prompt
from tests.web_client import PASSWORD, Browser

HEADS = "Receipt No.,Completion Time,Details,Transaction Status,Paid In,Withdrawn,Balance,Other Party Info,A/C No."
OWNERS = [route for route in ROUTES if route.path.startswith(("/admin/books", "/admin/refunds"))
          or route.path.endswith("/refund")]  # fmt: skip


@pytest.fixture
def app(settings):
    return build(settings)


@pytest.fixture
def njeri(app):
    browser = Browser(app)
    assert browser.sign_in("Njeri").status == 303
    return browser


def now():
    return datetime.now(UTC)


def statement(*lines):
    stamp = f"{now().astimezone(EAT):%d-%m-%Y %H:%M:%S}"
    rows = [
        f'{code},{stamp},{details},Completed,{paid},{out},"1,000.00",254712345678 - ASHA,'
        for code, details, paid, out in lines
    ]
    return "\r\n".join((HEADS, *rows)).encode()


def upload(browser, raw, name="march.csv", csrf=None):
    frame = (
        f'--xyz\r\nContent-Disposition: form-data; name="csrf"\r\n\r\n{browser.csrf if csrf is None else csrf}\r\n'
        f'--xyz\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\nContent-Type: text/csv\r\n\r\n'
    ).encode()
    body = frame + raw + b"\r\n--xyz--\r\n"
    return browser.call("POST", "/admin/books/statements", body=body, kind="multipart/form-data; boundary=xyz")


@pytest.mark.parametrize("who", ["Wanjiku", "Otieno"])
def test_nobody_but_the_owner_sees_the_books(app, who):
    browser = Browser(app)
    browser.sign_in(who)
    for route in OWNERS:
        path = route.path.replace("<payment_id:int>", "1").replace("<statement_id:int>", "1")
        path = path.replace("<line_id:int>", "1").replace("<refund_id:int>", "1")
        answer = browser.get(path) if route.method == "GET" else browser.post(path)
        assert answer.status == (200 if who == "Otieno" and path.endswith("/slip") else 403), path
    assert 'href="/admin/books"' not in browser.get("/admin/counter").text


@pytest.mark.parametrize("by", ["day", "week", "plan", "seller", "hour", "method", "reason"])
def test_every_report_has_its_chart_and_its_figures(njeri, by):
    pay(at=now())
    prompt(JUMA, now())
    Payment.update(state="failed", result_code="1032").where(Payment.msisdn == JUMA).execute()
    page = njeri.get("/admin/books", f"by={by}")
    assert page.status == 200
    assert "<rect" in page.text
    assert ("The guest cancelled" if by == "reason" else "KSh 20") in page.words


def test_a_report_that_cannot_be_is_said_in_words(njeri):
    assert njeri.get("/admin/books", "by=moon").status == 400
    assert "no day" in njeri.get("/admin/books", "from=2026-02-31").words
    assert njeri.get("/admin/books", "from=2031-01-01&to=2030-01-01").status == 400
    assert "Nothing on these days" in njeri.get("/admin/books", "from=2020-01-01&to=2020-01-31").words


def test_the_slip_carries_the_last_hash(njeri):
    pay(at=now())
    today = njeri.get("/admin/books/slip")
    assert books.head()[1] in today.text
    assert "1 hour KSh 20" in today.words
    assert "Nothing on these days" in njeri.get("/admin/books/slip", "day=2020-01-01").words


def test_csv_is_a_file_that_a_spreadsheet_believes(njeri):
    pay(at=now())
    for what in ("report", "ledger", "payments"):
        answer = njeri.get("/admin/books/csv", f"what={what}")
        assert answer.header("Content-Type") == "text/csv; charset=UTF-8"
        assert f'filename="{what}-' in answer.header("Content-Disposition")
        assert answer.body.startswith(b"\xef\xbb\xbf")
    assert njeri.get("/admin/books/csv", "what=secrets").status == 400


def test_a_statement_is_uploaded_compared_and_settled(njeri):
    payment = pay(at=now())
    raw = statement((payment.receipt, "Pay Bill", "20.00", ""), ("UKQ5T00001", "Pay Bill <b>x</b>", "30.00", ""))
    answer = upload(njeri, raw, "C:\\evil\\..\\march.csv")
    assert answer.status == 303
    place = answer.header("Location")
    page = njeri.get(place.partition("?")[0], "did=read")
    assert "Unexplained KSh 30" in page.words and "Not in our books" in page.words
    assert "<b>x</b>" not in page.text
    missing = statements.compare(Statement.get()).of("missing")[0].line
    assert njeri.post(f"/admin/books/lines/{missing.id}/follow").status == 303
    assert "Every shilling is explained" in njeri.get(place.partition("?")[0]).words
    assert Receipt.get(Receipt.code == "UKQ5T00001").state == "held"
    assert "There is nothing to do" in njeri.post(f"/admin/books/lines/{missing.id}/follow").words
    again = upload(njeri, raw)
    assert again.header("Location").endswith("did=known")
    assert "march.csv" in njeri.get("/admin/books/statements").words


def test_what_is_no_statement_is_refused_and_nothing_is_kept(njeri):
    assert "This is no M-Pesa statement" in upload(njeri, b"\x89PNG" + bytes(100)).words
    assert upload(njeri, statement(("UKQ5T00001", "x", "1", "")), csrf="wrong").status == 403
    assert njeri.post("/admin/books/statements").status == 400
    assert Statement.select().count() == 0
    assert njeri.get("/admin/books/statements/77").status == 400


def test_the_owner_gives_money_back_from_the_payments_page(njeri):
    payment = pay(at=now())
    assert f"/admin/payments/{payment.id}/refund" in njeri.get(f"/admin/payments/{payment.id}").text
    place = f"/admin/payments/{payment.id}/refund"
    assert "at most KSh 20" in njeri.get(place).words
    assert "At most KSh 20" in njeri.post(place, {"how": "cash", "amount": "21", "words": ""}).words
    assert njeri.post(place, {"how": "cash", "amount": "lots", "words": ""}).status == 400
    assert njeri.post(place, {"how": "cash", "amount": "20", "words": "<i>slow</i>"}).status == 303
    page = njeri.get(place)
    assert "<i>slow</i>" in page.words and "Done" in page.words
    assert Grant.get(Grant.payment == payment).why_ended == "refunded"
    assert njeri.get(f"/admin/payments/{payment.id}").status == 200
    assert njeri.get("/admin/").status == 200


def test_a_refund_in_doubt_is_settled_by_who_knows(njeri):
    payment = pay(at=now())
    refund = refunds.ask(payment, 2000, "pay_out", None, now())
    refunds.record_unconfirmed(refund.id, "answer lost", now())
    assert "Nobody knows yet" in njeri.get(f"/admin/payments/{payment.id}/refund").words
    assert njeri.post(f"/admin/refunds/{refund.id}/settle", {"end": "done"}).status == 303
    assert Refund.get_by_id(refund.id).state == "done"
    assert njeri.post(f"/admin/refunds/{refund.id}/settle", {"end": "failed"}).status == 404


# On the command line


def run(settings, *words):
    close_database()
    done = CliRunner().invoke(edge, [*words, "--state", str(settings.state), "--json"], prog_name="edge")
    return done.exit_code, json.loads(done.output) if done.output.startswith("{") else done.output


def test_the_command_line_reads_verifies_and_compares(settings, tmp_path):
    payment = pay(at=now())
    paper = tmp_path / "march.csv"
    paper.write_bytes(statement((payment.receipt, "Pay Bill", "20.00", ""), ("UKQ5T00001", "Pay Bill", "30.00", "")))
    code, verdict = run(settings, "books", "verify")
    assert (code, verdict["entries"], verdict["first_bad"]) == (0, 1, None)
    assert run(settings, "books", "verify", "--noted", "abc123")[0] == 1
    assert run(settings, "books", "slip")[1]["closing_hash"] == verdict["head"]
    assert run(settings, "books", "report", "--by", "plan")[1]["total"]["net_cents"] == 2000
    code, told = run(settings, "books", "import", str(paper))
    assert (code, told["unexplained_cents"]) == (0, 3000)
    assert run(settings, "books", "take", str(told["lines"][0]["line"]))[1]["words"] == "UKQ5T00001 is held"
    assert run(settings, "books", "compare", "--all")[1]["unexplained_cents"] == 0
    assert run(settings, "books", "export", "ledger", str(tmp_path / "l.csv"))[0] == 0
    assert len((tmp_path / "l.csv").read_text(encoding="utf-8-sig").splitlines()) == 3
    code, refund = run(settings, "payment", "refund", str(payment.id), "--amount", "5")
    assert (code, refund["state"], refund["amount"]) == (0, "done", 5)
    assert run(settings, "payment", "refund", str(payment.id), "--amount", "50")[0] == 1


@pytest.mark.parametrize(
    "words", [("slip",), ("report",), ("report", "--by", "reason"), ("verify",), ("export", "report")]
)
def test_people_read_lines(settings, words):
    pay(at=now())
    failed = prompt(JUMA, now())
    failed.put(state="failed", result_code="1032")
    close_database()
    done = CliRunner().invoke(edge, ["books", *words, "--state", str(settings.state)], prog_name="edge")
    assert done.exit_code == 0, done.output
    assert ("cancelled" if "reason" in words else "20" if "verify" not in words else "1 lines") in done.output


# In a real browser


@needs_chromium
def test_the_owner_reads_his_books_on_a_phone(address, browser):
    payment = pay(ASHA, at=now())
    pay(JUMA, at=now(), receipt="TCK1AB2CD4", body=b"{1}")
    cancelled = prompt("254733000222", now())
    cancelled.put(state="failed", result_code="1032")
    books.record("refund", "cash", -500, -500, now(), plan_id=1, payment_id=payment.id)
    set_width(browser, 360)
    browser.get(f"{address}/admin/sign-in")
    browser.find_element(By.NAME, "name").send_keys("Njeri")
    browser.find_element(By.NAME, "password").send_keys(PASSWORD)
    press(browser, By.CSS_SELECTOR, "main button")
    says(browser, "Takings")
    for place in ("books", "books?by=reason", "books/slip", "books/statements", f"payments/{payment.id}/refund"):
        browser.get(f"{address}/admin/{place}")
        for width in (360, 1280):
            set_width(browser, width)
            wide = browser.execute_script("return document.documentElement.scrollWidth - window.innerWidth")
            assert wide <= 0, f"{place} at {width} px"
    browser.get(f"{address}/admin/books")
    assert "KSh 35" in words_of(browser)
    assert browser.find_element(By.CSS_SELECTOR, "figure rect.done").size["height"] > 20
    assert LedgerEntry.select().count() == 3
    assert not [line for line in browser.get_log("browser") if line["level"] == "SEVERE"]

"""The texts that the box sends by itself: as shipped, in the owner's words, on the dashboard and by command."""

import doctest
import json

import pytest
from click.testing import CliRunner

from edge import texts
from edge.__main__ import edge
from edge.domain import counter, renewal, settlement, templates
from edge.errors import BadInput
from edge.models import Event, Message
from edge.sms_models import SmsTemplate
from edge.values.sms_text import count_segments
from edge.web import build
from tests.shop import NOW
from tests.web_client import Browser

NAMED = (
    "ORDER_CONFIRMED", "ORDER_READY", "ORDER_CANCELLED", "VERIFICATION_CODE", "PASSWORD_RESET", "DELIVERY_UPDATE",
    "LOW_STOCK_ALERT", "NEW_REVIEW", "PAYMENT_FAILED", "PAYMENT_RECEIVED", "KIOSK_APPROVED", "KIOSK_REJECTED",
    "WELCOME",
)  # fmt: skip
RECEIPT = '{{shop}}: {{receipt|default:""}} Code {{code}} PIN {{pin}}'


@pytest.fixture
def duka():
    texts.catalogue.configure("en", "Duka")
    yield
    texts.catalogue.configure("en", "WiFi")


@pytest.fixture
def long_shop():
    texts.catalogue.configure("en", "The Very Long Named Internet Café and Print Shop of Njeri and Daughters, Nakuru")
    yield
    texts.catalogue.configure("en", "WiFi")


def test_the_thirteen_named_ones_are_there_and_more(box):
    names = templates.names()
    assert tuple(names[:13]) == NAMED
    assert set(names[13:]) == {"RENEWED", "REMINDER", "TRIAL", "CODE_AGAIN"}


def test_each_is_one_segment_with_its_sample_in_each_language_and_would_be_saved_as_it_is(box):
    for template in templates.everything():
        for text in template.shipped.values():
            assert templates.check(template, text) == text
            quote = templates.preview(template, text)
            assert (quote.segments, quote.alphabet) == (1, "gsm7"), template.name
            assert "{{" not in quote.text


def test_each_can_be_sent_without_what_may_be_missing(box, duka):
    for template in templates.everything():
        told = {name: value for name, value in template.sample.items() if name not in template.optional}
        text = templates.render(template.name, told)
        assert not text.endswith(" ")
        assert " ." not in text
        assert ", ." not in text


@pytest.mark.parametrize(("alias", "name"), [("FARM_APPROVED", "KIOSK_APPROVED"), ("farm_rejected", "KIOSK_REJECTED")])
def test_old_names_lead_to_the_new_ones(box, alias, name):
    assert templates.get(alias).name == name


def test_a_missing_variable_is_an_error_and_nothing_is_promised(box, now):
    with pytest.raises(BadInput, match=r"\{\{kiosk\}\}"):
        templates.send_template("ORDER_READY", "0712345678", {"order": "7"}, now)
    with pytest.raises(BadInput, match="mobile number"):
        templates.send_template("ORDER_READY", "020123", {"order": "7", "kiosk": "x"}, now)
    with pytest.raises(BadInput, match="no template"):
        templates.send_template("NOPE", "0712345678", {}, now)
    assert not Message.select().exists()
    assert not box.jobs()


def test_the_example_in_its_docstring_is_true(box, now):
    known = {"send_template": templates.send_template, "now": now}
    examples = doctest.DocTestFinder().find(templates.send_template, "send_template", module=False, globs=known)
    assert [doctest.DocTestRunner().run(example).failed for example in examples] == [0]
    message = Message.get()
    assert (message.kind, message.cost, len(box.jobs("sms.send"))) == ("notice", 0, 1)


# What guests really get.


def test_a_receipt_is_the_owners_words_once_they_are_saved(box, gate, now, duka):
    payment = box.paid()
    grant = box.grant(payment)
    assert Message.get().text == (
        f"Duka: KSh 20 received, {payment.receipt}. 1 hour of WiFi. Code {grant.username} PIN {grant.password}"
    )
    templates.save("PAYMENT_RECEIVED", RECEIPT, None, now)
    assert settlement.receipt_text(payment, grant) == (
        f"Duka: {payment.receipt} Code {grant.username} PIN {grant.password}"
    )
    payment.put(receipt=None)
    assert settlement.receipt_text(payment, grant) == f"Duka: Code {grant.username} PIN {grant.password}"


def test_a_receipt_that_is_not_known_yet_leaves_no_gap(box, gate, now, duka):
    payment = box.paid()
    payment.put(receipt=None)
    text = settlement.receipt_text(payment, box.grant(payment))
    assert text.startswith("Duka: KSh 20 received. 1 hour")
    assert renewal.text(payment, box.grant(payment), now).startswith("Duka: KSh 20 received. Added: you have")


def test_the_shops_name_gives_way_and_the_code_never_does(box, gate, long_shop):
    payment = box.paid()
    grant = box.grant(payment)
    text = settlement.receipt_text(payment, grant)
    assert count_segments(text) == 1
    assert text.startswith("The Very Long Named")
    assert text.endswith(f"Code {grant.username} PIN {grant.password}")


def test_a_text_too_long_for_one_segment_keeps_the_shops_name_and_all_its_words(box, gate, duka, now):
    templates.save("PAYMENT_RECEIVED", RECEIPT + " Asante!" * 20, None, now)
    payment = box.paid()
    text = settlement.receipt_text(payment, box.grant(payment))
    assert text.startswith("Duka: ")
    assert text.count("Asante!") == 20


def test_words_of_the_owner_that_cannot_be_filled_never_hold_up_a_guests_code(box, gate, duka, now):
    SmsTemplate.create(name="PAYMENT_RECEIVED", text="{{gone}} {{code}} {{pin}}", changed_at=now)
    payment = box.paid()
    assert payment.state == "paid"
    assert Message.get().text.startswith("Duka: KSh 20 received")


def test_the_code_texted_again_from_the_counter_has_its_template_too(box, gate, duka, now):
    templates.save("CODE_AGAIN", "{{shop}} again: {{code}}/{{pin}}", None, now)
    grant = box.grant(box.paid())
    assert counter.resend(grant, box.after(minutes=10)).text == f"Duka again: {grant.username}/{grant.password}"


# What may be saved.


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{{shop}}: Code {{code}}", r"\{\{pin\}\} may not be left out"),
        ("{{shop}}: Code {{code|lower}} PIN {{pin}}", r"\{\{code\}\} may not be left out"),
        ("Code {{code}} PIN {{pin}} {{nmae}}", "not known here"),
        ("Code {{code}} PIN {{pin}} {{receipt}}", "may be missing"),
        ("Code {code} {{code}} PIN {{pin}}", "two braces"),
        ("", "Write the words"),
        ("{{code}} {{pin}}" + "x" * 1000, "letters"),
        ("{{code}} {{pin", "has no }}"),
    ],
)
def test_words_that_would_lose_the_code_are_not_saved(box, now, text, words):
    with pytest.raises(BadInput, match=words):
        templates.save("PAYMENT_RECEIVED", text, None, now)
    assert not templates.get("PAYMENT_RECEIVED").is_changed


def test_control_characters_go_when_it_is_saved(box, now):
    saved = templates.save("PAYMENT_RECEIVED", "{{shop}}\r\n{{code}}\x1a\x1b {{pin}}\x00", None, now)
    assert saved.text == "{{shop}}\n{{code}} {{pin}}"


def test_a_template_is_put_back_and_one_of_the_owners_own_is_gone(box, now):
    templates.save("PAYMENT_RECEIVED", RECEIPT, None, now)
    templates.save("offer_monday", "Hi {{name|first|default:\"you\"}}, 10 % off {{plan}}", None, now)
    assert templates.names()[-1] == "OFFER_MONDAY"
    assert templates.render("OFFER_MONDAY", {"plan": "1 hour"}) == "Hi you, 10 % off 1 hour"
    for name in ("PAYMENT_RECEIVED", "OFFER_MONDAY"):
        templates.reset(name, now)
    assert templates.get("PAYMENT_RECEIVED").text == templates.get("PAYMENT_RECEIVED").as_shipped
    assert "OFFER_MONDAY" not in templates.names()
    told = [event.name for event in Event.select().where(Event.name.startswith("template."))]
    assert told == ["template.changed", "template.changed", "template.reset", "template.reset"]


@pytest.mark.parametrize("name", ["x", "A", "OFFER MONDAY", "../ETC", "1ST", "É" * 5])
def test_a_name_is_of_capitals(box, now, name):
    with pytest.raises(BadInput, match="capitals"):
        templates.save(name, "Hi", None, now)


# On the dashboard.

HERE = "/admin/sms/templates/PAYMENT_RECEIVED"


def signed_in(settings, name):
    browser = Browser(build(settings))
    assert browser.sign_in(name).status == 303
    return browser


def test_the_owner_rewrites_a_text_after_looking_at_it(settings):
    njeri = signed_in(settings, "Njeri")
    assert "Receipt of a payment" in njeri.get("/admin/sms/templates").words
    looked = njeri.post(HERE, {"text": RECEIPT + " <b>", "do": "look"})
    assert looked.status == 200
    assert "TCK1AB2CD3 Code 7K4M2Q PIN 4821 &lt;b&gt;" in looked.text
    assert not SmsTemplate.select().exists()
    wrong = njeri.post(HERE, {"text": "{{shop}}", "do": "save"})
    assert (wrong.status, "may not be left out" in wrong.text) == (400, True)
    assert njeri.post(HERE, {"text": RECEIPT, "do": "save"}).status == 303
    assert templates.get("PAYMENT_RECEIVED").text == RECEIPT
    assert "by Njeri" in njeri.get(HERE).words
    assert njeri.post(HERE + "/reset").status == 303
    assert not SmsTemplate.select().exists()


def test_kiswahili_as_shipped_can_be_taken_over(settings):
    njeri = signed_in(settings, "Njeri")
    assert "Take the words as shipped in Kiswahili" in njeri.get(HERE).words
    assert "Tumepokea KSh 20" in njeri.post(HERE, {"text": "", "do": "use-sw"}).words


def test_a_template_of_ones_own_is_made_once_and_looked_at(settings):
    njeri = signed_in(settings, "Njeri")
    assert njeri.get("/admin/sms/templates/new").status == 200
    told = {"name": "offer_monday", "text": "Hi {{name}}"}
    assert njeri.post("/admin/sms/templates/new", told).status == 303
    assert "Hi name" in njeri.get("/admin/sms/templates/OFFER_MONDAY").words
    assert "own" in njeri.get("/admin/sms/templates").words
    again = njeri.post("/admin/sms/templates/new", told)
    assert (again.status, "already" in again.text) == (400, True)
    assert njeri.post("/admin/sms/templates/OFFER_MONDAY/reset").header("Location").endswith("said=gone")


def test_words_that_can_no_longer_be_read_are_shown_to_be_mended(settings):
    SmsTemplate.create(name="WELCOME", text="{{code}} {{pin", changed_at=NOW)
    njeri = signed_in(settings, "Njeri")
    assert "has no }}" in njeri.get("/admin/sms/templates/WELCOME").words
    assert njeri.get("/admin/sms/templates").status == 200


def test_only_the_owner_rewrites_texts(settings):
    otieno = signed_in(settings, "Otieno")
    assert "readonly" in otieno.get(HERE).text
    assert otieno.post(HERE, {"text": RECEIPT, "do": "save"}).status == 403
    assert otieno.get("/admin/sms/templates/NOPE").status == 404


# By command.


def edge_says(settings, *words, fails=False, **more):
    result = CliRunner().invoke(edge, [*words, "--state", str(settings.state), "--json"], **more)
    assert (result.exit_code != 0) == fails, result.output
    return json.loads(result.stdout.splitlines()[-1])


def test_the_command_lists_all_of_them_each_with_its_sample(settings):
    told = edge_says(settings, "templates", "list", "--channel", "sms")
    assert {*NAMED} < {template["name"] for template in told["templates"]}
    assert all(template["preview"] and template["segments"] == 1 for template in told["templates"])


def test_the_command_renders_sets_and_resets(settings):
    told = edge_says(settings, "templates", "render", "FARM_APPROVED", "kiosk=Kisumu", "help=254712345678")
    assert told["text"].endswith("Kisumu is approved. You can sell from now on. Help: 0712 345 678")
    assert "{{help}}" in edge_says(settings, "templates", "render", "WELCOME", "code=x", "pin=1", fails=True)["error"]
    told = edge_says(settings, "templates", "set", "WELCOME", "-", input="Karibu! {{code}} {{pin}}\n")
    assert (told["words"], told["preview"]) == ("changed", "Karibu! 7K4M2Q 4821")
    assert edge_says(settings, "templates", "set", "TRIAL", "--language", "sw")["text"].startswith("{{shop}}: WiFi ya")
    assert edge_says(settings, "templates", "reset", "WELCOME") == {"name": "WELCOME", "shipped": True}
    assert edge_says(settings, "templates", "show", "WELCOME")["words"] == "shipped"
    plain = CliRunner().invoke(edge, ["templates", "show", "WELCOME", "--state", str(settings.state)])
    assert "takes    1 segment, gsm7" in plain.stdout

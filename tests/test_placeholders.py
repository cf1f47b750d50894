"""The placeholders of templates: what they take, what they refuse, and that no hostile text is slow."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.errors import BadInput
from edge.values import placeholders
from edge.values.placeholders import check, fill, names, needed, unchanged


@pytest.mark.parametrize(
    ("template", "values", "text"),
    [
        ("Hi {{name}}", {"name": "Asha Otieno"}, "Hi Asha Otieno"),
        ("Hi {{ Name }}", {"name": "Asha"}, "Hi Asha"),
        ("{{name|first}}", {"name": "Asha Otieno"}, "Asha"),
        ("{{name|first|upper}}", {"name": "Asha Otieno"}, "ASHA"),
        ("{{name|title}}", {"name": "ASHA o'dinga"}, "Asha O'dinga"),
        ("{{name|lower}}", {"name": "ASHA"}, "asha"),
        ("{{phone|phone}}", {"phone": "254712345678"}, "0712 345 678"),
        ("{{phone|phone}}", {"phone": "MPESA"}, "MPESA"),
        ("{{due|money}}", {"due": "1500"}, "KSh 1,500"),
        ("{{due|money}}", {"due": "19.99"}, "KSh 19.99"),
        ("{{due|money}}", {"due": "KSh 20"}, "KSh 20"),
        ('Hi {{name|default:"friend"}}!', {}, "Hi friend!"),
        ('Hi {{name|first|default:"you all"}}!', {"name": " "}, "Hi you all!"),
        ("Hi {{name|default:“friend”}}!", {}, "Hi friend!"),
        ('Paid, {{receipt|default:""}}. Thanks', {}, "Paid. Thanks"),
        ('Hello {{name|default:""}}, welcome', {}, "Hello, welcome"),
        ("One { brace } alone", {}, "One { brace } alone"),
        ("", {}, ""),
    ],
)
def test_a_template_is_filled(template, values, text):
    assert fill(template, values) == text


def test_a_missing_value_is_an_error_that_names_all_that_are_missing():
    with pytest.raises(BadInput, match=r"\{\{name\}\}, \{\{plan\}\}") as told:
        fill("{{name}} {{plan}} {{name}} {{at}}", {"at": "x", "plan": ""})
    assert told.value.field == "text"


def test_a_value_is_never_read_as_a_template_and_loses_its_control_characters():
    assert fill("{{name}}!", {"name": "{{pin}}\x1a\x1b\r\n\x00 x\u202e", "pin": "1234"}) == "{{pin}} x!"


def test_a_value_is_cut_at_its_limit():
    assert fill("{{name}}", {"name": "x" * 1000}) == "x" * 160
    assert fill("{{name}}", {"name": "x" * 1000}, limit=10) == "x" * 10


def test_its_names_are_told_once_in_their_order():
    template = '{{b}} {{a|upper}} {{b}} {{c|default:"x"}}'
    assert names(template) == ("b", "a", "c")
    assert needed(template) == ("b", "a")
    assert unchanged(template) == ("b", "c")


@pytest.mark.parametrize(
    ("template", "words"),
    [
        ("{{nmae}}", "nmae.* is not known here. Known are: {{name}}"),
        ("{{name", "has no }}"),
        ("name}}", "has no {{"),
        ("{{}}", "no placeholder"),
        ("{{7*7}}", "no placeholder"),
        ("{{name.__class__}}", "can't be read"),
        ("{{name|shout}}", "can't be read"),
        ("{{name|default}}", "can't be read"),
        ("{{name|default:friend}}", "can't be read"),
        ('{{name|upper:"x"}}', "can't be read"),
        ("{{name|}}", "can't be read"),
        ("Dear {name}", "two braces"),
        ("{{name}}}}", "has no {{"),
    ],
)
def test_what_cannot_be_filled_is_refused_when_it_is_saved(template, words):
    with pytest.raises(BadInput, match=words):
        check(template, ["name"])


def test_one_brace_around_a_word_that_is_no_name_is_only_a_word():
    check("Set {this} in order, {{name}}", ["name"])


@pytest.mark.parametrize(
    "hostile",
    ["{" * 100_000, "}" * 100_000, "{{a" * 33_000, "{}" * 50_000, "{{a}}" * 20_000, "{{a|" * 25_000, "{ " * 50_000,
     "{{a|default:" + '"' * 100_000, "{a" * 50_000, "|" * 100_000],
)  # fmt: skip
def test_a_hundred_thousand_braces_cost_no_more_than_a_moment(hostile):
    begun = time.process_time()
    for act in (lambda: check(hostile, ["a"]), lambda: fill(hostile, {"a": "x"})):
        try:
            act()
        except BadInput as reason:
            assert len(str(reason)) < 400
    assert time.process_time() - begun < 2


@given(st.text(max_size=200), st.text(max_size=200))
def test_whatever_is_typed_is_filled_or_refused_in_words(template, value):
    try:
        text = fill(template, {"name": value, "a": value})
    except BadInput:
        return
    assert isinstance(text, str)


@given(st.text())
def test_a_filled_value_is_one_printable_line_within_its_limit(value):
    text = fill('{{name|default:"-"}}', {"name": value})
    assert text.isprintable()
    assert len(text) <= placeholders.LIMIT

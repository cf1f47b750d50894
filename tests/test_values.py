"""Small values: numbers, devices, money, lengths of time, networks."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.errors import BadInput
from edge.values.duration import show_duration
from edge.values.mac import read_mac
from edge.values.money import show_money, whole_units
from edge.values.mpesa_words import FINAL_FAILURES, explain
from edge.values.msisdn import mask_msisdn, read_msisdn, show_msisdn
from edge.values.networks import client_behind, contains


@pytest.mark.parametrize(
    "typed",
    ["0712345678", "+254712345678", "254712345678", "712345678", "00254712345678", " 0712 345 678 ", "0712-345-678",
     "(0712) 345.678", "+254 712 345 678", "\u00a00712\u2009345\u2009678"],
)  # fmt: skip
def test_a_number_is_read_in_any_usual_notation(typed):
    assert read_msisdn(typed) == "254712345678"


@pytest.mark.parametrize("typed", ["0112345678", "+254112345678"])
def test_numbers_that_begin_with_01_are_mobile_too(typed):
    assert read_msisdn(typed) == "254112345678"


@pytest.mark.parametrize(
    "typed",
    ["", " ", "07123456", "07123456789", "0212345678", "+255712345678", "0712345678x", "++254712345678", "0x712345678",
     "٠٧١٢٣٤٥٦٧٨", "07１2345678", "0712345678\n0722", "254254712345678", "-", "0712\x00345678", "25471234567;"],
)  # fmt: skip
def test_what_is_no_kenyan_mobile_number_is_refused_by_its_field(typed):
    with pytest.raises(BadInput) as told:
        read_msisdn(typed)
    assert told.value.field == "phone_number"


@given(st.from_regex(r"254[17][0-9]{8}", fullmatch=True))
def test_a_number_shown_is_read_back(msisdn):
    assert read_msisdn(show_msisdn(msisdn)) == msisdn
    assert mask_msisdn(msisdn) == f"0{msisdn[3:6]}•••{msisdn[9:]}"


@given(st.text(max_size=40))
def test_whatever_is_typed_is_a_number_or_bad_input(typed):
    for read in (read_msisdn, read_mac):
        try:
            value = read(typed)
        except BadInput:
            continue
        assert value == "" or value.isascii()


@pytest.mark.parametrize(
    "typed", ["AA:BB:CC:DD:EE:FF", "aa-bb-cc-dd-ee-ff", "aabb.ccdd.eeff", "aabbccddeeff", " AA:BB:CC:DD:EE:FF "]
)
def test_a_device_is_read_in_any_usual_notation(typed):
    assert read_mac(typed) == "AA:BB:CC:DD:EE:FF"


@pytest.mark.parametrize("typed", ["", "  "])
def test_no_device_is_no_fault(typed):
    assert read_mac(typed) == ""


@pytest.mark.parametrize("typed", ["AA:BB:CC:DD:EE", "AA:BB:CC:DD:EE:FF:00", "GG:BB:CC:DD:EE:FF", "aabbccddeef\uff46"])
def test_what_is_no_device_is_refused(typed):
    with pytest.raises(BadInput):
        read_mac(typed)


@pytest.mark.parametrize(
    "cents, units, shown",
    [(2000, 20, "KSh 20"), (120050, 1200.5, "KSh 1,200.50"), (100, 1, "KSh 1"), (25_000_000, 250_000, "KSh 250,000"),
     (5, 0.05, "KSh 0.05"), (0, 0, "KSh 0")],
)  # fmt: skip
def test_money_is_shown_as_people_say_it(cents, units, shown):
    assert (whole_units(cents), show_money(cents)) == (units, shown)


@pytest.mark.parametrize(
    "seconds, shown",
    [(3600, "1 hour"), (5400, "1 hour 30 minutes"), (45, "1 minute"), (60, "1 minute"), (61, "2 minutes"),
     (0, "0 minutes"), (-5, "0 minutes"), (86400, "1 day"), (7 * 86400, "7 days"),
     (90061, "1 day 1 hour"), (86460, "1 day 1 minute")],
)  # fmt: skip
def test_time_is_shown_in_peoples_words(seconds, shown):
    assert show_duration(seconds) == shown


@pytest.mark.parametrize(
    "networks, address, inside",
    [(["192.168.88.0/24"], "192.168.88.7", True), (["192.168.88.0/24"], "192.168.89.7", False),
     (["192.168.88.7/24"], "192.168.88.1", True), (["10.0.0.0/8"], "::ffff:10.1.2.3", True),
     (["fd00::/8"], "fd00::1", True), (["10.0.0.0/8"], "fd00::1", False), (["10.0.0.0/8"], "nonsense", False),
     (["10.0.0.0/8"], "", False), ([], "10.0.0.1", False)],
)  # fmt: skip
def test_an_address_belongs_to_a_network(networks, address, inside):
    assert contains(networks, address) is inside


@pytest.mark.parametrize(
    "peer, forwarded, client",
    [
        ("9.9.9.9", "1.1.1.1", "9.9.9.9"),  # anybody's claim
        ("10.0.0.1", "1.1.1.1", "1.1.1.1"),
        ("10.0.0.1", "6.6.6.6, 1.1.1.1", "1.1.1.1"),  # the first hop is what the guest wrote
        ("10.0.0.1", "6.6.6.6, 1.1.1.1, 10.0.0.2", "1.1.1.1"),
        ("10.0.0.1", "", "10.0.0.1"),
        ("10.0.0.1", "10.0.0.2", "10.0.0.1"),
        ("10.0.0.1", "nonsense", "10.0.0.1"),
        ("10.0.0.1", "," * 500 + "1.1.1.1", "1.1.1.1"),
    ],
)
def test_the_caller_is_the_nearest_hop_that_is_not_ours(peer, forwarded, client):
    assert client_behind(("10.0.0.0/24",), peer, forwarded) == client


def test_every_result_code_has_words_with_a_next_step():
    for code in [*FINAL_FAILURES, "0", "4999", "777", ""]:
        words = explain(code, "as M-Pesa says")
        assert words.guest.endswith(".") and words.owner
    assert "777" in explain("777").owner and "as M-Pesa says" in explain("777", "as M-Pesa says").owner

"""A trace is taken from whoever calls when it is written as W3C Trace Context says, else begun."""

import pytest

from edge import trace

ID, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


def test_what_is_promised_within_a_trace_carries_it_and_nothing_after_it_does():
    assert trace.current() == ""
    with trace.within(ID):
        with trace.within("inner"):
            assert trace.current() == "inner"
        assert trace.current() == ID
    assert trace.current() == ""


@pytest.mark.parametrize(
    "header",
    [f"00-{ID}-{PARENT}-01", f" 00-{ID}-{PARENT}-00 ", f"cc-{ID}-{PARENT}-01", f"cc-{ID}-{PARENT}-01-what-comes-later"],
)
def test_a_caller_s_trace_is_taken(header):
    assert trace.from_traceparent(header) == ID


@pytest.mark.parametrize(
    "header",
    [
        "", "nonsense", ID, f"ff-{ID}-{PARENT}-01", f"00-{ID}-{PARENT}-01-more", f"00-{ID.upper()}-{PARENT}-01",
        f"00-{'0' * 32}-{PARENT}-01", f"00-{ID}-{'0' * 16}-01", f"00-{ID[:-1]}-{PARENT}-01", f"00-{ID}-{PARENT}",
        f"00-{ID}-{PARENT}-01.more", f"cc-{ID}-{PARENT}-01.more", f"0٠-{ID}-{PARENT}-01", f"00-{ID}-{PARENT}-01\n",
    ],
)  # fmt: skip
def test_any_other_header_begins_a_new_one(header):
    begun = trace.from_traceparent(header)
    assert begun != ID and len(begun) == 32 and int(begun, 16)
    assert trace.from_traceparent(header) != begun

"""kill -9 of the workers in the middle of a campaign, again and again: nobody twice or forgotten, credits right."""

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from edge import boot
from edge.domain import campaign_lists, campaigns, credits
from edge.settings import load
from edge.simulators.sms_gateway import API_KEY, USERNAME, SmsGatewaySimulator
from tests.walks.box import Box, wait_for

pytestmark = pytest.mark.timeout(180)
PEOPLE = 60
EACH = 3  # workers of one process on texts: so many may be in hand when it dies


@pytest.fixture
def gateway() -> Iterator[SmsGatewaySimulator]:
    with SmsGatewaySimulator(answer_s=0.1) as simulator:
        simulator.reports = False
        yield simulator


@pytest.fixture
def campaign(box: Box, gateway: SmsGatewaySimulator) -> Box:
    """A box whose owner has just pressed the button."""
    account = {"username": USERNAME, "api_key": API_KEY, "base_url": gateway.base_url}
    box.sections |= {"sms": {"route": ["africastalking"]}, "sms.africastalking": account, "modem": {"port": ""}}
    box.make()
    now = datetime.now(UTC)
    audience = {"kind": "numbers", "numbers": [f"07000000{place:02d}" for place in range(PEOPLE)]}
    with boot.opened(load(box.state)):
        credits.top_up(100, "", None, now)
        easter = campaigns.create("Easter", "Open today", "service", audience, None, now)
        campaign_lists.list_all(easter, now)
        campaigns.submit(easter.id, None, now)
    return box


def start(box: Box, name: str) -> None:
    """One more worker process."""
    box.start("worker")
    box.processes[name] = box.processes.pop("worker")


def taken(gateway: SmsGatewaySimulator, count: int) -> None:
    wait_for(lambda: len(gateway.texts) >= count)


def test_workers_share_a_campaign_and_die_one_by_one_and_together(campaign: Box, gateway: SmsGatewaySimulator) -> None:
    start(campaign, "first")
    start(campaign, "second")
    taken(gateway, 10)
    campaign.kill("first")
    taken(gateway, 22)
    start(campaign, "third")
    taken(gateway, 32)
    began = campaign.rows("SELECT started_at FROM sms_campaigns")
    for name in ("second", "third"):
        campaign.kill(name)
    start(campaign, "fourth")
    wait_for(lambda: campaign.count("sms_campaigns", "state = 'completed' AND finished_at IS NOT NULL"))
    states = Counter(dict(campaign.rows("SELECT state, COUNT(*) FROM messages GROUP BY state")))
    assert states.total() == PEOPLE and set(states) <= {"sent", "unconfirmed"}
    assert states["unconfirmed"] <= 3 * EACH
    got = Counter(text.to for text in gateway.texts)
    assert set(got.values()) == {1}, "somebody got it twice"
    asked = "SELECT reference FROM messages WHERE state = 'sent'"
    assert {reference for (reference,) in campaign.rows(asked)} <= {text.reference for text in gateway.texts}
    assert campaign.rows("SELECT started_at FROM sms_campaigns") == began
    assert campaign.count("jobs", "state IN ('waiting', 'scheduled', 'running') AND queue = 'sms'") == 0
    with boot.opened(load(campaign.state)):
        told = credits.balance()
        assert (told.available, told.reserved, told.spent, credits.verify()) == (100 - PEOPLE, 0, PEOPLE, [])

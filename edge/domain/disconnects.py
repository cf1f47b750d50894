"""Sessions by RADIUS that have to end: promised here, told to the router by a job."""

from datetime import datetime

from edge import jobs
from edge.database import db, transaction
from edge.domain import lanes
from edge.models import Grant

# Where he has a session that nobody has heard the end of.
WHERE_ONLINE = """
SELECT DISTINCT r.id FROM radacct a JOIN routers r ON r.host = a.nasipaddress
WHERE a.username = ? AND a.acctstoptime IS NULL AND r.mode = 'radius' ORDER BY r.id
"""


@transaction
def promise_disconnects(grant: Grant, now: datetime) -> int:
    """Promise to end this grant's sessions at every router that admitted it by RADIUS; returns at how many.

    In the transaction that ends the grant, or later: a session that is ended while its credential lives comes back.
    """
    found = [row[0] for row in db.execute_sql(WHERE_ONLINE, (grant.username,)).fetchall()]
    for router_id in found:
        jobs.promise(
            "grant.disconnect", "provisioning", now, args={"grant_id": grant.id, "router_id": router_id},
            lane=lanes.of_router(router_id), unique_key=f"disconnect:{grant.id}:{router_id}", cause=f"grant:{grant.id}",
        )  # fmt: skip
    return len(found)

"""What is sold."""

from edge.database import transaction
from edge.errors import BadInput
from edge.models import Plan


def on_sale() -> list[Plan]:
    """The plans a guest may pick, in the owner's order."""
    return list(Plan.select().where(Plan.on_sale).order_by(Plan.position, Plan.id))


def get_on_sale(plan_id: int) -> Plan:
    """This plan, if a guest may buy it."""
    plan: Plan | None = Plan.get_or_none(Plan.id == plan_id, Plan.on_sale)
    if plan is None:
        raise BadInput("This plan is not on sale. Please pick another one.", "package_id")
    return plan


@transaction
def seed(samples: list[dict[str, object]]) -> None:
    """Give a new box its sample price list; an existing list is left alone."""
    if Plan.select().exists():
        return
    for position, sample in enumerate(samples):
        Plan.create(position=position, **sample)

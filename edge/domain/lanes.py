"""Lanes of work: one job at a time in each. A router's circuit breaker has the name of its lane."""


def of_router(router_id: int) -> str:
    """One job at a time a router: it is spoken to by one connection."""
    return f"router:{router_id}"

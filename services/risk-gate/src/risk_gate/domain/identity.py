"""Control 24: whether order-worker trades with the host and key that the account was given."""

from risk_gate.domain.facts import Identity
from risk_gate.domain.limits import RiskLimits
from risk_gate.domain.situation import Account
from sigmax.schemas.types import Mode

FIRST_SIGHT = "first sight"
"""Who named the host and key of a paper account that had none: order-worker's own first word."""


def agrees(identity: Identity, account: Account, limits: RiskLimits) -> bool:
    """Say whether this is who trades the account. What nobody named agrees with nothing."""
    return (
        identity.mode == account.mode
        and bool(identity.hosts)
        and set(identity.hosts) <= set(limits.venue_hosts)
        and identity.key_fingerprint in limits.venue_keys
    )


def at_first_sight(identity: Identity, account: Account, limits: RiskLimits) -> RiskLimits | None:
    """Give the limits with the host and key that a paper account is told first; None where people name them.

    They do for a live account, and for every later change: `set_limits`, by two.
    """
    is_unnamed = not limits.venue_hosts and not limits.venue_keys
    if account.mode != Mode.PAPER or identity.mode != account.mode or not is_unnamed or not identity.hosts:
        return None
    named = {"venue_hosts": identity.hosts, "venue_keys": (identity.key_fingerprint,)}
    return RiskLimits.model_validate({**limits.model_dump(), **named, "version": limits.version + 1})

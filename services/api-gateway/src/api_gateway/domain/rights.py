"""Who may do what: the one table that every route and every live topic is checked against."""

from enum import StrEnum


class Role(StrEnum):
    """What a user is to the platform."""

    VIEWER = "viewer"
    TRADER = "trader"
    ADMIN = "admin"


class Right(StrEnum):
    """One thing that a role may or may not do."""

    OWN_SESSION = "own_session"
    READ = "read"
    ACKNOWLEDGE = "acknowledge"
    TRADE = "trade"
    """Raise risk on own accounts: activate strategies, change their parameters."""
    REDUCE = "reduce"
    """Lower risk: stop a strategy, cancel an order, a stricter stage, halt, flatten."""
    CHECK = "check"
    """Have the books checked: it reads whole tables."""
    POSTURE = "posture"
    """Choose how boldly an account trades, within its limits."""
    TRANSFER = "transfer"
    """Book money that came or went beside the platform."""
    APPROVE = "approve"
    """Be the second person, for what one could ask for oneself."""
    RELEASE = "release"
    """Lift a halt, take a latch off. Not the trader's: who trades does not also release the brake."""
    LIMIT = "limit"
    """Change what an account may do."""
    ADMINISTER = "administer"


_EVERYONE = frozenset(Role)

GRANTS: dict[Right, frozenset[Role]] = {
    Right.OWN_SESSION: _EVERYONE,
    Right.READ: _EVERYONE,
    Right.ACKNOWLEDGE: frozenset({Role.TRADER, Role.ADMIN}),
    Right.TRADE: frozenset({Role.TRADER}),
    Right.REDUCE: frozenset({Role.TRADER, Role.ADMIN}),
    Right.CHECK: frozenset({Role.TRADER, Role.ADMIN}),
    Right.POSTURE: frozenset({Role.TRADER, Role.ADMIN}),
    Right.TRANSFER: frozenset({Role.TRADER, Role.ADMIN}),
    Right.APPROVE: frozenset({Role.TRADER, Role.ADMIN}),
    Right.RELEASE: frozenset({Role.ADMIN}),
    Right.LIMIT: frozenset({Role.ADMIN}),
    Right.ADMINISTER: frozenset({Role.ADMIN}),
}

PUBLIC = frozenset({"login", "refresh", "logout"})
"""Operations that a caller without an access token may use."""

ROUTES: dict[str, Right] = {
    "get_me": Right.OWN_SESSION,
    "change_password": Right.OWN_SESSION,
    "issue_ws_ticket": Right.OWN_SESSION,
    "list_users": Right.ADMINISTER,
    "add_user": Right.ADMINISTER,
    "change_user": Right.ADMINISTER,
    "reset_user_password": Right.ADMINISTER,
    "list_audit": Right.ADMINISTER,
    "verify_audit": Right.ADMINISTER,
    "list_accounts": Right.READ,
    "list_positions": Right.READ,
    "list_orders": Right.READ,
    "get_order": Right.READ,
    "cancel_order": Right.REDUCE,
    "identify_order": Right.RELEASE,
    "list_fills": Right.READ,
    "list_ledger": Right.READ,
    "list_reconciliations": Right.READ,
    "list_strategies": Right.READ,
    "get_strategy": Right.READ,
    "set_strategy_params": Right.TRADE,
    "activate_strategy": Right.TRADE,
    "stop_strategy": Right.REDUCE,
    "list_signals": Right.READ,
    "list_decisions": Right.READ,
    "list_verdicts": Right.READ,
    "list_alerts": Right.READ,
    "acknowledge_alert": Right.ACKNOWLEDGE,
    "list_transfers": Right.READ,
    "book_transfer": Right.TRANSFER,
    "list_stages": Right.READ,
    "list_stage_changes": Right.READ,
    "set_stage": Right.REDUCE,
    "halt": Right.REDUCE,
    "resume": Right.RELEASE,
    "flatten": Right.REDUCE,
    "set_posture": Right.POSTURE,
    "list_postures": Right.READ,
    "list_posture_changes": Right.READ,
    "list_ladder_events": Right.READ,
    "list_limits": Right.READ,
    "list_limit_versions": Right.READ,
    "set_limits": Right.LIMIT,
    "list_protections": Right.READ,
    "list_flattenings": Right.READ,
    "list_latches": Right.READ,
    "release": Right.RELEASE,
    "list_venue_health": Right.READ,
    "list_equity_marks": Right.READ,
    "list_approvals": Right.READ,
    "get_approval": Right.READ,
    "approve": Right.APPROVE,
    "refuse": Right.APPROVE,
    "get_command": Right.READ,
    "list_commands": Right.READ,
    "get_system_health": Right.READ,
    "get_system_figures": Right.READ,
    "check_system_books": Right.CHECK,
    "list_jobs": Right.READ,
    "list_market_latest": Right.READ,
    "list_bars": Right.READ,
    "get_why": Right.READ,
}
"""The right that each operation of the API asks for, by operation id. What is not here cannot be called."""


class Topic(StrEnum):
    """What a live connection can subscribe to."""

    TICKS = "ticks"
    ORDERS = "orders"
    APPROVALS = "approvals"
    DENIALS = "denials"
    POSITIONS = "positions"
    FILLS = "fills"
    ALERTS = "alerts"
    DECISIONS = "decisions"
    STAGES = "stages"
    RECONCILIATIONS = "reconciliations"
    VENUE = "venue"


TOPICS: dict[Topic, Right] = dict.fromkeys(Topic, Right.READ)
"""The right that each live topic asks for."""


def may(role: Role, right: Right) -> bool:
    """Say whether a role has a right."""
    return role in GRANTS[right]


def may_steer(role: Role, accounts: frozenset[str], account_id: str) -> bool:
    """Say whether a user may act on the things of one account: a trader on own accounts, an admin on all."""
    return role is Role.ADMIN or account_id in accounts

"""Whether the account may trade at all: stages, modes, builds, clocks, ages, the venue, and who can be told."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from decimal import Decimal

from risk_gate.domain.controls.rows import CLOCK_SKEW_MAX, guard, row
from risk_gate.domain.facts import Fleet
from risk_gate.domain.identity import agrees
from risk_gate.domain.limits import RiskLimits
from risk_gate.domain.situation import Account, Situation
from risk_gate.domain.sizing import side_of
from risk_gate.domain.stages import global_stage, strictest
from sigmax.schemas.orders import Check
from sigmax.schemas.signals import Signal
from sigmax.schemas.types import DenialCode, Mode, Side, Stage

FAILING_MAX_S = 30
"""How long a venue may fail until entries end, whatever the limit for its silence."""


def stage_checks(signal: Signal, situation: Situation) -> list[Check]:
    """Controls 1, 25, and 24: how much trading is allowed, and whether both sides mean the same account."""
    platform = global_stage(situation.stages)
    stage, whose = strictest(situation.stages, situation.account, signal.strategy_id, signal.instrument_id)
    reduces = side_of(signal.action) is Side.SELL
    is_new = signal.instrument_id not in situation.book.instruments
    return [
        row(25, DenialCode.KILL_SWITCH_ON, platform.severity < Stage.HALTED.severity, platform, "off"),
        row(1, DenialCode.TRADING_HALTED, stage.severity < Stage.HALTED.severity, whose, "not halted"),
        row(
            1,
            DenialCode.TRADING_REDUCING,
            reduces or stage is not Stage.REDUCING,
            whose,
            "only what lowers exposure while reducing",
        ),
        guard(
            signal,
            row(
                1,
                DenialCode.INSTRUMENT_NEW_IN_CAUTION,
                stage is not Stage.CAUTION or not is_new,
                f"{whose}, {'not held' if is_new else 'held'}",
                "an instrument that is held already, in caution",
            ),
        ),
        _mode_check(situation.account),
    ]


def _mode_check(account: Account | None) -> Check:
    if account is None:
        return row(24, DenialCode.MODE_MISMATCH, False, "the account is not known", "one venue and mode")
    wanted = f"{account.mode} at {account.venue}"
    if account.worker_venue is None:
        # There was no reconciliation yet, and control 21 says so.
        return row(24, DenialCode.MODE_MISMATCH, True, "order-worker has not said yet", wanted)
    agrees = (account.worker_venue, account.worker_mode) == (account.venue, str(account.mode))
    told = f"order-worker: {account.worker_mode} at {account.worker_venue}"
    return row(24, DenialCode.MODE_MISMATCH, agrees, told, wanted)


def _identity_check(situation: Situation, limits: RiskLimits) -> Check:
    """Hold what order-worker says of its mode, hosts, and key against what the account was given.

    A paper account may wait for the first word: until then nothing is reconciled, and control 21 says so.
    """
    account, venue = situation.account, situation.facts.venue
    told = None if venue is None else venue.identity
    wanted = f"hosts {_list(limits.venue_hosts)}, keys {_list(limits.venue_keys)}"
    if account is None or told is None:
        may_wait = account is not None and account.mode == Mode.PAPER and not limits.venue_hosts
        return row(24, DenialCode.MODE_MISMATCH, may_wait, "order-worker has not said its host and key", wanted)
    seen = f"{told.mode}, hosts {_list(told.hosts)}, key {told.key_fingerprint}"
    return row(24, DenialCode.MODE_MISMATCH, agrees(told, account, limits), seen, f"{account.mode}, {wanted}")


def _list(names: Iterable[str]) -> str:
    return ", ".join(names) or "none"


def age_checks(signal: Signal, situation: Situation, limits: RiskLimits, now: datetime) -> list[Check]:
    """Controls 23 and 21: how old the signal and the books are."""
    age = now - signal.occurred_at
    account = situation.account
    reconciled_at = account.reconciled_at if account else None
    passed = account is not None and account.reconciliation_passed
    reconciliation_age = None if reconciled_at is None else now - reconciled_at
    seen = "never" if reconciliation_age is None else f"{reconciliation_age.total_seconds():.1f} s ago"
    return [
        row(
            23,
            DenialCode.SIGNAL_EXPIRED,
            now <= signal.valid_until,
            f"decided at {now:%H:%M:%S.%f}",
            f"valid until {signal.valid_until:%H:%M:%S.%f}",
        ),
        row(
            23,
            DenialCode.SIGNAL_EXPIRED,
            -CLOCK_SKEW_MAX <= age <= timedelta(seconds=limits.signal_age_max_s),
            f"{age.total_seconds():.3f} s old",
            f"{limits.signal_age_max_s} s",
        ),
        row(
            21,
            DenialCode.RECONCILIATION_MISSING,
            passed
            and reconciliation_age is not None
            and reconciliation_age <= timedelta(seconds=limits.reconciliation_age_max_s),
            f"{'passed' if passed else 'not passed'}, {seen}",
            f"passed, {limits.reconciliation_age_max_s} s ago",
        ),
    ]


def standing_checks(signal: Signal, situation: Situation, limits: RiskLimits, now: datetime) -> list[Check]:
    """Controls 24, 26, 29, and 30: who trades is who should, the venue is there, people can be told, one build runs."""
    is_live = situation.account is not None and situation.account.mode == Mode.LIVE
    return [
        _identity_check(situation, limits),
        *_venue_checks(signal, situation, limits, now),
        _alerting_check(signal, situation.fleet, limits, now, is_needed=is_live or limits.alerting_required),
        _build_check(signal, situation.fleet, limits, now, is_needed=is_live or limits.single_build_required),
    ]


def _venue_checks(signal: Signal, situation: Situation, limits: RiskLimits, now: datetime) -> list[Check]:
    """Take the venue's last sign of life: it answered, or books were held against its own.

    Until order-worker has told how the venue fares, a reconciliation stands for it, for as long as it is young.
    """
    account, venue = situation.account, situation.facts.venue
    reconciled_at = account.reconciled_at if account and account.reconciliation_passed else None
    failing = None if venue is None else venue.failing_for(now)
    if venue is None:
        silence, silence_max_s = _since(reconciled_at, now), limits.reconciliation_age_max_s
    elif failing is None:
        silence, silence_max_s = (
            _since(max(filter(None, (venue.as_of, reconciled_at))), now),
            limits.venue_silence_max_s,
        )
    else:
        # The rung of the failure ladder from which on nothing new is begun. That the books could be compared meanwhile
        # is no sign of life: where submits alone fail, questions are answered.
        silence, silence_max_s = max(failing, now - venue.as_of), min(limits.venue_silence_max_s, FAILING_MAX_S)
    word = "silent" if failing is None else "failing"
    seen = "never heard of" if silence is None else f"{word} for {silence.total_seconds():.1f} s"
    is_heard = silence is not None and silence <= timedelta(seconds=silence_max_s)
    gap_ms = Decimal(0) if venue is None else abs(venue.clock_gap_ms)
    return [
        guard(signal, row(26, DenialCode.VENUE_SILENT, is_heard, seen, f"{silence_max_s} s")),
        row(
            26, DenialCode.CLOCK_OFF, gap_ms <= limits.clock_gap_max_ms, f"{gap_ms} ms", f"{limits.clock_gap_max_ms} ms"
        ),
    ]


def _since(at: datetime | None, now: datetime) -> timedelta | None:
    return None if at is None else max(now - at, timedelta(0))


def _alerting_check(
    signal: Signal, fleet: Fleet | None, limits: RiskLimits, now: datetime, *, is_needed: bool
) -> Check:
    beat_at = fleet.ready_at("notifier") if fleet else None
    age = None if beat_at is None else now - beat_at
    is_there = age is not None and age <= timedelta(seconds=limits.beat_age_max_s)
    seen = "no ready notifier heard of" if age is None else f"the notifier was ready {age.total_seconds():.1f} s ago"
    limit = f"{limits.beat_age_max_s} s" if is_needed else "not asked for"
    return guard(signal, row(29, DenialCode.ALERTING_DOWN, is_there or not is_needed, seen, limit))


def _build_check(signal: Signal, fleet: Fleet | None, limits: RiskLimits, now: datetime, *, is_needed: bool) -> Check:
    versions = sorted(fleet.versions(now - timedelta(seconds=limits.beat_age_max_s))) if fleet else []
    limit = "one version" if is_needed else "not asked for"
    seen = ", ".join(versions) or "none heard of"
    return guard(signal, row(30, DenialCode.BUILD_MIXED, len(versions) == 1 or not is_needed, seen, limit))

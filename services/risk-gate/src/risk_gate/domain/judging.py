"""What a decision of llm-controller means for the signal it was asked about."""

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from uuid import UUID

from risk_gate.domain.situation import Judgement
from sigmax.schemas.signals import Decision, Signal
from sigmax.schemas.types import Verdict

LOCAL = "local"
"""The built-in policy, which asks no model."""
_HIDDEN = frozenset({"Cc", "Cf", "Co", "Cs", "Cn"})
_PLAIN_SPACE = frozenset("\n\t")
_MARKUP = re.compile(r"<[A-Za-z/!?]|&#?\w+;|!?\[[^\]]*\]\(|https?://|```")
_PASSING = frozenset({Verdict.APPROVE, Verdict.ADJUST})


@dataclass(frozen=True, slots=True)
class Proposal:
    """A signal that asks for judgement, and the judgement: either may come first."""

    signal_id: UUID
    request_id: UUID | None = None
    signal: Signal | None = None
    decision: Decision | None = None
    is_settled: bool = False
    """A verdict was given; nothing that comes later changes it."""


def judgement_of(decision: Decision, signal: Signal, request_id: UUID | None) -> Judgement:
    """Read a decision. It may let pass, lower a size, or refuse; whatever else it says is not listened to."""
    is_models = _is_models(decision)
    return Judgement(
        refused=_refusal(decision),
        size_factor=decision.size_factor,
        is_asked=True,
        invalid=_mismatch(decision, signal, request_id),
        unclean=next((found for found in map(unclean, _texts(decision)) if found), None),
        is_models=is_models,
        is_recorded=decision.tape_id is not None or not is_models,
    )


def _refusal(decision: Decision) -> str | None:
    if decision.verdict in _PASSING:
        return None
    # A model wrote the reason; Postgres keeps no NUL, and a veto must not fail for one.
    why = decision.reasons[0].replace("\x00", "") if decision.reasons else "no reason given"
    return f"{decision.verdict} by {decision.policy}: {why}"


def _mismatch(decision: Decision, signal: Signal, request_id: UUID | None) -> str | None:
    """Say what the decision is about instead of the signal; None where it is about that."""
    for name, told, asked in (
        ("request", decision.request_id, request_id),
        ("signal", decision.signal_id, signal.message_id),
        ("strategy", decision.strategy_id, signal.strategy_id),
        ("instrument", decision.instrument_id, signal.instrument_id),
    ):
        if told != asked:
            return f"it is about {name} {told}"
    return None


def _is_models(decision: Decision) -> bool:
    """Say whether a model had a part in it: its own word, and every trace that a call leaves."""
    sources = {decision.policy, *(answer.source for answer in decision.answers)}
    return sources != {LOCAL} or decision.cost_usd > 0 or decision.tape_id is not None


def _texts(decision: Decision) -> Iterator[str]:
    yield decision.policy
    yield from decision.reasons
    for answer in decision.answers:
        yield from (answer.role, answer.source, *answer.reasons)


def unclean(text: str) -> str | None:
    """Say what a text holds that could make a reader see or do something else; None for plain words.

    Invisible and bidirectional characters, control characters, tags, entities, and links: nothing is decoded.
    """
    for character in text:
        if unicodedata.category(character) in _HIDDEN and character not in _PLAIN_SPACE:
            return f"the character U+{ord(character):04X}"
    found = _MARKUP.search(text)
    return f"markup at {found.start()}" if found else None

"""Reading what a model replied, and holding it against what it was shown.

A reply that breaks a rule is a failed judgement and therefore a no: there is no guessing what the model meant.
"""

import json
import re
from collections.abc import Iterable
from decimal import ROUND_DOWN, ROUND_HALF_EVEN, ROUND_HALF_UP, Decimal, InvalidOperation
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from llm_controller.domain.opinion import Opinion
from llm_controller.domain.prompt import build_prompt, clean, snapshot_of
from sigmax.schemas.signals import JudgementRequested
from sigmax.schemas.types import Share, Verdict

REPLY_MAX = 20_000
"""Characters; a longer reply is no answer to the question."""
_STEP = Decimal("0.0001")
_NUMBER = re.compile(r"(?<![\w.])\d[\d,]{0,30}(?:\.\d{1,30})?(%?)")
_NUMBER_ANYWHERE = re.compile(r"\d[\d,]{0,30}(?:\.\d{1,30})?")
_PAIR = re.compile(r"\b[A-Z0-9]{2,12}/[A-Z0-9]{2,12}(?:@\w+)?\b")


class ReplyError(ValueError):
    """A reply that is no valid answer; the text says which rule it breaks."""


class _Figure(BaseModel):
    name: Annotated[str, Field(max_length=200)]
    value: Annotated[str, Field(max_length=1000)]


class _Reply(BaseModel):
    model_config = ConfigDict(extra="ignore")

    instrument_id: str
    verdict: Verdict
    size_factor: Share = Decimal(1)
    confidence: Share
    reasons: list[Annotated[str, Field(min_length=1, max_length=2000)]] = Field(min_length=1, max_length=20)
    figures: list[_Figure] = Field(max_length=100)


def read_reply(text: str, request: JudgementRequested, *, policy: str, source: str) -> Opinion:
    """Turn a model's reply into an opinion.

    Raises `ReplyError` for one that cannot be read, or that cites what is not there.
    """
    if len(text) > REPLY_MAX:
        raise ReplyError(f"the reply has {len(text)} characters, more than {REPLY_MAX}")
    reply = _parse(text)
    if reply.instrument_id != request.signal.instrument_id:
        raise ReplyError(f"asked about {request.signal.instrument_id}, answered about {reply.instrument_id[:64]!r}")
    reasons = tuple(clean(reason) for reason in reply.reasons)
    if not all(reasons):
        raise ReplyError("a reason is empty")
    _check_figures(reply.figures, snapshot_of(request))
    _check_reasons(reasons, request)
    size_factor = Decimal(1)
    if reply.verdict is Verdict.ADJUST:
        size_factor = reply.size_factor.quantize(_STEP, ROUND_DOWN)
        if not Decimal(0) < size_factor < Decimal(1):
            raise ReplyError("an adjusted size is a part between 0 and 1")
    return Opinion(policy, source, reply.verdict, reply.confidence.quantize(_STEP, ROUND_DOWN), reasons, size_factor)


def failed(reason: str, *, policy: str, source: str) -> Opinion:
    """Give the opinion that stands for a judgement that failed: a no, for sure."""
    return Opinion(policy, source, Verdict.REJECT, Decimal(1), (f"The judgement failed: {reason}"[:2000],))


def _parse(text: str) -> _Reply:
    start, end = text.find("{"), text.rfind("}")
    if start < 0 or end < start:
        raise ReplyError("the reply holds no JSON object")
    try:
        # Figures stay decimals: a float in between would change the number that was cited.
        body: Any = json.loads(text[start : end + 1], parse_float=Decimal, parse_constant=_refuse_constant)
    except ReplyError:
        raise
    except (ValueError, ArithmeticError, RecursionError) as error:
        raise ReplyError(f"the reply is no JSON: {type(error).__name__}") from None
    try:
        return _Reply.model_validate(body)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise ReplyError(f"the reply breaks the schema at {place[:100]}: {first['msg'][:200]}") from None


def _refuse_constant(name: str) -> Decimal:
    raise ReplyError(f"{name} is no number")


def _check_figures(figures: Iterable[_Figure], snapshot: dict[str, str]) -> None:
    for figure in figures:
        name = clean(figure.name)
        if name not in snapshot:
            raise ReplyError(f"the reply cites {name[:100]!r}, which is not in the snapshot")
        value = clean(figure.value)
        if value != snapshot[name] and not _is_given(value, _numbers(snapshot[name])):
            raise ReplyError(f"the reply cites {name[:100]!r} as {value[:50]!r}; it is {snapshot[name][:50]!r}")


def _check_reasons(reasons: tuple[str, ...], request: JudgementRequested) -> None:
    data = build_prompt(request).user
    given = _numbers(data)
    for reason in reasons:
        for pair in _PAIR.findall(reason):
            if pair not in data:
                raise ReplyError(f"the reply names {pair!r}, which was not asked about")
        for match in _NUMBER.finditer(reason):
            figure = match[0].rstrip("%")
            hundredths = [number * 100 for number in given] if match[1] else []
            if not _is_given(figure, [*given, *hundredths]):
                raise ReplyError(f"the reply cites the figure {figure!r}, which is not in the data")


def _numbers(text: str) -> list[Decimal]:
    return [Decimal(match[0].replace(",", "")) for match in _NUMBER_ANYWHERE.finditer(text)]


def _is_given(figure: str, given: Iterable[Decimal]) -> bool:
    """Say whether a cited figure is one of the given numbers, as it is or rounded to the places it is cited with."""
    try:
        cited = abs(Decimal(figure.replace(",", "")))
        if not cited.is_finite():
            return False
        places = Decimal(1).scaleb(int(cited.as_tuple().exponent))
        return any(
            number == cited
            or cited in (number.quantize(places, ROUND_HALF_UP), number.quantize(places, ROUND_HALF_EVEN))
            for number in given
        )
    except InvalidOperation:
        return False

"""Joins the record, the model where there is one, and the handler."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import partial

import structlog

from llm_controller.adapters.metrics import show_model
from llm_controller.adapters.openai_reviewer import OpenAIReviewer
from llm_controller.adapters.postgres import records, show_spent
from llm_controller.domain.budget import Budget, Prices
from llm_controller.handlers import Rules, on_exit_judgement_requested, on_judgement_requested
from llm_controller.settings import Settings
from sigmax.runtime.clock import ClockPort
from sigmax.runtime.service import Service, build_service
from sigmax.schemas.signals import ExitJudgementRequested, JudgementRequested

log = structlog.get_logger()

_SHOW_S = 10.0


@asynccontextmanager
async def wire(service: Service) -> AsyncIterator[None]:
    """Register the two consumers."""
    settings = Settings.model_validate(service.settings)
    reviewer = _reviewer(settings, service.clock)
    if settings.model_name is not None:
        show_model(settings.model_name)
    rules = Rules(
        strength_min=settings.local_strength_min,
        timeout=timedelta(seconds=settings.model_timeout_s),
        budget=_budget(settings),
    )
    open_record = records(service.database)
    judge = partial(
        on_judgement_requested, clock=service.clock, open_record=open_record, reviewer=reviewer, rules=rules
    )
    judge_exit = partial(
        on_exit_judgement_requested, clock=service.clock, open_record=open_record, reviewer=reviewer, rules=rules
    )
    service.on(JudgementRequested, judge)
    service.on(ExitJudgementRequested, judge_exit)
    service.every(
        _SHOW_S, lambda: show_spent(service.database, rules.budget, service.clock.now().date()), name="shown_budget"
    )
    try:
        yield
    finally:
        if reviewer is not None:
            await reviewer.close()


def _reviewer(settings: Settings, clock: ClockPort) -> OpenAIReviewer | None:
    if settings.model_base_url is None or settings.model_name is None:
        log.warning("no_model", meaning="judged by the local policy; set SIGMAX_MODEL_BASE_URL and SIGMAX_MODEL_NAME")
        return None
    return OpenAIReviewer(
        base_url=settings.model_base_url,
        model=settings.model_name,
        api_key=settings.model_api_key.get_secret_value() if settings.model_api_key else "",
        clock=clock,
        timeout_s=settings.model_timeout_s,
        temperature=settings.model_temperature,
        output_tokens_max=settings.model_output_tokens_max,
        output_tokens_field=settings.model_max_tokens_field,
    )


def _budget(settings: Settings) -> Budget | None:
    if settings.model_input_usd_per_mtok is None or settings.model_output_usd_per_mtok is None:
        return None
    return Budget(
        tokens_per_day=settings.max_tokens_per_day,
        cost_usd_per_day=settings.max_cost_usd_per_day,
        output_tokens_max=settings.model_output_tokens_max,
        prices=Prices(settings.model_input_usd_per_mtok, settings.model_output_usd_per_mtok),
    )


app = build_service(Settings, wire)

"""Asks a model over any endpoint that speaks the OpenAI chat API."""

import asyncio
import logging
from datetime import datetime
from decimal import Decimal
from typing import Any, Literal
from urllib.parse import urlsplit

import structlog
from openai import (
    APIConnectionError,
    APIStatusError,
    AsyncOpenAI,
    BadRequestError,
    UnprocessableEntityError,
)
from opentelemetry import trace

from llm_controller.domain.budget import Usage
from llm_controller.domain.calls import Call
from llm_controller.domain.prompt import Prompt, clean
from llm_controller.domain.reply import REPLY_MAX
from sigmax.runtime.clock import ClockPort
from sigmax.runtime.tracing import failed

log = structlog.get_logger()
logging.getLogger("openai").setLevel(logging.WARNING)  # it logs whole prompts at debug; the tape has them
tracer = trace.get_tracer("llm_controller")

Format = Literal["json_schema", "json_object", "text"]
_FORMATS: tuple[Format, ...] = ("json_schema", "json_object", "text")
"""From the strictest on: what an endpoint does not know it answers with 400."""
_ERROR_MAX = 300
_ERROR_TYPE_MAX = 40


class OpenAIReviewer:
    """One model at one endpoint. Which answer format the endpoint knows is found out once and remembered."""

    def __init__(
        self,
        *,
        base_url: str,
        model: str,
        api_key: str,
        clock: ClockPort,
        timeout_s: float,
        temperature: float | None,
        output_tokens_max: int,
        output_tokens_field: str,
    ) -> None:
        self.model = model
        self._api_key = api_key
        self._clock = clock
        self._endpoint = _without_secrets(base_url)
        self._parameters: dict[str, Any] = {output_tokens_field: output_tokens_max}
        if temperature is not None:
            self._parameters["temperature"] = temperature
        self._first_format = 0
        # The client retries twice by default, which would treble the deadline: one try, and the deadline is ours.
        self._client = AsyncOpenAI(base_url=base_url, api_key=api_key or "none", max_retries=0, timeout=timeout_s)

    async def ask(self, prompt: Prompt, deadline: datetime) -> Call:
        """Ask once; give the reply or why there is none. The deadline covers the search for a format as well."""
        loop = asyncio.get_running_loop()
        started = loop.time()
        wait_s = max(0.0, (deadline - self._clock.now()).total_seconds())
        about = self._span_attributes()
        with tracer.start_as_current_span(f"chat {self.model}", kind=trace.SpanKind.CLIENT, attributes=about) as span:
            parameters: dict[str, Any] = dict(self._parameters)
            try:
                async with asyncio.timeout(wait_s):
                    reply, usage, error = await self._ask_in_some_format(prompt, parameters)
            except TimeoutError:
                reply, usage, error = None, None, f"no answer within {wait_s:.1f} s"
            if usage is not None:
                span.set_attribute("gen_ai.usage.input_tokens", usage.input_tokens)
                span.set_attribute("gen_ai.usage.output_tokens", usage.output_tokens)
            if error is not None:
                failed(span, error.split(":", 1)[0][:_ERROR_TYPE_MAX])
        latency_ms = Decimal(round((loop.time() - started) * 1000))
        if error is not None:
            log.warning("model_failed", model=self.model, error=error, latency_ms=int(latency_ms))
        return Call(self._endpoint, self.model, parameters, reply, error, latency_ms, usage)

    async def close(self) -> None:
        """Close the connections to the endpoint."""
        await self._client.close()

    async def _ask_in_some_format(
        self, prompt: Prompt, parameters: dict[str, Any]
    ) -> tuple[str | None, Usage | None, str | None]:
        error = ""
        for index in range(self._first_format, len(_FORMATS)):
            parameters["response_format"] = _FORMATS[index]
            try:
                asked = {"model": self.model, "messages": prompt.messages, **self._parameters}
                asked |= _response_format(_FORMATS[index], prompt)
                completion: Any = await self._client.chat.completions.create(**asked)
            except (BadRequestError, UnprocessableEntityError) as refused:
                error = self._describe(refused)
                continue
            except APIStatusError as refused:
                # A request that was turned away costs nothing; what a broken server counted nobody knows.
                return None, Usage(0, 0) if refused.status_code < 500 else None, self._describe(refused)
            except APIConnectionError as lost:
                return None, None, self._describe(lost)
            except Exception as broken:  # a body that is no completion ends in whatever the parser meets first
                return None, None, f"no completion: {type(broken).__name__}"
            self._first_format = index
            return _read(completion)
        return None, Usage(0, 0), error

    def _describe(self, error: Exception) -> str:
        status = f"HTTP {error.status_code}: " if isinstance(error, APIStatusError) else ""
        text = f"{status}{type(error).__name__}: {error}"
        # Some endpoints quote the key they refuse.
        return clean(text.replace(self._api_key, "***") if self._api_key else text)[:_ERROR_MAX]

    def _span_attributes(self) -> dict[str, str]:
        return {"gen_ai.operation.name": "chat", "gen_ai.request.model": self.model, "server.address": self._endpoint}


def _response_format(kind: Format, prompt: Prompt) -> dict[str, Any]:
    if kind == "json_schema":
        schema = {"name": "review", "strict": True, "schema": dict(prompt.schema)}
        return {"response_format": {"type": "json_schema", "json_schema": schema}}
    if kind == "json_object":
        return {"response_format": {"type": "json_object"}}
    return {}


def _read(completion: Any) -> tuple[str | None, Usage | None, str | None]:
    """Give reply, usage, and error of what the endpoint sent with status 200: it may be anything."""
    try:
        message = completion.choices[0].message
        content = message.content
        counted = completion.usage
    except (AttributeError, IndexError, TypeError):
        return None, None, "the endpoint's answer is no chat completion"
    usage = _usage(counted)
    if getattr(message, "refusal", None):
        return None, usage, "the model refused to answer"
    if not isinstance(content, str) or not content:
        return None, usage, "the model's reply is empty"
    return content[: REPLY_MAX + 1], usage, None


def _usage(counted: Any) -> Usage | None:
    read, written = getattr(counted, "prompt_tokens", None), getattr(counted, "completion_tokens", None)
    if isinstance(read, int) and isinstance(written, int) and read >= 0 and written >= 0:
        return Usage(read, written)
    return None


def _without_secrets(base_url: str) -> str:
    """Give scheme, host, port, and path: a login or key in the URL is left out."""
    parts = urlsplit(base_url)
    port = f":{parts.port}" if parts.port else ""
    return f"{parts.scheme}://{parts.hostname or ''}{port}{parts.path}"

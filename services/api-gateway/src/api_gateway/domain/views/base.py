"""What all answers share."""

from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, Field


class View(BaseModel):
    """One answer of the API."""

    model_config = ConfigDict(frozen=True)


T = TypeVar("T")


class Page(View, Generic[T]):
    """One part of a list, newest first."""

    items: list[T]
    next_cursor: str | None = None
    """Send it as `cursor` for the part that follows; null at the end."""


class FieldError(View):
    """One value that is not valid."""

    where: str
    """For example `body.password`."""
    what: str


class ProblemView(View):
    """RFC 9457: what went wrong, and what the caller can do."""

    type: str = Field(examples=["/problems/not-found"])
    """Names the kind of problem; stable."""
    title: str
    status: int
    detail: str
    what_to_do: str
    instance: str
    """Names this very answer; operators find it in the logs."""
    errors: list[FieldError] = Field(default_factory=list)


Json = Any
"""A JSON value that another service owns the shape of."""

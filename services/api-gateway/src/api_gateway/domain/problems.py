"""Business noes of the API, each with what the caller can do about it."""

from dataclasses import dataclass, field
from enum import StrEnum


class ProblemKind(StrEnum):
    """The stable names of problems: a client may branch on these, never on the text."""

    BAD_REQUEST = "bad-request"
    CREDENTIALS_WRONG = "credentials-wrong"
    NOT_SIGNED_IN = "not-signed-in"
    SESSION_ENDED = "session-ended"
    NOT_ALLOWED = "not-allowed"
    NOT_TWO_PEOPLE = "not-two-people"
    HEADER_MISSING = "header-missing"
    NOT_FOUND = "not-found"
    METHOD_NOT_ALLOWED = "method-not-allowed"
    CONFLICT = "conflict"
    BODY_TOO_LARGE = "body-too-large"
    INVALID = "invalid"
    KEY_REUSED = "idempotency-key-reused"
    TOO_MANY = "too-many-requests"
    INTERNAL = "internal"
    UNAVAILABLE = "unavailable"


STATUS: dict[ProblemKind, int] = {
    ProblemKind.BAD_REQUEST: 400,
    ProblemKind.CREDENTIALS_WRONG: 401,
    ProblemKind.NOT_SIGNED_IN: 401,
    ProblemKind.SESSION_ENDED: 401,
    ProblemKind.NOT_ALLOWED: 403,
    ProblemKind.NOT_TWO_PEOPLE: 403,
    ProblemKind.HEADER_MISSING: 403,
    ProblemKind.NOT_FOUND: 404,
    ProblemKind.METHOD_NOT_ALLOWED: 405,
    ProblemKind.CONFLICT: 409,
    ProblemKind.BODY_TOO_LARGE: 413,
    ProblemKind.INVALID: 422,
    ProblemKind.KEY_REUSED: 422,
    ProblemKind.TOO_MANY: 429,
    ProblemKind.INTERNAL: 500,
    ProblemKind.UNAVAILABLE: 503,
}
"""The HTTP status of each kind."""

TITLES: dict[ProblemKind, str] = {
    ProblemKind.BAD_REQUEST: "The request cannot be read",
    ProblemKind.CREDENTIALS_WRONG: "Login or password is wrong",
    ProblemKind.NOT_SIGNED_IN: "You are not signed in",
    ProblemKind.SESSION_ENDED: "Your session has ended",
    ProblemKind.NOT_ALLOWED: "Your role does not allow this",
    ProblemKind.NOT_TWO_PEOPLE: "One person may hold both logins",
    ProblemKind.HEADER_MISSING: "A required header is missing",
    ProblemKind.NOT_FOUND: "There is no such thing here",
    ProblemKind.METHOD_NOT_ALLOWED: "This address does not take this method",
    ProblemKind.CONFLICT: "This does not fit the present state",
    ProblemKind.BODY_TOO_LARGE: "The request body is too large",
    ProblemKind.INVALID: "A value in the request is not valid",
    ProblemKind.KEY_REUSED: "The idempotency key belongs to another request",
    ProblemKind.TOO_MANY: "Too many requests",
    ProblemKind.INTERNAL: "Something went wrong on our side",
    ProblemKind.UNAVAILABLE: "A part of the platform cannot be reached",
}

WHAT_TO_DO: dict[ProblemKind, str] = {
    ProblemKind.BAD_REQUEST: "Send UTF-8 JSON with Content-Type application/json.",
    ProblemKind.CREDENTIALS_WRONG: "Check both and try again; an admin can set a new password.",
    ProblemKind.NOT_SIGNED_IN: "Sign in at POST /api/v1/auth/login and send `Authorization: Bearer <access_token>`.",
    ProblemKind.SESSION_ENDED: "Sign in again.",
    ProblemKind.NOT_ALLOWED: "Ask an admin for a role or an account that allows it.",
    ProblemKind.NOT_TWO_PEOPLE: "Choose a password of your own, and wait until the cool-down is over.",
    ProblemKind.HEADER_MISSING: "Send the header that the detail names.",
    ProblemKind.NOT_FOUND: "Check the address and the id; lists show what there is.",
    ProblemKind.METHOD_NOT_ALLOWED: "Use a method of the Allow header.",
    ProblemKind.CONFLICT: "Read the present state, then decide anew.",
    ProblemKind.BODY_TOO_LARGE: "Send less in one request.",
    ProblemKind.INVALID: "Correct the values named under `errors` and send the request again.",
    ProblemKind.KEY_REUSED: "Use a new Idempotency-Key for a new request.",
    ProblemKind.TOO_MANY: "Wait for the seconds of the Retry-After header.",
    ProblemKind.INTERNAL: "Try again later; give an operator the time and the `instance` of this answer.",
    ProblemKind.UNAVAILABLE: "Try again in some seconds; GET /health/ready names what is missing.",
}


@dataclass
class Problem(Exception):  # noqa: N818 - RFC 9457's word
    """A request that is answered with a no."""

    kind: ProblemKind
    detail: str = ""
    """One sentence about this very request, without secrets and without the caller's input."""
    what_to_do: str = ""
    """Instead of what holds for every problem of this kind."""
    retry_after_s: int | None = None
    errors: list[tuple[str, str]] = field(default_factory=list)
    """Where and what, for values that are not valid."""

    @property
    def status(self) -> int:
        """Give the HTTP status."""
        return STATUS[self.kind]


def not_found(what: str) -> Problem:
    """Say that the named thing does not exist."""
    return Problem(ProblemKind.NOT_FOUND, f"There is no such {what}.")

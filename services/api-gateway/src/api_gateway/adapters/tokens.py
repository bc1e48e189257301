"""Access tokens: HS256, ten minutes, and only as good as the session behind them."""

import secrets
from datetime import UTC, datetime
from uuid import UUID

import jwt

from api_gateway.domain.sessions import ACCESS_LIFE, AccessClaims
from sigmax.runtime.clock import ClockPort

_ALGORITHM = "HS256"
_AUDIENCE = "sigmax"
_TYPE = "access"


class JwtTokens:
    """Signs and reads access tokens with one key and one algorithm."""

    def __init__(self, key: str, clock: ClockPort) -> None:
        self._key = key
        self._clock = clock

    def issue(self, claims: AccessClaims) -> str:
        """Give a signed token that lives for `ACCESS_LIFE`."""
        now = self._clock.now()
        body = {
            "sub": str(claims.user_id),
            "sid": str(claims.family_id),
            "ver": claims.token_version,
            "aud": _AUDIENCE,
            "typ": _TYPE,
            "iat": int(now.timestamp()),
            "exp": int((now + ACCESS_LIFE).timestamp()),
            "jti": secrets.token_urlsafe(8),
        }
        return jwt.encode(body, self._key, algorithm=_ALGORITHM)

    def read(self, token: str) -> AccessClaims | None:
        """Give what a token says, or None when anything about it is wrong."""
        try:
            body = jwt.decode(
                token,
                self._key,
                algorithms=[_ALGORITHM],
                audience=_AUDIENCE,
                # The time is held against our own clock below.
                options={
                    "require": ["exp", "sub", "aud", "sid", "ver"],
                    "verify_exp": False,
                    "verify_iat": False,
                    "verify_nbf": False,
                },
            )
            if body.get("typ") != _TYPE or datetime.fromtimestamp(body["exp"], UTC) <= self._clock.now():
                return None
            return AccessClaims(UUID(body["sub"]), UUID(body["sid"]), int(body["ver"]))
        except (jwt.PyJWTError, ValueError, TypeError, OverflowError, OSError, AttributeError):
            return None

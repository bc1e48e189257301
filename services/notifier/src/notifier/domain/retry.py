"""When a delivery that failed is tried again."""

from datetime import datetime, timedelta

ATTEMPTS_MAX = 10
_FIRST_WAIT = timedelta(seconds=1)
_WAIT_MAX = timedelta(minutes=10)


def retry_at(attempts: int, now: datetime) -> datetime | None:
    """Give the time of the next try after `attempts` failed ones: 1 s, doubling, at most 10 min; None to give up."""
    if attempts >= ATTEMPTS_MAX:
        return None
    doublings: int = 2 ** (attempts - 1)
    return now + min(_FIRST_WAIT * doublings, _WAIT_MAX)

"""Every no of the venue: HTTP status, code, and the exact text that clients match on."""

from dataclasses import dataclass

from sigmax.domain.trading_rules import Refusal


@dataclass(frozen=True, slots=True)
class Problem:
    """A refusal in the venue's words. Nothing was done, unless the code says that the outcome is unknown."""

    status: int
    code: int
    message: str

    def body(self) -> dict[str, int | str]:
        """Give the answer's JSON."""
        return {"code": self.code, "msg": self.message}

    def error(self) -> "DialectError":
        """Give an exception to raise; a fresh one each time, because an exception keeps its traceback."""
        return DialectError(self)


class DialectError(Exception):
    """Ends a request with a `Problem` as its answer."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.message)
        self.problem = problem


def _error(status: int, code: int, message: str) -> DialectError:
    return Problem(status, code, message).error()


def bad_key_format() -> DialectError:
    """No API key came with a signed request."""
    return _error(401, -2014, "API-key format invalid.")


def unknown_key() -> DialectError:
    """The API key is not ours."""
    return _error(401, -2015, "Invalid API-key, IP, or permissions for action.")


def bad_signature() -> DialectError:
    """The signature does not fit what was sent."""
    return _error(400, -1022, "Signature for this request is not valid.")


def too_old() -> DialectError:
    """The timestamp lies further back than recvWindow."""
    return _error(400, -1021, "Timestamp for this request is outside of the recvWindow.")


def from_the_future() -> DialectError:
    """The timestamp lies a second or more ahead."""
    return _error(400, -1021, "Timestamp for this request was 1000ms ahead of the server's time.")


def missing(name: str) -> DialectError:
    """A mandatory parameter is absent, empty, or malformed."""
    return _error(400, -1102, f"Mandatory parameter '{name}' was not sent, was empty/null, or malformed.")


def illegal(name: str, pattern: str) -> DialectError:
    """A parameter holds characters it may not hold."""
    return _error(400, -1100, f"Illegal characters found in parameter '{name}'; legal range is '{pattern}'.")


def repeated(name: str) -> DialectError:
    """A parameter was sent twice."""
    return _error(400, -1101, f"Too many parameters; duplicate values for parameter '{name}' detected.")


def unknown_parameters(read: int, sent: int) -> DialectError:
    """Parameters were sent that this request does not know."""
    return _error(400, -1104, f"Not all sent parameters were read; read '{read}' parameter(s) but was sent '{sent}'.")


def empty(name: str) -> DialectError:
    """An optional parameter was sent without a value."""
    return _error(400, -1105, f"Parameter '{name}' was empty.")


def not_required(name: str) -> DialectError:
    """A parameter does not go with this type of order."""
    return _error(400, -1106, f"Parameter '{name}' sent when not required.")


def too_precise(name: str) -> DialectError:
    """A number has more decimals than the asset."""
    return _error(400, -1111, f"Parameter '{name}' has too much precision.")


INVALID_SYMBOL = Problem(400, -1121, "Invalid symbol.")
INVALID_INTERVAL = Problem(400, -1120, "Invalid interval.")
INVALID_TIME_IN_FORCE = Problem(400, -1115, "Invalid timeInForce.")
INVALID_TYPE = Problem(400, -1116, "Invalid orderType.")
INVALID_SIDE = Problem(400, -1117, "Invalid side.")
UNSUPPORTED_COMBINATION = Problem(400, -1014, "Unsupported order combination.")
RECV_WINDOW_TOO_LARGE = Problem(400, -1131, "recvWindow must be less than 60000.")
NO_ORDER_NAMED = Problem(400, -1102, "Param 'origClientOrderId' or 'orderId' must be sent, but both were empty/null!")
PERIOD_TOO_LONG = Problem(400, -1127, "More than 24 hours between startTime and endTime.")
UNKNOWN_ORDER = Problem(400, -2011, "Unknown order sent.")
NO_SUCH_ORDER = Problem(400, -2013, "Order does not exist.")
ALREADY_SUBSCRIBED = Problem(400, -2035, "Already subscribed to the user data stream.")
TOO_MUCH_WEIGHT = Problem(429, -1003, "Too much request weight used; please use WebSocket Streams for live updates.")
TOO_MANY_ORDERS = Problem(429, -1015, "Too many new orders; please slow down.")
REMOVED = Problem(410, -1000, "This endpoint was removed; use userDataStream.subscribe.signature.")
TOO_LARGE = Problem(413, -1000, "Request body too large.")
OPENING = Problem(503, -1008, "Server is currently overloaded with other requests. Please try again in a few minutes.")
UNKNOWN_OUTCOME = Problem(
    503,
    -1007,
    "Timeout waiting for response from backend server. Send status unknown; execution status unknown.",
)
INTERNAL = Problem(500, -1000, "An unknown error occurred while processing the request.")


def of_refusal(reason: Refusal) -> Problem:
    """Put a refusal of the exchange into the venue's words."""
    return _REFUSALS[reason]


def _filter(name: str) -> Problem:
    return Problem(400, -1013, f"Filter failure: {name}")


_REFUSALS = {
    Refusal.UNKNOWN_INSTRUMENT: INVALID_SYMBOL,
    Refusal.MARKET_CLOSED: Problem(400, -2010, "Market is closed."),
    Refusal.PRICE_FILTER: _filter("PRICE_FILTER"),
    Refusal.PERCENT_PRICE_BY_SIDE: _filter("PERCENT_PRICE_BY_SIDE"),
    Refusal.LOT_SIZE: _filter("LOT_SIZE"),
    Refusal.MARKET_LOT_SIZE: _filter("MARKET_LOT_SIZE"),
    Refusal.NOTIONAL: _filter("NOTIONAL"),
    Refusal.MAX_NUM_ORDERS: _filter("MAX_NUM_ORDERS"),
    Refusal.MAX_NUM_ALGO_ORDERS: _filter("MAX_NUM_ALGO_ORDERS"),
    Refusal.WOULD_TRIGGER: Problem(400, -2010, "Stop price would trigger immediately."),
    Refusal.DUPLICATE_CLIENT_ORDER_ID: Problem(400, -2010, "Duplicate order sent."),
    Refusal.WOULD_TAKE: Problem(400, -2010, "Order would immediately match and take."),
    Refusal.INSUFFICIENT_BALANCE: Problem(400, -2010, "Account has insufficient balance for requested action."),
    Refusal.UNKNOWN_ORDER: UNKNOWN_ORDER,
}

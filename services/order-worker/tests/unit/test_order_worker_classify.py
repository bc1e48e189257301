"""What a failed submit proves."""

import ccxt
import pytest

from order_worker.domain.sightings import Outcome, classify

REFUSED = (
    ccxt.InvalidOrder,
    ccxt.OrderImmediatelyFillable,
    ccxt.InsufficientFunds,
    ccxt.BadRequest,
    ccxt.BadSymbol,
    ccxt.OperationRejected,
    ccxt.MarketClosed,
    ccxt.AuthenticationError,
    ccxt.PermissionDenied,
    ccxt.InvalidNonce,
)
UNKNOWN = (
    ccxt.RequestTimeout,
    ccxt.ExchangeNotAvailable,
    ccxt.OperationFailed,
    ccxt.NetworkError,
    ccxt.ExchangeError,
    ccxt.BadResponse,
    KeyError,
    ValueError,
    TimeoutError,
    ConnectionResetError,
)


def kinds(error: type[BaseException]) -> list[str]:
    return [kind.__name__ for kind in error.__mro__]


@pytest.mark.parametrize("error", REFUSED)
def test_a_word_that_the_venue_documents_as_not_accepted_is_a_refusal(error: type[Exception]) -> None:
    assert classify(kinds(error), "no", has_left=True) is Outcome.REFUSED


@pytest.mark.parametrize("error", [ccxt.DDoSProtection, ccxt.RateLimitExceeded])
def test_too_many_requests_is_proof_that_the_order_was_not_placed_and_no_refusal(error: type[Exception]) -> None:
    assert classify(kinds(error), "-1015 Too many new orders; please slow down.", has_left=True) is Outcome.LIMITED


def test_a_key_that_is_refused_after_it_had_worked_is_a_refusal_whatever_ccxt_calls_it() -> None:
    text = '{"code":-2015,"msg":"Invalid API-key, IP, or permissions for action."}'

    assert classify(kinds(ccxt.DDoSProtection), text, has_left=True) is Outcome.REFUSED


@pytest.mark.parametrize("error", UNKNOWN)
def test_everything_else_is_unknown(error: type[Exception]) -> None:
    assert classify(kinds(error), "", has_left=True) is Outcome.UNKNOWN


def test_a_duplicate_id_is_no_refusal_the_venue_has_one_of_ours() -> None:
    text = 'binance {"code": -2010, "msg": "Duplicate order sent."}'

    assert classify(kinds(ccxt.InvalidOrder), text, has_left=True) is Outcome.UNKNOWN


@pytest.mark.parametrize("error", [ccxt.ExchangeNotAvailable, ccxt.RequestTimeout, TimeoutError, OSError])
def test_a_network_fault_before_the_first_byte_may_be_tried_again(error: type[Exception]) -> None:
    assert classify(kinds(error), "", has_left=False) is Outcome.NOT_SENT


@pytest.mark.parametrize("error", [ccxt.InvalidOrder, ccxt.BadSymbol, ccxt.ArgumentsRequired, ValueError])
def test_what_cannot_be_written_down_as_a_request_never_can(error: type[Exception]) -> None:
    assert classify(kinds(error), "", has_left=False) is Outcome.UNSENDABLE

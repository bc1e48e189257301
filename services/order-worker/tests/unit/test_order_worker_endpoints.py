"""Which of two addresses the next request goes to."""

from datetime import timedelta

import pytest
from order_worker_builders import NOW

from order_worker.domain.endpoints import HOME_AFTER, Endpoint, Endpoints

TWO = Endpoints(has_spare=True)
A_MICROSECOND = timedelta(microseconds=1)


def test_without_a_spare_address_all_requests_go_to_the_main_one() -> None:
    assert Endpoints().failed(Endpoint.MAIN, NOW) == Endpoints()


def test_after_a_request_that_was_not_answered_the_next_goes_to_the_other_address_and_back() -> None:
    away = TWO.failed(Endpoint.MAIN, NOW)

    assert away.current is Endpoint.SPARE
    assert away.failed(Endpoint.SPARE, NOW).current is Endpoint.MAIN


def test_a_failure_at_the_address_that_was_left_already_moves_nothing() -> None:
    away = TWO.failed(Endpoint.MAIN, NOW)

    assert away.failed(Endpoint.MAIN, NOW + timedelta(seconds=3)) == away


@pytest.mark.parametrize(
    ("after", "is_due"), [(HOME_AFTER - A_MICROSECOND, False), (HOME_AFTER, True), (HOME_AFTER + A_MICROSECOND, True)]
)
def test_the_main_address_is_asked_again_after_a_minute_and_so_on(after: timedelta, is_due: bool) -> None:
    away = TWO.failed(Endpoint.MAIN, NOW)
    assert away.is_home_due(NOW + after) is is_due

    still_away = away.asked_home(NOW + HOME_AFTER, is_answered=False)
    assert still_away.current is Endpoint.SPARE
    assert still_away.is_home_due(NOW + HOME_AFTER + after) is is_due

    home = away.asked_home(NOW + HOME_AFTER, is_answered=True)
    assert home.current is Endpoint.MAIN
    assert not home.is_home_due(NOW + HOME_AFTER + after)

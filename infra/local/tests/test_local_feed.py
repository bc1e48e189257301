"""Where prices come from, and what follows from them."""

import json
import zipfile
from decimal import Decimal
from pathlib import Path

import httpx2
import pytest

from risk_gate.domain.limits import START_LIMITS, RiskLimits
from sigmax_local import feed as feeds
from sigmax_local.feed import Feed, FeedError, file_feed, sample_feed, timeframe_for
from sigmax_local.view import plain

TRADES = "ts,symbol,price,qty,side\n1700000000000000000,BTC/USDT,100.5,1,buy\n1700000090000000000,BTC/USDT,101,2,sell\n"


def a_file(folder: Path, text: str) -> Path:
    path = folder / "trades.csv"
    path.write_text(text, encoding="ascii")
    return path


def test_a_file_of_ones_own_names_the_currency_and_its_own_books(tmp_path: Path) -> None:
    feed = file_feed(a_file(tmp_path, TRADES), speed=20)
    assert feed.currency == "USDT"
    assert feed.name.startswith("file-")
    assert feed.settings_of("collector")["replay_speed"] == "20"
    assert json.loads(feed.settings_of("paper-venue")["opening_balances"]) == {"USDT": "500000"}
    assert feed.settings_of("order-worker") == {"account_currency": "USDT"}


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("ts,symbol,price,side\n", "qty"),
        (TRADES.replace("101,2", "minus,2"), "price"),
        ("ts,symbol,price,qty,side\n", "trades.csv"),
        ("\n".join(TRADES.splitlines()[i] for i in (0, 2, 1)) + "\n", "row"),
    ],
)
def test_a_file_that_cannot_be_replayed_is_refused_before_anything_starts(
    tmp_path: Path, text: str, named: str
) -> None:
    path = a_file(tmp_path, text)
    with pytest.raises(FeedError, match=named) as failure:
        file_feed(path)
    assert "trades.csv" in str(failure.value)


def test_a_wrong_path_is_named(tmp_path: Path) -> None:
    with pytest.raises(FeedError, match=r"nothing\.parquet"):
        file_feed(tmp_path / "nothing.parquet")


def a_wheel(folder: Path, member: str = "mlfinpy/dataset/data/tick_data.csv") -> Path:
    wheel = folder / "mlfinpy-0.1.2-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as package:
        package.writestr(member, "DateTime,Price,Volume\n2013-09-01 17:00:00.083,1640.25,8\n")
    return wheel


def test_the_sample_is_made_by_the_collector_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fetched: list[Path] = []

    def fetch(folder: Path) -> Path:
        fetched.append(a_wheel(folder))
        return fetched[-1]

    monkeypatch.setattr(feeds, "_download_sample", fetch)
    feed, again = sample_feed(tmp_path), sample_feed(tmp_path)

    assert feed == again
    assert len(fetched) == 1
    assert not fetched[0].exists()
    header, row = Path(feed.collector["replay_file"]).read_text(encoding="ascii").split()
    assert header == "ts,symbol,price,qty,side"
    assert row.startswith("1378072800083000000,ES,1640.25,8")


def test_a_sample_that_is_not_what_it_should_be_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feeds, "_download_sample", lambda folder: a_wheel(folder, "something_else.csv"))
    with pytest.raises(FeedError, match="mlfinpy"):
        sample_feed(tmp_path)


def test_without_a_network_there_is_no_live_feed(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_request: httpx2.Request) -> httpx2.Response:
        raise httpx2.ConnectError("no network")

    client = httpx2.Client(transport=httpx2.MockTransport(refuse))
    monkeypatch.setattr(feeds.httpx2, "Client", lambda **_: client)
    assert feeds.live_feed() is None


def test_capital_and_limits_fit_the_currency() -> None:
    won = Feed("x", "x", "KRW", {}, timeframe_s=1)
    assert json.loads(won.settings_of("paper-venue")["opening_balances"]) == {"KRW": "700000000"}
    assert json.loads(won.settings_of("risk-gate")["start_limits"])["order_notional_max"] == "35000000"


@pytest.mark.parametrize(("speed", "seconds"), [(0.1, 1), (1, 1), (20, 3), (120, 20), (10_000, 60)])
def test_a_demo_sees_a_few_bars_a_second_in_timeframes_that_can_be_built(speed: float, seconds: int) -> None:
    assert timeframe_for(speed) == seconds


@pytest.mark.parametrize(
    ("number", "text"), [("1.500", "1.5"), ("1E+3", "1000"), ("0.00000010", "0.0000001"), ("7", "7")]
)
def test_quantities_are_shown_plainly(number: str, text: str) -> None:
    assert plain(Decimal(number)) == text


def test_limits_by_the_clock_keep_pace_with_a_fast_recording_and_are_the_gates_own_at_its_own_speed() -> None:
    def limits(speed: str) -> dict[str, object]:
        feed = Feed("f", "f", "USD", {"source": "replay", "replay_speed": speed}, 1)
        found: dict[str, object] = json.loads(feed.settings_of("risk-gate")["start_limits"])
        return found

    slow = limits("1")
    own = START_LIMITS.model_dump(mode="json")
    sized = {name for name in slow if name.endswith("_notional_max") or name.startswith("turnover_")}
    assert {name: own[name] for name in slow if name not in sized} == {
        name: value for name, value in slow.items() if name not in sized
    }
    assert limits("0.5") == slow
    fast = limits("120")
    assert (fast["strategy_orders_per_s_max"], fast["account_orders_per_s_max"], fast["duplicate_window_s"]) == (
        6,
        30,
        1,
    )
    assert (fast["account_orders_per_day_max"], fast["streak_window_s"]) == (60_000, 30)
    assert (slow["turnover_per_day_max"], fast["turnover_per_day_max"]) == ("20000000", "2400000000")
    for found in (slow, fast):
        RiskLimits.model_validate({**own, **found})


@pytest.mark.parametrize(
    ("collector", "seconds"), [({}, "0"), ({"replay_speed": "1"}, "0"), ({"replay_speed": "1.1"}, "3600")]
)
def test_only_the_gaps_of_a_fast_recording_are_overlooked(collector: dict[str, str], seconds: str) -> None:
    # Said in each case, so that nothing is left of the feed before.
    assert Feed("f", "f", "USD", collector, 1).settings_of("risk-gate")["ladder_gap_floor_s"] == seconds

"""The service levels: every edge can be counted exactly."""

from prometheus_client import REGISTRY, generate_latest

from sigmax.runtime.service_levels import EDGES, Step, measured


def _buckets(step: Step) -> set[float]:
    prefix = 'sigmax_service_level_seconds_bucket{le="'
    lines = [line for line in generate_latest(REGISTRY).decode().splitlines() if line.startswith(prefix)]
    return {float(line.removeprefix(prefix).split('"')[0]) for line in lines if f'step="{step}"' in line}


def test_every_edge_of_every_step_is_a_bucket_boundary() -> None:
    measured(Step.ORDER)

    buckets = _buckets(Step.ORDER)

    assert {bound for edges in EDGES.values() for bound in (edges.target_s, edges.warning_s, edges.danger_s)} < buckets


def test_a_step_that_is_measured_is_there_before_its_first_observation() -> None:
    assert not _buckets(Step.VERIFICATION)

    measured(Step.CYCLE)

    assert _buckets(Step.CYCLE)


def test_edges_rise_from_target_to_danger() -> None:
    assert all(edges.target_s < edges.warning_s < edges.danger_s for edges in EDGES.values())
    assert EDGES.keys() == set(Step)

import pytest

from sigmax.runtime.settings import replica_of


@pytest.mark.parametrize(
    ("host", "replica"),
    [
        ("ec7bab1a533a", "ec7bab1a533a"),
        ("strategy-engine-of-the-second-desk-6b5f7d9c4d-x2x7q", "gine-of-the-second-desk-6b5f7d9c4d-x2x7q"),
        ("büro pc", "b-ro-pc"),
        ("", "0"),
    ],
)
def test_a_replica_is_named_after_its_host_by_what_tells_hosts_apart(host: str, replica: str) -> None:
    assert replica_of(host) == replica

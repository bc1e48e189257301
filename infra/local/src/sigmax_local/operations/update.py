"""Give one service a new build while the platform trades."""

import time
from collections.abc import Callable, Sequence

from sigmax_local.compose import JOBS, SERVERS, Compose, ComposeError
from sigmax_local.container_list import Container

IN_PLACE = frozenset({"api-gateway", "paper-venue"})
"""Of which there cannot be two: one has a published port, one is the venue. They are away for some seconds."""
_HEALTHY_S = 300.0
_STOP_S = 30
"""Above what a service takes to end what it has begun; see compose.yaml."""
_POLL_S = 0.5
Say = Callable[[str], None]


def update(compose: Compose, service: str, say: Say) -> None:
    """Replace the containers of a service: new ones beside the old, then the old ones end what they have begun.

    The deploy jobs run first: a migration adds, so that the old build goes on beside the new one. Raises
    `ComposeError`; then the old containers still run.
    """
    old = compose.containers(service)
    if service in {*SERVERS, *JOBS} or not old:
        raise ComposeError(f"{service} is no service that runs here. There are: {', '.join(compose.services())}")
    for job in JOBS:
        say(f"Deploy job {job}")
        compose.run("run", "--rm", "--no-deps", "-T", job)
    if service in IN_PLACE:
        say(f"{service} is one of a kind: it is replaced in place")
        compose.run("up", "--detach", "--no-deps", "--force-recreate", service)
        compose.up("--no-deps", "--no-recreate", service, timeout_s=_HEALTHY_S)
    else:
        _beside(compose, service, old, say)
    say(f"{service} runs as " + ", ".join(one.name for one in compose.containers(service)))


def _beside(compose: Compose, service: str, old: Sequence[Container], say: Say) -> None:
    say(f"Starting {len(old)} of {service} beside {', '.join(one.name for one in old)}")
    both = f"{service}={2 * len(old)}"
    compose.run("up", "--detach", "--no-deps", "--no-recreate", "--scale", both, service)
    try:
        _await_healthy(compose, service, {one.id for one in old})
    except ComposeError:
        say("The new ones do not get healthy: they are removed, and the old ones go on")
        _remove(compose, [one for one in compose.containers(service) if one.id not in {each.id for each in old}])
        raise
    for one in old:
        say(f"{one.name} ends what it has begun")
        compose.engine("stop", "--time", str(_STOP_S), one.id)
    for one in compose.containers(service):
        if one.id in {each.id for each in old} and one.exit_code:
            say(f"{one.name} ended with code {one.exit_code}: see docker logs {one.name}")
    _remove(compose, old)


def _await_healthy(compose: Compose, service: str, old: set[str]) -> None:
    deadline = time.monotonic() + _HEALTHY_S
    while time.monotonic() < deadline:
        new = [one for one in compose.containers(service) if one.id not in old]
        if len(new) == len(old) and all(one.is_healthy for one in new):
            return
        time.sleep(_POLL_S)
    raise ComposeError(f"The new containers of {service} were not healthy within {_HEALTHY_S:.0f} s.")


def _remove(compose: Compose, containers: Sequence[Container]) -> None:
    if containers:
        compose.engine("rm", "--force", *(one.id for one in containers))

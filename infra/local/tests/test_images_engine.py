"""When engine.sh starts a Docker engine, and which one it ends.

It runs in a container of its own, where no other engine is in sight; docker and dockerd are stand-ins there.
"""

import shutil
import subprocess
from pathlib import Path

import pytest

INFRA = Path(__file__).parents[2]
IMAGE = "sigmax/debian:trixie"
MAY_START_CONTAINERS = ("--cap-add", "SYS_ADMIN", "--cap-add", "NET_ADMIN")

DOCKER = """#!/bin/bash
[ "$1" = info ] && [ -e /tmp/answers ] || { echo "Cannot connect to the Docker daemon." >&2; exit 1; }
"""

DOCKERD = """#!/bin/bash
echo "$@" >>/tmp/started
if [ -e /tmp/breaks ]; then echo "iptables is missing" >&2; exit 1; fi
if [ -e /tmp/hides ]; then
    mkfifo /tmp/words
    (exec >/tmp/words; sleep 2; echo "iptables is missing") &
    exec -a "" cat </tmp/words
fi
trap 'rm -f /tmp/answers; exit 0' TERM
for argument in "$@"; do
    case "$argument" in --pidfile=*) echo $$ >"${argument#--pidfile=}" ;; esac
done
touch /tmp/answers
while :; do sleep 0.1; done
"""


@pytest.fixture(scope="module", autouse=True)
def _engine() -> None:
    if (
        shutil.which("docker") is None
        or subprocess.run(["docker", "info"], capture_output=True, check=False).returncode
    ):
        pytest.skip("no Docker engine answers (infra/images/engine.sh)")
    if subprocess.run(["docker", "image", "inspect", IMAGE], capture_output=True, check=False).returncode:
        pytest.skip(f"{IMAGE} is not here (infra/images/build.sh makes it)")


def _run(tmp_path: Path, script: str, *options: str) -> subprocess.CompletedProcess[str]:
    """Run a script where `engine` is engine.sh, as root in a container."""
    for name, text in {"docker": DOCKER, "dockerd": DOCKERD}.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
        (tmp_path / name).chmod(0o755)
    volumes = ["-v", f"{INFRA}:/infra:ro", "-v", f"{tmp_path}:/stand-ins:ro"]
    command = f'export HOME=/tmp PATH=/stand-ins:$PATH; engine() {{ /infra/images/engine.sh "$@"; }}; {script}'
    return subprocess.run(
        ["docker", "run", "--rm", "--network", "none", *volumes, *options, IMAGE, "bash", "-c", command],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_an_engine_that_answers_is_left_alone(tmp_path: Path) -> None:
    result = _run(tmp_path, "touch /tmp/answers; engine && ! [ -e /tmp/started ]")
    assert (result.returncode, result.stderr) == (0, "")


def test_it_is_started_once_with_addresses_for_many_networks_and_ended_on_request(tmp_path: Path) -> None:
    script = "engine && engine && cat /tmp/started && engine stop && ! docker info"
    result = _run(tmp_path, script, *MAY_START_CONTAINERS)
    assert result.returncode == 0, result.stderr
    assert len(result.stdout.splitlines()) == 1
    assert "--default-address-pool base=10.213.0.0/16,size=24" in result.stdout
    assert "infra/images/engine.sh stop" in result.stderr


def test_an_engine_that_somebody_else_started_is_not_ended(tmp_path: Path) -> None:
    # Its id stands in our file, as when the machine has given the id of our engine to another process.
    script = "dockerd & mkdir -p /tmp/.cache/sigmax; echo $! >/tmp/.cache/sigmax/dockerd.pid; engine stop; kill -0 $!"
    result = _run(tmp_path, script)
    assert result.returncode == 0, result.stderr
    assert "No engine runs that this script started" in result.stderr


def test_no_second_one_is_started_beside_an_engine_that_answers_later(tmp_path: Path) -> None:
    script = "dockerd & sleep 0.5; rm /tmp/answers; (sleep 1; touch /tmp/answers) & engine && wc -l </tmp/started"
    result = _run(tmp_path, script, *MAY_START_CONTAINERS)
    assert (result.returncode, result.stdout.strip()) == (0, "1"), result.stderr


def test_an_engine_that_does_not_start_is_reported_with_its_last_words(tmp_path: Path) -> None:
    result = _run(tmp_path, "touch /tmp/breaks; engine", *MAY_START_CONTAINERS)
    assert result.returncode != 0
    assert "iptables is missing" in result.stderr


def test_a_process_whose_command_is_not_to_be_seen_has_not_ended(tmp_path: Path) -> None:
    # As for a moment while `setsid` becomes `dockerd`: whoever looked then reported an end without last words.
    result = _run(tmp_path, "touch /tmp/hides; engine", *MAY_START_CONTAINERS)
    assert result.returncode != 0
    assert "iptables is missing" in result.stderr


def test_a_container_without_the_right_to_start_others_is_told_so(tmp_path: Path) -> None:
    result = _run(tmp_path, "engine || ! [ -e /tmp/started ] && exit 3")
    assert result.returncode == 3
    assert "none can run here" in result.stderr


def test_who_is_not_root_is_told_so(tmp_path: Path) -> None:
    result = _run(tmp_path, "engine || exit 3", "--user", "1000:1000")
    assert result.returncode == 3
    assert "only root may start one" in result.stderr


def test_an_address_in_the_environment_is_not_second_guessed(tmp_path: Path) -> None:
    result = _run(tmp_path, "engine || exit 3", "-e", "DOCKER_HOST=tcp://192.0.2.1:2375", *MAY_START_CONTAINERS)
    assert result.returncode == 3
    assert "DOCKER_HOST" in result.stderr

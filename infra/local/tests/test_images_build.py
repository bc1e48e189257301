"""What build.sh does with the programs it calls: which images it makes, what it writes, what it says when one fails.

docker and mmdebstrap are stand-ins here; test_images_servers.py looks at the images themselves.
"""

import os
import subprocess
from pathlib import Path

import pytest

BUILD = Path(__file__).parents[3] / "infra" / "images" / "build.sh"

NAMED = {
    "PYTHON_IMAGE=sigmax/python:3.13",
    "NODE_IMAGE=sigmax/node:20",
    "POSTGRES_IMAGE=sigmax/postgres:17",
    "REDIS_IMAGE=sigmax/redis:8",
    "RABBITMQ_IMAGE=sigmax/rabbitmq:4",
    "PROMETHEUS_IMAGE=sigmax/prometheus:2",
    "ALERTMANAGER_IMAGE=sigmax/prometheus:2",
}

# Remembers the label of each image it is told to make, and lists what was in each folder.
DOCKER = r"""#!/bin/bash
keys="$STUB_FOLDER/keys" all="$*" name="${@: -1}"
case "$1 $2" in
    "info ") [ -z "$STUB_NO_ENGINE" ] ;;
    "image inspect")
        case "$4" in
            *Size*) echo 250000000 ;;
            *Labels*) sed -n "s#^$name ##p" "$keys" | tail -n 1 | grep . ;;
            *) echo "id-of-$name" ;;
        esac ;;
    "import --change")
        cat >/dev/null
        key="${all#*sigmax.key=}"
        echo "new ${key%% *}" >>"$keys" ;;
    "tag "*) sed -n "s#^new #$3 #p" "$keys" >>"$keys.more"; cat "$keys.more" >>"$keys" ;;
    "build --build-arg")
        folder="$name"
        echo "$(basename "$folder"): $(cd "$folder" && find . -type f | sort | xargs)" >>"$STUB_FOLDER/made"
        if [ "$(basename "$folder")" = "$STUB_FAILS" ]; then echo "the package is not there" >&2; exit 1; fi
        key="${all#*sigmax.key=}" tag="${all#* -t }"
        echo "${tag%% *} ${key%% *}" >>"$keys" ;;
esac
"""


class Stand:
    """build.sh with stand-ins for docker and mmdebstrap."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.made = folder / "made"
        self.certificates = folder / "certificates"
        self.certificates.mkdir()
        (folder / "bin").mkdir()
        (folder / "keys").touch()
        for name, text in {"docker": DOCKER, "mmdebstrap": "#!/bin/sh\necho tree\n"}.items():
            program = folder / "bin" / name
            program.write_text(text, encoding="utf-8")
            program.chmod(0o755)

    def build(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run build.sh in the folder; what it made is in `made`, one line for each image."""
        self.made.write_text("", encoding="utf-8")
        paths = f"{self.folder / 'bin'}:{os.environ['PATH']}"
        settings = {"PATH": paths, "HOME": str(self.folder), "STUB_FOLDER": str(self.folder), "STUB_NO_ENGINE": ""}
        return subprocess.run(
            [str(BUILD), *arguments],
            cwd=self.folder,
            env={**settings, "STUB_FAILS": "", "EXTRA_CA_DIR": str(self.certificates), **environment},
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

    def made_now(self) -> dict[str, set[str]]:
        """Give the folders of the images that the last run made, with their files."""
        lines = (line.partition(": ") for line in self.made.read_text(encoding="utf-8").splitlines())
        return {name: set(files.split()) for name, _, files in lines}


@pytest.fixture
def stand(tmp_path: Path) -> Stand:
    return Stand(tmp_path)


def test_all_images_are_made_and_listed_with_their_sizes(stand: Stand) -> None:
    result = stand.build()
    assert result.returncode == 0, result.stderr
    assert set(stand.made_now()) == {"python", "node", "postgres", "redis", "rabbitmq", "prometheus"}
    for image in (line.partition("=")[2] for line in NAMED):
        assert f"{image} " in result.stdout


def test_what_is_unchanged_is_not_made_again(stand: Stand) -> None:
    stand.build()
    assert stand.build().returncode == 0
    assert stand.made_now() == {}


def test_root_certificates_of_the_machine_are_trusted_in_the_images_that_fetch_packages_alone(stand: Stand) -> None:
    stand.build()
    (stand.certificates / "proxy.crt").write_text("a certificate", encoding="utf-8")
    (stand.certificates / "proxy.key").write_text("no certificate", encoding="utf-8")
    stand.build()
    assert stand.made_now() == {name: {"./Dockerfile", "./extra-ca/proxy.crt"} for name in ("python", "node")}


def test_the_images_are_named_in_the_file_and_its_other_lines_stay(stand: Stand) -> None:
    file = stand.folder / ".env"
    file.write_text("# ports\nSIGMAX_GATEWAY_PORT=8080\nREDIS_IMAGE=redis:8\nOTHER_REDIS_IMAGE=x", encoding="utf-8")
    file.chmod(0o600)
    stand.build("--env", ".env")
    first = file.read_text(encoding="utf-8")
    assert first.splitlines()[:3] == ["# ports", "SIGMAX_GATEWAY_PORT=8080", "OTHER_REDIS_IMAGE=x"]
    assert set(first.splitlines()[3:]) == NAMED
    assert file.stat().st_mode & 0o777 == 0o600
    stand.build("--env", ".env")
    assert file.read_text(encoding="utf-8") == first


def test_a_file_that_is_not_there_is_made(stand: Stand) -> None:
    stand.build("--env", str(stand.folder / "new.env"))
    assert set((stand.folder / "new.env").read_text(encoding="utf-8").splitlines()) == NAMED


def test_when_one_image_fails_it_is_named_with_its_error_and_nothing_names_the_images(stand: Stand) -> None:
    result = stand.build("--env", ".env", STUB_FAILS="node")
    assert result.returncode != 0
    assert "the package is not there" in result.stderr
    assert "sigmax/node:20 could not be made" in result.stderr
    assert not (stand.folder / ".env").exists()
    # The others are there for the next run.
    stand.build()
    assert set(stand.made_now()) == {"node"}


def test_without_an_engine_it_says_what_starts_one(stand: Stand) -> None:
    result = stand.build(STUB_NO_ENGINE="1")
    assert result.returncode != 0
    assert "infra/images/engine.sh" in result.stderr


def test_an_argument_it_does_not_know_is_refused(stand: Stand) -> None:
    assert stand.build("--evn", ".env").returncode != 0
    assert stand.made_now() == {}

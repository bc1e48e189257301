"""What the tests of metrics, rules, and dashboards share: where they lie, and who checks them."""

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

sys.path.append(str(Path(__file__).parent))

PROMETHEUS = Path(__file__).parents[2] / "infra" / "prometheus"
IMAGE = "sigmax/prometheus:2"
Tool = Callable[..., "subprocess.CompletedProcess[str]"]


def _has_image() -> bool:
    if shutil.which("docker") is None:
        return False
    looked = subprocess.run(["docker", "image", "inspect", IMAGE], capture_output=True, check=False, timeout=20)
    return looked.returncode == 0


@pytest.fixture(scope="session")
def tool() -> Tool:
    """Give what runs promtool or amtool in a folder, installed or in the image; without either the test is skipped."""
    has_image = _has_image()

    def run(name: str, *arguments: str, folder: Path = PROMETHEUS) -> "subprocess.CompletedProcess[str]":
        if (binary := shutil.which(name)) is not None:
            command = [binary, *arguments]
        elif has_image:
            mount = ["-v", f"{folder}:/checked:ro", "-w", "/checked"]
            limits = ["--network=none", "--read-only", "--cap-drop=ALL", "--tmpfs=/tmp"]
            command = ["docker", "run", "--rm", *limits, *mount, f"--entrypoint={name}", IMAGE, *arguments]
        else:
            pytest.skip(f"{name} is not installed (Debian's package prometheus), and there is no image {IMAGE}")
        return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=120)

    return run


@pytest.fixture(scope="session")
def rules() -> dict[str, list[dict[str, Any]]]:
    """Give all rules by the file they stand in."""
    return {
        path.name: [rule for group in yaml.safe_load(path.read_text())["groups"] for rule in group["rules"]]
        for path in sorted((PROMETHEUS / "rules").glob("*.yml"))
    }


@pytest.fixture(scope="session")
def alerts(rules: dict[str, list[dict[str, Any]]]) -> list[dict[str, Any]]:
    """Give the rules that are alerts."""
    return [rule for file in rules.values() for rule in file if "alert" in rule]


@pytest.fixture
def scratch(tmp_path: Path) -> Path:
    """Give a folder that a container's user may read as well."""
    for folder in (tmp_path, *tmp_path.parents):
        if folder.name.startswith("pytest-"):
            folder.chmod(0o755)
    return tmp_path

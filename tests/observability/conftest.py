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

from observability_images import image_with, lack_of

PROMETHEUS = Path(__file__).parents[2] / "infra" / "prometheus"
Tool = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="session")
def tool() -> Tool:
    """Give what runs promtool or amtool in a folder, installed or in the image; without either the test is skipped."""

    def run(name: str, *arguments: str, folder: Path = PROMETHEUS) -> "subprocess.CompletedProcess[str]":
        if (binary := shutil.which(name)) is not None:
            command = [binary, *arguments]
        elif (image := image_with(name)) is not None:
            mount = ["-v", f"{folder}:/checked:ro", "-w", "/checked"]
            limits = ["--network=none", "--read-only", "--cap-drop=ALL", "--tmpfs=/tmp"]
            command = ["docker", "run", "--rm", *limits, *mount, f"--entrypoint={name}", image, *arguments]
        else:
            pytest.skip(lack_of(name))
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
    tmp_path.chmod(0o755)
    return tmp_path

"""Where Prometheus' programs come from when they are not installed: the images that Compose runs."""

import os
import shutil
import subprocess

_OURS = "sigmax/prometheus:2"
"""Made by infra/images/build.sh; it has the programs of both projects."""
_VARIABLES = {"prometheus": "PROMETHEUS_IMAGE", "promtool": "PROMETHEUS_IMAGE", "amtool": "ALERTMANAGER_IMAGE"}


def image_with(program: str) -> str | None:
    """Give the image that has a program, if an engine is there and has the image; nothing is fetched."""
    image = os.environ.get(_VARIABLES[program], _OURS)
    if shutil.which("docker") is None:
        return None
    looked = subprocess.run(["docker", "image", "inspect", image], capture_output=True, check=False, timeout=30)
    return image if looked.returncode == 0 else None


def lack_of(program: str) -> str:
    """Say why a test that needs the program is skipped."""
    return f"{program} is not installed (Debian's packages prometheus, prometheus-alertmanager), and no image has it"

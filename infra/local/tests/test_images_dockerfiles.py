"""Dockerfiles use what every builder has, and say which version of a base they stand on.

The classic builder knows no mounts; BuildKit of older engines knows no heredocs and no --link; `# syntax` makes BuildKit
fetch a program from a registry, which air-gapped machines do not reach.
"""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
_NOT_OURS = {"node_modules", "dist", "build"}

FORBIDDEN = {
    "a syntax line": r"(?im)^#\s*syntax\s*=",
    "a heredoc": r"(?m)^\s*(RUN|COPY|ADD)\b.*<<-?['\"]?\w",
    "--link": r"(?m)^\s*(COPY|ADD)\b.*\s--link\b",
    "--chmod": r"(?m)^\s*(COPY|ADD)\b.*\s--chmod\b",
    "RUN --mount and the like": r"(?m)^\s*RUN\s+--",
}

FINE = """\
ARG PYTHON_IMAGE=python:3.13-slim
FROM ${PYTHON_IMAGE} AS build
COPY --chown=10001:10001 shared shared
RUN python3 -m venv /opt/venv && echo 1 \\
 && cat <file >other
FROM build
COPY --from=build /opt/venv /opt/venv
"""


def _dockerfiles() -> list[Path]:
    found = (
        path
        for path in ROOT.rglob("*Dockerfile*")
        if path.is_file()
        and not any(part.startswith(".") or part in _NOT_OURS for part in path.relative_to(ROOT).parts)
    )
    return sorted(found)


def _instructions(text: str) -> str:
    """Join continued lines, without the comments that stand between them."""
    lines = [line for line in text.splitlines() if not re.match(r"\s*#(?!\s*syntax)", line)]
    return re.sub(r"\\\n", " ", "\n".join(lines))


def _bases(instructions: str) -> list[str]:
    """Give what the FROM and COPY --from lines name, with arguments put in; stages of the same file are left out."""
    arguments = dict(re.findall(r"(?m)^ARG\s+(\w+)=(\S+)", instructions))
    stages = set(re.findall(r"(?im)^FROM\s.*\sAS\s+(\S+)", instructions))
    named = re.findall(r"(?m)^FROM\s+(?:--\S+\s+)*(\S+)", instructions)
    named += re.findall(r"(?m)^COPY\s.*--from=(\S+)", instructions)
    images = [re.sub(r"\$\{?(\w+)\}?", lambda found: arguments.get(found[1], found[0]), name) for name in named]
    return [image for image in images if image not in stages and image != "scratch" and not image.isdigit()]


def _faults(text: str) -> list[str]:
    instructions = _instructions(text)
    faults = [name for name, pattern in FORBIDDEN.items() if re.search(pattern, instructions)]
    for image in _bases(instructions):
        host, slash, _ = image.partition("/")
        if slash and re.search(r"[.:]|^localhost$", host):
            faults.append(f"{image} names a registry")
        tag = image.rpartition("/")[2].partition("@")[0].partition(":")[2]
        if tag in {"", "latest"}:
            faults.append(f"{image} says no version")
    return faults


@pytest.mark.parametrize("path", _dockerfiles(), ids=lambda path: str(path.relative_to(ROOT)))
def test_every_builder_can_build_it_from_bases_of_a_known_version(path: Path) -> None:
    assert _faults(path.read_text(encoding="utf-8")) == []


def test_the_dockerfiles_of_this_repository_are_found() -> None:
    names = {str(path.relative_to(ROOT)) for path in _dockerfiles()}
    assert {f"infra/images/{name}/Dockerfile" for name in ("python", "node", "postgres", "prometheus")} <= names


def test_what_every_builder_has_is_no_fault() -> None:
    assert _faults(FINE) == []


@pytest.mark.parametrize(
    "line",
    [
        "# syntax=docker/dockerfile:1",
        "RUN --mount=type=cache,target=/tmp/cache pip install x",
        "RUN --network=none true",
        "RUN <<EOF",
        "COPY <<'EOF' /etc/motd",
        "COPY --link a b",
        "COPY --chown=1:1 \\\n  --chmod=755 a b",
        "FROM python",
        "FROM python:latest",
        "FROM --platform=linux/amd64 python:latest",
        "FROM docker.io/library/python:3.13",
        "FROM localhost:5000/python:3.13",
        "ARG NODE_IMAGE=node\nFROM $NODE_IMAGE",
        "COPY --from=nginx:latest /a /b",
    ],
)
def test_what_some_builder_lacks_or_changes_by_itself_is_a_fault(line: str) -> None:
    assert _faults(FINE + line + "\n") != []


@pytest.mark.parametrize(
    "path", sorted((ROOT / "infra/images").glob("*/Dockerfile")), ids=lambda path: path.parent.name
)
def test_a_base_says_what_it_is_and_under_which_license(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    labels = set(re.findall(r"org\.opencontainers\.image\.(\w+)=", text))
    assert labels == {"title", "description", "version", "licenses"}
    assert f'image.title="sigmax/{path.parent.name}"' in text

"""YAML as it is meant: a key that stands twice is a mistake, and not the last one's victory."""

from collections.abc import Hashable, Iterator
from pathlib import Path
from typing import Any

import yaml

from sigmax_local.manifests.findings import Finding

_MERGE = "tag:yaml.org,2002:merge"


class _StrictLoader(yaml.CSafeLoader):
    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen = set()
        for key_node, _ in node.value:
            if key_node.tag == _MERGE:
                continue
            key = self.construct_object(key_node, deep=True)
            if key in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key!r} stands twice", key_node.start_mark
                )
            seen.add(key)
        return super().construct_mapping(node, deep)


def load_all(text: str) -> list[Any]:
    """Read the documents of a YAML text. Raises `yaml.YAMLError`, also for a key that stands twice."""
    # The loader is a safe one: it makes plain values alone.
    return [document for document in yaml.load_all(text, Loader=_StrictLoader) if document is not None]


def unreadable(folder: Path) -> Iterator[Finding]:
    """Give what is wrong with the YAML files below `folder` as they are written, before anything is made of them."""
    for path in sorted(folder.rglob("*.yaml")):
        try:
            load_all(path.read_text(encoding="utf-8"))
        except yaml.YAMLError as error:
            mark = getattr(error, "problem_mark", None)
            line = f"line {mark.line + 1}" if mark else ""
            text = f"{getattr(error, 'problem', None) or error}; one of the two has to go, or the file is no YAML"
            yield Finding("yaml", str(path.relative_to(folder.parent)), "", line, text)

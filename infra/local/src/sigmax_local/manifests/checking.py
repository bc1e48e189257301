"""All there is to say about the manifests of a folder."""

from pathlib import Path

from sigmax_local.manifests.checks import check_all
from sigmax_local.manifests.files import unreadable
from sigmax_local.manifests.findings import Finding
from sigmax_local.manifests.rendering import RenderError, render_all, variants_of


def check_folder(folder: Path) -> list[Finding]:
    """Check the files as they are written, and what is made of them in each variant; each finding is told once.

    Raises `KubectlMissingError`.
    """
    findings = list(unreadable(folder))
    if findings:
        return findings
    try:
        rendered = render_all(folder, variants_of(folder))
    except RenderError as error:
        return [Finding("kustomize", folder.name, "", "", str(error))]
    return list(dict.fromkeys(finding for objects in rendered.values() for finding in check_all(objects)))

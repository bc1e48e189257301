"""Check the Kubernetes manifests without a cluster, and make their secrets."""

from pathlib import Path
from typing import Annotated

import typer
import yaml

from sigmax_local.environment import repository
from sigmax_local.manifests.checking import check_folder
from sigmax_local.manifests.files import unreadable
from sigmax_local.manifests.rendering import KubectlMissingError, variants_of
from sigmax_local.manifests.rules import prometheus_rule
from sigmax_local.manifests.schemas import VERSIONS
from sigmax_local.manifests.secret_files import SecretsMissingError, write_secret_files

app = typer.Typer(add_completion=False)


@app.callback()
def _commands() -> None:
    """The manifests in `k8s/`."""


@app.command()
def check(
    folder: Annotated[Path | None, typer.Option(help="Where they are; by default `k8s` of this repository.")] = None,
) -> None:
    """Hold the manifests against the schemas of two Kubernetes releases, and against each other; no cluster is asked.

    Example: python -m sigmax_local.manifests check
    """
    folder = folder or repository() / "k8s"
    try:
        findings = check_folder(folder)
    except KubectlMissingError as error:
        findings = list(unreadable(folder))
        typer.echo(f"Skipped: all checks of {folder.name}/ but that its files are YAML, because {error}", err=True)
        if not findings:
            return
    for finding in findings:
        typer.echo(str(finding))
    if findings:
        raise typer.Exit(1)
    names = ", ".join(map(str, variants_of(folder)))
    typer.echo(f"Manifests: {names}; Kubernetes {' and '.join(VERSIONS)}; nothing to complain of")


@app.command()
def secrets(
    folder: Annotated[Path, typer.Argument(help="k8s/overlays/paper/secrets or k8s/overlays/live/secrets")],
) -> None:
    """Make the passwords and keys that an overlay lists in its `secrets/kustomization.yaml`; those that exist stay.

    Example: python -m sigmax_local.manifests secrets k8s/overlays/paper/secrets
    """
    try:
        write_secret_files(folder)
    except (OSError, SecretsMissingError) as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from None
    typer.echo(f"Secrets: {folder}. Keep a copy where only you can read it: the data needs these passwords.")


@app.command()
def rules() -> None:
    """Print the alerts of infra/prometheus as a PrometheusRule, for clusters with the Prometheus operator.

    Example: python -m sigmax_local.manifests rules | kubectl apply -f -
    """
    typer.echo(yaml.safe_dump(prometheus_rule(repository() / "infra/prometheus/rules"), sort_keys=False), nl=False)


if __name__ == "__main__":
    app()

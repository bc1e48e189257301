"""All checks by the name that a finding carries."""

from sigmax_local.manifests.checks import network, pods, references, scaling, security, serving, settings
from sigmax_local.manifests.findings import Check, Finding, found
from sigmax_local.manifests.objects import Objects
from sigmax_local.manifests.schemas import check_names, check_shapes

CHECKS: dict[str, Check] = {
    "name": check_names,
    "selector": pods.check_selectors,
    "port": pods.check_ports,
    "probe": pods.check_probes,
    "resources": pods.check_resources,
    "image": pods.check_images,
    "volume": pods.check_volumes,
    "ending": pods.check_endings,
    "job": pods.check_jobs,
    "reference": references.check_references,
    "account": references.check_accounts,
    "restricted": security.check_restricted,
    "hardening": security.check_hardening,
    "service": serving.check_services,
    "ingress": serving.check_ingresses,
    "monitor": serving.check_monitors,
    "autoscaler": scaling.check_autoscalers,
    "queue": scaling.check_queues,
    "budget": scaling.check_budgets,
    "spread": scaling.check_spread,
    "connections": scaling.check_connections,
    "policy": network.check_policies,
    "settings": settings.check_settings,
}


def check_all(objects: Objects) -> list[Finding]:
    """Run every check. What has a wrong shape is told alone: the other checks rely on shapes."""
    shapes = [found("shape", problem) for problem in check_shapes(objects)]
    if shapes:
        return shapes
    return [found(name, problem) for name, check in CHECKS.items() for problem in check(objects)]

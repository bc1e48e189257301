"""Services, the Ingress, and who measures: each finds what it names, and the outside sees no more than it may."""

from collections.abc import Iterator

from sigmax_local.manifests.findings import Problem
from sigmax_local.manifests.objects import Json, Manifest, Objects, matches

_INSIDE = ("/metrics", "/health", "/health/live", "/health/ready")
_PUBLISHED = "api-gateway"


def check_services(objects: Objects) -> Iterator[Problem]:
    """A Service has pods behind it that open its target ports, and publishes nothing by itself."""
    for one in objects.of("Service"):
        if one.spec.get("type", "ClusterIP") != "ClusterIP":
            yield Problem(one, "spec.type", "only the Ingress publishes: remove it")
        pods = objects.selected({"matchLabels": one.spec.get("selector") or {}})
        if not one.spec.get("selector") or not pods:
            yield Problem(one, "spec.selector", "it selects no pod: take the labels of the workload's template")
            continue
        for port in one.spec.get("ports") or ():
            target = port.get("targetPort", port["port"])
            for pod in pods:
                if not pod.has_port(target):
                    text = f"the pods of {pod.owner.name} open no port {target!r}"
                    yield Problem(one, f"spec.ports[{port.get('name', port['port'])}].targetPort", text)


def check_ingresses(objects: Objects) -> Iterator[Problem]:
    """The outside reaches the gateway's paths over TLS, and never health or metrics."""
    for one in objects.of("Ingress"):
        if one.spec.get("defaultBackend"):
            yield Problem(one, "spec.defaultBackend", "it takes every path: name the paths instead")
        secured = {host for entry in one.spec.get("tls") or () for host in entry.get("hosts") or ()}
        for rule in one.spec.get("rules") or ():
            if rule.get("host") not in secured:
                yield Problem(
                    one, "spec.tls", f"the host {rule.get('host')!r} is not in it: add it with its secretName"
                )
            for path in (rule.get("http") or {}).get("paths") or ():
                yield from _path_problems(objects, one, path)


def _path_problems(objects: Objects, one: Manifest, path: Json) -> Iterator[Problem]:
    field = f"spec.rules.paths[{path.get('path')}]"
    for inside in _INSIDE:
        if _takes(path, inside):
            yield Problem(one, field, f"it publishes {inside}, which stays inside: narrow the path")
    service = path["backend"].get("service") or {}
    target = objects.find("Service", service.get("name", ""))
    if target is None or target.name != _PUBLISHED:
        yield Problem(one, field, f"{service.get('name')!r} is not published: only the Service {_PUBLISHED} is")
        return
    port = service.get("port") or {}
    known = [(entry.get("name"), entry["port"]) for entry in target.spec["ports"]]
    if not any(port.get("name") == name or port.get("number") == number for name, number in known):
        yield Problem(one, field, f"the Service {target.name} has no port {port.get('name') or port.get('number')!r}")


def _takes(path: Json, asked: str) -> bool:
    prefix = str(path.get("path", "/"))
    if path["pathType"] == "Exact":
        return asked == prefix
    return asked == prefix or asked.startswith(prefix.rstrip("/") + "/")


def check_monitors(objects: Objects) -> Iterator[Problem]:
    """A ServiceMonitor finds Services, and each of them has the port it asks for."""
    for one in objects.of("ServiceMonitor"):
        services = [service for service in objects.of("Service") if matches(one.spec["selector"], service.labels)]
        if not services:
            yield Problem(one, "spec.selector", "it selects no Service: take the labels of the Services themselves")
        for endpoint in one.spec["endpoints"]:
            for service in services:
                names = [port.get("name") for port in service.spec["ports"]]
                if endpoint["port"] not in names:
                    yield Problem(one, "spec.endpoints", f"the Service {service.name} has no port {endpoint['port']!r}")

"""What stands inside a pod fits together."""

from collections import Counter
from collections.abc import Iterator
from itertools import chain

from sigmax_local.manifests.findings import Problem
from sigmax_local.manifests.objects import JOB, SERVICE, WORKLOADS, Container, Objects, Pod, matches, walk
from sigmax_local.manifests.quantities import amount

_GRACE_MIN_S = 50
"""A service gives its handlers 20 s and then its loops 20 s, and its HTTP server 5 s."""
_PROTOCOLS = ("TCP", "UDP", "SCTP")
_PROBES = ("startupProbe", "livenessProbe", "readinessProbe")
_PATHS = {"startupProbe": "/health/live", "livenessProbe": "/health/live", "readinessProbe": "/health/ready"}


def check_selectors(objects: Objects) -> Iterator[Problem]:
    """A workload finds its own pods, and no other workload's."""
    for pod in objects.pods:
        selector = pod.owner.spec.get("selector")
        if selector is None:
            continue  # a job's is made by the API server
        if not matches(selector, pod.labels):
            yield Problem(
                pod.owner, "spec.selector", "it does not match the labels of the pod's template: make them equal"
            )
        others = [other.owner.name for other in objects.selected(selector) if other.owner is not pod.owner]
        if others:
            yield Problem(pod.owner, "spec.selector", f"it also takes the pods of {', '.join(others)}: add a label")


def check_ports(objects: Objects) -> Iterator[Problem]:
    """Protocols are what they can be; a pod's ports have names and numbers of their own."""
    for one in objects.of("Service", "NetworkPolicy", *WORKLOADS):
        for path, value in walk(one.spec):
            if path.endswith(".protocol") and value not in _PROTOCOLS:
                yield Problem(one, f"spec.{path}", f"{value!r} is none of {', '.join(_PROTOCOLS)}")
    for pod in objects.pods:
        ports = [port for container in pod.containers for port in container.data.get("ports") or ()]
        for key in ("name", "containerPort"):
            counted = Counter(port.get(key) for port in ports)
            for value in (value for value, count in counted.items() if value is not None and count > 1):
                yield Problem(pod.owner, f"{pod.path}.containers.ports", f"{key} {value} stands twice: keep one")


def check_probes(objects: Objects) -> Iterator[Problem]:
    """Whatever serves is watched by three probes, at ports that exist; services at their own three paths."""
    for pod in objects.pods:
        if pod.component == JOB:
            continue
        for container in (one for one in pod.containers if ".containers[" in one.path):
            yield from chain.from_iterable(_probe_problems(pod, container, probe) for probe in _PROBES)


def _probe_problems(pod: Pod, container: Container, probe: str) -> Iterator[Problem]:
    field = f"{container.path}.{probe}"
    content = container.data.get(probe)
    if content is None:
        yield Problem(pod.owner, field, "it is missing: without it a pod counts as well that is not")
        return
    asked = content.get("httpGet") or content.get("tcpSocket") or {}
    port = asked.get("port")
    if isinstance(port, str) and port not in container.ports:
        known = ", ".join(container.ports) or "none"
        yield Problem(pod.owner, field, f"no port of the container is named {port!r} (there is {known})")
    if isinstance(port, int) and port not in container.ports.values():
        yield Problem(pod.owner, field, f"the container does not open port {port}")
    if pod.component == SERVICE and asked.get("path") != _PATHS[probe]:
        yield Problem(pod.owner, field, f"a service is asked at {_PATHS[probe]}, not at {asked.get('path')}")


def check_resources(objects: Objects) -> Iterator[Problem]:
    """Every container asks for processor time and memory, is bounded in both, and asks for no more than its bound."""
    for pod in objects.pods:
        for container in pod.containers:
            resources = container.data.get("resources") or {}
            for name in ("cpu", "memory"):
                values = [(resources.get(side) or {}).get(name) for side in ("requests", "limits")]
                field = f"{container.path}.resources"
                if None in values:
                    yield Problem(pod.owner, field, f"{name} needs a request and a limit")
                    continue
                try:
                    requested, limit = map(amount, values)
                except ValueError as error:
                    yield Problem(pod.owner, field, f"{name}: {error}")
                    continue
                if requested > limit:
                    yield Problem(pod.owner, field, f"{name}: {values[0]} is requested above the limit {values[1]}")
    for one in objects:
        for path, value in walk(one.spec):
            if path.endswith((".sizeLimit", ".resources.requests.storage")):
                try:
                    amount(value)
                except ValueError as error:
                    yield Problem(one, f"spec.{path}", str(error))


def check_images(objects: Objects) -> Iterator[Problem]:
    """An image is one version, not whatever is newest."""
    for pod in objects.pods:
        for container in pod.containers:
            image = container.data.get("image", "")
            tag = image.rsplit("/", 1)[-1].partition(":")[2]
            if "@" not in image and tag in ("", "latest"):
                text = f"{image!r} names no version: set newTag for it in the kustomization's images"
                yield Problem(pod.owner, f"{container.path}.image", text)


def check_volumes(objects: Objects) -> Iterator[Problem]:
    """What is mounted is there, and what is there is mounted."""
    for pod in objects.pods:
        claims = pod.owner.spec.get("volumeClaimTemplates") or ()
        there = {volume["name"] for volume in pod.spec.get("volumes") or ()}
        there |= {claim["metadata"]["name"] for claim in claims}
        mounted = set()
        for container in pod.containers:
            mounts = container.data.get("volumeMounts") or ()
            mounted |= {mount["name"] for mount in mounts}
            for name in sorted({mount["name"] for mount in mounts} - there):
                yield Problem(pod.owner, f"{container.path}.volumeMounts", f"there is no volume {name!r} in the pod")
            counted = Counter(mount["mountPath"] for mount in mounts)
            for path in (path for path, count in counted.items() if count > 1):
                yield Problem(pod.owner, f"{container.path}.volumeMounts", f"{path} is mounted twice")
        for name in sorted(there - mounted):
            yield Problem(pod.owner, f"{pod.path}.volumes", f"no container mounts {name!r}: remove it or mount it")


def check_endings(objects: Objects) -> Iterator[Problem]:
    """Whoever is told to end has the time for it."""
    for pod in objects.pods:
        grace_s = pod.spec.get("terminationGracePeriodSeconds", 30)
        if pod.component != JOB and grace_s < _GRACE_MIN_S:
            text = f"{grace_s} s are too short: what it has begun needs up to {_GRACE_MIN_S} s"
            yield Problem(pod.owner, f"{pod.path}.terminationGracePeriodSeconds", text)


def check_jobs(objects: Objects) -> Iterator[Problem]:
    """A job goes away by itself, so that the next apply can make it anew, and does not try for ever."""
    for one in objects.of("Job"):
        for field in ("ttlSecondsAfterFinished", "backoffLimit", "activeDeadlineSeconds"):
            if field not in one.spec:
                yield Problem(one, f"spec.{field}", "it is missing: a job that stays cannot be applied again")

"""How many of each: who decides, how they are spread, and whether the database lets so many in."""

import re
from collections.abc import Iterator

from sigmax.runtime.rights import CONNECTIONS_MAX
from sigmax.schemas.topology import REACH, queue_of
from sigmax_local.manifests.checks.settings import environment_of
from sigmax_local.manifests.findings import Problem
from sigmax_local.manifests.objects import SERVICE, Json, Manifest, Objects, Pod, matches

_SCALERS = ("HorizontalPodAutoscaler", "ScaledObject")
_POOL = "SIGMAX_DATABASE_POOL_MAX"
_POOL_DEFAULT = 10
_MAX_CONNECTIONS = re.compile(r"max_connections=(\d+)")
_SPARE = 20
"""For the jobs, a backup, and people."""


def check_autoscalers(objects: Objects) -> Iterator[Problem]:
    """An autoscaler has a target, which leaves its replicas to it and to no second one, and bounds that are bounds."""
    scaled: dict[str, Manifest] = {}
    for one in objects.of(*_SCALERS):
        target = one.spec["scaleTargetRef"]
        workload = objects.find(target.get("kind", "Deployment"), target["name"])
        if workload is None:
            text = f"there is no {target.get('kind', 'Deployment')} {target['name']!r}"
            yield Problem(one, "spec.scaleTargetRef", text)
            continue
        if workload.name in scaled:
            other = scaled[workload.name]
            text = f"{other.kind}/{other.name} scales {workload.name} already, and they would fight: keep one"
            yield Problem(one, "spec.scaleTargetRef", text)
        scaled[workload.name] = one
        if "replicas" in workload.spec:
            text = f"{one.kind}/{one.name} chooses it, and each apply would reset it: leave it out"
            yield Problem(workload, "spec.replicas", text)
        low, high = bounds_of(one)
        if low > high:
            yield Problem(one, "spec", f"its least number of replicas, {low}, is above its greatest, {high}")
        if one.kind == "HorizontalPodAutoscaler":
            yield from _metric_problems(objects, one)
    for pod in objects.pods:
        if pod.owner.kind == "Deployment" and "replicas" not in pod.owner.spec and pod.owner.name not in scaled:
            yield Problem(pod.owner, "spec.replicas", "nobody chooses it: name a number or add an autoscaler")


def _metric_problems(objects: Objects, one: Manifest) -> Iterator[Problem]:
    pods = [pod for pod in objects.pods if pod.owner.name == one.spec["scaleTargetRef"]["name"]]
    for metric in one.spec.get("metrics") or ():
        name = (metric.get("resource") or {}).get("name")
        for pod in pods:
            for container in pod.containers:
                if name and name not in ((container.data.get("resources") or {}).get("requests") or {}):
                    text = f"utilization is a share of the request, and {container.path} requests no {name}"
                    yield Problem(one, "spec.metrics", text)


def bounds_of(scaler: Manifest) -> tuple[int, int]:
    """Give the least and the greatest number of replicas of an autoscaler."""
    if scaler.kind == "ScaledObject":
        return scaler.spec.get("minReplicaCount", 0), scaler.spec.get("maxReplicaCount", 100)
    return scaler.spec.get("minReplicas", 1), scaler.spec["maxReplicas"]


def check_queues(objects: Objects) -> Iterator[Problem]:
    """A queue that decides on replicas exists, and belongs to who is scaled; and the way to it is there."""
    for one in objects.of("ScaledObject"):
        service = one.spec["scaleTargetRef"]["name"]
        known = [queue_of(service, message) for message in REACH[service].consumes] if service in REACH else []
        for index, trigger in enumerate(one.spec["triggers"]):
            field = f"spec.triggers[{index}]"
            queue = trigger["metadata"]["queueName"]
            if queue not in known:
                text = f"{service} reads no queue {queue!r} (sigmax.schemas.topology has {', '.join(known) or 'none'})"
                yield Problem(one, f"{field}.metadata.queueName", text)
            name = (trigger.get("authenticationRef") or {}).get("name", "")
            if objects.find("TriggerAuthentication", name) is None:
                yield Problem(one, f"{field}.authenticationRef", f"there is no TriggerAuthentication {name!r}")
            variable = trigger["metadata"].get("hostFromEnv")
            pods = [pod for pod in objects.pods if pod.owner.name == service]
            if variable and any(variable not in environment_of(objects, pod) for pod in pods):
                yield Problem(one, f"{field}.metadata.hostFromEnv", f"{service} has no variable {variable}")


def check_budgets(objects: Objects) -> Iterator[Problem]:
    """A disruption budget says one thing, about pods that exist; every service of several replicas has one."""
    covered: set[str] = set()
    for one in objects.of("PodDisruptionBudget"):
        if ("minAvailable" in one.spec) == ("maxUnavailable" in one.spec):
            yield Problem(one, "spec", "exactly one of minAvailable and maxUnavailable has to stand here")
        pods = objects.selected(one.spec.get("selector") or {})
        if not pods:
            yield Problem(one, "spec.selector", "it selects no pod: take the labels of the workload's template")
        covered |= {pod.owner.name for pod in pods}
        for pod in pods:
            least = replicas_of(objects, pod)[0]
            if one.spec.get("minAvailable") == least or one.spec.get("maxUnavailable") == 0:
                yield Problem(one, "spec", f"with {least} replicas of {pod.owner.name} no node could ever be emptied")
    for pod in objects.pods:
        if pod.component == SERVICE and replicas_of(objects, pod)[0] > 1 and pod.owner.name not in covered:
            yield Problem(pod.owner, "", "it has several replicas and no PodDisruptionBudget: add one")


def check_spread(objects: Objects) -> Iterator[Problem]:
    """Replicas of a service are spread over nodes, by a selector that takes them."""
    for pod in objects.pods:
        constraints = pod.spec.get("topologySpreadConstraints") or ()
        field = f"{pod.path}.topologySpreadConstraints"
        for constraint in constraints:
            if not matches(constraint.get("labelSelector") or {}, pod.labels):
                yield Problem(pod.owner, field, "its labelSelector does not take the pod's own labels")
        keys = {constraint["topologyKey"] for constraint in constraints}
        if replicas_of(objects, pod)[1] > 1 and "kubernetes.io/hostname" not in keys:
            yield Problem(pod.owner, field, "spread the replicas over kubernetes.io/hostname")


def replicas_of(objects: Objects, pod: Pod) -> tuple[int, int]:
    """Give the least and the greatest number of replicas that a workload has at rest."""
    for scaler in objects.of(*_SCALERS):
        if scaler.spec["scaleTargetRef"]["name"] == pod.owner.name:
            return bounds_of(scaler)
    replicas = pod.owner.spec.get("replicas", 1)
    return replicas, replicas


def check_connections(objects: Objects) -> Iterator[Problem]:
    """All replicas, with those of a rollout, have no more connections than their login and the server let in."""
    wanted = {pod.name: _connections(objects, pod) for pod in objects.pods if pod.component == SERVICE}
    for pod in objects.pods:
        if wanted.get(pod.name, 0) > CONNECTIONS_MAX:
            text = (
                f"its replicas, with those of a rollout, may open {wanted[pod.name]} connections, and a login of "
                f"Postgres has {CONNECTIONS_MAX}: lower the replicas or {_POOL}"
            )
            yield Problem(pod.owner, "spec.replicas", text)
        for container in pod.containers:
            found = _MAX_CONNECTIONS.search(" ".join(container.data.get("args") or ()))
            if found and sum(wanted.values()) + _SPARE > int(found[1]):
                text = f"all services may open {sum(wanted.values())} connections, and it lets in {found[1]}: raise it"
                yield Problem(pod.owner, f"{container.path}.args", text)


def _connections(objects: Objects, pod: Pod) -> int:
    pool = int(environment_of(objects, pod).get(_POOL, _POOL_DEFAULT))
    return pool * (replicas_of(objects, pod)[1] + _surge(pod.owner.spec))


def _surge(spec: Json) -> int:
    strategy = spec.get("strategy") or {}
    if strategy.get("type") == "Recreate":
        return 0
    return int((strategy.get("rollingUpdate") or {}).get("maxSurge", 1))

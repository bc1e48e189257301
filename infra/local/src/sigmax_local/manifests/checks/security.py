"""Pod Security "restricted", as the admission controller would judge it, and what we ask beyond that."""

from collections.abc import Iterator

from sigmax_local.manifests.findings import Problem
from sigmax_local.manifests.objects import Container, Json, Objects, Pod

_VOLUMES = frozenset(
    {
        "configMap",
        "csi",
        "downwardAPI",
        "emptyDir",
        "ephemeral",
        "persistentVolumeClaim",
        "projected",
        "secret",
    }
)
_SYSCTLS = frozenset(
    {
        "kernel.shm_rmid_forced",
        "net.ipv4.ip_local_port_range",
        "net.ipv4.ip_unprivileged_port_start",
        "net.ipv4.ping_group_range",
        "net.ipv4.tcp_syncookies",
    }
)
_SECCOMP = ("RuntimeDefault", "Localhost")


def check_restricted(objects: Objects) -> Iterator[Problem]:
    """The namespace asks for "restricted", and every pod would be let in."""
    for one in objects.of("Namespace"):
        label = "pod-security.kubernetes.io/enforce"
        if one.labels.get(label) != "restricted":
            yield Problem(one, f"metadata.labels[{label}]", "it must be `restricted`")
    for pod in objects.pods:
        yield from _pod_problems(pod)
        for container in pod.containers:
            yield from _container_problems(pod, container)


def _pod_problems(pod: Pod) -> Iterator[Problem]:
    for name in ("hostNetwork", "hostPID", "hostIPC"):
        if pod.spec.get(name):
            yield Problem(pod.owner, f"{pod.path}.{name}", "a pod has no part in its node: remove it")
    for volume in pod.spec.get("volumes") or ():
        for kind in set(volume) - {"name"} - _VOLUMES:
            yield Problem(pod.owner, f"{pod.path}.volumes[{volume['name']}]", f"{kind} is not allowed")
    for sysctl in (pod.spec.get("securityContext") or {}).get("sysctls") or ():
        if sysctl["name"] not in _SYSCTLS:
            yield Problem(pod.owner, f"{pod.path}.securityContext.sysctls", f"{sysctl['name']} is not allowed")


def _container_problems(pod: Pod, container: Container) -> Iterator[Problem]:
    of_pod: Json = pod.spec.get("securityContext") or {}
    own: Json = container.data.get("securityContext") or {}
    both = {**of_pod, **own}
    field = f"{container.path}.securityContext"
    capabilities = own.get("capabilities") or {}
    rules = (
        (not own.get("privileged"), "privileged", "remove it"),
        (own.get("allowPrivilegeEscalation") is False, "allowPrivilegeEscalation", "set it to false"),
        (both.get("runAsNonRoot") is True, "runAsNonRoot", "set it to true"),
        (both.get("runAsUser") != 0, "runAsUser", "0 is root: take another"),
        ("ALL" in (capabilities.get("drop") or ()), "capabilities.drop", "it must hold ALL"),
        (set(capabilities.get("add") or ()) <= {"NET_BIND_SERVICE"}, "capabilities.add", "nothing may be added"),
        ((both.get("seccompProfile") or {}).get("type") in _SECCOMP, "seccompProfile.type", "set it to RuntimeDefault"),
        (own.get("procMount", "Default") == "Default", "procMount", "remove it"),
    )
    yield from (Problem(pod.owner, f"{field}.{name}", text) for holds, name, text in rules if not holds)
    for port in container.data.get("ports") or ():
        if port.get("hostPort"):
            yield Problem(pod.owner, f"{container.path}.ports", "a port of the node is not allowed: remove hostPort")


def check_hardening(objects: Objects) -> Iterator[Problem]:
    """Beyond "restricted": files cannot be changed, nobody gets a token, and a user and group are named."""
    for pod in objects.pods:
        if pod.spec.get("automountServiceAccountToken") is not False:
            text = "set it to false: no pod of ours speaks to the API server"
            yield Problem(pod.owner, f"{pod.path}.automountServiceAccountToken", text)
        if pod.spec.get("enableServiceLinks") is not False:
            text = "set it to false: else every Service becomes variables of every container"
            yield Problem(pod.owner, f"{pod.path}.enableServiceLinks", text)
        for name in ("runAsUser", "runAsGroup", "fsGroup"):
            if name not in (pod.spec.get("securityContext") or {}):
                yield Problem(pod.owner, f"{pod.path}.securityContext.{name}", "name the one that the image has")
        for container in pod.containers:
            if (container.data.get("securityContext") or {}).get("readOnlyRootFilesystem") is not True:
                text = "set it to true, and mount an emptyDir where files are written"
                yield Problem(pod.owner, f"{container.path}.securityContext.readOnlyRootFilesystem", text)
    for one in objects.of("ServiceAccount"):
        if one.data.get("automountServiceAccountToken") is not False:
            yield Problem(one, "automountServiceAccountToken", "set it to false")

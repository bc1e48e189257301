"""The manifests are whole, and each kind of mistake that could be made in them is found by the check for it."""

from collections.abc import Callable, Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from sigmax_local.environment import repository
from sigmax_local.manifests.__main__ import app
from sigmax_local.manifests.checking import check_folder
from sigmax_local.manifests.checks import CHECKS, check_all
from sigmax_local.manifests.objects import Manifest, Objects
from sigmax_local.manifests.rendering import (
    VARIANTS,
    KubectlMissingError,
    Variant,
    copy_without_secrets,
    find_kubectl,
    render_all,
)
from sigmax_local.manifests.schemas import VERSIONS

K8S = repository() / "k8s"
WHOLE = VARIANTS[1]
"""Paper with every component: there every check has something to look at."""


@pytest.fixture(scope="module", autouse=True)
def _kubectl() -> None:
    try:
        find_kubectl()
    except KubectlMissingError as error:
        pytest.skip(f"manifests are not rendered: {error}")


@pytest.fixture(scope="module")
def rendered(_kubectl: None) -> dict[Variant, Objects]:
    return render_all(K8S)


class Edit:
    """A copy of rendered manifests in which something is changed."""

    def __init__(self, objects: Objects) -> None:
        self._manifests = [Manifest(deepcopy(dict(one.data)), one.file) for one in objects]

    def __getitem__(self, item: str) -> dict[str, Any]:
        """Give an object by `Kind/name`; a generated name may be given without its hash."""
        kind, name = item.split("/")
        return next(
            one.data  # type: ignore[misc]
            for one in self._manifests
            if one.kind == kind and (one.name == name or one.name.rpartition("-")[0] == name)
        )

    def container(self, item: str) -> dict[str, Any]:
        return self[item]["spec"]["template"]["spec"]["containers"][0]

    def pod(self, item: str) -> dict[str, Any]:
        return self[item]["spec"]["template"]["spec"]

    def remove(self, item: str) -> None:
        data = self[item]
        self._manifests = [one for one in self._manifests if one.data is not data]

    def add(self, data: dict[str, Any]) -> None:
        self._manifests.append(Manifest(data, "k8s/planted.yaml"))

    @property
    def objects(self) -> Objects:
        return Objects(self._manifests)


@pytest.mark.parametrize("variant", VARIANTS, ids=str)
def test_what_people_apply_is_whole(rendered: dict[Variant, Objects], variant: Variant) -> None:
    assert [str(finding) for finding in check_all(rendered[variant])] == []


def test_every_component_is_checked_in_some_variant() -> None:
    there = {path.parent.name for path in K8S.glob("components/*/kustomization.yaml")}
    assert there - {"hardened"} == {name for variant in VARIANTS for name in variant.components}


def test_every_finding_names_the_file(rendered: dict[Variant, Objects]) -> None:
    for one in rendered[WHOLE]:
        assert (K8S.parent / one.file).is_file(), f"{one.kind}/{one.name}: {one.file}"


def test_the_two_releases_are_the_oldest_and_the_newest_at_hand() -> None:
    from kubernetes_validate.utils import all_versions, major_minor

    known = [major_minor(version) for version in all_versions()]
    assert (known[0], known[-1]) == VERSIONS


Plant = Callable[[Edit], None]
PLANTED: list[tuple[str, str, Plant]] = []
"""Check, item that it tells, and the mistake."""


def planted(check: str, item: str) -> Callable[[Plant], Plant]:
    def register(plant: Plant) -> Plant:
        PLANTED.append((check, item, plant))
        return plant

    return register


@planted("shape", "Deployment/collector")
def a_field_is_misspelt(edit: Edit) -> None:
    edit.container("Deployment/collector")["securityContext"]["readOnlyRootFileSystem"] = True


@planted("shape", "HorizontalPodAutoscaler/api-gateway")
def a_number_is_a_text(edit: Edit) -> None:
    edit["HorizontalPodAutoscaler/api-gateway"]["spec"]["maxReplicas"] = "three"


@planted("shape", "Deployment/scheduler")
def a_selector_is_missing(edit: Edit) -> None:
    del edit["Deployment/scheduler"]["spec"]["selector"]


@planted("shape", "HorizontalPodAutoscaler/api-gateway")
def an_api_version_is_gone(edit: Edit) -> None:
    edit["HorizontalPodAutoscaler/api-gateway"]["apiVersion"] = "autoscaling/v2beta2"


@planted("shape", "PodDisruptionBudget/notifier")
def an_api_group_is_somebody_elses(edit: Edit) -> None:
    edit["PodDisruptionBudget/notifier"]["apiVersion"] = "policy.example/v1"


@planted("shape", "Gateway/door")
def a_kind_is_not_known(edit: Edit) -> None:
    edit.add({"apiVersion": "example.com/v1", "kind": "Gateway", "metadata": {"name": "door", "namespace": "sigmax"}})


@planted("shape", "ScaledObject/order-worker")
def a_field_of_keda_is_not_known(edit: Edit) -> None:
    edit["ScaledObject/order-worker"]["spec"]["maxReplicas"] = 7


@planted("shape", "ScaledObject/order-worker")
def a_mode_of_keda_is_not_known(edit: Edit) -> None:
    edit["ScaledObject/order-worker"]["spec"]["triggers"][0]["metadata"]["mode"] = "QueueLen"


@planted("shape", "ScaledObject/order-worker")
def a_threshold_of_keda_is_a_number(edit: Edit) -> None:
    edit["ScaledObject/order-worker"]["spec"]["triggers"][0]["metadata"]["value"] = 10


@planted("shape", "TriggerAuthentication/order-worker")
def a_login_of_keda_has_no_key(edit: Edit) -> None:
    del edit["TriggerAuthentication/order-worker"]["spec"]["secretTargetRef"][0]["key"]


@planted("shape", "ServiceMonitor/services")
def an_interval_has_no_unit(edit: Edit) -> None:
    edit["ServiceMonitor/services"]["spec"]["endpoints"][0]["interval"] = "5"


@planted("name", "Service/Redis_1")
def a_name_is_no_dns_label(edit: Edit) -> None:
    edit["Service/redis"]["metadata"]["name"] = "Redis_1"


@planted("name", "Deployment/notifier")
def a_namespace_is_missing(edit: Edit) -> None:
    del edit["Deployment/notifier"]["metadata"]["namespace"]


@planted("selector", "Deployment/risk-gate")
def a_selector_does_not_match(edit: Edit) -> None:
    edit["Deployment/risk-gate"]["spec"]["selector"]["matchLabels"]["app.kubernetes.io/name"] = "riskgate"


@planted("selector", "Deployment/risk-gate")
def a_selector_takes_others_as_well(edit: Edit) -> None:
    edit["Deployment/risk-gate"]["spec"]["selector"]["matchLabels"] = {"app.kubernetes.io/component": "service"}


@planted("port", "NetworkPolicy/names")
def a_protocol_is_none(edit: Edit) -> None:
    edit["NetworkPolicy/names"]["spec"]["egress"][0]["ports"][0]["protocol"] = "UPD"


@planted("port", "StatefulSet/rabbitmq")
def a_port_has_two_names(edit: Edit) -> None:
    edit.container("StatefulSet/rabbitmq")["ports"][1]["containerPort"] = 5672


@planted("probe", "Deployment/collector")
def a_probe_names_no_port(edit: Edit) -> None:
    edit.container("Deployment/collector")["readinessProbe"]["httpGet"]["port"] = "web"


@planted("probe", "Deployment/collector")
def a_probe_asks_a_closed_port(edit: Edit) -> None:
    edit.container("Deployment/collector")["livenessProbe"]["httpGet"]["port"] = 8080


@planted("probe", "StatefulSet/redis")
def a_probe_is_missing(edit: Edit) -> None:
    del edit.container("StatefulSet/redis")["startupProbe"]


@planted("probe", "Deployment/notifier")
def life_hangs_on_other_servers(edit: Edit) -> None:
    edit.container("Deployment/notifier")["livenessProbe"]["httpGet"]["path"] = "/health/ready"


@planted("resources", "Deployment/collector")
def a_quantity_is_misspelt(edit: Edit) -> None:
    edit.container("Deployment/collector")["resources"]["limits"]["memory"] = "768Mb"


@planted("resources", "Deployment/collector")
def a_request_is_above_its_limit(edit: Edit) -> None:
    edit.container("Deployment/collector")["resources"]["requests"]["memory"] = "1Gi"


@planted("resources", "Job/migrate")
def a_limit_is_missing(edit: Edit) -> None:
    del edit.container("Job/migrate")["resources"]["limits"]["memory"]


@planted("resources", "StatefulSet/postgres")
def the_size_of_a_disk_is_misspelt(edit: Edit) -> None:
    claim = edit["StatefulSet/postgres"]["spec"]["volumeClaimTemplates"][0]
    claim["spec"]["resources"]["requests"]["storage"] = "20 GB"


@planted("image", "Deployment/order-worker")
def an_image_is_the_latest(edit: Edit) -> None:
    edit.container("Deployment/order-worker")["image"] = "registry.example:5000/sigmax/order-worker:latest"


@planted("image", "StatefulSet/redis")
def an_image_has_no_tag(edit: Edit) -> None:
    edit.container("StatefulSet/redis")["image"] = "registry.example:5000/redis"


@planted("volume", "Deployment/collector")
def a_mount_has_no_volume(edit: Edit) -> None:
    edit.container("Deployment/collector")["volumeMounts"].append({"name": "recordings", "mountPath": "/recordings"})


@planted("volume", "Deployment/collector")
def a_volume_is_mounted_nowhere(edit: Edit) -> None:
    edit.pod("Deployment/collector")["volumes"].append({"name": "cache", "emptyDir": {}})


@planted("ending", "Deployment/order-worker")
def an_order_in_flight_is_cut_short(edit: Edit) -> None:
    edit.pod("Deployment/order-worker")["terminationGracePeriodSeconds"] = 15


@planted("job", "Job/topology")
def a_job_stays_for_ever(edit: Edit) -> None:
    del edit["Job/topology"]["spec"]["ttlSecondsAfterFinished"]


@planted("reference", "Deployment/risk-gate")
def a_config_map_does_not_exist(edit: Edit) -> None:
    edit.container("Deployment/risk-gate")["envFrom"][0]["configMapRef"]["name"] = "sigma"


@planted("reference", "Job/migrate")
def a_key_of_a_config_map_does_not_exist(edit: Edit) -> None:
    edit.container("Job/migrate")["env"][0]["valueFrom"]["configMapKeyRef"]["key"] = "SIGMAX_DB_URL"


@planted("reference", "Deployment/risk-gate")
def a_secret_does_not_exist(edit: Edit) -> None:
    volumes = edit.pod("Deployment/risk-gate")["volumes"]
    next(volume for volume in volumes if volume["name"] == "secrets")["secret"]["secretName"] = "risk-gate"


@planted("reference", "Job/migrate")
def a_key_of_a_secret_does_not_exist(edit: Edit) -> None:
    del edit["Secret/server-migrator"]["data"]["postgres_migrator"]


@planted("reference", "TriggerAuthentication/order-worker")
def keda_reads_a_secret_without_its_hash(edit: Edit) -> None:
    edit["TriggerAuthentication/order-worker"]["spec"]["secretTargetRef"][0]["name"] = "order-worker"


@planted("reference", "Secret/")
def a_secret_is_plain_text(edit: Edit) -> None:
    edit["Secret/risk-gate"]["data"]["approval_key"] = "not encoded!"


@planted("account", "Deployment/scheduler")
def an_account_does_not_exist(edit: Edit) -> None:
    edit.remove("ServiceAccount/scheduler")


@planted("restricted", "Namespace/sigmax")
def the_namespace_takes_any_pod(edit: Edit) -> None:
    edit["Namespace/sigmax"]["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] = "baseline"


@planted("restricted", "Deployment/collector")
def a_container_may_be_root(edit: Edit) -> None:
    edit.pod("Deployment/collector")["securityContext"]["runAsNonRoot"] = False


@planted("restricted", "Deployment/collector")
def a_container_keeps_its_capabilities(edit: Edit) -> None:
    edit.container("Deployment/collector")["securityContext"]["capabilities"] = {"drop": ["NET_RAW"]}


@planted("restricted", "StatefulSet/postgres")
def a_system_call_filter_is_off(edit: Edit) -> None:
    edit.pod("StatefulSet/postgres")["securityContext"]["seccompProfile"] = {"type": "Unconfined"}


@planted("restricted", "Deployment/notifier")
def a_container_may_gain_rights(edit: Edit) -> None:
    del edit.container("Deployment/notifier")["securityContext"]["allowPrivilegeEscalation"]


@planted("restricted", "StatefulSet/redis")
def a_folder_of_the_node_is_mounted(edit: Edit) -> None:
    volumes = edit.pod("StatefulSet/redis")["volumes"]
    volumes[0] = {"name": volumes[0]["name"], "hostPath": {"path": "/etc"}}


@planted("restricted", "Deployment/paper-venue")
def a_pod_is_on_the_network_of_its_node(edit: Edit) -> None:
    edit.pod("Deployment/paper-venue")["hostNetwork"] = True


@planted("hardening", "Deployment/collector")
def files_can_be_changed(edit: Edit) -> None:
    edit.container("Deployment/collector")["securityContext"]["readOnlyRootFilesystem"] = False


@planted("hardening", "Deployment/collector")
def a_pod_gets_a_token(edit: Edit) -> None:
    del edit.pod("Deployment/collector")["automountServiceAccountToken"]


@planted("service", "Service/redis")
def a_service_selects_no_pod(edit: Edit) -> None:
    edit["Service/redis"]["spec"]["selector"] = {"app.kubernetes.io/name": "valkey"}


@planted("service", "Service/rabbitmq")
def a_service_leads_to_a_closed_port(edit: Edit) -> None:
    edit["Service/rabbitmq"]["spec"]["ports"][0]["targetPort"] = "amqps"


@planted("service", "Service/postgres")
def a_database_is_published(edit: Edit) -> None:
    edit["Service/postgres"]["spec"] |= {"type": "NodePort", "clusterIP": "10.0.0.10"}


@planted("ingress", "Ingress/api-gateway")
def metrics_are_published(edit: Edit) -> None:
    edit["Ingress/api-gateway"]["spec"]["rules"][0]["http"]["paths"][0]["pathType"] = "Prefix"


@planted("ingress", "Ingress/api-gateway")
def another_service_is_published(edit: Edit) -> None:
    path = edit["Ingress/api-gateway"]["spec"]["rules"][0]["http"]["paths"][2]
    path["backend"]["service"]["name"] = "paper-venue"


@planted("ingress", "Ingress/api-gateway")
def the_door_is_without_tls(edit: Edit) -> None:
    del edit["Ingress/api-gateway"]["spec"]["tls"]


@planted("monitor", "ServiceMonitor/services")
def a_monitor_finds_no_service(edit: Edit) -> None:
    edit["ServiceMonitor/services"]["spec"]["selector"]["matchLabels"] = {"app": "sigmax"}


@planted("monitor", "ServiceMonitor/services")
def a_monitor_asks_at_no_port(edit: Edit) -> None:
    edit["ServiceMonitor/services"]["spec"]["endpoints"][0]["port"] = "metrics"


@planted("autoscaler", "HorizontalPodAutoscaler/api-gateway")
def an_autoscaler_has_no_target(edit: Edit) -> None:
    edit["HorizontalPodAutoscaler/api-gateway"]["spec"]["scaleTargetRef"]["name"] = "gateway"


@planted("autoscaler", "HorizontalPodAutoscaler/api-gateway")
def the_least_is_above_the_greatest(edit: Edit) -> None:
    edit["HorizontalPodAutoscaler/api-gateway"]["spec"]["minReplicas"] = 5


@planted("autoscaler", "HorizontalPodAutoscaler/order-worker")
def two_autoscalers_fight(edit: Edit) -> None:
    hpa = deepcopy(edit["HorizontalPodAutoscaler/api-gateway"])
    hpa["metadata"]["name"] = hpa["spec"]["scaleTargetRef"]["name"] = "order-worker"
    edit.add(hpa)


@planted("autoscaler", "Deployment/order-worker")
def an_apply_resets_the_autoscaler(edit: Edit) -> None:
    edit["Deployment/order-worker"]["spec"]["replicas"] = 2


@planted("autoscaler", "Deployment/api-gateway")
def nobody_chooses_the_replicas(edit: Edit) -> None:
    edit.remove("HorizontalPodAutoscaler/api-gateway")


@planted("queue", "ScaledObject/order-worker")
def a_queue_is_on_no_broker(edit: Edit) -> None:
    edit["ScaledObject/order-worker"]["spec"]["triggers"][0]["metadata"]["queueName"] = "risk_gate.order_approved.v1"


@planted("queue", "ScaledObject/order-worker")
def the_address_of_the_broker_is_in_no_variable(edit: Edit) -> None:
    edit["ScaledObject/order-worker"]["spec"]["triggers"][0]["metadata"]["hostFromEnv"] = "AMQP_URL"


@planted("budget", "PodDisruptionBudget/notifier")
def a_budget_says_two_things(edit: Edit) -> None:
    edit["PodDisruptionBudget/notifier"]["spec"]["minAvailable"] = 1


@planted("budget", "PodDisruptionBudget/notifier")
def a_budget_is_about_nobody(edit: Edit) -> None:
    edit["PodDisruptionBudget/notifier"]["spec"]["selector"]["matchLabels"]["app.kubernetes.io/name"] = "notifyer"


@planted("budget", "PodDisruptionBudget/notifier")
def a_budget_lets_no_node_be_emptied(edit: Edit) -> None:
    edit["PodDisruptionBudget/notifier"]["spec"] |= {"maxUnavailable": 0}


@planted("spread", "Deployment/notifier")
def replicas_may_share_one_node(edit: Edit) -> None:
    del edit.pod("Deployment/notifier")["topologySpreadConstraints"]


@planted("connections", "Deployment/order-worker")
def replicas_outnumber_the_connections_of_their_login(edit: Edit) -> None:
    edit["ScaledObject/order-worker"]["spec"]["maxReplicaCount"] = 12


@planted("connections", "StatefulSet/postgres")
def all_replicas_outnumber_the_connections_of_the_server(edit: Edit) -> None:
    edit.container("StatefulSet/postgres")["args"][2] = "max_connections=100"


@planted("policy", "NetworkPolicy/paper-venue")
def a_policy_is_about_nobody(edit: Edit) -> None:
    edit["NetworkPolicy/paper-venue"]["spec"]["podSelector"] = {"matchLabels": {"app": "paper-venue"}}


@planted("policy", "NetworkPolicy/paper-venue")
def a_policy_lets_nobody_in(edit: Edit) -> None:
    peer = edit["NetworkPolicy/paper-venue"]["spec"]["ingress"][0]["from"][0]
    peer["podSelector"]["matchLabels"]["app.kubernetes.io/name"] = "order-workers"


@planted("policy", "NetworkPolicy/postgres")
def a_policy_opens_a_closed_port(edit: Edit) -> None:
    edit["NetworkPolicy/postgres"]["spec"]["ingress"][0]["ports"][0]["port"] = 5433


@planted("policy", "NetworkPolicy/postgres")
def a_policy_opens_all_ports(edit: Edit) -> None:
    del edit["NetworkPolicy/postgres"]["spec"]["ingress"][0]["ports"]


@planted("policy", "NetworkPolicy/redis")
def a_policy_does_not_say_its_direction(edit: Edit) -> None:
    del edit["NetworkPolicy/redis"]["spec"]["policyTypes"]


@planted("policy", "NetworkPolicy/collector-outside")
def the_way_out_is_every_port(edit: Edit) -> None:
    edit["NetworkPolicy/collector-outside"]["spec"]["egress"][0]["ports"] = [{"protocol": "TCP"}]


@planted("policy", "NetworkPolicy/collector-outside")
def the_way_out_leads_into_the_cluster(edit: Edit) -> None:
    blocks = [peer["ipBlock"] for peer in edit["NetworkPolicy/collector-outside"]["spec"]["egress"][0]["to"]]
    blocks[0]["except"].remove("10.0.0.0/8")


@planted("policy", "Namespace/sigmax")
def nothing_denies_everything(edit: Edit) -> None:
    edit.remove("NetworkPolicy/default-deny")


@planted("settings", "Deployment/collector")
def a_setting_is_misspelt(edit: Edit) -> None:
    edit["ConfigMap/collector"]["data"]["SIGMAX_SYMBOL"] = "BTC/USDT"


@planted("settings", "Deployment/order-worker")
def a_setting_is_out_of_its_range(edit: Edit) -> None:
    edit["ConfigMap/order-worker"]["data"]["SIGMAX_SUBMIT_TIMEOUT_S"] = "60"


@planted("settings", "Deployment/risk-gate")
def a_service_is_given_no_key(edit: Edit) -> None:
    del edit["Secret/risk-gate"]["data"]["approval_key"]


@pytest.mark.parametrize(("check", "item", "plant"), [pytest.param(*one, id=one[2].__name__) for one in PLANTED])
def test_a_mistake_is_found_by_name(rendered: dict[Variant, Objects], check: str, item: str, plant: Plant) -> None:
    edit = Edit(rendered[WHOLE])
    plant(edit)
    findings = check_all(edit.objects)
    assert any(one.check == check and one.item.startswith(item) for one in findings), [str(one) for one in findings]


def test_every_check_is_seen_to_find_something() -> None:
    assert {check for check, _, _ in PLANTED} == {*CHECKS, "shape"}


@pytest.mark.parametrize("version", VERSIONS)
def test_an_unknown_field_is_refused_by_both_releases(rendered: dict[Variant, Objects], version: str) -> None:
    edit = Edit(rendered[WHOLE])
    a_field_is_misspelt(edit)
    assert any(f"Kubernetes {version} refuses it" in one.text for one in check_all(edit.objects))


@pytest.fixture
def copy(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "k8s"
    copy_without_secrets(K8S, folder)
    return folder


def _replace(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")


def test_a_key_that_stands_twice_is_told_with_its_line(copy: Path) -> None:
    _replace(copy / "base/scheduler.yaml", "  replicas: 2\n", "  replicas: 2\n  replicas: 3\n")
    (finding,) = check_folder(copy)
    assert (finding.check, finding.file, finding.field) == ("yaml", "k8s/base/scheduler.yaml", "line 8")


def test_a_file_that_is_not_there_is_told_in_the_words_of_kustomize(copy: Path) -> None:
    (copy / "base/scheduler.yaml").unlink()
    (finding,) = check_folder(copy)
    assert finding.check == "kustomize"
    assert "scheduler.yaml" in finding.text


def test_the_command_tells_file_object_field_and_what_to_do(copy: Path) -> None:
    _replace(copy / "base/scheduler.yaml", 'limits: {cpu: "1", memory: 384Mi}', 'limits: {cpu: "1", memory: 384Mb}')
    done = CliRunner().invoke(app, ["check", "--folder", str(copy)])
    assert done.exit_code == 1
    assert done.stdout.strip() == (
        "k8s/base/scheduler.yaml: Deployment/scheduler: spec.template.spec.containers[service].resources: "
        "memory: '384Mb' is no quantity: write 250m for processor time, 384Mi for memory [resources]"
    )


@pytest.fixture
def path(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    """Give the only folder in which programs are looked for."""
    monkeypatch.setenv("PATH", str(tmp_path))
    find_kubectl.cache_clear()
    yield tmp_path
    find_kubectl.cache_clear()


@pytest.mark.usefixtures("path")
def test_without_kubectl_the_command_says_what_it_skipped() -> None:
    done = CliRunner().invoke(app, ["check"])
    assert done.exit_code == 0
    assert "Skipped: all checks" in done.output
    assert "kubernetes-client" in done.output
    assert "nothing to complain of" not in done.output


def test_an_old_kubectl_is_as_good_as_none(path: Path) -> None:
    version = '{"clientVersion": {"major": "1", "minor": "20+"}}'
    (path / "kubectl").write_text(f"#!/bin/sh\necho '{version}'\n", encoding="ascii")
    (path / "kubectl").chmod(0o755)
    with pytest.raises(KubectlMissingError, match=r"of version 1\.20 \(needed is 1\.27 or later"):
        find_kubectl()

"""Every command, setting, port and path in the deployment examples exists in the program."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from processors.tools.cpu_priority import NICE_CONTROL, NICE_EXECUTOR
from streams import health
from streams.cli.main import cli
from streams.settings import Settings, load
from tests.deployments import DEPLOYMENTS
from web.api.health import routes as health_routes

CHECKOUT = Path(__file__).resolve().parents[3]
SERVICES = yaml.safe_load((CHECKOUT / "docker-compose.yml").read_text())["services"]
OWN_SERVICES = {name: service for name, service in SERVICES.items() if service["image"] == "kinolog"}
UNITS = sorted((CHECKOUT / "deploy" / "systemd").glob("*.service"))
MANIFESTS = [
    document
    for path in sorted((CHECKOUT / "deploy" / "kubernetes").glob("*.yaml"))
    for document in yaml.safe_load_all(path.read_text())
]
WORKLOADS = [document for document in MANIFESTS if document["kind"] in ("StatefulSet", "Job")]
DOCKERFILE = (CHECKOUT / "deploy" / "Dockerfile").read_text()


def require_command(words: list[str]) -> None:
    """Fails unless `words` can be run: a command of ours with options it has, or a health check."""
    if words[:3] == ["python", "-m", "streams.health"]:
        assert words[3] in (health.__doc__ or "")
        return
    assert Path(words[0]).name == "kinolog"
    command: click.Command = cli
    rest = words[1:]
    while isinstance(command, click.Group):
        command = command.commands[rest.pop(0)]
    options = {option for parameter in command.params for option in parameter.opts}
    assert {word for word in rest if word.startswith("-")} <= options


def require_settings(environ: dict[str, str]) -> Settings:
    """The settings of `environ`; what compose takes from outside gets a value that fits."""
    samples = {"KINOLOG_AUTH__TOKENS": '[{"token": "t", "owner": "o"}]'}
    return load({name: samples.get(name, text) if text.startswith("${") else text for name, text in environ.items()})


def assigned(lines: str) -> dict[str, str]:
    return dict(re.findall(r"(KINOLOG_\w+)=(\S*)", lines))


def containers(workload: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield from workload["spec"]["template"]["spec"]["containers"]


def own_environ(container: dict[str, Any]) -> dict[str, str]:
    return {variable["name"]: variable.get("value", "a-pod-0") for variable in container.get("env", ())}


@pytest.mark.parametrize("name", OWN_SERVICES)
def test_a_compose_service_runs_what_there_is(name: str) -> None:
    service = OWN_SERVICES[name]
    require_command(service["command"])
    settings = require_settings(service["environment"])
    assert settings.kafka.bootstrap == "kafka:19092"
    if test := service["healthcheck"].get("test"):
        assert test[0] == "CMD"
        require_command(test[1:])


def test_compose_clients_reach_the_broker_where_it_listens() -> None:
    kafka = SERVICES["kafka"]
    assert kafka["image"] == "apache/kafka:4.3.1"
    assert "kafka:19092" in kafka["environment"]["KAFKA_ADVERTISED_LISTENERS"]
    assert "19092" in " ".join(kafka["healthcheck"]["test"])
    assert kafka["environment"]["KAFKA_AUTO_CREATE_TOPICS_ENABLE"] == "false"


def test_compose_publishes_the_port_that_web_listens_on_to_this_machine_only() -> None:
    service = SERVICES["web"]
    settings = require_settings(service["environment"])
    assert service["ports"] == [f"127.0.0.1:8080:{settings.web.port}"]
    assert settings.web.host == "0.0.0.0"


@pytest.mark.parametrize("name", OWN_SERVICES)
def test_a_compose_service_has_no_rights_that_it_does_not_need(name: str) -> None:
    service = OWN_SERVICES[name]
    assert service["user"] == "10001:10001"
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert "no-new-privileges:true" in service["security_opt"]


def test_secrets_are_in_no_example() -> None:
    for service in OWN_SERVICES.values():
        assert service["environment"]["KINOLOG_AUTH__TOKEN"].startswith("${KINOLOG_AUTH__TOKEN:?")
    assert all(document["kind"] != "Secret" for document in MANIFESTS)


def test_compose_gives_every_folder_that_is_written_a_volume() -> None:
    volumes = {name: dict(v.rsplit(":", 1)[::-1] for v in SERVICES[name]["volumes"]) for name in ("executor", "web")}
    assert {"/data", "/media"} == volumes["executor"].keys() == volumes["web"].keys()
    assert volumes["executor"]["/media"] == volumes["web"]["/media"]
    assert volumes["executor"]["/data"] != volumes["web"]["/data"]


@pytest.mark.parametrize("path", UNITS, ids=lambda path: path.name)
def test_a_unit_runs_what_there_is(path: Path) -> None:
    text = path.read_text()
    [start] = re.findall(r"^ExecStart=(.*)$", text, re.MULTILINE)
    require_command(shlex.split(start))
    shared = (CHECKOUT / "deploy" / "systemd" / "environment.example").read_text()
    require_settings(assigned(shared) | assigned(text))


def test_units_of_processes_that_stay_are_started_again_for_ever_but_not_with_wrong_settings() -> None:
    stay = [unit for path in UNITS if "Type=notify" in (unit := path.read_text())]
    assert len(stay) == 3
    for unit in stay:
        assert {"Restart=always", "StartLimitIntervalSec=0", "RestartPreventExitStatus=2"} <= set(unit.splitlines())


def test_web_goes_before_control_and_control_before_executors() -> None:
    names = ("kinolog-web", "kinolog-control", "kinolog-executor@")
    units = [(CHECKOUT / "deploy" / "systemd" / f"{name}.service").read_text() for name in names]
    nice, weight = (
        [re.findall(rf"^{key}=(\d+)$", unit, re.MULTILINE) for unit in units] for key in ("Nice", "CPUWeight")
    )
    assert nice == [[], [str(NICE_CONTROL)], [str(NICE_EXECUTOR)]]
    assert weight == [[], ["50"], ["20"]]  # 100 is the default. Source: systemd.resource-control(5)


def test_units_of_processes_that_stay_wait_for_their_word() -> None:
    kinds = {path.stem: re.findall(r"^Type=(\w+)$", path.read_text(), re.MULTILINE) for path in UNITS}
    assert kinds.pop("kinolog-topics") == ["oneshot"]
    assert set(kinds) == {"kinolog-control", "kinolog-executor@", "kinolog-web"}
    assert all(kind == ["notify"] for kind in kinds.values())


@pytest.mark.parametrize("workload", WORKLOADS, ids=lambda workload: workload["metadata"]["name"])
def test_a_workload_runs_what_there_is(workload: dict[str, Any]) -> None:
    [shared] = [document["data"] for document in MANIFESTS if document["kind"] == "ConfigMap"]
    for container in containers(workload):
        require_command(container["args"])
        settings = require_settings(shared | own_environ(container))
        assert settings.partitions == 48
        if check := container.get("livenessProbe", {}).get("exec"):
            require_command(check["command"])
        for port in container.get("ports", ()):
            assert port["containerPort"] == settings.web.port


@pytest.mark.parametrize("workload", WORKLOADS, ids=lambda workload: workload["metadata"]["name"])
def test_a_workload_has_no_rights_that_it_does_not_need(workload: dict[str, Any]) -> None:
    pod = workload["spec"]["template"]["spec"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["automountServiceAccountToken"] is False
    for container in containers(workload):
        assert container["securityContext"] == {
            "readOnlyRootFilesystem": True,
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
        }


def test_replicas_of_web_sign_with_one_key_and_keep_a_client_where_its_upload_is() -> None:
    [web] = [workload for workload in WORKLOADS if workload["metadata"]["name"] == "kinolog-web"]
    assert web["spec"]["replicas"] > 1
    assert (
        "--from-literal=KINOLOG_AUTH__SIGNING_SECRET="
        in (CHECKOUT / "deploy" / "kubernetes" / "settings.yaml").read_text()
    )
    [service] = [document for document in MANIFESTS if document["kind"] == "Service"]
    assert service["spec"]["sessionAffinity"] == "ClientIP"


def test_tools_may_be_locked_up_where_nodes_have_apparmor() -> None:
    [executor] = [workload for workload in WORKLOADS if workload["metadata"]["name"] == "kinolog-executor"]
    context = executor["spec"]["template"]["spec"]["securityContext"]
    assert context["appArmorProfile"] == context["seccompProfile"] == {"type": "Unconfined"}
    assert {"seccomp=unconfined", "apparmor=unconfined"} <= set(SERVICES["executor"]["security_opt"])


@pytest.mark.parametrize("kind", DEPLOYMENTS)
def test_a_model_that_is_set_by_name_has_a_folder_to_be_fetched_into(kind: str) -> None:
    for part in DEPLOYMENTS[kind]():
        if part.name in ("executor", "web"):
            assert any(Path(part.environ["HOME"]).is_relative_to(folder) for folder in part.volumes), part


def test_probes_ask_for_paths_that_are_served() -> None:
    served = {route.path for route in health_routes.entries if route.public}
    probes = [
        container[kind]["httpGet"]["path"].partition("?")[0]
        for workload in WORKLOADS
        for container in containers(workload)
        for kind in ("livenessProbe", "readinessProbe")
        if "httpGet" in container.get(kind, {})
    ]
    assert sorted(probes) == ["/healthz", "/readyz"]
    assert set(probes) <= served


def test_the_image_is_made_from_files_that_exist_and_runs_what_there_is() -> None:
    settings = require_settings(assigned(DOCKERFILE))
    assert f"EXPOSE {settings.web.port}\n" in DOCKERFILE
    for words in re.findall(r"^(?:CMD|HEALTHCHECK .* CMD) \[(.*)\]$", DOCKERFILE, re.MULTILINE):
        require_command([word.strip(' "') for word in words.split(",")])
    copied = re.findall(r"^COPY (?!--from|\. )(.*) \S+$", DOCKERFILE, re.MULTILINE)
    sources = [source for line in copied for source in line.split()]
    assert len(sources) >= 6
    assert [source for source in sources if not (CHECKOUT / source).exists()] == []


def test_the_image_runs_as_nobody_in_particular() -> None:
    assert re.findall(r"^USER (.*)$", DOCKERFILE, re.MULTILINE) == ["10001:10001"]


def test_the_executor_with_a_gpu_is_the_other_one_but_for_its_lane_and_device() -> None:
    services = yaml.safe_load((CHECKOUT / "deploy" / "compose.gpu.yml").read_text())["services"]
    added, executor = services.pop("executor-gpu"), OWN_SERVICES["executor"]
    require_command(added["command"])
    require_command(added["healthcheck"]["test"][1:])
    settings = require_settings(added["environment"])
    assert settings.executor.lanes == {"speech": ("transcribe", "embed")}
    assert settings.transcribe.device == settings.embed.device == "cuda"
    lanes = {"KINOLOG_EXECUTOR__LANES": added["environment"]["KINOLOG_EXECUTOR__LANES"]}
    assert services == {name: {"environment": lanes} for name in ("control", "executor", "web")}
    own = {"image", "build", "hostname", "command", "environment", "deploy", "volumes", "healthcheck"}
    assert {key: added[key] for key in added.keys() - own} == {key: executor[key] for key in executor.keys() - own}
    assert added["volumes"] == ["executor-gpu:/data", "media:/media"]
    assert {name: text for name, text in executor["environment"].items() if name in added["environment"]}.items() <= {
        **added["environment"],
        "KINOLOG_EXECUTOR__NAME": executor["environment"]["KINOLOG_EXECUTOR__NAME"],
    }.items()


def test_a_unit_with_a_gpu_sees_it_and_runs_what_there_is() -> None:
    # Reports: NixOS/nixpkgs#331069, NixOS/nixpkgs#266167 (a hardened unit saw no GPU).
    text = (CHECKOUT / "deploy" / "systemd" / "gpu.conf").read_text()
    assert "PrivateDevices=yes" in (CHECKOUT / "deploy" / "systemd" / "kinolog-executor@.service").read_text()
    assert "\nPrivateDevices=no\n" in text
    [_, start] = re.findall(r"^ExecStart=(.*)$", text, re.MULTILINE)
    require_command(shlex.split(start))
    assert require_settings(assigned(text)).transcribe.device == "cuda"

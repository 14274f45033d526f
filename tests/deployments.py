"""The processes of kinolog as the files in deploy/ start them: command, environment, folders, health check."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import yaml

CHECKOUT = Path(__file__).resolve().parents[1]
#: What an operator has to choose.
SECRETS = {
    "KINOLOG_AUTH__TOKEN": "deployed",
    "KINOLOG_AUTH__SIGNING_SECRET": "signed" * 6,
    "AWS_ACCESS_KEY_ID": "key",
    "AWS_SECRET_ACCESS_KEY": "secret",
}
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class Part(NamedTuple):
    """One process."""

    name: str
    argv: list[str]
    #: Whether an init waits for processes that others leave behind.
    reaped: bool
    environ: dict[str, str]
    #: Volume by the folder where it is mounted; all else is read-only. Parts that name one volume share it.
    volumes: dict[str, str]
    hostname: str
    #: Of a container; None where the orchestrator checks over HTTP, or waits for a notification.
    health: list[str] | None
    #: Whether it notifies that it is ready. Source: sd_notify(3).
    notifies: bool = False


def compose() -> list[Part]:
    """Of docker-compose.yml."""
    services = yaml.safe_load((CHECKOUT / "docker-compose.yml").read_text())["services"]
    return [_service(name, service) for name, service in services.items() if service["image"] == "kinolog"]


def _service(name: str, service: dict[str, Any]) -> Part:
    assert (service["read_only"], service["user"]) == (True, "10001:10001")
    mounted = [entry.split(":", 1) for entry in service.get("volumes", ())]
    private = {entry.partition(":")[0]: f"{name}-tmpfs" for entry in service.get("tmpfs", ())}
    check = service["healthcheck"].get("test")
    return Part(
        name,
        service["command"],
        _has_init() and "entrypoint" not in service,
        _image_environ() | {key: _interpolated(text) for key, text in service["environment"].items()},
        private | {folder: volume for volume, folder in mounted},
        service.get("hostname", f"{name}-container"),
        check and check[1:],
    )


def _interpolated(text: str) -> str:
    return re.sub(r"\$\{(\w+)[^}]*\}", lambda found: SECRETS.get(found[1], ""), text)


def _image() -> str:
    """The stage of the Dockerfile that becomes the image."""
    return (CHECKOUT / "deploy" / "Dockerfile").read_text().rpartition("\nFROM ")[2].replace("\\\n", " ")


def _has_init() -> bool:
    stage = _image()
    return bool(re.search(r"apt-get install .* tini ", stage)) and '\nENTRYPOINT ["tini", "--"]\n' in stage


def _image_environ() -> dict[str, str]:
    """ENV of the image, and HOME as a container runtime sets it for the image's user."""
    stage = _image()
    assert re.search(r"^USER 10001:10001$", stage, re.MULTILINE)
    assert "WORKDIR" not in stage  # so it is /
    [home] = re.findall(r"useradd .*--uid 10001 --home-dir (\S+)", stage)
    pairs = [pair for line in re.findall(r"^ENV (.*)$", stage, re.MULTILINE) for pair in shlex.split(line)]
    return {"HOME": home} | {
        name: text.replace("$PATH", _PATH) for name, text in (pair.split("=", 1) for pair in pairs)
    }


def kubernetes() -> list[Part]:
    """Of deploy/kubernetes; the first pod of each workload."""
    folder = CHECKOUT / "deploy" / "kubernetes"
    paths = sorted(folder.glob("*.yaml"))
    documents = [document for path in paths for document in yaml.safe_load_all(path.read_text())]
    [shared] = [document["data"] for document in documents if document["kind"] == "ConfigMap"]
    secret = {
        name: SECRETS[name] for name in re.findall(r"--from-literal=(\w+)=", (folder / "settings.yaml").read_text())
    }
    workloads = [document for document in documents if document["kind"] in ("Job", "StatefulSet")]
    return [_pod(workload, shared | secret) for workload in workloads]


def _pod(workload: dict[str, Any], shared: dict[str, str]) -> Part:
    name = workload["metadata"]["name"]
    pod = workload["spec"]["template"]["spec"]
    assert pod["securityContext"]["runAsUser"] == 10001
    [container] = pod["containers"]
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    own = {variable["name"]: variable.get("value", f"{name}-0") for variable in container.get("env", ())}
    return Part(
        name.removeprefix("kinolog-"),
        container["args"],
        _has_init() and "command" not in container,
        _image_environ() | shared | own,
        {mount["mountPath"]: f"{name}-{mount['name']}" for mount in container["volumeMounts"]},
        f"{name}-0",
        container.get("livenessProbe", {}).get("exec", {}).get("command"),
    )


def systemd() -> list[Part]:
    """Of deploy/systemd; instance 1 of executors."""
    folder = CHECKOUT / "deploy" / "systemd"
    shared = dict(line.split("=", 1) for line in _lines((folder / "environment.example").read_text()))
    return [_unit(path, shared) for path in sorted(folder.glob("*.service"))]


def _unit(path: Path, shared: dict[str, str]) -> Part:
    text = path.read_text().replace("%i", "1").replace("%H", "host-1")
    options = [line.split("=", 1) for line in _lines(text) if "=" in line]
    once = dict(options)
    assert (once["ProtectSystem"], once["ProtectHome"], once["PrivateTmp"]) == ("strict", "yes", "yes")
    own = dict(pair.split("=", 1) for key, found in options if key == "Environment" for pair in shlex.split(found))
    return Part(
        path.stem.removeprefix("kinolog-").removesuffix("@"),
        shlex.split(once["ExecStart"]),
        True,
        # User= sets HOME to what the user was made with: below /home, which ProtectHome= hides.
        {"PATH": _PATH, "HOME": "/home/kinolog"} | own | shared | SECRETS,
        {f"/var/lib/{once['StateDirectory']}": "state", "/tmp": f"{path.stem}-tmp", "/var/tmp": f"{path.stem}-var"},
        "host-1",
        None,
        once["Type"] == "notify",
    )


def _lines(text: str) -> Iterator[str]:
    return (line for line in text.splitlines() if line and not line.startswith(("#", "[")))


DEPLOYMENTS = {"compose": compose, "kubernetes": kubernetes, "systemd": systemd}

"""Models for the tests of hosts: they run in a host's own process, like real ones."""

import os
import signal
import socket
import time
from pathlib import Path

from processors.models.gpu import GpuUnusable
from processors.models.protocol import SendPartial
from schemas.base import Json


class Toy:
    """Does what it is asked to do."""

    def __init__(self, options: Json) -> None:
        self._options = options
        self._served = 0

    def run(self, request: Json, tell: SendPartial) -> Json:
        self._served += 1
        found: Json | None = getattr(self, request["do"])(request, tell)
        return found or {}

    def echo(self, request: Json, tell: SendPartial) -> Json:
        return {"got": request["what"], "options": self._options, "served": self._served, "pid": os.getpid()}

    def count(self, request: Json, tell: SendPartial) -> None:
        for number in range(request["to"]):
            tell({"number": number})

    def print(self, request: Json, tell: SendPartial) -> None:
        print("libraries print whatever they like")  # noqa: T201

    def upset(self, request: Json, tell: SendPartial) -> None:
        raise RuntimeError("the model is upset")

    def die(self, request: Json, tell: SendPartial) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    def burn(self, request: Json, tell: SendPartial) -> None:
        tell({"began": True})
        while True:
            pass

    def connect(self, request: Json, tell: SendPartial) -> Json:
        try:
            with socket.create_connection(("127.0.0.1", request["port"]), 5):
                return {"said": "connected"}
        except OSError as error:
            return {"said": str(error)}

    def environ(self, request: Json, tell: SendPartial) -> Json:
        return dict(os.environ)

    def eat(self, request: Json, tell: SendPartial) -> Json:
        return {"eaten": len(_eat(request["bytes"]))}


class OnDevice(Toy):
    """A toy on a CPU, or on a GPU that fails in the way `options["gpu"]` while there is a file `options["broken"]`."""

    def run(self, request: Json, tell: SendPartial) -> Json:
        tell({"began_on": self._options["device"]})
        if self._options["device"] != "cpu":
            _fail_as(self._options["gpu"], self._options["broken"], loading=False)
        return {**super().run(request, tell), "device": self._options["device"]}


def on_device(options: Json) -> OnDevice:
    """A loader."""
    if options["device"] != "cpu":
        _fail_as(options["gpu"], options["broken"], loading=True)
    return OnDevice(options)


def _fail_as(way: str, broken: str, *, loading: bool) -> None:
    if not Path(broken).exists() or way.endswith("later") == loading:
        return
    match way.split(maxsplit=1)[0]:
        case "missing":
            raise GpuUnusable("The toy finds no GPU.")
        case "raises":
            raise RuntimeError("CUDA failed with error unspecified launch failure")
        case "full":
            raise RuntimeError("CUDA failed with error out of memory")
        case "aborts":
            os.abort()
        case "hangs":
            time.sleep(60)


def _eat(size: int) -> bytearray:
    eaten = bytearray()
    while len(eaten) < size:
        eaten += b"\1" * 2**24
        time.sleep(0.01)
    return eaten


def toy(options: Json) -> Toy:
    """The loader."""
    return Toy(options)


def broken(options: Json) -> Toy:
    """A loader that cannot load."""
    raise FileNotFoundError("there is no model")

"""The checks of `kinolog doctor`: whether everything is there that kinolog needs. Each is one function.

To add one: an `async def name(settings) -> Finding` next to similar ones, and its line in CHECKS.
"""

from collections.abc import Mapping

from streams.doctor import cluster, machine, models, services
from streams.doctor.diagnosis import Check

#: In the order of the output.
CHECKS: Mapping[str, Check] = {
    "python": machine.python,
    "java": machine.java,
    "ffmpeg": machine.ffmpeg,
    "sandbox": machine.confinement,
    "disk": machine.disk,
    "profiles": machine.profiles,
    "player": machine.player,
    "transcribe": models.transcribe,
    "embed": models.embedding,
    "store": services.store,
    "cors": services.cors,
    "redis": services.redis,
    "log": cluster.log,
    "groups": cluster.groups,
    "queues": cluster.queues,
    "web": services.web,
    "parts": services.parts,
}

"""The checks of `kinolog doctor`: is everything here that kinolog needs? Each is one small function.

To add one: an `async def name(settings) -> Finding` beside those it resembles, and its line in CHECKS.
"""

from collections.abc import Mapping

from streams.doctor import machine, models, services
from streams.doctor.diagnosis import Check

#: In the order in which they are told.
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
    "log": services.log,
    "queues": services.queues,
    "web": services.web,
    "parts": services.parts,
}

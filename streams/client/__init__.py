"""Python client of a running service; the command line uses it.

async with Client("http://127.0.0.1:8080", token) as client:
    submitted = await client.submit_file(Path("talk.mp4"))
    async for job in client.follow(submitted.job_id, after=submitted.cursor):
        print(job["status"], job["progress"])
"""

from streams.client.errors import ClientError, Conflict, InvalidUrl, NotFound, Rejected, Unauthorized, Unreachable
from streams.client.frames import Job, LiveFrame, folded
from streams.client.rest import Client, Submitted

__all__ = [
    "Client",
    "ClientError",
    "Conflict",
    "InvalidUrl",
    "Job",
    "LiveFrame",
    "NotFound",
    "Rejected",
    "Submitted",
    "Unauthorized",
    "Unreachable",
    "folded",
]

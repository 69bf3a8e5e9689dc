"""A job server in a thread: as much of Ray's as a submission uses, with faults on demand."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import ray
from aiohttp import web


@dataclass
class JobServer:
    """What the server does, and what it was asked."""

    log: str = ""
    status: str = "SUCCEEDED"
    exit_code: int | None = 0
    message: str | None = None
    refusal: int | None = None
    """Answer everything with this status."""
    breaks_after: list[int] = field(default_factory=list)
    """Break the log's connection after so many characters: one number a connection."""
    lost_answers: list[bool] = field(default_factory=list)
    """Close the connection of a submission, one a submission: after the job was taken, or before."""
    is_cut: bool = False
    """The last connection broke."""
    address: str = ""
    submitted: list[dict[str, Any]] = field(default_factory=list)

    async def version(self, _: web.Request) -> web.Response:
        if self.refusal:
            return web.Response(status=self.refusal, text="no")
        return web.json_response({"version": "4", "ray_version": ray.__version__})

    async def package(self, request: web.Request) -> web.Response:
        await request.read()
        return web.Response()

    async def submit(self, request: web.Request) -> web.Response:
        sent = await request.json()
        lost = self.lost_answers.pop(0) if self.lost_answers else None
        if lost is not False:
            self.submitted.append(sent)
        if lost is not None and request.transport:
            request.transport.close()
        job = sent["submission_id"]
        return web.json_response({"job_id": job, "submission_id": job})

    async def details(self, request: web.Request) -> web.Response:
        job = request.match_info["job"]
        if job not in [sent["submission_id"] for sent in self.submitted]:
            return web.Response(status=404, text="no such job")
        status = "RUNNING" if self.is_cut else self.status
        known = {"submission_id": job, "entrypoint": "python", "message": self.message}
        return web.json_response({"type": "SUBMISSION", "status": status, "driver_exit_code": self.exit_code, **known})

    async def tail(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        self.is_cut = bool(self.breaks_after)
        told = self.log[: self.breaks_after.pop(0)] if self.is_cut else self.log
        for line in told.splitlines(keepends=True):
            await socket.send_str(line)
        await socket.close()
        return socket


@contextmanager
def running(server: JobServer) -> Iterator[JobServer]:
    """Serve on a free port of the loopback interface."""
    application = web.Application(client_max_size=2**30)
    application.add_routes(
        [
            web.get("/api/version", server.version),
            web.get("/api/packages/{protocol}/{name}", server.package),
            web.post("/api/jobs/", server.submit),
            web.get("/api/jobs/{job}", server.details),
            web.get("/api/jobs/{job}/logs/tail", server.tail),
        ]
    )
    loop = asyncio.new_event_loop()
    runner = web.AppRunner(application)
    loop.run_until_complete(runner.setup())
    loop.run_until_complete(web.TCPSite(runner, "127.0.0.1", 0).start())
    server.address = f"http://127.0.0.1:{runner.addresses[0][1]}"
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield server
    finally:
        asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()

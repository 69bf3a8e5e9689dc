"""One algebra worker: a process that runs `metamath_ray.grading.algebra`, and the two pipes to it.

The asking thread keeps every deadline with `poll`, so they hold on any thread, inside an async Ray actor and without
signals.
"""

import json
import os
import select
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

from metamath_ray.errors import GraderBroken
from metamath_ray.grading.limits import START_SECONDS

COMMAND = (sys.executable, "-P", "-m", "metamath_ray.grading.algebra")


class WorkerGone(Exception):
    """The worker died, or was killed, before it answered."""


class NoAnswer(Exception):
    """The time was over before the answer came."""


class Worker:
    """One algebra process; it is ready once it has imported its libraries and passed its own known pairs."""

    def __init__(self) -> None:
        root = str(Path(__file__).resolve().parents[2])
        path = os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH"))))
        try:
            self._process = subprocess.Popen(  # noqa: S603 (our own module)
                COMMAND,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                bufsize=0,
                start_new_session=True,
                env=os.environ | {"PYTHONPATH": path},
            )
        except OSError as error:
            raise GraderBroken(f"no algebra worker can be started: {error}") from error
        if self._process.stdin is None or self._process.stdout is None:
            raise GraderBroken("the algebra worker has no pipes")
        self._write_end = self._process.stdin.fileno()
        self._read_end = self._process.stdout.fileno()
        os.set_blocking(self._write_end, False)
        os.set_blocking(self._read_end, False)
        self._received = b""
        self._start_deadline = time.monotonic() + START_SECONDS
        self.is_ready = False

    @property
    def pid(self) -> int:
        """Process id of the worker."""
        return self._process.pid

    def wait_until_ready(self) -> None:
        """Wait for the worker's first line, in which it says that its own known pairs came out right.

        Raises:
            WorkerGone: It ended before.
            GraderBroken: They did not, or it is not ready within `START_SECONDS`.
        """
        if self.is_ready:
            return
        try:
            greeting = self._read_line(self._start_deadline)
        except NoAnswer:
            raise GraderBroken(f"the algebra worker is not ready after {START_SECONDS:g} s") from None
        if greeting != {"ready": True}:
            raise GraderBroken("the algebra worker fails its known pairs")
        self.is_ready = True

    def ask(self, request: bytes, deadline: float) -> dict[str, object]:
        """Send a question and wait for its answer.

        Raises:
            NoAnswer: None came before the deadline, on the monotonic clock.
            WorkerGone: The worker died.
        """
        view = memoryview(request)
        while view:
            self._wait(self._write_end, select.POLLOUT, deadline)
            try:
                view = view[os.write(self._write_end, view) :]
            except OSError as error:
                raise WorkerGone from error
        return self._read_line(deadline)

    def _read_line(self, deadline: float) -> dict[str, object]:
        while b"\n" not in self._received:
            self._wait(self._read_end, select.POLLIN, deadline)
            with suppress(BlockingIOError):
                piece = os.read(self._read_end, 65_536)
                if not piece:
                    raise WorkerGone
                self._received += piece
        line, _, self._received = self._received.partition(b"\n")
        answer = json.loads(line)
        return answer if isinstance(answer, dict) else {}

    @staticmethod
    def _wait(descriptor: int, event: int, deadline: float) -> None:
        poll = select.poll()
        poll.register(descriptor, event)
        left = deadline - time.monotonic()
        if left <= 0 or not poll.poll(left * 1_000):
            raise NoAnswer

    def kill(self) -> None:
        """End the process and take its remains away."""
        self._process.kill()
        self._close()
        self._process.wait()

    def forget(self) -> None:
        """Let go of a worker that belongs to the process from which this one was forked."""
        self._close()
        self._process.returncode = 0

    def _close(self) -> None:
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                with suppress(OSError):
                    stream.close()

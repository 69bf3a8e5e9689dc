"""The pool of algebra workers: started when algebra is first needed, killed when they do not answer.

A worker is a fresh process that runs `metamath_ray.grading.algebra` and speaks JSON lines over pipes. The asking thread
keeps the deadlines with `poll`, so they hold on any thread, inside an async Ray actor and without signals. A forked
child forgets its parent's workers and starts its own.
"""

import atexit
import json
import os
import select
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

from metamath_ray.errors import GraderBroken
from metamath_ray.grading.clock import deadline, is_over
from metamath_ray.grading.limits import ALGEBRA_SECONDS, GRACE_SECONDS, MAX_WORKERS
from metamath_ray.grading.outcome import DIFFERENT, EQUAL, Comparison, unknown
from metamath_ray.grading.tree import Node, pack
from metamath_ray.types import Verdict


class _WorkerGone(Exception):
    """The worker died, or was killed, before it answered."""


class _NoAnswer(Exception):
    """The time was over before the answer came."""


class _Worker:
    """One algebra process and its two pipes."""

    def __init__(self, *, with_latex: bool) -> None:
        root = str(Path(__file__).resolve().parents[2])
        path = os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH"))))
        self._process = subprocess.Popen(  # noqa: S603 (our own module)
            [sys.executable, "-P", "-m", "metamath_ray.grading.algebra", *(["--with-latex"] if with_latex else [])],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            bufsize=0,
            start_new_session=True,
            env=os.environ | {"PYTHONPATH": path},
        )
        if self._process.stdin is None or self._process.stdout is None:
            raise _WorkerGone
        self._write_end = self._process.stdin.fileno()
        self._read_end = self._process.stdout.fileno()
        os.set_blocking(self._write_end, False)
        os.set_blocking(self._read_end, False)
        self._received = b""
        self._is_ready = False
        self.has_latex = with_latex

    @property
    def pid(self) -> int:
        """Process id of the worker."""
        return self._process.pid

    def wait_until_ready(self, deadline: float) -> None:
        """Wait for the worker's first line, in which it says that its own known pairs came out right.

        Raises:
            GraderBroken: They did not.
        """
        if not self._is_ready:
            if self._read_line(deadline) != {"ready": True}:
                raise GraderBroken("the algebra worker fails its known pairs")
            self._is_ready = True

    def ask(self, request: bytes, deadline: float) -> dict[str, object]:
        """Send a question and wait for its answer."""
        view = memoryview(request)
        while view:
            self._wait(self._write_end, select.POLLOUT, deadline)
            try:
                view = view[os.write(self._write_end, view) :]
            except OSError as error:
                raise _WorkerGone from error
        return self._read_line(deadline)

    def _read_line(self, deadline: float) -> dict[str, object]:
        while b"\n" not in self._received:
            self._wait(self._read_end, select.POLLIN, deadline)
            with suppress(BlockingIOError):
                piece = os.read(self._read_end, 65_536)
                if not piece:
                    raise _WorkerGone
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
            raise _NoAnswer

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


class _Pool:
    """At most `MAX_WORKERS` workers, handed to one thread at a time."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._idle: list[_Worker] = []
        self._workers: set[_Worker] = set()
        self._with_latex = False
        self.num_questions = 0

    def ask(self, request: bytes, deadline: float, *, needs_latex: bool = False) -> Comparison:
        """Put a question to a worker; one that does not answer in time is killed and replaced.

        The LaTeX library takes seconds to import: workers that start after it was first needed bring it along, and a
        question whose time is over before it is there may come out better next time.
        """
        self._with_latex |= needs_latex
        worker = self._acquire(deadline)
        if worker is not None and needs_latex and not worker.has_latex:
            self._discard(worker, replace=True)
            worker = self._acquire(deadline)
        if worker is None:
            return unknown("every algebra worker is busy", transient=True)
        try:
            worker.wait_until_ready(deadline)
        except _NoAnswer:
            self._release(worker)
            return unknown("the algebra worker is still starting", transient=True)
        except _WorkerGone:
            self._discard(worker)
            return unknown("the algebra worker died while it started", transient=True)
        except GraderBroken:
            self._discard(worker)
            raise
        return self._question(worker, request, deadline)

    def _question(self, worker: _Worker, request: bytes, deadline: float) -> Comparison:
        self.num_questions += 1
        try:
            answer = worker.ask(request, deadline)
        except _NoAnswer:
            self._discard(worker, replace=True)
            return unknown("the machine is too busy", transient=True)
        except _WorkerGone:
            self._discard(worker, replace=True)
            return unknown("the algebra worker died", transient=True)
        self._release(worker)
        return _comparison(answer)

    def warm_up(self, deadline: float) -> bool:
        """Start a worker with the LaTeX library and wait for it; return whether it came up in time."""
        self._with_latex = True
        worker = self._acquire(deadline)
        if worker is None:
            return False
        try:
            worker.wait_until_ready(deadline)
        except (_NoAnswer, _WorkerGone):
            self._discard(worker)
            return False
        self._release(worker)
        return True

    def _acquire(self, deadline: float) -> _Worker | None:
        with self._changed:
            while not self._idle:
                if len(self._workers) < MAX_WORKERS:
                    worker = _Worker(with_latex=self._with_latex)
                    self._workers.add(worker)
                    return worker
                if not self._changed.wait(max(0.0, deadline - time.monotonic())):
                    return None
            return self._idle.pop()

    def _release(self, worker: _Worker) -> None:
        with self._changed:
            self._idle.append(worker)
            self._changed.notify()

    def _discard(self, worker: _Worker, *, replace: bool = False) -> None:
        worker.kill()
        with self._changed:
            self._workers.discard(worker)
            if replace:
                fresh = _Worker(with_latex=self._with_latex)
                self._workers.add(fresh)
                self._idle.insert(0, fresh)
            self._changed.notify()

    def close(self) -> None:
        """Kill every worker."""
        with self._changed:
            for worker in self._workers:
                worker.kill()
            self._workers.clear()
            self._idle.clear()

    def forget(self) -> None:
        """Let go of the workers of the process from which this one was forked."""
        for worker in self._workers:
            worker.forget()


_pool = _Pool()


def _after_fork() -> None:
    global _pool  # noqa: PLW0603 (the pool belongs to this process alone)
    _pool.forget()
    _pool = _Pool()


os.register_at_fork(after_in_child=_after_fork)


def _comparison(answer: dict[str, object]) -> Comparison:
    verdict = answer.get("verdict")
    if verdict == Verdict.EQUAL:
        return EQUAL
    if verdict == Verdict.DIFFERENT:
        return DIFFERENT
    return unknown(str(answer.get("reason", "undecided")), transient=bool(answer.get("transient")))


def ask_algebra(question: str, a: Node, b: Node) -> Comparison:
    """Ask a worker whether two nodes are "equal" or "proportional".

    Raises:
        GraderBroken: The worker fails its own known pairs.
    """
    return _ask({"question": question, "a": pack(a), "b": pack(b)})


def ask_latex(a: str, b: str) -> Comparison:
    """Ask a worker whether two pieces of LaTeX that our parser does not know are equal."""
    return _ask({"question": "latex", "a": a, "b": b}, needs_latex=True)


def _ask(request: dict[str, object], *, needs_latex: bool = False) -> Comparison:
    if is_over():
        return unknown("over the time limit")
    until = min(deadline(), time.monotonic() + ALGEBRA_SECONDS) + GRACE_SECONDS
    return _pool.ask(json.dumps(request).encode() + b"\n", until, needs_latex=needs_latex)


def warm_up(seconds: float = 60.0) -> bool:
    """Start an algebra worker ahead of need; return whether it came up in time."""
    return _pool.warm_up(time.monotonic() + seconds)


def shut_down() -> None:
    """Kill the workers of this process; the next question starts new ones."""
    _pool.close()


atexit.register(shut_down)


def num_algebra_calls() -> int:
    """Return how many questions the workers of this process were asked."""
    return _pool.num_questions

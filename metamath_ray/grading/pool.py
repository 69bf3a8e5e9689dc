"""The pool of algebra workers: started when algebra is first needed, killed when they do not answer.

Starting a worker is no part of a compare: whoever asks meanwhile waits for it, off the clock, and a worker that cannot
start stops the run rather than leave every answer undecided. A forked child forgets its parent's workers and starts its
own.
"""

import atexit
import json
import os
import threading
import time

from metamath_ray.errors import GraderBroken
from metamath_ray.grading.clock import deadline, is_over, paused
from metamath_ray.grading.limits import ALGEBRA_SECONDS, GRACE_SECONDS, MAX_STARTS, MAX_WORKERS, START_SECONDS
from metamath_ray.grading.outcome import DIFFERENT, EQUAL, Comparison, unknown
from metamath_ray.grading.tree import Node, pack
from metamath_ray.grading.worker import NoAnswer, Worker, WorkerGone
from metamath_ray.types import Verdict


class _Pool:
    """At most `MAX_WORKERS` workers, handed to one thread at a time."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._idle: list[Worker] = []
        self._workers: set[Worker] = set()

    def ask(self, request: dict[str, object]) -> Comparison:
        """Put a question to a worker; one that does not answer in time is killed and replaced.

        Raises:
            GraderBroken: No worker can start.
        """
        worker = self._acquire()
        if worker is None:
            return unknown("every algebra worker is busy", transient=True)
        seconds = _seconds_left()
        line = f"{seconds:.3f} {json.dumps(request)}\n".encode()
        try:
            answer = worker.ask(line, time.monotonic() + seconds + GRACE_SECONDS)
        except NoAnswer:
            self._discard(worker, replace=True)
            return unknown("the machine is too busy", transient=True)
        except WorkerGone:
            self._discard(worker, replace=True)
            return unknown("the algebra worker died", transient=True)
        self._release(worker)
        return _comparison(answer)

    def warm_up(self) -> None:
        """Start a worker ahead of need and wait for it."""
        worker = self._acquire()
        if worker is not None:
            self._release(worker)

    def _acquire(self) -> Worker | None:
        """Return a worker that is ready; None when all of them are busy until the time is over."""
        for _ in range(MAX_STARTS):
            worker = self._take()
            if worker is None:
                return None
            try:
                with paused():
                    worker.wait_until_ready()
            except WorkerGone:
                self._discard(worker)
            except GraderBroken:
                self._discard(worker)
                raise
            else:
                self._announce()
                return worker
        raise GraderBroken(f"{MAX_STARTS} algebra workers in a row ended before they were ready")

    def _take(self) -> Worker | None:
        """Take an idle worker or start one; waiting for a start that another thread waits for is off the clock, too."""
        with self._changed:
            while not self._idle and len(self._workers) >= MAX_WORKERS:
                if is_over():
                    return None
                if all(worker.is_ready for worker in self._workers):
                    self._changed.wait(_seconds_left())
                else:
                    with paused():
                        self._changed.wait(START_SECONDS)
            return self._idle.pop() if self._idle else self._start()

    def _start(self) -> Worker:
        worker = Worker()
        self._workers.add(worker)
        return worker

    def _announce(self) -> None:
        with self._changed:
            self._changed.notify_all()

    def _release(self, worker: Worker) -> None:
        with self._changed:
            self._idle.append(worker)
            self._changed.notify()

    def _discard(self, worker: Worker, *, replace: bool = False) -> None:
        worker.kill()
        with self._changed:
            self._workers.discard(worker)
            if replace:
                self._idle.insert(0, self._start())
            self._changed.notify_all()

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


def _seconds_left() -> float:
    """Return how long one question may take."""
    return max(0.0, min(deadline() - time.monotonic(), ALGEBRA_SECONDS))


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
        GraderBroken: No worker can start, or one fails its own known pairs.
    """
    return _ask({"question": question, "a": pack(a), "b": pack(b)})


def ask_latex(a: str, b: str) -> Comparison:
    """Ask a worker whether two pieces of LaTeX that our parser does not know are equal.

    Raises:
        GraderBroken: No worker can start, or one fails its own known pairs.
    """
    return _ask({"question": "latex", "a": a, "b": b})


def _ask(request: dict[str, object]) -> Comparison:
    if is_over():
        return unknown("over the time limit")
    _this_thread.num_calls = num_algebra_calls() + 1
    return _pool.ask(request)


def warm_up() -> None:
    """Start an algebra worker ahead of need and wait until it is ready.

    Raises:
        GraderBroken: It cannot start, or it fails its own known pairs.
    """
    _pool.warm_up()


def shut_down() -> None:
    """Kill the workers of this process; the next question starts new ones."""
    _pool.close()


atexit.register(shut_down)


_this_thread = threading.local()


def num_algebra_calls() -> int:
    """Return how many questions this thread has put to algebra workers."""
    return getattr(_this_thread, "num_calls", 0)

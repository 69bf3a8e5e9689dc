"""The algebra worker: a process of its own that answers questions over its standard input and output.

Run by `metamath_ray.grading.pool` as `python -m metamath_ray.grading.algebra`. Each question is answered in a fork of
this process, which has one thread: a fork costs milliseconds where a new process would import a library for seconds,
it can be killed at any moment, its memory goes with it, and the kernel bounds its memory and processor time.
"""

import ctypes
import json
import os
import resource
import select
import signal
import sys

from metamath_ray.grading import latex, precise
from metamath_ray.grading.limits import ALGEBRA_SECONDS, WORKER_CPU_SECONDS, WORKER_MEMORY_BYTES
from metamath_ray.grading.outcome import DIFFERENT, EQUAL, Comparison, unknown
from metamath_ray.grading.tree import Node, number, symbol, unpack

_IDLE_MILLISECONDS = 5_000
_PR_SET_PDEATHSIG = 1
_MAX_ANSWER_BYTES = 4_096
_MIN_SHARE = 0.6
"""Part of its time that a question must have had a processor before it counts as too hard."""

_KNOWN_LATEX = ((r"\int_0^1 2x\,dx", "1"), (r"\lim_{x\to 0}\frac{\sin x}{x}", "1"))


def answer(request: dict[str, object]) -> Comparison:
    """Answer one question."""
    a, b = request.get("a"), request.get("b")
    match request.get("question"):
        case "equal" if isinstance(a, list) and isinstance(b, list):
            return precise.compare_precisely(unpack(a), unpack(b))
        case "proportional" if isinstance(a, list) and isinstance(b, list):
            return precise.proportional_precisely(unpack(a), unpack(b))
        case "latex" if isinstance(a, str) and isinstance(b, str):
            return latex.compare_latex(a, b)
    return unknown("no such question")


def passes_known_pairs() -> bool:
    """Whether this worker tells known pairs apart; the LaTeX also fills the tables of its parser for every fork."""
    root = Node("call", (number("2"),), "sqrt")
    half = Node("div", (number("2"), root))
    cosine = Node("call", (Node("div", (symbol("pi"), number("4"))),), "cos")
    return (
        precise.compare_precisely(root, half) == EQUAL
        and precise.compare_precisely(root, cosine) == DIFFERENT
        and all(latex.compare_latex(text, value) == EQUAL for text, value in _KNOWN_LATEX)
    )


def _limit_processor_time() -> None:
    """Let the kernel end this process when it takes more than its share, even if nobody waits for it any more."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    resource.setrlimit(resource.RLIMIT_CPU, (WORKER_CPU_SECONDS, WORKER_CPU_SECONDS))


def _answer_and_exit(line: bytes, write_end: int) -> None:
    """Answer in the fork; whatever happens, the fork ends here."""
    try:
        _limit_processor_time()
        try:
            found = answer(json.loads(line))
        except MemoryError:
            found = unknown("over the memory limit")
        except RecursionError:
            found = unknown("nested too deeply")
        os.write(write_end, json.dumps({"verdict": found.verdict, "reason": found.reason[:200]}).encode())
    finally:
        os._exit(0)


def answer_in_fork(line: bytes, seconds: float) -> bytes:
    """Answer one question in a fork that lives no longer than the given time."""
    read_end, write_end = os.pipe()
    child = os.fork()
    if child == 0:
        _answer_and_exit(line, write_end)
    os.close(write_end)
    poll = select.poll()
    poll.register(read_end, select.POLLIN)
    in_time = bool(poll.poll(seconds * 1_000))
    if not in_time:
        os.kill(child, signal.SIGKILL)
    found = os.read(read_end, _MAX_ANSWER_BYTES) if in_time else b""
    os.close(read_end)
    _, _, usage = os.wait4(child, 0)
    if found:
        return found
    is_starved = not in_time and usage.ru_utime + usage.ru_stime < _MIN_SHARE * seconds
    reason = "the machine is too busy" if is_starved else "over the time limit"
    if in_time:
        reason = "over the memory or processor limit"
    return json.dumps({"verdict": "unknown", "reason": reason, "transient": is_starved}).encode()


def main() -> None:
    """Answer questions until the input ends or the parent is gone."""
    parent = os.getppid()
    resource.setrlimit(resource.RLIMIT_AS, (WORKER_MEMORY_BYTES, WORKER_MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    output = sys.stdout.buffer
    output.write(json.dumps({"ready": passes_known_pairs()}).encode() + b"\n")
    output.flush()
    poll = select.poll()
    poll.register(sys.stdin, select.POLLIN)
    while True:
        if not poll.poll(_IDLE_MILLISECONDS):
            if os.getppid() != parent:
                return
            continue
        line = sys.stdin.buffer.readline()
        if not line:
            return
        seconds, _, request = line.partition(b" ")
        output.write(answer_in_fork(request, min(float(seconds), ALGEBRA_SECONDS)) + b"\n")
        output.flush()


if __name__ == "__main__":
    main()

"""The algebra worker: a process of its own that answers questions over its standard input and output.

Run by `metamath_ray.grading.pool` as `python -m metamath_ray.grading.algebra`. It limits its own memory and the
processor time of each question, ends with its input, and ends when its parent is gone.
"""

import json
import os
import resource
import select
import sys

from metamath_ray.grading.limits import WORKER_CPU_SECONDS, WORKER_MEMORY_BYTES
from metamath_ray.grading.outcome import DIFFERENT, EQUAL, Comparison, unknown
from metamath_ray.grading.tree import Node, number, symbol, unpack

_IDLE_SECONDS = 5


def _limit_memory() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (WORKER_MEMORY_BYTES, WORKER_MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _limit_processor_time() -> None:
    """Give the next question its share of processor time; the kernel ends the process that takes more."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    seconds = int(used.ru_utime + used.ru_stime) + WORKER_CPU_SECONDS + 1
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, resource.RLIM_INFINITY))


def answer(request: dict[str, object]) -> Comparison:
    """Answer one question."""
    from metamath_ray.grading import precise

    a, b = request.get("a"), request.get("b")
    match request.get("question"):
        case "equal" if isinstance(a, list) and isinstance(b, list):
            return precise.compare_precisely(unpack(a), unpack(b))
        case "proportional" if isinstance(a, list) and isinstance(b, list):
            return precise.proportional_precisely(unpack(a), unpack(b))
        case "latex" if isinstance(a, str) and isinstance(b, str):
            from metamath_ray.grading.latex import compare_latex

            return compare_latex(a, b)
    return unknown("no such question")


def passes_known_pairs() -> bool:
    """Whether the arithmetic of this worker tells two known pairs apart."""
    from metamath_ray.grading import precise

    precise.mpmath.mp.dps = precise.DIGITS
    root = Node("call", (number("2"),), "sqrt")
    half = Node("div", (number("2"), root))
    cosine = Node("call", (Node("div", (symbol("pi"), number("4"))),), "cos")
    return precise.compare_precisely(root, half) == EQUAL and precise.compare_precisely(root, cosine) == DIFFERENT


def main() -> None:
    """Answer questions until the input ends or the parent is gone."""
    _limit_memory()
    parent = os.getppid()
    if "--with-latex" in sys.argv:
        from metamath_ray.grading import latex

        latex.load()
    print(json.dumps({"ready": passes_known_pairs()}), flush=True)
    while True:
        if not select.select([sys.stdin], [], [], _IDLE_SECONDS)[0]:
            if os.getppid() != parent:
                return
            continue
        line = sys.stdin.buffer.readline()
        if not line:
            return
        _limit_processor_time()
        try:
            found = answer(json.loads(line))
        except MemoryError:
            found = unknown("over the memory limit")
        except RecursionError:
            found = unknown("nested too deeply")
        print(json.dumps({"verdict": found.verdict, "reason": found.reason}), flush=True)


if __name__ == "__main__":
    main()

"""A step as a process of its own: its memory is freed when it ends, and what stops the loop stops it."""

import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import FrameType

PASSED_ON = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
INTERRUPTED = 130


def run_command(arguments: Sequence[str]) -> int:
    """Run one of our commands and wait for it.

    It has a process group of its own, so that one Ctrl+C reaches it once, from here. Its output passes through.

    Returns:
        Its exit code; 130 where it was interrupted, 128 + the signal's number where another signal ended it.
    """
    sys.stdout.flush()
    command = [sys.executable, "-m", "metamath_ray.cli", *arguments]
    came: list[int] = []
    with _handled(came), subprocess.Popen(command, stdin=subprocess.DEVNULL, process_group=0) as process:  # noqa: S603
        code = _wait(process, came)
    if signal.SIGINT in came:
        return INTERRUPTED
    return code if code >= 0 else 128 - code


@contextmanager
def _handled(came: list[int]) -> Iterator[None]:
    """Note signals instead of being ended by them; what is ignored (`nohup`) stays ignored."""

    def note(number: int, _: FrameType | None) -> None:
        came.append(number)

    numbers = [number for number in PASSED_ON if signal.getsignal(number) is not signal.SIG_IGN]
    before = {number: signal.signal(number, note) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


POLL_SECONDS = 0.2
"""A signal is passed on at most this much later."""


def _wait(process: subprocess.Popen[bytes], came: Sequence[int]) -> int:
    num_passed_on = 0
    while True:
        try:
            return process.wait(POLL_SECONDS)
        except subprocess.TimeoutExpired:
            for number in came[num_passed_on:]:
                process.send_signal(number)
                num_passed_on += 1

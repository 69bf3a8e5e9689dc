import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

from metamath_ray.loop.process import run_command

LOOP = """
import signal, subprocess, sys
from metamath_ray.loop import process
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job ignores it
real = subprocess.Popen
subprocess.Popen = lambda _, **options: real([sys.executable, "-c", sys.argv[1]], **options)
sys.exit(process.run_command(["step"]))
"""
STEP = """
import signal, sys, time
came = []
signal.signal(signal.SIGINT, lambda *_: came.append(1))
print("up", flush=True)
while not came:
    time.sleep(0.05)
time.sleep(0.5)
print("interrupted", len(came), flush=True)
sys.exit(130)
"""


def test_the_code_of_a_command_comes_back(capfd: object) -> None:
    assert run_command(["--version"]) == 0
    assert run_command(["no_such_command"]) == 2


def test_an_interrupt_reaches_the_step_once_and_its_end_is_waited_for() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", LOOP, STEP], stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as loop:
        assert loop.stdout is not None
        assert loop.stdout.readline() == "up\n"
        os.killpg(loop.pid, signal.SIGINT)
        assert loop.stdout.readline() == "interrupted 1\n"
        assert loop.wait() == 130


def test_a_step_that_a_signal_ends_has_the_shells_code(tmp_path: Path) -> None:
    step = textwrap.dedent("""
        import os, signal
        os.kill(os.getpid(), signal.SIGKILL)
    """)
    done = subprocess.run([sys.executable, "-c", LOOP, step], check=False)
    assert done.returncode == 128 + signal.SIGKILL

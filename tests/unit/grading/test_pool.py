"""The algebra workers: bounds, threads, forks, deaths."""

import asyncio
import multiprocessing
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import psutil
import pytest

from metamath_ray.errors import GraderBroken
from metamath_ray.grading import Verdict, check_canaries, compare, pool, worker
from metamath_ray.grading.clock import start_clock
from metamath_ray.grading.equivalence import explain, explain_patiently, forget
from metamath_ray.grading.limits import COMPARE_SECONDS

NEEDS_ALGEBRA = (r"\sqrt{3+2\sqrt{2}}", r"1+\sqrt{2}")


@pytest.fixture(autouse=True)
def _fresh() -> Iterator[None]:
    forget()
    pool.warm_up()
    yield
    pool.shut_down()


def workers() -> list[psutil.Process]:
    return [child for child in psutil.Process().children() if "metamath_ray.grading.algebra" in child.cmdline()]


def test_numbers_need_no_worker() -> None:
    before = pool.num_algebra_calls()
    assert compare(r"\frac{1}{2}", "0.5") is Verdict.EQUAL
    assert pool.num_algebra_calls() == before


def _start_like(monkeypatch: pytest.MonkeyPatch, program: str) -> None:
    """Let the next worker be this program."""
    pool.shut_down()
    monkeypatch.setattr(worker, "COMMAND", (sys.executable, "-c", program))


def test_slow_start_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    _start_like(
        monkeypatch,
        f"import time; time.sleep({COMPARE_SECONDS + 1}); import metamath_ray.grading.algebra as a; a.main()",
    )
    with ThreadPoolExecutor(4) as executor:
        found = list(executor.map(lambda n: explain(rf"\sqrt{{{n}+2\sqrt{{{n - 1}}}}}", "7"), range(50, 54)))
    assert {one.reason for one in found} <= {"", "the machine is too busy", "every algebra worker is busy"}
    assert explain_patiently(*NEEDS_ALGEBRA).is_equal


@pytest.mark.parametrize(
    ("program", "message"),
    [
        ("", "in a row ended before they were ready"),
        ("import time; time.sleep(60)", "not ready after"),
        ("print('{\"ready\": false}')", "fails its known pairs"),
    ],
    ids=["dies", "hangs", "miscalculates"],
)
def test_worker_that_cannot_start_stops_the_run(monkeypatch: pytest.MonkeyPatch, program: str, message: str) -> None:
    _start_like(monkeypatch, program)
    monkeypatch.setattr(worker, "START_SECONDS", 0.5 if "sleep" in program else 60.0)
    with pytest.raises(GraderBroken, match=message):
        compare(*NEEDS_ALGEBRA)
    with pytest.raises(GraderBroken):
        check_canaries()


def test_canaries_leave_a_worker_ready() -> None:
    pool.shut_down()
    check_canaries()
    assert len(workers()) == 1
    assert explain_patiently(*NEEDS_ALGEBRA).is_equal


def test_algebra_from_another_thread() -> None:
    with ThreadPoolExecutor(4) as executor:
        verdicts = list(
            executor.map(
                lambda n: explain_patiently(rf"\sqrt{{{n}+2\sqrt{{{n - 1}}}}}", rf"1+\sqrt{{{n - 1}}}"), range(50, 58)
            )
        )
    assert {found.verdict for found in verdicts} == {Verdict.EQUAL}


async def test_algebra_inside_an_event_loop() -> None:
    assert explain_patiently(*NEEDS_ALGEBRA).is_equal
    assert (await asyncio.to_thread(explain_patiently, r"\sqrt{7+4\sqrt{3}}", r"2+\sqrt{3}")).is_equal


def test_killed_worker_is_replaced() -> None:
    compare(*NEEDS_ALGEBRA)
    for process in workers():
        process.kill()
        process.wait()
    forget()
    assert explain_patiently(*NEEDS_ALGEBRA).is_equal


def test_stopped_worker_costs_no_more_than_the_promise() -> None:
    for process in workers():
        os.kill(process.pid, signal.SIGSTOP)
    begin = time.monotonic()
    assert explain(*NEEDS_ALGEBRA).verdict is Verdict.UNKNOWN
    assert time.monotonic() - begin < COMPARE_SECONDS
    pool.warm_up()
    assert explain_patiently(*NEEDS_ALGEBRA).is_equal


@pytest.mark.parametrize(
    "expression",
    [
        r"\int_0^1 \frac{\sin(x^{100})}{x^{77}+e^x}\,dx",
        r"\int_0^{10^{10}} e^{x^2}\,dx",
        r"\sum_{n=1}^{\infty} \frac{\sin(n^3)}{n^{n}}",
        r"\lim_{x\to\infty} (1+1/x)^{x^{x^x}}",
        r"\sum_{k=1}^{40000}\sum_{j=1}^{40000} jk",
        r"\prod_{k=1}^{30000} k",
    ],
)
def test_hard_analysis_is_bounded(expression: str) -> None:
    begin = time.monotonic()
    explain(expression, "7")
    assert time.monotonic() - begin < COMPARE_SECONDS


def test_over_the_time_limit_is_not_asked() -> None:
    start_clock(-1.0)
    assert pool.ask_latex("1", "2").reason == "over the time limit"


def _compare_in_child() -> bool:
    return explain_patiently(*NEEDS_ALGEBRA).is_equal


@pytest.mark.parametrize("method", ["fork", "spawn"])
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_child_processes_have_their_own_workers(method: str) -> None:
    compare(*NEEDS_ALGEBRA)
    context = multiprocessing.get_context(method)
    with context.Pool(1) as children:
        assert children.apply(_compare_in_child)
    forget()
    assert explain_patiently(*NEEDS_ALGEBRA).is_equal


def test_workers_die_with_their_parent() -> None:
    program = textwrap.dedent("""
        import os, signal
        from metamath_ray.grading import pool
        pool.warm_up()
        print(*(worker.pid for worker in pool._pool._workers), flush=True)
        os.kill(os.getpid(), signal.SIGKILL)
    """)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=120)
    pids = [int(pid) for pid in done.stdout.split()]
    assert pids
    deadline = time.monotonic() + 10
    while any(map(psutil.pid_exists, pids)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(map(psutil.pid_exists, pids))


def test_import_is_light() -> None:
    program = (
        "import sys, metamath_ray.grading; print(*{'ray', 'torch', 'vllm', 'sympy', 'mpmath'} & sys.modules.keys())"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == ""


def test_a_thread_counts_the_questions_that_it_asks_itself() -> None:
    """Else concurrent clusterings would use up one another's budget."""
    before = pool.num_algebra_calls()
    with ThreadPoolExecutor(1) as threads:
        asked = threads.submit(lambda: (compare(*NEEDS_ALGEBRA), pool.num_algebra_calls())).result()
    assert asked == (Verdict.EQUAL, 1)
    assert pool.num_algebra_calls() == before

"""Three separate hosts: a bootstrap and a training over them, and a host whose cable is pulled and plugged in again."""

import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from metamath_ray.storage import summarize
from metamath_ray.training.report import METRICS_FILE
from tests.integration.command import Bootstrap
from tests.integration.heads import Head, end, free_ports, ray_node, started_head
from tests.integration.hosts import Host, connected_hosts, why_not
from tests.integration.scripted_server import started
from tests.integration.test_finetune import finetune_config, losses, stage, wait_for_steps

NOT_HERE = why_not()
pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(900),
    pytest.mark.skipif(bool(NOT_HERE), reason=f"hosts need root and network namespaces: {NOT_HERE}"),
]

NUM_WORKERS = 2
CPUS = 3
RUN_SECONDS = 480
SECONDS_A_COMPLETION = 1.5
SHORT_CUT_SECONDS = 5.0
NUM_STEPS = 6
HEALTH_CHECKS = {
    "RAY_health_check_initial_delay_ms": "2000",
    "RAY_health_check_period_ms": "1000",
    "RAY_health_check_timeout_ms": "2000",
    "RAY_health_check_failure_threshold": "4",
}
"""A host that is cut off is given up after about 10 s, not after a minute."""


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """A head that does no work on the first host, and a Ray node on each of the others."""

    head: Head
    hosts: list[Host]
    nodes: list["subprocess.Popen[bytes]"]


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    with connected_hosts(1 + NUM_WORKERS) as hosts, ExitStack() as running:
        first, *others = hosts
        options = ("--num-cpus=0", "--include-dashboard=false")
        head = running.enter_context(
            started_head(*options, ip=first.address, prefix=first.prefix, variables=HEALTH_CHECKS)
        )
        nodes = [
            running.enter_context(
                ray_node(
                    head,
                    f"--num-cpus={CPUS}",
                    f"--node-ip-address={host.address}",
                    prefix=host.prefix,
                    environment={**head.environment, **HEALTH_CHECKS},
                )
            )
            for host in others
        ]
        yield Cluster(head=head, hosts=hosts, nodes=nodes)


@pytest.fixture
def engine(cluster: Cluster) -> Iterator[dict[str, Any]]:
    """An engine without a model on every host, so that what is cut off does not stop but works on: the worst case.

    vLLM on each of three hosts would take these two cores minutes to start; test_faults kills the real one.
    """
    [port] = free_ports(1)
    with ExitStack() as running:
        for host in cluster.hosts:
            running.callback(end, started(port, SECONDS_A_COMPLETION, host.prefix))
        url = f"http://127.0.0.1:{port}/v1"
        yield {"kind": "openai", "base_url": url, "model": "scripted", "tokenizer": "embedded:teacher"}


@pytest.fixture
def bootstrap(cluster: Cluster, engine: dict[str, Any], tmp_path: Path) -> Iterator[Bootstrap]:
    """One under way, with an item worker on each of two hosts."""
    execution = {"num_workers": NUM_WORKERS, "rows_in_flight": 4, "batch_size": 8, "flush_seconds": 1}
    running = Bootstrap(cluster.head, tmp_path / "run", engine=engine, execution=execution)
    try:
        running.wait_for_more()
        yield running
    finally:
        running.close()


def test_a_host_that_is_cut_off_for_a_moment_costs_nothing(cluster: Cluster, bootstrap: Bootstrap) -> None:
    cluster.hosts[-1].cut_off()
    time.sleep(SHORT_CUT_SECONDS)
    stored = bootstrap.stored()
    cluster.hosts[-1].heal()
    assert len(stored) < len(bootstrap.planned()), "the run was over before the cut"
    bootstrap.finish()
    assert sorted(bootstrap.stored()) == sorted(bootstrap.planned())
    assert all(node.poll() is None for node in cluster.nodes)


def test_a_host_that_is_given_up_and_works_on_costs_no_item(cluster: Cluster, bootstrap: Bootstrap) -> None:
    """What it had in work is done elsewhere, too; Ray ends it as soon as it hears that it was given up."""
    cluster.hosts[-1].cut_off()
    bootstrap.finish()
    cluster.hosts[-1].heal()
    cluster.nodes[-1].wait(timeout=RUN_SECONDS)
    stored = bootstrap.stored()
    print(f"stored twice: {len(stored) - len(set(stored))} of {len(stored)}")
    assert set(stored) == bootstrap.planned()
    assert summarize(bootstrap.run).num_finished == len(bootstrap.planned())


@contextmanager
def training(cluster: Cluster, run_directory: Path, num_steps: int, **trainers: Any) -> Iterator[subprocess.Popen[str]]:  # noqa: ANN401
    """Start one of two workers, of two CPUs each: they do not fit one host, so gradients cross the cable."""
    trainers = {"num_workers": NUM_WORKERS, "cpus_per_worker": 2, "micro_batch_size": 8, **trainers}
    config = run_directory.with_suffix(".yaml")
    settings = finetune_config(run_directory, stages={"generator": stage(num_steps)}, trainers=trainers)
    config.write_text(settings.model_dump_json())
    command, environment = cluster.head.metamath_ray("finetune", "--config", str(config)), cluster.head.environment
    process = subprocess.Popen(
        command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        yield process
        _, said = process.communicate(timeout=RUN_SECONDS)
        assert process.returncode == 0, said
    finally:
        end(process)


def test_a_training_runs_over_two_hosts(cluster: Cluster, tmp_path: Path) -> None:
    with training(cluster, tmp_path / "run", NUM_STEPS):
        pass
    assert len(losses(tmp_path / "run")) == NUM_STEPS
    assert (tmp_path / "run" / "generator" / "model" / "model.safetensors").is_file()
    assert all(node.poll() is None for node in cluster.nodes)


def test_a_training_goes_on_with_the_worker_that_is_left(cluster: Cluster, tmp_path: Path) -> None:
    with training(cluster, tmp_path / "run", 2 * NUM_STEPS, min_workers=1, checkpoint_every_steps=2) as process:
        wait_for_steps(tmp_path / "run" / "generator" / METRICS_FILE, 3)
        cluster.hosts[-1].cut_off()
        assert process.poll() is None, "the run was over before the cut"
    assert len(losses(tmp_path / "run")) == 2 * NUM_STEPS

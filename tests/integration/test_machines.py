"""Asking the nodes of a cluster of several, one of which does not answer."""

import json
import subprocess
import sys

import pytest
from ray import __version__

DRIVER = """
import json, signal
import ray
from ray.cluster_utils import Cluster
from metamath_ray.distributed import machines

machines.VERSIONS_SECONDS = 15
cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
others = [cluster.add_node(num_cpus=1, node_ip_address=f"127.0.0.{number}") for number in (2, 3)]
ray.init(address=cluster.address, log_to_driver=False)
hung = others[0].all_processes["raylet"][0].process
hung.send_signal(signal.SIGSTOP)
try:
    print(json.dumps({address: found["ray"] for address, found in machines.node_versions().items()}))
finally:
    hung.send_signal(signal.SIGCONT)
    ray.shutdown()
    cluster.shutdown()
"""


@pytest.mark.slow
def test_a_node_that_hangs_is_left_out_and_the_others_answer() -> None:
    asked = subprocess.run([sys.executable, "-c", DRIVER], capture_output=True, text=True, timeout=240, check=False)
    assert asked.returncode == 0, asked.stderr
    found = json.loads(asked.stdout.splitlines()[-1])
    assert len(found) == 2
    assert "127.0.0.2" not in found
    assert set(found.values()) == {__version__}

"""Reach a Ray cluster, or be one: the laptop is a cluster of one."""

import logging
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import ray

from metamath_ray.config import RayConfig, TrainersConfig
from metamath_ray.errors import ConfigError, RunFailed

OBJECT_STORE_BYTES = 512 * 2**20
"""For a cluster that is started here: only plan rows and counts pass through it."""

START_ATTEMPTS = 3

_QUIET_ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_worker_niceness": "0",
    "RAY_DATA_DISABLE_PROGRESS_BARS": "1",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_TQDM": "0",
    "VLLM_LOGGING_LEVEL": "WARNING",
    "VLLM_NO_USAGE_STATS": "1",
    "TOKENIZERS_PARALLELISM": "false",
}


@contextmanager
def connected(
    config: RayConfig, *, num_cpus: int, num_gpus: int = 0, gpu_advice: str = "", logs: Path | None
) -> Iterator[None]:
    """Connect to the cluster for the length of a run; a cluster that was started here ends with it.

    Args:
        num_cpus: Logical CPUs that the run needs; a cluster that is started here gets them.
        num_gpus: GPUs that the run needs; a cluster that is started here has those of this machine and no more.
        gpu_advice: What to do where they are too few.
        logs: Folder that gets Ray's and vLLM's logs of such a cluster when the run ends, however it ends.

    Raises:
        ConfigError: There is no cluster at the address, or this machine is too small.
        RunFailed: Ray did not start here; or the run's own, with the place of such logs.
    """
    if ray.is_initialized():
        yield
        return
    address = config.address or os.environ.get("RAY_ADDRESS")
    if address:
        _attach(address, config)
    else:
        if config.num_cpus and config.num_cpus < num_cpus:
            raise ConfigError(f"ray.num_cpus: the run needs {num_cpus} logical CPUs, and {config.num_cpus} are given")
        _start(config, num_cpus=config.num_cpus or num_cpus)
    session = None if address else session_logs()
    try:
        if not address:
            _require_gpus(num_gpus, gpu_advice)
        yield
    except RunFailed as error:
        if not (session and logs):
            raise
        raise RunFailed(f"{error}; logs: {logs}") from error
    finally:
        _silence_shutdown()
        ray.shutdown()
        if session and logs:
            _keep_logs(session, logs)


def session_logs() -> Path | None:
    """Return the folder of Ray's own logs, where the head runs on this machine."""
    temporary = os.environ.get("RAY_TMPDIR", tempfile.gettempdir())
    logs = Path(temporary, "ray", ray.get_runtime_context().get_session_name(), "logs")
    return logs if logs.is_dir() else None


def runtime_environment(trainers: TrainersConfig) -> dict[str, Any]:
    """Return the environment of processes that train or measure: on CPU, they shall not take a GPU that is there."""
    hidden = {"DS_ACCELERATOR": "cpu", "CUDA_VISIBLE_DEVICES": ""}
    return {} if trainers.accelerator_type else {"env_vars": hidden}


def _require_gpus(num_gpus: int, advice: str) -> None:
    found = int(ray.cluster_resources().get("GPU", 0))
    if found < num_gpus:
        raise ConfigError(f"the run needs {num_gpus} GPUs and this machine has {found}; {advice}")


def _logging(config: RayConfig) -> dict[str, Any]:
    """Return what `ray.init` shall do about logs: JSON in all processes of the job, or no more than Ray's errors."""
    if config.log_format == "json":
        return {"logging_config": ray.LoggingConfig(encoding="JSON", log_level=config.log_level)}
    return {"logging_level": logging.ERROR}


def _attach(address: str, config: RayConfig) -> None:
    try:
        ray.init(address=address, log_to_driver=False, **_logging(config))
    except (ConnectionError, RuntimeError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise ConfigError(
            f"no Ray cluster at {address!r} ({reason}); start one with `ray start --head`, "
            "or unset RAY_ADDRESS to run on this machine"
        ) from error


def _start(config: RayConfig, *, num_cpus: int) -> None:
    for name, value in _QUIET_ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    for attempt in range(1, START_ATTEMPTS + 1):
        try:
            ray.init(
                address="local",
                num_cpus=num_cpus,
                include_dashboard=False,
                log_to_driver=False,
                object_store_memory=OBJECT_STORE_BYTES,
                **_logging(config),
            )
        except Exception as error:  # bare, when this machine is too busy for Ray's own deadline of 30 s
            ray.shutdown()
            if attempt == START_ATTEMPTS:
                reason = str(error).splitlines()[0]
                raise RunFailed(f"Ray did not start on this machine in {attempt} attempts: {reason}") from error
        else:
            return


def _silence_shutdown() -> None:
    logging.getLogger("ray").setLevel(logging.CRITICAL)


def _keep_logs(session: Path, destination: Path) -> None:
    """Copy the logs; a log that vanishes or a full disk must not hide how the run ended."""
    with suppress(OSError, shutil.Error):
        shutil.copytree(session, destination / "ray", dirs_exist_ok=True, ignore=shutil.ignore_patterns("*.lock"))

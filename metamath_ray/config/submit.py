"""Submitting a job to a cluster: which job, which cluster, and what the job gets of this machine."""

from collections.abc import Sequence
from itertools import islice
from typing import Literal

from pydantic import field_validator
from pydantic_settings import CliPositionalArg

from metamath_ray.config.base import FrozenConfig

PASSED_VARIABLES = (
    "AWS_DEFAULT_REGION",
    "AWS_ENDPOINT_URL",
    "AWS_REGION",
    "HF_DATASETS_OFFLINE",
    "HF_ENDPOINT",
    "HF_HUB_OFFLINE",
    "VLLM_LOGGING_LEVEL",
)
"""What a job may get of this machine's environment: Ray shows a job's variables to everybody who sees its dashboard."""


class SubmitCommand(FrozenConfig):
    """Send a job to a Ray cluster, show what it prints, end as it ends; all other options are the job's own.

    Its `--config` has to be a file of the working directory, of which the job gets a copy.
    """

    job: CliPositionalArg[Literal["bootstrap", "sample", "finetune", "evaluate", "loop"]]
    """Which of jobs/*.py to run."""
    address: str | None = None
    """Address of the cluster's dashboard; RAY_API_SERVER_ADDRESS, RAY_ADDRESS, or http://127.0.0.1:8265 by default."""
    working_directory: str = "."
    """The checkout that the job runs; what Git ignores stays here."""
    pass_environment: tuple[str, ...] = ()
    """Variables of this environment that the job gets, too; secrets such as HF_TOKEN belong to the cluster's own."""
    wait: bool = True
    """Follow the job until it ends; else print its id and leave it."""

    @field_validator("pass_environment")
    @classmethod
    def _no_secrets(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        for name in names:
            if name not in PASSED_VARIABLES:
                raise ValueError(
                    f"{name} is not passed on, for a job's variables can be read in the dashboard; set it on the "
                    f"cluster's nodes (docs/cluster.md). Passed on: {', '.join(PASSED_VARIABLES)}"
                )
        return names


class SubmitConfig(SubmitCommand):
    """A submission whole: the command and what the job is given."""

    options: tuple[str, ...] = ()
    """Options of the job, as they stand on the command line."""


def split_arguments(arguments: Sequence[str]) -> tuple[list[str], tuple[str, ...]]:
    """Tell the arguments of `submit`, the job's name first, from those of the job: all others, or all after a "--"."""
    own, options = list(arguments[:1]), list[str]()
    rest = iter(arguments[1:])
    for argument in rest:
        name = argument.split("=", 1)[0]
        if argument == "--":
            options.extend(rest)
        elif name in _FLAGS or name in _VALUED:
            own.append(argument)
            own.extend(islice(rest, 1) if argument in _VALUED else ())
        else:
            options.append(argument)
    return own, tuple(options)


_NAMES = {name: f"--{name.replace('_', '-')}" for name in SubmitCommand.model_fields if name != "job"}
_FLAGS = frozenset({"-h", "--help", _NAMES["wait"], "--no-wait"})
_VALUED = frozenset(_NAMES.values()) - _FLAGS

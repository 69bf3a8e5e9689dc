"""What all configurations share: immutable models, the cluster, where problems come from, and reading YAML.

A field's docstring is its `--help` text. Values come from a YAML file (`--config`); the command line overrides them.
"""

from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource

from metamath_ray.errors import ConfigError


class FrozenConfig(BaseModel):
    """Base of all configurations: immutable, unknown fields refused, field docstrings kept."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, protected_namespaces=())


class GivenSettings(BaseSettings):
    """Base of what turns the options that are given, and nothing else, into a configuration."""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Take nothing of the environment: its SEED is no option of ours."""
        return (init_settings,)


class SourceConfig(FrozenConfig):
    """Where problems come from."""

    format: Literal["auto", "gsm8k", "gsm8k_backward", "math", "jsonl", "parquet", "huggingface", "word_problems"] = (
        "auto"
    )
    """Layout of the records; "auto" looks at the first one."""
    path: str | None = None
    """File, folder or Hugging Face data set name; not used by word_problems."""
    subset: str | None = None
    """Configuration of a Hugging Face data set ("main")."""
    split: Literal["train", "validation", "test"] | None = None
    """Split that the problems belong to, by default what the records or the file's name say; only rows out of "train"
    are exported."""
    fields: dict[str, str] = Field(default_factory=dict)
    """Our field → column where the format's own names do not fit, e.g. {"question": "problem", "answer": "gold"}."""
    name: str | None = None
    """Name of the source, which gives the tag of exported rows; by default that of the format."""
    limit: int | None = Field(default=None, ge=1)
    """Read this many problems and no more."""
    seed: int = 0
    """Seed of the synthetic word problems."""
    skip_invalid: bool = False
    """Count and list malformed records instead of stopping at the first."""


class RayConfig(FrozenConfig):
    """Which Ray cluster does the work, and how its processes log."""

    address: str | None = None
    """Address of a running cluster; None uses RAY_ADDRESS where it is set, and else starts Ray on this machine."""
    num_cpus: int | None = Field(default=None, ge=1)
    """Logical CPUs of a cluster that is started here; enough for the engine and the workers by default."""
    log_format: Literal["text", "json"] = "text"
    """"json": driver, workers and services write one JSON object a line; see docs/cluster.md."""
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    """Least level of the JSON lines."""


def read_yaml(path: Path) -> dict[str, Any]:
    """Read a configuration file.

    Raises:
        ConfigError: It is missing, not YAML, or not a mapping.
    """
    try:
        loaded = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: cannot read the configuration ({error.strerror or error})") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not valid YAML: {str(error).splitlines()[0]}") from error
    if not isinstance(loaded, dict):
        raise ConfigError(f"{path}: expected a mapping of settings, got {type(loaded).__name__}")
    return loaded


def describe_validation_error(error: ValidationError) -> str:
    """Put what pydantic found on one line: `field: what is wrong`, joined by semicolons."""
    return "; ".join(f"{'.'.join(map(str, item['loc'])) or 'configuration'}: {item['msg']}" for item in error.errors())

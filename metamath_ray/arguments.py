"""A job's configuration out of `--config FILE` and command-line options, which win; one line for what is wrong."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_settings import BaseSettings, CliApp, SettingsConfigDict, SettingsError

from metamath_ray.config import describe_validation_error, read_yaml
from metamath_ray.errors import ConfigError

Config = TypeVar("Config", bound=BaseModel)


def parse_arguments(config_class: type[Config], arguments: Sequence[str], *, program: str) -> Config:
    """Build a configuration; `--help` prints every field with its docstring and leaves.

    Raises:
        ConfigError: The file or an option is wrong, or a value is.
    """
    settings_class = _settings_class(config_class, program)
    try:
        found = CliApp.run(settings_class, cli_args=list(arguments), **_from_file(arguments))
        return config_class.model_validate(found.model_dump(exclude_unset=True, exclude={"config"}))
    except ValidationError as error:
        raise ConfigError(f"{describe_validation_error(error)} (see `{program} --help`)") from error
    except SettingsError as error:
        said = str(error.__cause__ or error).removeprefix("error parsing CLI: ")
        raise ConfigError(f"{said} (see `{program} --help`)") from error


def _settings_class(config_class: type[Config], program: str) -> type[BaseSettings]:
    class Settings(BaseSettings, config_class):  # type: ignore[misc,valid-type]
        model_config = SettingsConfigDict(
            cli_prog_name=program,
            cli_kebab_case=True,
            cli_exit_on_error=False,
            cli_hide_none_type=True,
            cli_implicit_flags=True,
            cli_avoid_json=True,
            nested_model_default_partial_update=True,
            frozen=True,
            extra="forbid",
            use_attribute_docstrings=True,
            protected_namespaces=(),
        )
        config: str | None = None
        """YAML file with settings; options on the command line win over it."""

    Settings.__doc__ = config_class.__doc__
    return Settings


def _from_file(arguments: Sequence[str]) -> dict[str, Any]:
    for position, argument in enumerate(arguments):
        if argument.startswith("--config="):
            return read_yaml(Path(argument.removeprefix("--config=")))
        if argument == "--config" and position + 1 < len(arguments):
            return read_yaml(Path(arguments[position + 1]))
    return {}

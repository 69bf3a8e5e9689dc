"""A job's configuration out of `--config FILE` and command-line options, which win; one line for what is wrong."""

import textwrap
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_settings import (
    BaseSettings,
    CliApp,
    CliSettingsSource,
    SettingsConfigDict,
    SettingsError,
)

from metamath_ray.config import describe_validation_error, read_yaml
from metamath_ray.config.base import GivenSettings
from metamath_ray.errors import ConfigError

Config = TypeVar("Config", bound=BaseModel)


def parse_arguments(config_class: type[Config], arguments: Sequence[str], *, program: str) -> Config:
    """Build a configuration; `--help` prints every field with its docstring and leaves.

    Raises:
        ConfigError: The file or an option is wrong, or a value is.
    """
    settings_class = _settings_class(config_class, program)
    try:
        source: CliSettingsSource[Any] = CliSettingsSource(settings_class)
        source.root_parser.epilog = "\n".join(_named_parts(config_class))
        settings = _from_file(arguments)
        found = CliApp.run(settings_class, cli_args=list(arguments), cli_settings_source=source, **settings)
        return config_class.model_validate(found.model_dump(exclude_unset=True, exclude={"config"}))
    except ValidationError as error:
        raise ConfigError(f"{describe_validation_error(error)} (see `{program} --help`)") from error
    except SettingsError as error:
        said = str(error.__cause__ or error).removeprefix("error parsing CLI: ")
        raise ConfigError(f"{said} (see `{program} --help`)") from error


def _settings_class(config_class: type[Config], program: str) -> type[BaseSettings]:
    class Settings(GivenSettings, config_class):  # type: ignore[misc,valid-type]
        model_config = SettingsConfigDict(
            cli_prog_name=program,
            cli_kebab_case=True,
            cli_exit_on_error=False,
            cli_hide_none_type=True,
            cli_implicit_flags=True,
            cli_avoid_json=True,
            cli_parse_none_str="null",
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


def _named_parts(config_class: type[BaseModel]) -> Iterator[str]:
    """Explain what has no options of its own: the fields of parts that are given by name (`stages`)."""
    for name, field in config_class.model_fields.items():
        if get_origin(field.annotation) is dict:
            yield f"each of {name}, in the YAML file under a name of your own:"
            for part in _models(field.annotation):
                yield from _field_lines(part)


def _field_lines(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    for name, field in model.model_fields.items():
        yield f"  {prefix}{name}"
        said = f"{field.description}{_default(field)}"
        yield from textwrap.wrap(said, width=100, initial_indent=" " * 8, subsequent_indent=" " * 8)
        for part in _models(field.annotation):
            yield from _field_lines(part, f"{prefix}{name}.")


def _default(field: FieldInfo) -> str:
    is_plain = not (field.is_required() or field.default_factory or isinstance(field.default, BaseModel))
    return f" (default: {field.default})" if is_plain and field.default is not None else ""


def _models(annotation: Any) -> list[type[BaseModel]]:  # noqa: ANN401  (a type, or a form of typing)
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for argument in get_args(annotation) for model in _models(argument)]

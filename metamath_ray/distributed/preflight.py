"""Look at everything a run needs before anything is started or written."""

import os
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from metamath_ray.capacity import ModelShape, check_complete, check_serving, hub_shape, load_gpus, read_shape
from metamath_ray.config import BootstrapConfig, OpenAIEngineConfig, SamplingConfig, ServeEngineConfig
from metamath_ray.datasets.files import source_hash
from metamath_ray.distributed.observer import Observer, Silent
from metamath_ray.errors import ConfigError
from metamath_ray.inference.models import check_kind, check_prompt_set, model_hash, resolve_model
from metamath_ray.prompts import PromptSet, Renderer, load_prompt_set, load_tokenizer
from metamath_ray.storage import RunDirectory
from metamath_ray.storage.filesystems import explained, open_location
from metamath_ray.types import SamplingParameters


@dataclass(frozen=True, kw_only=True)
class Checked:
    """A configuration whose parts were found.

    Attributes:
        model_path: Folder or Hugging Face name of the model; the model's name for a hosted one.
        content: What decides the outcomes, hashes included; goes to the manifest.
    """

    config: BootstrapConfig
    prompt_set: PromptSet
    model_path: str
    content: dict[str, Any]

    @property
    def model_identity(self) -> str:
        """The model as it enters item ids: name and hash."""
        return f"{self.config.engine.model}@{self.content['model_hash']}"


def check(config: BootstrapConfig, *, observer: Observer | None = None) -> Checked:
    """Resolve model, tokenizer and prompt set, and see that the model fits its GPUs.

    Args:
        config: What is to run.
        observer: Told what could not be checked.

    Raises:
        UserError: One of them is missing, or they do not fit each other.
    """
    prompt_set = load_prompt_set(config.prompt_set)
    engine = config.engine
    if isinstance(engine, OpenAIEngineConfig):
        api_key(engine)
        model_path = engine.model
    else:
        model_path = resolve_model(engine.model)
        check_kind(model_path, "generator")
        check_prompt_set(model_path, name=prompt_set.name, prompt_set_hash=prompt_set.hash)
        check_fits(engine, model_path=model_path, observer=observer or Silent())
    renderer(config, model_path=model_path)
    content = {
        **config.content(),
        "source_hash": source_hash(config.source.path),
        "prompt_set_hash": prompt_set.hash,
        "model_hash": model_hash(model_path),
    }
    return Checked(config=config, prompt_set=prompt_set, model_path=model_path, content=content)


def check_fits(engine: ServeEngineConfig, *, model_path: str, observer: Observer, name: str = "engine") -> None:
    """See that the model is whole and that vLLM can hold it; one that runs already (`attach`) holds it.

    Args:
        engine: How vLLM runs.
        model_path: Folder or Hugging Face name.
        observer: Told what could not be checked.
        name: What the settings are called in the configuration.

    Raises:
        UserError: A file is missing, or the model does not fit; says what to change.
    """
    shape = None if engine.attach else shape_of(model_path)
    check_room(engine, shape, observer=observer, name=name)


def check_room(engine: ServeEngineConfig, shape: ModelShape | None, *, observer: Observer, name: str) -> None:
    """See that vLLM can hold a model of these dimensions, None where they are not known; arguments as `check_fits`.

    Raises:
        ConfigError: It does not fit; says what to change.
    """
    if not engine.attach and (said := check_serving(engine, shape, load_gpus(engine.gpu_table), name=name)):
        observer.notice(said)


def shape_of(model_path: str) -> ModelShape | None:
    """Return a model's dimensions, its folder looked through; None where a hub's model is not to be had now.

    Raises:
        ModelError: A file is missing or damaged.
    """
    folder = Path(model_path)
    if not folder.is_dir():
        return hub_shape(model_path)
    check_complete(folder)
    return read_shape(folder)


def require_writable(run: RunDirectory) -> None:
    """See that a bucket takes objects and gives them up, before anything costly; a folder's lock has shown it.

    Raises:
        RunDirectoryError: It does not.
    """
    if run.local_path is not None:
        return
    name = f".probe-{uuid.uuid4().hex}"
    run.write_bytes(b"", name)
    filesystem, base = open_location(run.root)
    with explained(run.path(name), "delete"):
        filesystem.delete_file(f"{base}/{name}")


def api_key(engine: OpenAIEngineConfig) -> str:
    """Return the key out of the environment.

    Raises:
        ConfigError: The variable is not set.
    """
    key = os.environ.get(engine.api_key_env)
    if not key:
        raise ConfigError(
            f"the environment variable {engine.api_key_env} is not set; it holds the key of {engine.base_url}"
        )
    return key


def renderer(config: BootstrapConfig, *, model_path: str) -> Renderer:
    """Build the renderer of a run: token ids where the tokenizer is known, chat messages where it is not."""
    engine = config.engine
    tokenizer_path = engine.tokenizer if isinstance(engine, OpenAIEngineConfig) else model_path
    tokenizer = load_tokenizer(resolve_model(tokenizer_path)) if tokenizer_path else None
    return Renderer(load_prompt_set(config.prompt_set), tokenizer)


def sampling_parameters(config: SamplingConfig) -> SamplingParameters:
    """Turn a sampling configuration into what engines take."""
    return SamplingParameters(temperature=config.temperature, top_p=config.top_p, max_tokens=config.max_tokens)

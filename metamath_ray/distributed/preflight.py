"""Look at everything a run needs before anything is started or written."""

import os
from dataclasses import dataclass
from typing import Any

from metamath_ray.config import BootstrapConfig, OpenAIEngineConfig, SamplingConfig
from metamath_ray.datasets.files import source_hash
from metamath_ray.errors import ConfigError
from metamath_ray.inference.models import check_kind, check_prompt_set, model_hash, resolve_model
from metamath_ray.prompts import PromptSet, Renderer, load_prompt_set, load_tokenizer
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


def check(config: BootstrapConfig) -> Checked:
    """Resolve model, tokenizer and prompt set.

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
    renderer(config, model_path=model_path)
    content = {
        **config.content(),
        "source_hash": source_hash(config.source.path),
        "prompt_set_hash": prompt_set.hash,
        "model_hash": model_hash(model_path),
    }
    return Checked(config=config, prompt_set=prompt_set, model_path=model_path, content=content)


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

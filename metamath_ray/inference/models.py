"""From the name of a model to its files, and to a hash of what it is."""

import hashlib
import json
from pathlib import Path
from typing import Any, Literal, get_args

from metamath_ray.embedded import EmbeddedName, checkpoint_path
from metamath_ray.errors import ModelError
from metamath_ray.prompts import VerifierPrompt, load_verifier_prompt
from metamath_ray.types import content_id

EMBEDDED: dict[str, EmbeddedName] = {f"embedded:{name}": name for name in get_args(EmbeddedName)}
METADATA_FILE = "metamath_ray.json"
PAPERS_VERIFIER_PROMPT = "paper"
HASHED_WHOLE_BYTES = 64 * 2**20
"""Weights up to this size are hashed whole; larger ones by name, size and their first bytes."""


def resolve_model(model: str) -> str:
    """Return the folder of a model, or its Hugging Face name.

    Raises:
        ModelError: It is named like a folder, and there is none, or no model in it.
    """
    if model in EMBEDDED:
        return str(checkpoint_path(EMBEDDED[model]))
    if model.startswith("embedded:"):
        raise ModelError(f"no embedded model {model!r}; there are {', '.join(EMBEDDED)}")
    folder = Path(model).expanduser()
    if folder.is_dir():
        if not (folder / "config.json").is_file():
            raise ModelError(f"{model}: no config.json in this folder, so it is not a Hugging Face model")
        return str(folder.absolute())
    if model.startswith((".", "/", "~")) or model.count("/") != 1:
        raise ModelError(
            f"no model folder {model!r}; give a folder, a Hugging Face name (owner/name) or embedded:teacher"
        )
    return model


def read_metadata(path: str) -> dict[str, Any]:
    """Return what our own checkpoints say of themselves; {} for others.

    Raises:
        ModelError: The file is damaged.
    """
    file = Path(path) / METADATA_FILE
    if not file.is_file():
        return {}
    try:
        loaded: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ModelError(f"{file}: damaged ({error})") from error
    return loaded


def model_hash(path: str) -> str:
    """Return an id of a model's weights, configuration and tokenizer; of the name alone where it is not local."""
    folder = Path(path)
    if not folder.is_dir():
        return content_id((path,))
    files = sorted(file for pattern in ("*.json", "*.safetensors") for file in folder.glob(pattern))
    return content_id(part for file in files for part in (file.name, file.stat().st_size, _digest(file)))


def _digest(file: Path) -> str:
    with file.open("rb") as source:
        return hashlib.sha256(source.read(HASHED_WHOLE_BYTES)).hexdigest()


def context_length(path: str) -> int | None:
    """Return how many tokens a local model can hold; None where its files are not here or do not say."""
    file = Path(path) / "config.json"
    if not file.is_file():
        return None
    positions = json.loads(file.read_text(encoding="utf-8")).get("max_position_embeddings")
    return positions if isinstance(positions, int) else None


def check_kind(path: str, wanted: Literal["generator", "verifier"]) -> None:
    """Refuse to let a verifier write solutions, or a generator judge them.

    Raises:
        ModelError: The checkpoint says that it was trained for the other task alone.
    """
    kind = read_metadata(path).get("kind")
    if kind not in (None, "both", wanted):
        raise ModelError(f"{path} was trained as a {kind}, and is asked to be a {wanted}; give another model")


def verifier_prompt_for(path: str, named: str | None) -> VerifierPrompt:
    """Return the prompt to ask a verifier with: the named one, or else its own, or else the paper's.

    Raises:
        ModelError: The checkpoint was trained with another verifier prompt than the named one.
        PromptError: There is no such prompt, or it is malformed.
    """
    known = read_metadata(path)
    if named is None and (own := known.get("verifier_prompt")):
        return VerifierPrompt.model_validate(own)
    prompt = load_verifier_prompt(named or PAPERS_VERIFIER_PROMPT)
    trained_on = known.get("verifier_prompt_hash")
    if trained_on not in (None, prompt.hash):
        raise ModelError(
            f"{path} was trained with another verifier prompt ({trained_on}) than {named!r} ({prompt.hash}); leave "
            "verifier_prompt out to use its own"
        )
    return prompt


def check_prompt_set(path: str, *, name: str, prompt_set_hash: str) -> None:
    """Refuse to ask a model in other words than it was taught.

    Raises:
        ModelError: The checkpoint was trained on another version of the prompt set, or on another set.
    """
    trained_on = read_metadata(path).get("prompt_set_hash")
    if trained_on and trained_on != prompt_set_hash:
        known = read_metadata(path).get("prompt_set", "another")
        raise ModelError(
            f"{path} was trained on prompt set {known!r} ({trained_on}), and this run uses {name!r} "
            f"({prompt_set_hash}); set prompt_set to the one it knows"
        )

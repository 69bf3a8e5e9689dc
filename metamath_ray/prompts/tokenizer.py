"""What the renderer needs of a tokenizer, and how one is loaded."""

import json
from pathlib import Path
from typing import Any, Protocol, cast

from metamath_ray.errors import ModelError


class Tokenizer(Protocol):
    """The part of a transformers tokenizer that rendering uses."""

    @property
    def bos_token_id(self) -> int | None:
        """Id of the token that begins a text; None when the model has none."""

    @property
    def eos_token_id(self) -> int | None:
        """Id of the token that ends a response."""

    @property
    def all_special_tokens(self) -> list[str]:
        """Control tokens, as the text that would be read as them."""

    def encode(self, text: str, *, add_special_tokens: bool) -> list[int]:
        """Return the token ids of a text."""

    def decode(self, token_ids: list[int]) -> str:
        """Return the text of token ids, control tokens included."""

    def apply_chat_template(
        self, conversation: list[dict[str, str]], *, tokenize: bool, add_generation_prompt: bool
    ) -> object:
        """Return the conversation as the text that the model was trained on."""


def load_tokenizer(folder_or_name: str) -> Tokenizer:
    """Load the tokenizer of a model folder or of a Hugging Face model name.

    Raises:
        ModelError: There is none, or it cannot be read.
    """
    if _is_path(folder_or_name) and not Path(folder_or_name).is_dir():
        raise ModelError(f"no model folder {folder_or_name!r}: check the path")

    try:
        return cast(Tokenizer, _tokenizer_class(folder_or_name).from_pretrained(folder_or_name))
    except (OSError, ValueError, KeyError) as error:
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise ModelError(f"no tokenizer in {folder_or_name!r}: {reason}") from None


def _tokenizer_class(folder_or_name: str) -> Any:  # noqa: ANN401  (transformers has no types)
    """Return the class that reads the tokenizer; AutoTokenizer imports PyTorch, three times as slow as the other."""
    if _is_generic(Path(folder_or_name, "tokenizer_config.json")):
        from transformers import PreTrainedTokenizerFast  # noqa: PLC0415  (seconds to import)

        return PreTrainedTokenizerFast
    from transformers import AutoTokenizer  # noqa: PLC0415

    return AutoTokenizer


def _is_generic(config: Path) -> bool:
    """Whether a tokenizer is all in its tokenizer.json, without a class of the model's own."""
    if not config.is_file():
        return False
    try:
        return json.loads(config.read_text(encoding="utf-8")).get("tokenizer_class") in _GENERIC_CLASSES
    except (ValueError, AttributeError):
        return False


_GENERIC_CLASSES = ("PreTrainedTokenizerFast", "TokenizersBackend")


def _is_path(folder_or_name: str) -> bool:
    return folder_or_name.startswith(("/", ".", "~")) or folder_or_name.count("/") > 1

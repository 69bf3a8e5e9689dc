"""What the renderer needs of a tokenizer, and how one is loaded."""

from pathlib import Path
from typing import Protocol, cast

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

    from transformers import AutoTokenizer  # noqa: PLC0415  (seconds to import; only this function needs it)

    try:
        return cast(Tokenizer, AutoTokenizer.from_pretrained(folder_or_name))
    except (OSError, ValueError, KeyError) as error:
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise ModelError(f"no tokenizer in {folder_or_name!r}: {reason}") from None


def _is_path(folder_or_name: str) -> bool:
    return folder_or_name.startswith(("/", ".", "~")) or folder_or_name.count("/") > 1

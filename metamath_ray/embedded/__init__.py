"""The small models that ship with the project: ``teacher`` bootstraps, ``base`` is fine-tuned, ``verifier`` judges.

Plain Hugging Face folders (LlamaForCausalLM); each has its card, README.md, which says how it was made.
"""

from pathlib import Path
from typing import Literal

EmbeddedName = Literal["teacher", "base", "verifier"]


def checkpoint_path(name: EmbeddedName) -> Path:
    """The folder of an embedded checkpoint."""
    return Path(__file__).parent / name

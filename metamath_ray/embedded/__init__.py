"""The two small models that ship with the project: ``teacher`` bootstraps, ``base`` is fine-tuned.

Plain Hugging Face folders (LlamaForCausalLM), trained by ``jobs/pretrain_embedded.py``; each has its card, README.md.
"""

from pathlib import Path
from typing import Literal

EmbeddedName = Literal["teacher", "base"]


def checkpoint_path(name: EmbeddedName) -> Path:
    """The folder of an embedded checkpoint."""
    return Path(__file__).parent / name

from collections.abc import Iterator

import pytest
import torch
from transformers import AutoTokenizer, PreTrainedTokenizerBase

from metamath_ray.embedded import checkpoint_path


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    """Tiny matrices: threads would only wait for each other."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def embedded_tokenizer() -> PreTrainedTokenizerBase:
    return AutoTokenizer.from_pretrained(checkpoint_path("base"), padding_side="left")

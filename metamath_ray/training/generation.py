"""Generating with Transformers: for measuring a model where it was trained, without starting a server."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from metamath_ray.prompts import Renderer, Task
from metamath_ray.types import Completion, FinishReason


class Generator:
    """Generates in batches of prompts sorted by length; the tokenizer pads on the left."""

    def __init__(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        renderer: Renderer,
        *,
        max_new_tokens: int = 192,
        batch_size: int = 128,
    ) -> None:
        self._model, self._tokenizer, self._renderer = model, tokenizer, renderer
        self._max_new_tokens, self._batch_size = max_new_tokens, batch_size
        self._ends = _end_tokens(model, tokenizer)

    def __call__(
        self, task: Task, asked: Sequence[Mapping[str, str]], *, source: str, temperature: float = 0.0
    ) -> list[Completion]:
        """Complete each set of prompt fields once; greedy at temperature 0.

        A text goes to the end token or to the task's stop string, without white space around it, and is truncated where
        neither came. Its seed is 0: what is not greedy is drawn from torch's own generator.
        """
        self._model.eval()
        prompts = [self._renderer.render(task, fields, source=source).token_ids or () for fields in asked]
        order = sorted(range(len(prompts)), key=lambda index: len(prompts[index]))
        stop = self._renderer.prompt_set.stop(task)
        found: dict[int, Completion] = {}
        for start in range(0, len(order), self._batch_size):
            part = order[start : start + self._batch_size]
            texts = self._batch([prompts[index] for index in part], temperature)
            for index, ids in zip(part, texts, strict=True):
                found[index] = self._completion(len(prompts[index]), ids, stop)
        return [found[index] for index in range(len(prompts))]

    @torch.inference_mode()
    def _batch(self, prompts: Sequence[tuple[int, ...]], temperature: float) -> list[list[int]]:
        length, pad = max(map(len, prompts)), self._tokenizer.pad_token_id or 0
        padding = [[pad] * (length - len(prompt)) for prompt in prompts]
        ids = torch.tensor([[*before, *prompt] for before, prompt in zip(padding, prompts, strict=True)])
        mask = torch.tensor([[0] * (length - len(prompt)) + [1] * len(prompt) for prompt in prompts])
        sampling: dict[str, Any] = {"temperature": temperature, "top_k": 0} if temperature else {}
        outputs = self._model.generate(
            input_ids=ids.to(self._model.device),
            attention_mask=mask.to(self._model.device),
            max_new_tokens=self._max_new_tokens,
            do_sample=temperature > 0,
            pad_token_id=pad,
            eos_token_id=self._ends or None,
            **sampling,
        )
        found: list[list[int]] = outputs[:, length:].tolist()
        return found

    def _completion(self, num_prompt_tokens: int, ids: list[int], stop: Sequence[str]) -> Completion:
        """Cut at the first end token, behind which there is padding, and at the first stop string."""
        end = next((index for index, token in enumerate(ids) if token in self._ends), None)
        text = self._tokenizer.decode(ids[:end], skip_special_tokens=True)
        cut = min((place for place in map(text.find, stop) if place >= 0), default=None)
        return Completion(
            text=text[:cut].strip(),
            finish_reason=FinishReason.LENGTH if end is None and cut is None else FinishReason.STOP,
            num_prompt_tokens=num_prompt_tokens,
            num_completion_tokens=len(ids) if end is None else end + 1,
            seed=0,
            model=self._model.name_or_path,
        )


def _end_tokens(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> list[int]:
    """Return what ends a text: the tokenizer's eos, and those that the model's folder names for generation."""
    named = model.generation_config.eos_token_id
    ends = {tokenizer.eos_token_id, *(named if isinstance(named, list) else [named])}
    return sorted(ends - {None})

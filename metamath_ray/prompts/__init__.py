"""Prompt sets as data files, and the one renderer that turns a prompt into token ids."""

from metamath_ray.prompts.prompt_set import Demonstration, PromptFormat, PromptSet, Task, TaskPrompt, load_prompt_set
from metamath_ray.prompts.rendering import Renderer
from metamath_ray.prompts.tokenizer import Tokenizer, load_tokenizer
from metamath_ray.prompts.verification import VerifierPrompt, VerifierRenderer, load_verifier_prompt

__all__ = [
    "Demonstration",
    "PromptFormat",
    "PromptSet",
    "Renderer",
    "Task",
    "TaskPrompt",
    "Tokenizer",
    "VerifierPrompt",
    "VerifierRenderer",
    "load_prompt_set",
    "load_tokenizer",
    "load_verifier_prompt",
]

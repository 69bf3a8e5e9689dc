"""How a verifier is asked whether a solution is correct: its prompts are YAML files too, rendered as all others are."""

import json
import re
from pathlib import Path
from typing import Annotated

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from metamath_ray.errors import PromptError
from metamath_ray.prompts.rendering import encode_prompt, without_control_tokens
from metamath_ray.prompts.tokenizer import Tokenizer
from metamath_ray.types import content_id

VERIFIERS_PATH = Path(__file__).parent / "verifiers"
_FIELD = re.compile(r"\{(question|solution)\}")
_Label = Annotated[str, Field(min_length=1)]


class VerifierPrompt(BaseModel):
    """A question, a solution and the two words between which a verifier decides (arXiv 2310.10047, T(P, X)).

    Attributes:
        template: The prompt, with `{question}` and `{solution}` in it; the verdict is what follows it.
        labels: What is said of a correct and of an incorrect solution, each with the space before it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    template: str
    labels: tuple[_Label, _Label]

    @field_validator("template")
    @classmethod
    def _asks_about_both(cls, template: str) -> str:
        missing = {"question", "solution"} - set(_FIELD.findall(template))
        if missing:
            raise ValueError(f"has no {{{min(missing)}}}")
        return template

    @property
    def hash(self) -> str:
        """Hash of everything that a verifier is asked with and answers."""
        return content_id((json.dumps(self.model_dump(mode="json"), sort_keys=True, ensure_ascii=False),))


class VerifierRenderer:
    """Renders one verifier prompt for one tokenizer, in training and in serving alike.

    Attributes:
        label_token_ids: The tokens that tell the verdicts apart: the first of each label, as it continues the prompt.
    """

    def __init__(self, prompt: VerifierPrompt, tokenizer: Tokenizer) -> None:
        """Find the label tokens.

        Raises:
            PromptError: In this tokenizer both labels begin with the same token, or one merges with the prompt's end.
        """
        self.prompt = prompt
        self.tokenizer = tokenizer
        self.label_token_ids = self._label_token_ids()

    def render(self, question: str, solution: str) -> tuple[int, ...]:
        """Return the token ids of one prompt, which begin with exactly one BOS, if the tokenizer has one."""
        return tuple(encode_prompt(self.tokenizer, self._text(question, solution)))

    def _text(self, question: str, solution: str) -> str:
        fields = {"question": question.strip(), "solution": solution.strip()}
        return _FIELD.sub(lambda match: without_control_tokens(self.tokenizer, fields[match[1]]), self.prompt.template)

    def _label_token_ids(self) -> tuple[int, int]:
        correct, incorrect = (self._first_token(label) for label in self.prompt.labels)
        if correct == incorrect:
            first, second = self.prompt.labels
            shared = self.tokenizer.decode([correct])
            raise PromptError(
                f"the verifier's labels {first!r} and {second!r} both begin with the token {shared!r} in this "
                "tokenizer, and the first token has to tell them apart; choose other labels"
            )
        return correct, incorrect

    def _first_token(self, label: str) -> int:
        """Encode the label behind the prompt: alone, a SentencePiece tokenizer would give it a space of its own."""
        text = self._text("", "")
        prompt_ids, ids = encode_prompt(self.tokenizer, text), encode_prompt(self.tokenizer, text + label)
        if len(ids) == len(prompt_ids) or ids[: len(prompt_ids)] != prompt_ids:
            raise PromptError(
                f"the verifier's label {label!r} merges with the end of its prompt in this tokenizer; "
                "begin the labels with a space and end the template without one"
            )
        return ids[len(prompt_ids)]


def available_verifier_prompts() -> list[str]:
    """Return the names of the packaged verifier prompts."""
    return sorted(path.stem for path in VERIFIERS_PATH.glob("*.yaml"))


def load_verifier_prompt(name_or_path: str) -> VerifierPrompt:
    """Load a packaged verifier prompt by name, or a YAML file by path.

    Raises:
        PromptError: There is no such prompt or file, or it is malformed; the message names the file and the field.
    """
    available = available_verifier_prompts()
    path = VERIFIERS_PATH / f"{name_or_path}.yaml" if name_or_path in available else Path(name_or_path)
    try:
        return VerifierPrompt.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except OSError:
        raise PromptError(
            f"no verifier prompt {str(path)!r}: neither a file nor one of {', '.join(available)}"
        ) from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise PromptError(f"{path} is not YAML: {' '.join(str(error).split())}") from None
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"]) or "expected 'template' and 'labels'"
        raise PromptError(f"{path}: {field}: {first['msg']}") from None

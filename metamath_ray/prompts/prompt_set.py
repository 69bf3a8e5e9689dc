"""A prompt set: what a model is told for each task. The sets are YAML files; their format is in docs/prompts.md."""

import json
import re
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError, field_validator

from metamath_ray.errors import PromptError
from metamath_ray.types import content_id

SETS_PATH = Path(__file__).parent / "sets"
DEFAULT_STYLE = "default"
_FIELD = re.compile(r"\{(question|answer|variable)\}")


class Task(StrEnum):
    """What a model can be asked to do."""

    SOLVE = "solve"
    SOLVE_BACKWARD = "solve_backward"
    REPHRASE = "rephrase"
    STATEMENT = "statement"


class PromptFormat(StrEnum):
    """Whether the model continues a text or answers in a conversation."""

    COMPLETION = "completion"
    CHAT = "chat"


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", str_strip_whitespace=False)


class Demonstration(_Record):
    """One worked example: the fields of its prompt, and the response to it."""

    question: str
    answer: str = ""
    variable: str = "x"
    response: str


class TaskPrompt(_Record):
    """How one task is put.

    Attributes:
        instruction: Said once, before the first demonstration; may be empty.
        template: The prompt of one problem, with `{question}`, `{answer}` and `{variable}` in it.
        stop: Strings that end a response. Never bare words: "Question" alone cuts real solutions.
    """

    instruction: str = ""
    template: str
    stop: tuple[str, ...] = ()

    @field_validator("stop")
    @classmethod
    def _no_bare_words(cls, stop: tuple[str, ...]) -> tuple[str, ...]:
        for text in stop:
            if re.fullmatch(r"[\w ]*", text):
                raise ValueError(f"stop string {text!r} is a bare word, which solutions contain; write '\\n{text}:'")
        return stop


class PromptSet(_Record):
    """The prompts of every task a model is used for.

    Attributes:
        response_prefix: What stands between a prompt and its response (a space after "Solution:").
        styles: Style of demonstrations by problem source; every other source uses "default".
        demonstrations: By style, then by task.
    """

    name: str
    format: PromptFormat
    response_prefix: str = ""
    styles: Mapping[str, str] = {}
    tasks: Mapping[Task, TaskPrompt]
    demonstrations: Mapping[str, Mapping[Task, tuple[Demonstration, ...]]] = {}

    @property
    def hash(self) -> str:
        """Hash of everything that a prompt is made of; the set's name is not part of it."""
        content = self.model_dump(mode="json", exclude={"name"})
        return content_id((json.dumps(content, sort_keys=True, ensure_ascii=False),))

    def task(self, task: Task) -> TaskPrompt:
        """Return the prompt of a task.

        Raises:
            PromptError: The set does not have the task.
        """
        if task not in self.tasks:
            raise PromptError(f"prompt set {self.name!r} has no task {task.value!r}; it has {', '.join(self.tasks)}")
        return self.tasks[task]

    def stop(self, task: Task) -> tuple[str, ...]:
        """Return the strings that end a response to the task."""
        return self.task(task).stop

    def examples(self, task: Task, source: str) -> tuple[Demonstration, ...]:
        """Return the demonstrations for a task in the style of a problem source."""
        style = self.styles.get(source, DEFAULT_STYLE)
        return self.demonstrations.get(style, {}).get(task, ())


def fill(template: str, fields: Mapping[str, str]) -> str:
    """Put the fields into a template in one pass, so that braces inside a field (LaTeX) stay as they are.

    Raises:
        PromptError: The template asks for a field that is not given.
    """
    missing = {match[1] for match in _FIELD.finditer(template)} - set(fields)
    if missing:
        raise PromptError(f"the prompt needs the field {sorted(missing)[0]!r}; given are {', '.join(fields)}")
    return _FIELD.sub(lambda match: fields[match[1]], template)


def available_prompt_sets() -> list[str]:
    """Return the names of the packaged sets."""
    return sorted(path.stem for path in SETS_PATH.glob("*.yaml"))


def load_prompt_set(name_or_path: str) -> PromptSet:
    """Load a packaged prompt set by name, or a YAML file by path.

    Raises:
        PromptError: There is no such set or file, or it is malformed; the message names the file and the field.
    """
    packaged = SETS_PATH / f"{name_or_path}.yaml"
    path = packaged if name_or_path in available_prompt_sets() else Path(name_or_path)
    content = _read_yaml(path)
    shared = content.get("demonstrations")
    if isinstance(shared, str):
        content["demonstrations"] = _read_yaml(path.parent / shared)
    try:
        return PromptSet.model_validate({"name": path.stem, **content})
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"])
        raise PromptError(f"{path}: {field}: {first['msg']}") from None


def _read_yaml(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise PromptError(
            f"no prompt set {str(path)!r}: neither a file nor one of {', '.join(available_prompt_sets())}"
        )
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise PromptError(f"{path} is not YAML: {' '.join(str(error).split())}") from None
    if not isinstance(content, dict):
        raise PromptError(f"{path}: expected fields such as 'format' and 'tasks', found {type(content).__name__}")
    return content

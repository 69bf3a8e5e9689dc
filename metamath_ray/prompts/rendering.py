"""From a task and its fields to what an engine is asked: the only place where a prompt turns into token ids.

Training, serving and evaluation all come through here, so that a model is asked exactly as it was taught.
"""

from collections.abc import Mapping

from metamath_ray.errors import PromptError
from metamath_ray.prompts.prompt_set import PromptFormat, PromptSet, Task, fill
from metamath_ray.prompts.tokenizer import Tokenizer
from metamath_ray.types import ChatMessage, RenderedPrompt


class Renderer:
    """Renders the prompts of one set for one tokenizer.

    With a tokenizer, a prompt is token ids that begin with exactly one BOS, if the tokenizer has one. Without (a hosted
    model hides its own), a prompt is chat messages.
    """

    def __init__(self, prompt_set: PromptSet, tokenizer: Tokenizer | None) -> None:
        self.prompt_set = prompt_set
        self.tokenizer = tokenizer

    def render(self, task: Task, fields: Mapping[str, str], *, source: str) -> RenderedPrompt:
        """Render one prompt.

        Args:
            task: What the model is asked to do.
            fields: "question", and what else the task's template names ("answer", "variable").
            source: Source of the problem; decides the style of the demonstrations.

        Raises:
            PromptError: The set lacks the task, a field is missing, or the tokenizer has no chat template.
        """
        if self.tokenizer is None:
            return RenderedPrompt(messages=tuple(self._messages(task, fields, source)))
        return RenderedPrompt(token_ids=tuple(self._prompt_ids(self.tokenizer, task, fields, source)))

    def render_with_response(
        self, task: Task, fields: Mapping[str, str], response: str, *, source: str
    ) -> tuple[list[int], list[int]]:
        """Render one training example: the ids that serving would send, and the ids to learn, which end with eos.

        The two are encoded apart, because a generated response is never merged with its prompt either.

        Raises:
            PromptError: As `render`; also without a tokenizer, or with one that has no eos.
        """
        if self.tokenizer is None:
            raise PromptError("training needs the model's tokenizer, and this renderer has none")
        if self.tokenizer.eos_token_id is None:
            raise PromptError("the tokenizer has no eos token, so a model could not learn to stop")
        text = self.prompt_set.response_prefix + self._without_control_tokens(response)
        response_ids = self.tokenizer.encode(text, add_special_tokens=False)
        return self._prompt_ids(self.tokenizer, task, fields, source), [*response_ids, self.tokenizer.eos_token_id]

    def _prompt_ids(self, tokenizer: Tokenizer, task: Task, fields: Mapping[str, str], source: str) -> list[int]:
        if self.prompt_set.format is PromptFormat.COMPLETION:
            text = self._completion_text(task, fields, source)
        else:
            text = _chat_text(tokenizer, self._messages(task, fields, source))
        return encode_prompt(tokenizer, text)

    def _messages(self, task: Task, fields: Mapping[str, str], source: str) -> list[ChatMessage]:
        """Demonstrations are earlier turns; the instruction opens the first, as not every model has a system role."""
        if self.prompt_set.format is PromptFormat.COMPLETION:
            return [ChatMessage(role="user", content=self._completion_text(task, fields, source))]
        prompt = self.prompt_set.task(task)
        messages: list[ChatMessage] = []
        for example in self.prompt_set.examples(task, source):
            messages.append(ChatMessage(role="user", content=fill(prompt.template, example.model_dump())))
            messages.append(ChatMessage(role="assistant", content=self.prompt_set.response_prefix + example.response))
        messages.append(ChatMessage(role="user", content=fill(prompt.template, self._clean(fields))))
        if prompt.instruction:
            messages[0] = ChatMessage(role="user", content=f"{prompt.instruction}\n\n{messages[0].content}")
        return messages

    def _completion_text(self, task: Task, fields: Mapping[str, str], source: str) -> str:
        prompt = self.prompt_set.task(task)
        parts = [prompt.instruction] if prompt.instruction else []
        for example in self.prompt_set.examples(task, source):
            asked = fill(prompt.template, example.model_dump())
            parts.append(f"{asked}{self.prompt_set.response_prefix}{example.response}")
        parts.append(fill(prompt.template, self._clean(fields)))
        return "\n\n".join(parts)

    def _clean(self, fields: Mapping[str, str]) -> dict[str, str]:
        return {name: self._without_control_tokens(value.strip()) for name, value in fields.items()}

    def _without_control_tokens(self, text: str) -> str:
        return text if self.tokenizer is None else without_control_tokens(self.tokenizer, text)


def encode_prompt(tokenizer: Tokenizer, text: str) -> list[int]:
    """Return the ids of a prompt, which begin with exactly one BOS, if the tokenizer has one."""
    ids = tokenizer.encode(text, add_special_tokens=False)
    bos = tokenizer.bos_token_id
    if bos is None:
        return ids
    first = next((index for index, token in enumerate(ids) if token != bos), len(ids))
    return [bos, *ids[first:]]


def without_control_tokens(tokenizer: Tokenizer, text: str) -> str:
    """Break up what would be read as a control token, so that a question cannot end its own turn."""
    for token in tokenizer.all_special_tokens:
        text = text.replace(token, f"{token[0]} {token[1:]}")
    return text


def _chat_text(tokenizer: Tokenizer, messages: list[ChatMessage]) -> str:
    conversation = [{"role": message.role, "content": message.content} for message in messages]
    try:
        return str(tokenizer.apply_chat_template(conversation, tokenize=False, add_generation_prompt=True))
    except ValueError as error:
        raise PromptError(f"the model's tokenizer cannot render a chat: {error}; use a completion prompt set") from None

"""OpenAI's chat completions: one question in, the vote's solution out, so that any OpenAI client can ask."""

import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Request
from pydantic import AfterValidator, ConfigDict, Field
from starlette.responses import Response

from services.solve import schemas
from services.solve.connection import while_connected
from services.solve.errors import ErrorType, JsonResponse, Refusal, invalid, to_json
from services.solve.limits import check_knobs
from services.solve.openapi import ERRORS, EVENT_SCHEMA, OPENAI_ERRORS
from services.solve.schemas import QUESTION, Count, SolveKnobs, WireModel, dump
from services.solve.service import SolveService
from services.solve.stream import EventStream, frame
from services.solve.translation import Asked, without_candidates

DONE = frame("[DONE]")

CHAT_RESPONSES: dict[int | str, dict[str, Any]] = {
    **OPENAI_ERRORS,
    200: {
        "description": "The completion; with `stream`, its chunks. The shapes are OpenAI's",
        "content": {
            "application/json": {"schema": {"type": "object"}},
            "text/event-stream": {"schema": EVENT_SCHEMA},
        },
    },
}


def _no(is_wanted: bool) -> bool:
    if is_wanted:
        raise ValueError("this service has none")
    return is_wanted


class TextPart(WireModel):
    """A part of a message."""

    type: Literal["text"]
    """Text is all there is."""
    text: str
    """The text."""


class Message(WireModel):
    """A turn of a conversation."""

    role: Literal["system", "developer", "user", "assistant"]
    """Who says it."""
    content: str | list[TextPart]
    """What is said."""
    name: str | None = None
    """Not used."""

    @property
    def text(self) -> str:
        """The message's text, its parts joined."""
        return self.content if isinstance(self.content, str) else "\n".join(part.text for part in self.content)


class StreamOptions(WireModel):
    """What a stream tells besides."""

    include_usage: bool = False
    """End with a chunk of token counts."""
    include_obfuscation: bool = False
    """Not used."""


class TextFormat(WireModel):
    """The one format of answers."""

    type: Literal["text"]
    """Text is all there is."""


class ChatBody(SolveKnobs):
    """OpenAI's request; whatever else the service can do goes into `extra_body`.

    The question is the last user message. Earlier turns and system messages are not shown to the model: its prompt is
    the service's own prompt set, because it was trained on that.
    """

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"model": "embedded:teacher", "messages": [{"role": "user", "content": QUESTION}]}]
        }
    )

    model: str
    """The service's generator, as /v1/models names it."""
    messages: list[Message] = Field(min_length=1)
    """The conversation."""
    max_completion_tokens: Count | None = None
    """OpenAI's newer name of `max_tokens`, which it supersedes."""
    stream: bool | None = None
    """Send the answer as chunks: the role when the first sample ends, the solution when the vote has ended."""
    stream_options: StreamOptions | None = None
    """What the stream tells besides."""
    user: str | None = None
    """Not used."""
    n: Annotated[int, Field(ge=1, le=1)] | None = None
    """One answer; its samples are `num_samples`."""
    response_format: TextFormat | None = None
    """Text is all there is."""
    presence_penalty: Annotated[float, Field(ge=0, le=0)] | None = None
    """Not supported."""
    frequency_penalty: Annotated[float, Field(ge=0, le=0)] | None = None
    """Not supported."""
    logprobs: Annotated[bool, AfterValidator(_no), Field(json_schema_extra={"const": False})] | None = None
    """Not supported."""

    def question(self) -> str:
        """Return the last user message.

        Raises:
            Refusal: There is none, or it is empty.
        """
        asked = [message.text for message in self.messages if message.role == "user"]
        if not asked or not asked[-1].strip():
            raise invalid("messages: the last user message is the question, and there is none")
        return asked[-1]

    def knobs(self) -> SolveKnobs:
        """Return the settings that both interfaces share."""
        knobs = {name: getattr(self, name) for name in SolveKnobs.model_fields}
        return SolveKnobs(**{**knobs, "max_tokens": self.max_completion_tokens or self.max_tokens})


class ModelCard(WireModel):
    """A model that can be asked."""

    id: str
    """Its name."""
    object: Literal["model"] = "model"
    """As OpenAI has it."""
    created: int = 0
    """Unknown."""
    owned_by: str = "metamath-ray"
    """As OpenAI has it."""


class ModelList(WireModel):
    """The models that can be asked."""

    object: Literal["list"] = "list"
    """As OpenAI has it."""
    data: list[ModelCard]
    """One: the generator."""


def openai_router(service: SolveService) -> APIRouter:
    """Return the OpenAI-compatible routes."""
    router, model = APIRouter(tags=["OpenAI"]), service.config.generator.model

    @router.get("/v1/models", response_model=ModelList, responses=ERRORS, summary="The model that can be asked")
    async def models() -> Response:
        return JsonResponse(dump(ModelList(data=[ModelCard(id=model)])))

    @router.post("/v1/chat/completions", responses=CHAT_RESPONSES, summary="Ask as OpenAI's clients do")
    async def chat_completions(body: ChatBody, request: Request) -> Response:
        """The answer's solution is the message; the whole vote is in the field `metamath_ray`."""
        if body.model != model:
            raise Refusal(ErrorType.NOT_FOUND, f"model: this service has {model} alone")
        check_knobs(body, service.config)
        (asked,) = service.let_in([body.question()], body.knobs(), request.scope)
        if body.stream:
            return EventStream(lambda: _chunks(service, asked, body))
        solved = await while_connected(request.receive, service.answer(asked))
        return JsonResponse(_completion(solved, body))

    return router


def _completion(solved: schemas.SolveResponse, body: ChatBody) -> dict[str, Any]:
    message = {"role": "assistant", "content": solved.solution or ""}
    return {
        **_head(solved.id, body, "chat.completion"),
        "choices": [{"index": 0, "message": message, "finish_reason": "stop", "logprobs": None}],
        "usage": _usage(solved),
        "metamath_ray": _vote(solved, body),
    }


async def _chunks(service: SolveService, asked: Asked, body: ChatBody) -> AsyncGenerator[bytes, None]:
    """Send the role as soon as something happens, the solution at the end, then the vote."""
    head = _head(asked.id, body, "chat.completion.chunk")

    def chunk(delta: dict[str, Any], finish_reason: str | None = None, **more: object) -> bytes:
        choice = {"index": 0, "delta": delta, "finish_reason": finish_reason, "logprobs": None}
        return frame(to_json({**head, "choices": [choice], **more}))

    has_role = False
    async with aclosing(service.events(asked)) as events:
        async for event in events:
            if not has_role:
                has_role = True
                yield chunk({"role": "assistant", "content": ""})
            if isinstance(event.data, schemas.SolveResponse):
                yield chunk({"content": event.data.solution or ""})
                yield chunk({}, "stop", metamath_ray=_vote(event.data, body))
                if body.stream_options and body.stream_options.include_usage:
                    yield frame(to_json({**head, "choices": [], "usage": _usage(event.data)}))
    yield DONE


def _head(identity: str, body: ChatBody, kind: str) -> dict[str, Any]:
    return {"id": identity, "object": kind, "created": int(time.time()), "model": body.model}


def _vote(solved: schemas.SolveResponse, body: ChatBody) -> dict[str, Any]:
    return dump(solved if body.include_candidates else without_candidates(solved))


def _usage(solved: schemas.SolveResponse) -> dict[str, int]:
    """Count both models together, as OpenAI's field has one place."""
    models = [solved.usage.generator, *([solved.usage.verifier] if solved.usage.verifier else [])]
    prompt, completion = sum(one.prompt_tokens for one in models), sum(one.completion_tokens for one in models)
    return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}

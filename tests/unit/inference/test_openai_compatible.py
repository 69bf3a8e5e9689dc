"""The engine over real HTTP, against a server on loopback that answers by script."""

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from metamath_ray.errors import AccessDenied, BackPressure, ConfigError, EngineError, EngineUnavailable, RequestRejected
from metamath_ray.inference import CompletionRequest
from metamath_ray.inference.openai_compatible import OpenAICompatibleEngine, probe
from metamath_ray.types import ChatMessage, FinishReason, RenderedPrompt, SamplingParameters

USAGE = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
KEY = "sk-very-secret"


@dataclass
class Server:
    """Answers every request with `status` and `body`; keeps what it was asked."""

    status: int = 200
    body: dict[str, Any] = field(default_factory=dict)
    asked: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    url: str = ""
    raw: bytes | None = None


@pytest.fixture
def server() -> Iterator[Server]:
    script = Server()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            script.asked.append((self.path, body))
            self.do_GET()

        def do_GET(self) -> None:
            self.send_response(script.status)
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            self.wfile.write(script.raw or json.dumps(script.body).encode())

        def log_message(self, format: str, *args: Any) -> None:  # noqa: ANN401
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listening:
        thread = threading.Thread(target=listening.serve_forever)
        thread.start()
        script.url = f"http://127.0.0.1:{listening.server_address[1]}/v1"
        yield script
        listening.shutdown()
        thread.join()


def engine(url: str) -> OpenAICompatibleEngine:
    return OpenAICompatibleEngine(base_url=url, model="m", api_key=KEY, timeout_seconds=5)


def request(prompt: RenderedPrompt) -> CompletionRequest:
    sampling = SamplingParameters(temperature=0.5, top_p=0.9, max_tokens=7, stop=("\n\n",))
    return CompletionRequest(prompt=prompt, sampling=sampling, seed=42)


TOKENS = RenderedPrompt(token_ids=(1, 5, 9))
CHAT = RenderedPrompt(messages=(ChatMessage(role="user", content="2 + 2?"),))


def text_answer(text: str, finish_reason: str) -> dict[str, Any]:
    choice = {"index": 0, "text": text, "finish_reason": finish_reason, "logprobs": None}
    return {"id": "1", "object": "text_completion", "created": 0, "model": "m", "choices": [choice], "usage": USAGE}


def chat_answer(text: str | None, finish_reason: str) -> dict[str, Any]:
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": finish_reason}
    return {"id": "1", "object": "chat.completion", "created": 0, "model": "m", "choices": [choice], "usage": USAGE}


async def test_token_ids_go_to_completions_with_every_sampling_parameter(server: Server) -> None:
    server.body = text_answer(" four", "stop")
    completion = await engine(server.url).complete(request(TOKENS))
    path, asked = server.asked[0]
    assert path == "/v1/completions"
    expected = {"prompt": [1, 5, 9], "temperature": 0.5, "top_p": 0.9, "max_tokens": 7, "stop": ["\n\n"], "seed": 42}
    assert {name: asked[name] for name in expected} == expected
    assert (completion.text, completion.num_prompt_tokens, completion.num_completion_tokens) == (" four", 3, 2)


async def test_messages_go_to_chat_completions(server: Server) -> None:
    server.body = chat_answer("four", "length")
    completion = await engine(server.url).complete(request(CHAT))
    path, asked = server.asked[0]
    assert path == "/v1/chat/completions"
    assert asked["messages"] == [{"role": "user", "content": "2 + 2?"}]
    assert completion.finish_reason is FinishReason.LENGTH
    assert completion.is_truncated


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, RequestRejected),
        (408, EngineUnavailable),
        (401, AccessDenied),
        (403, AccessDenied),
        (404, AccessDenied),
        (422, RequestRejected),
        (429, BackPressure),
        (500, EngineUnavailable),
        (503, EngineUnavailable),
    ],
)
async def test_a_status_says_who_is_at_fault_and_never_the_key(
    server: Server, status: int, error: type[EngineError]
) -> None:
    server.status, server.body = status, {"error": {"message": "no", "type": "t", "code": status}}
    with pytest.raises(error) as caught:
        await engine(server.url).complete(request(TOKENS))
    assert type(caught.value) is error
    assert KEY not in str(caught.value)
    assert len(server.asked) == 1


@pytest.mark.parametrize("reason", ["abort", "error"])
async def test_a_request_that_the_server_broke_off_is_the_engines_fault(server: Server, reason: str) -> None:
    server.body = text_answer(" fo", reason)
    with pytest.raises(EngineUnavailable, match="broke the request off"):
        await engine(server.url).complete(request(TOKENS))


async def test_half_a_character_is_replaced_and_missing_counts_are_none(server: Server) -> None:
    server.body = {**text_answer(" \ud83d7", "stop"), "usage": {"prompt_tokens": None, "completion_tokens": None}}
    completion = await engine(server.url).complete(request(TOKENS))
    assert completion.text.encode() == b" ?7"
    assert (completion.num_prompt_tokens, completion.num_completion_tokens) == (0, 0)


@pytest.mark.parametrize("body", [chat_answer(None, "content_filter"), {**chat_answer("", "stop"), "choices": []}])
async def test_an_answer_without_a_text_is_the_requests_fault(server: Server, body: dict[str, Any]) -> None:
    server.body = body
    with pytest.raises(RequestRejected, match="without a text"):
        await engine(server.url).complete(request(CHAT))


@pytest.mark.parametrize("raw", [b"<html>gateway</html>", b"{", b"[]", b"null", b'"text"'])
async def test_an_answer_that_is_no_completion_is_the_engines_fault(server: Server, raw: bytes) -> None:
    server.raw = raw
    with pytest.raises(EngineUnavailable):
        await engine(server.url).complete(request(TOKENS))


def test_a_probe_tells_a_wrong_key_from_nobody_from_a_server_without_a_list(server: Server) -> None:
    server.status = 401
    with pytest.raises(AccessDenied, match="refuses the key"):
        probe(base_url=server.url, api_key=KEY)
    with pytest.raises(ConfigError, match="nobody answers"):
        probe(base_url="http://127.0.0.1:9/v1", api_key=KEY)
    server.status = 404
    probe(base_url=server.url, api_key=KEY)


async def test_nobody_listening_is_the_engines_fault() -> None:
    with pytest.raises(EngineUnavailable, match="does not answer"):
        await engine("http://127.0.0.1:9/v1").complete(request(TOKENS))

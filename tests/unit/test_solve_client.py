import io
import json
from typing import Any

import httpx
import pytest
from rich.console import Console

from metamath_ray.errors import AccessDenied, BackPressure, ConfigError, EngineUnavailable, RequestRejected, RunFailed
from metamath_ray.solve_client import read_events, solve_events
from metamath_ray.terminal_solve import (
    BAR_WIDTH,
    answer_line,
    answer_parts,
    bar,
    clusters_table,
    cost_line,
    curl_line,
    printable,
    ready_lines,
    solution_panel,
)

URL = "http://service"
ANSWER: dict[str, Any] = {
    "answer": "7", "no_answer_reason": None, "solution": "3 + 4 = 7", "confidence": 0.75, "strategy": "weighted_vote",
    "stop_reason": "confident", "num_samples": 8, "seed": 3, "timings": {"total": 1.25},
    "clusters": [
        {"answer": "7", "votes": 6, "weight": 3.0, "score": 3.0, "members": [0]},
        {"answer": "12", "votes": 2, "weight": 1.0, "score": 1.0, "members": [1]},
    ],
    "usage": {"generator": {"completion_tokens": 1234}, "verifier": {"requests": 2}},
    "saved": {"samples": 8, "verifier_calls": 0}, "models": {"generator": "g", "verifier": "v"},
}  # fmt: skip


def answering(status: int, text: str, **headers: str) -> httpx.MockTransport:
    def reply(request: httpx.Request) -> httpx.Response:
        return httpx.Response(status, text=text, headers=headers)

    return httpx.MockTransport(reply)


def shown(*parts: Any) -> str:  # noqa: ANN401
    console = Console(file=io.StringIO(), width=200, highlight=False)
    for part in parts:
        console.print(part)
    file = console.file
    assert isinstance(file, io.StringIO)
    return file.getvalue()


def test_events_are_read_as_the_standard_has_them() -> None:
    lines = [": waiting", "", "event: sample", 'data: {"a":', "data: 1}", "", "data:{}", "", "event: cut", "data: {}"]
    assert list(read_events(lines)) == [("sample", {"a": 1}), ("message", {})]


def test_the_key_and_the_question_are_sent() -> None:
    asked: list[httpx.Request] = []

    def reply(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        return httpx.Response(200, text=f"event: sample\ndata: {{}}\n\nevent: answer\ndata: {json.dumps(ANSWER)}\n\n")

    transport = httpx.MockTransport(reply)
    found = list(solve_events(f"{URL}/", {"question": "q"}, api_key="secret", transport=transport))
    assert found == [("sample", {}), ("answer", ANSWER)]
    assert str(asked[0].url) == f"{URL}/v1/solve"
    assert asked[0].headers["authorization"] == "Bearer secret"
    assert asked[0].headers["accept"] == "text/event-stream"
    assert json.loads(asked[0].content) == {"question": "q"}


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (401, AccessDenied),
        (404, ConfigError),
        (413, RequestRejected),
        (422, RequestRejected),
        (429, BackPressure),
        (500, EngineUnavailable),
        (503, BackPressure),
    ],
)
@pytest.mark.parametrize("text", ['{"error": {"message": "why"}}', "<html>", "[]"])
def test_a_status_is_an_error_of_ours(status: int, kind: type[Exception], text: str) -> None:
    transport = answering(status, text, **{"retry-after": "7"})
    with pytest.raises(kind) as caught:
        list(solve_events(URL, {}, api_key=None, transport=transport))
    assert ("again in 7 s" in str(caught.value)) == (kind is BackPressure)


def test_an_error_in_the_stream_is_raised() -> None:
    transport = answering(200, 'event: error\ndata: {"error": {"message": "why"}}\n\n')
    with pytest.raises(EngineUnavailable, match="why"):
        list(solve_events(URL, {}, api_key=None, transport=transport))


def test_a_stream_without_an_answer_is_no_answer() -> None:
    with pytest.raises(RunFailed, match="before the end"):
        list(solve_events(URL, {}, api_key=None, transport=answering(200, ": waiting\n\n")))


def test_nobody_there_says_how_to_start() -> None:
    def refuse(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused")

    with pytest.raises(ConfigError, match="metamath-ray serve"):
        list(solve_events(URL, {}, api_key=None, transport=httpx.MockTransport(refuse)))


@pytest.mark.parametrize("url", ["service", "ftp://service", "http://[", ""])
def test_what_is_no_address_is_a_config_error(url: str) -> None:
    with pytest.raises(ConfigError):
        list(solve_events(url, {}, api_key=None))


def test_bars_are_as_long_as_their_share() -> None:
    assert bar(1.0) == "█" * BAR_WIDTH
    assert len(bar(0.5)) == BAR_WIDTH // 2
    assert bar(0.0) == bar(-1.0) == ""


def test_the_answer_is_shown_with_its_clusters() -> None:
    text = shown(clusters_table(ANSWER), answer_line(ANSWER), cost_line(ANSWER), solution_panel(ANSWER))
    assert "▸  7" in text
    assert "█" * BAR_WIDTH in text
    assert "confidence 75% by weighted_vote" in text
    assert "8 samples saved (confident)" in text
    assert "3 + 4 = 7" in text


def test_everything_of_an_answer_is_shown_in_order() -> None:
    text = shown(*answer_parts(ANSWER))
    parts = ["▸  7", "answer: 7", "3 + 4 = 7", "8 samples in 1.2 s"]
    assert sorted(parts, key=text.index) == parts
    assert all(URL in line for line in ready_lines(URL))


def test_no_answer_says_why() -> None:
    none = {**ANSWER, "answer": None, "no_answer_reason": "all were truncated", "clusters": [], "solution": None}
    text = shown(clusters_table(none), answer_line(none), solution_panel(none))
    assert "no answer: all were truncated" in text


def test_model_text_cannot_steer_the_terminal() -> None:
    nasty = "\x1b[2J[bold]x[/bold]\u202e\x07"
    text = shown(clusters_table({**ANSWER, "clusters": [{**ANSWER["clusters"][0], "answer": nasty}]}))
    assert "[bold]x[/bold]" in text
    assert not {"\x1b", "\u202e", "\x07"} & set(text)
    assert printable("a\nb") == "a\nb"


def test_the_curl_line_asks_the_same_and_holds_no_key() -> None:
    line = curl_line(URL, {"question": "Ann's?"}, api_key_env="METAMATH_RAY_API_KEY")
    assert line.startswith(f"curl {URL}/v1/solve ")
    assert '"authorization: Bearer $METAMATH_RAY_API_KEY"' in line
    assert """Ann'"'"'s?""" in line
    assert "authorization" not in curl_line(URL, {}, api_key_env=None)

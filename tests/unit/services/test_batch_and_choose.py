"""POST /v1/solve/batch and POST /v1/choose."""

import pytest

from metamath_ray.errors import EngineError, RequestRejected
from metamath_ray.inference import CompletionRequest
from metamath_ray.inference.scripted import ScriptedEngine
from tests.unit.services.kit import QUESTION, answering, api, client, solution, tokenizer

HARD = "What is hard?"
CANDIDATES = [
    {"answer": "7", "score": 0.9},
    {"answer": "12", "score": 0.5},
    {"answer": "12.0", "score": 0.3},
    {"answer": None},
]


def refusing_the_hard() -> ScriptedEngine:
    def script(request: CompletionRequest) -> str | EngineError:
        asked = tokenizer().decode(list(request.prompt.token_ids or ()))
        return RequestRejected("too hard") if HARD in asked else solution("7")

    return ScriptedEngine(script)


async def test_results_stand_in_the_order_of_the_questions_and_an_error_in_its_place() -> None:
    async with client(api(refusing_the_hard())) as caller:
        response = await caller.post(
            "/v1/solve/batch", json={"questions": [QUESTION, HARD, QUESTION], "num_samples": 2}
        )
    first, second, third = response.json()["results"]
    assert response.status_code == 200
    assert first["answer"] == third["answer"] == "7"
    assert second["error"]["type"] == "invalid_request_error"
    names = [first["id"], second["error"]["request_id"], third["id"]]
    assert names == [f"{response.headers['x-request-id']}-{number}" for number in range(3)]


@pytest.mark.parametrize(
    ("questions", "said"), [([], "questions"), ([QUESTION] * 4, "3 at once"), (["x" * 90], "80 characters")]
)
async def test_a_batch_beyond_the_limits_is_refused_whole(questions: list[str], said: str) -> None:
    generator = answering("7")
    async with client(api(generator, limits={"max_batch": 3, "max_question_chars": 80})) as caller:
        response = await caller.post("/v1/solve/batch", json={"questions": questions})
    assert response.status_code == 422
    assert said in response.json()["error"]["message"]
    assert not generator.requests


@pytest.mark.parametrize(
    ("strategy", "answer", "chosen", "confidence"),
    [
        ("majority_vote", "12", 1, 2 / 3),
        ("best_of_n", "7", 0, 0.9 / 1.4),
        ("weighted_vote", "7", 0, 0.9 / 1.7),
        (None, "7", 0, 0.9 / 1.7),
    ],
)
async def test_strategies_differ_on_the_same_samples(
    strategy: str | None, answer: str, chosen: int, confidence: float
) -> None:
    generator = answering("7")
    async with client(api(generator)) as caller:
        found = (await caller.post("/v1/choose", json={"candidates": CANDIDATES, "strategy": strategy})).json()
    assert (found["answer"], found["chosen"]) == (answer, chosen)
    assert found["confidence"] == pytest.approx(confidence)
    assert [(one["answer"], one["votes"]) for one in found["clusters"]] == [("12", 2), ("7", 1)]
    assert not generator.requests


async def test_nothing_to_choose_from_is_no_answer() -> None:
    async with client(api(answering("7"))) as caller:
        found = (await caller.post("/v1/choose", json={"candidates": [{"answer": None}]})).json()
    assert found == {"answer": None, "confidence": 0.0, "clusters": [], "chosen": None}


async def test_no_more_candidates_than_samples_can_be_ranked() -> None:
    async with client(api(answering("7"), limits={"max_samples": 16})) as caller:
        response = await caller.post("/v1/choose", json={"candidates": [{"answer": "7"}] * 17})
    assert response.status_code == 422

"""The running service against its own OpenAPI schema, and a thousand questions that were made to hurt, over HTTP."""

import asyncio
import json
import random
from collections import Counter
from contextlib import suppress
from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import positive_data_acceptance

from tests.unit.services.test_hostile_questions import NUM_OF_A_KIND, OK, QUESTIONS, UNPROCESSABLE
from tests.unit.services.test_openapi import CHAT

WAIT_SECONDS = 120
NUM_AT_ONCE = 8
NUM_EXAMPLES = 10
CHEAP = {"num_samples": 1, "max_tokens": 16, "max_completion_tokens": 16}
"""The most that a request of this file has generated, where it asks for something possible."""


def make_cheap(body: object) -> None:
    """Have less generated; what is impossible stays so."""
    if isinstance(body, dict) and body.keys() & {"question", "questions", "messages"}:
        for name, most in CHEAP.items():
            asked = body.get(name)
            if type(asked) is int and most < asked <= 64:
                body[name] = most
        body.setdefault("num_samples", 1)


@pytest.mark.parametrize("mode", GenerationMode, ids=lambda mode: mode.value)
def test_the_schema_holds_whatever_is_sent(solve_url: str, mode: GenerationMode) -> None:
    """Not by schemathesis' own fixture: its release does not know this pytest's."""
    schema = schemathesis.openapi.from_url(f"{solve_url}/openapi.json")
    operations = [found.ok() for found in schema.get_all_operations() if isinstance(found, Ok)]
    assert len(operations) > 5
    for operation in operations:
        holds(operation, mode)


def holds(operation: Any, mode: GenerationMode) -> None:  # noqa: ANN401
    """Send what the schema allows of an operation, or what it forbids; the response must be one that it describes."""

    @settings(max_examples=NUM_EXAMPLES, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
    @given(case=operation.as_strategy(mode))
    def check(case: schemathesis.Case[Any]) -> None:
        make_cheap(case.body)
        excluded: list[Any] = [positive_data_acceptance] if operation.label == CHAT else []
        case.call_and_validate(timeout=WAIT_SECONDS, excluded_checks=excluded)

    with suppress(Unsatisfiable):  # nothing can be wrong with a request that takes nothing
        check()


async def ask(client: httpx.AsyncClient, url: str, question: str) -> int:
    """Ask; the response is JSON in one of two shapes."""
    body = json.dumps({"question": question, "num_samples": 1, "max_tokens": 64, "seed": 1})
    response = await client.post(f"{url}/v1/solve", content=body, headers={"content-type": "application/json"})
    found = json.loads(response.content.decode("ascii"))
    assert ("clusters" if response.status_code == OK else "error") in found, found
    return response.status_code


@pytest.mark.parametrize("kind", QUESTIONS)
async def test_a_hostile_question_is_answered_or_refused_in_one_line(solve_url: str, kind: str) -> None:
    """What is longer than the embedded model's context is refused, as what is malformed: most of the deep LaTeX."""
    make, expected = QUESTIONS[kind]
    chance, gate = random.Random(kind), asyncio.Semaphore(NUM_AT_ONCE)
    async with httpx.AsyncClient(timeout=WAIT_SECONDS) as client:

        async def gated(question: str) -> int:
            async with gate:
                return await ask(client, solve_url, question)

        statuses = Counter(await asyncio.gather(*(gated(make(chance)) for _ in range(NUM_OF_A_KIND))))
        assert statuses.keys() <= {expected, UNPROCESSABLE}
        assert statuses[expected] >= NUM_OF_A_KIND / 4
        assert await ask(client, solve_url, "Ann has 3 pears and buys 4 more. How many pears has she?") == OK

"""What the schema allows is answered, what it forbids is refused, and nothing ends as a server error."""

from typing import Any

import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.specs.openapi.checks import positive_data_acceptance

from tests.unit.services.kit import KEY, KEY_HASH, answering, api

LIMITS = {"max_samples": 8, "max_batch": 3, "max_question_chars": 200, "max_tokens": 64}
APP = api(
    answering("7", "12", r"\frac{1}{2}"),
    lambda _: 0.7,
    limits=LIMITS,
    sampling={"max_tokens": 64},
    num_samples=2,
    access={"keys": {"ann": KEY_HASH}},
)
SCHEMA = schemathesis.openapi.from_asgi("/openapi.json", APP)
CHAT = "POST /v1/chat/completions"


@SCHEMA.parametrize()
@settings(max_examples=10, suppress_health_check=list(HealthCheck))
def test_the_schema_holds_whatever_is_sent(case: schemathesis.Case[Any]) -> None:
    # A conversation without a user message has the right shape and no question; a schema cannot say so.
    excluded: list[Any] = [positive_data_acceptance] if case.operation.label == CHAT else []
    case.call_and_validate(headers={"Authorization": f"Bearer {KEY}"}, excluded_checks=excluded)

"""What goes over the wire: requests, responses and events; operators' limits come on top (`limits.py`)."""

from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from metamath_ray.reranking import Strategy

MAX_ANSWER_CHARS = 1_000
MAX_TYPESET_CHARS = 20_000
QUESTION = "Ann has 3 pears and buys 4 more. How many pears has she?"
LARGEST_SEED = 2**53 - 1
"""The largest integer that every JSON parser reads exactly."""


def _integral(value: object) -> object:
    """Read 8.0 as 8, as JSON Schema does."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


Integer = Annotated[int, BeforeValidator(_integral)]
Count = Annotated[int, Field(ge=1), BeforeValidator(_integral)]
Seed = Annotated[int, Field(ge=-LARGEST_SEED, le=LARGEST_SEED), BeforeValidator(_integral)]
StrategyField = Annotated[Strategy, Field(strict=False)]
Question = Annotated[str, Field(min_length=1, pattern=r"\S")]


class WireModel(BaseModel):
    """Base of everything on the wire: unknown fields and wrong types are refused, nothing is guessed."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        strict=True,
        allow_inf_nan=False,
        use_attribute_docstrings=True,
        protected_namespaces=(),
    )


class AdaptiveBody(WireModel):
    """Stop sampling early."""

    min_samples: Integer = Field(default=4, ge=1, le=1024)
    """Samples before the first look."""
    confidence: float = Field(default=0.95, gt=0, le=1)
    """Probability, from which on sampling ends, that the leading answer would still lead after all samples."""


class StrategyKnobs(WireModel):
    """How the answer is chosen."""

    strategy: StrategyField | None = None
    """How clusters are ranked; by default `weighted_vote` where there is a verifier, else `majority_vote`."""
    num_clusters: Integer = Field(default=8, ge=1, le=1024)
    """K: clusters that the "top clusters" strategies look at."""
    num_best: Integer = Field(default=16, ge=1, le=1024)
    """N: solutions that vote in `majority_of_best`."""


class SolveKnobs(StrategyKnobs):
    """How a question is solved."""

    num_samples: Count | None = None
    """Solutions to sample; the service's own number by default."""
    temperature: float | None = Field(default=None, ge=0, le=2)
    """0 is greedy; the service's own by default."""
    top_p: float | None = Field(default=None, gt=0, le=1)
    """Nucleus; the service's own by default."""
    max_tokens: Count | None = None
    """Longest solution; a longer one is truncated and has no vote. The service's own by default."""
    seed: Seed | None = None
    """Two requests with one seed get the same samples; random by default, and returned."""
    adaptive: AdaptiveBody | None = None
    """When sampling may end early; never by default."""
    include_candidates: bool = False
    """Also return every sample."""
    time_limit_seconds: float | None = Field(default=None, gt=0)
    """When it is over, the best answer so far is given; counted from the request's arrival."""


class SolveBody(SolveKnobs):
    """One question."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"question": QUESTION, "num_samples": 8, "adaptive": {"confidence": 0.95}}]}
    )

    question: Question
    """The question, as text; LaTeX as it is."""


class BatchBody(SolveKnobs):
    """Several questions with the same settings."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"questions": [QUESTION, "What is 12 * 12?"]}]})

    questions: list[Question] = Field(min_length=1, fail_fast=True)
    """The questions."""


class AnswerBody(WireModel):
    """One sample's answer and score."""

    answer: Annotated[str, Field(max_length=MAX_ANSWER_CHARS)] | None
    """Its final answer; null has no vote."""
    score: Annotated[float, Field(ge=0, le=1)] | None = None
    """The verifier's score, where there is one."""


class ChooseBody(StrategyKnobs):
    """Answers that were sampled already, to be ranked (again)."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "candidates": [{"answer": "7", "score": 0.9}, {"answer": "7.0"}, {"answer": "12", "score": 0.4}],
                    "strategy": "weighted_vote",
                }
            ]
        }
    )

    candidates: list[AnswerBody] = Field(fail_fast=True)
    """The samples, in order."""


class TypesetBody(WireModel):
    """Text with LaTeX in it."""

    text: str = Field(max_length=MAX_TYPESET_CHARS, examples=[r"The area is $\frac{1}{2}$."])
    """The text."""


class Html(WireModel):
    """Text as HTML, its formulas as MathML."""

    html: str
    """Safe to put into a page."""


class Cluster(WireModel):
    """Samples whose answers are mathematically equal."""

    answer: str
    """The most frequent way to write it."""
    votes: int
    """Number of samples."""
    weight: float
    """What the strategy counts."""
    score: float | None
    """Sum of its members' scores; null without scores."""
    members: list[int]
    """Indices of its samples."""


class Candidate(WireModel):
    """One sample."""

    index: int
    """Its number."""
    text: str
    """The solution."""
    answer: str | None
    """Its final answer."""
    score: float | None
    """The verifier's score, from 0 to 1; null where the strategy did not need it."""
    finish_reason: str
    """ "stop", or why it was cut."""
    votes: bool
    """Whether it counts: truncated solutions and those without an answer do not."""
    seed: int
    """Its sampling seed."""
    tokens: int
    """Its length."""


class ModelUsage(WireModel):
    """What one model was asked."""

    requests: int
    """Calls."""
    prompt_tokens: int
    """Tokens read."""
    completion_tokens: int
    """Tokens written."""


class Usage(WireModel):
    """What the models were asked."""

    generator: ModelUsage
    """The model that solves."""
    verifier: ModelUsage | None
    """The model that scores."""


class Saved(WireModel):
    """Work that was not needed."""

    samples: int
    """Samples that were never started."""
    verifier_calls: int
    """Solutions that needed no score, or had one already."""


class Timings(WireModel):
    """Where the time went, in seconds; stages overlap."""

    queue: float
    """Until its turn came."""
    sampling: float
    """Until the last sample."""
    clustering: float
    """Comparing answers."""
    scoring: float
    """Waiting for the verifier."""
    total: float
    """From arrival to answer."""


class Models(WireModel):
    """Who answered, and how they were asked."""

    generator: str
    """The model that solves."""
    verifier: str | None
    """The model that scores."""
    prompt_set_hash: str
    """Hash of the generator's prompts."""
    verifier_prompt_hash: str | None
    """Hash of the verifier's prompt."""


class SolveResponse(WireModel):
    """The answer, and how it came about."""

    id: str
    """The request's id."""
    answer: str | None
    """The answer; null when no sample has one."""
    no_answer_reason: str | None
    """Why there is none."""
    solution: str | None
    """The best solution with this answer."""
    confidence: float
    """Share of the deciding weight that the answer holds."""
    strategy: Strategy
    """How it was chosen."""
    stop_reason: str
    """Why sampling ended: "all_samples", "confident" or "deadline"."""
    clusters: list[Cluster]
    """Different answers, the most frequent first."""
    candidates: list[Candidate] | None
    """The samples, if asked for."""
    num_samples: int
    """Samples drawn."""
    usage: Usage
    """Tokens."""
    saved: Saved
    """Work that was not needed."""
    timings: Timings
    """Seconds."""
    models: Models
    """Who answered."""
    seed: int
    """Asking with it again gives the same samples."""


class ErrorDetail(WireModel):
    """What went wrong."""

    type: str
    """What kind of error."""
    message: str
    """What to do."""
    request_id: str
    """The request's id, as in the service's log."""


class ErrorBody(WireModel):
    """Every error."""

    error: ErrorDetail
    """What went wrong."""


class OpenAIErrorDetail(ErrorDetail):
    """What went wrong, with the fields that OpenAI's have besides."""

    param: str | None
    """Unused."""
    code: str | None
    """Unused."""


class OpenAIErrorBody(WireModel):
    """Every error of the routes for OpenAI's clients."""

    error: OpenAIErrorDetail
    """What went wrong."""


class BatchResponse(WireModel):
    """An answer, or an error, for each question, in order."""

    results: list[SolveResponse | ErrorBody]
    """One for each question."""


class ChooseResponse(WireModel):
    """What a strategy makes of the answers."""

    answer: str | None
    """The answer; null when no candidate has one."""
    confidence: float
    """Share of the deciding weight that it holds."""
    clusters: list[Cluster]
    """Different answers, the most frequent first."""
    chosen: int | None
    """Index of the candidate to show."""


class Health(WireModel):
    """How the service is."""

    status: str
    """ "ok", "ready" or "starting"."""


class SampleScore(WireModel):
    """Event `score`."""

    index: int
    """Which sample."""
    score: float
    """The verifier's score."""


class ClusterList(WireModel):
    """Event `clusters`."""

    clusters: list[Cluster]
    """Different answers so far, the most frequent first."""


def dump(model: WireModel) -> dict[str, Any]:
    """Return a model as JSON's types; unlike pydantic's own JSON, lone surrogates survive."""
    return model.model_dump(mode="python")

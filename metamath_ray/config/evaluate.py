"""Evaluation: which tables of samples, of ours or of other tools, and how finely they are measured."""

from typing import Literal

from pydantic import Field, model_validator

from metamath_ray.config.base import FrozenConfig

SamplesFormat = Literal["auto", "samples", "lm_eval", "jsonl"]


class SampleSetConfig(FrozenConfig):
    """The samples of one model on one set of problems; a text alone is the path."""

    path: str
    """Run directory of `sample`, a parquet file or folder of samples, or the JSON lines of another tool; here or in a
    bucket."""
    greedy: str | None = None
    """One greedy sample for each problem, in any of these forms."""
    validation: str | None = None
    """Samples of other problems, on which K and N of the strategies are chosen; without it, K is 8 and N is 16."""
    format: SamplesFormat = "auto"
    """"samples" is our own table; "lm_eval" the sample log of lm-evaluation-harness, "jsonl" lines with a question, a
    reference answer and one or more completions. "auto" looks at the path and at the first record."""
    fields: dict[str, str] = Field(default_factory=dict)
    """Our field → field of another tool's lines, e.g. {"completion": "code", "reference_answer": "gt"}."""
    scores: Literal["probability", "log_odds"] = "probability"
    """What the scores of another tool's lines are: S from 0 to 1, or log-odds (a reward of a Bradley-Terry model)."""

    @model_validator(mode="before")
    @classmethod
    def _path_alone(cls, given: object) -> object:
        return {"path": given} if isinstance(given, str) else given


class EvaluateConfig(FrozenConfig):
    """Tables of samples → every figure, and a report of them."""

    title: str = "Evaluation"
    """Heading of the report."""

    models: dict[str, SampleSetConfig] = Field(min_length=1)
    """Name → samples; each model is compared with the first, and with the one before it."""
    training_rows: tuple[str, ...] = ()
    """Files, folders or run directories of rows that the models were trained on, looked through for the evaluated
    problems; beside those that a model of ours names itself."""
    bootstrapped: str | None = None
    """Run directory of the bootstrap whose data set the models learned; the report tells of its quality."""
    output: str = "runs/evaluation"
    """Folder of `results.json`, `index.html`, `report.md` and the plots."""
    num_shown_problems: int = Field(default=25, ge=0)
    """Problems of each model whose samples can be browsed in the report."""
    num_orderings: int = Field(default=64, ge=1)
    """Random orderings of a problem's samples, over which accuracies at k < N are averaged."""
    num_resamples: int = Field(default=2_000, ge=100)
    """Resamples of the problems, which the intervals come from."""
    seed: int = 0
    """Seed of orderings, resamples and sign flips."""


class EvaluateCommand(EvaluateConfig):
    """Compute every figure from tables of samples, without a model, and write the report."""


class ReportCommand(EvaluateConfig):
    """Write the report of an evaluation anew, from its `results.json`; nothing is computed."""

"""Problems → one table of graded, scored samples; sampled once, measured in every way afterwards.

lock the folder ─▶ check everything ─▶ plan what is new ─▶ Ray up ─▶ generator: N samples, greedy ─▶ verifier: scores
                                                                              └─▶ samples.parquet, greedy.parquet ◀─┘
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, replace

import pyarrow as pa

from metamath_ray.config import BootstrapConfig, SampleConfig, SamplingConfig, StagesSamplingConfig
from metamath_ray.distributed.bootstrap import GPU_ADVICE, draw_all, engine_up, required_cpus
from metamath_ray.distributed.cluster import connected
from metamath_ray.distributed.draw_samples import solutions_alone
from metamath_ray.distributed.driving import Spending, note_budget, spending_of
from metamath_ray.distributed.observer import Observer, Silent
from metamath_ray.distributed.planning import open_growing_run
from metamath_ray.distributed.preflight import Checked, check, require_writable
from metamath_ray.distributed.scoring import check_verifier, plan_scores, read_scores, score_solutions
from metamath_ray.storage import RunDirectory, unfinished_positions
from metamath_ray.storage.samples import GREEDY_FILE, SAMPLE_SCHEMA, SAMPLES_FILE, read_samples, solution_id
from metamath_ray.storage.tables import SCORE_TABLES
from metamath_ray.types import content_id


@dataclass(frozen=True, kw_only=True)
class Draw:
    """One kind of solutions of a run: the samples, or the greedy ones.

    Attributes:
        run: Where the plan and the outcomes are.
        file: Name of the finished table, in the folder of the whole.
    """

    run: RunDirectory
    checked: Checked
    file: str


@dataclass(frozen=True, kw_only=True)
class SampleReport:
    """What a sampling run has.

    Attributes:
        num_correct: Samples that grade correct.
        num_scored: Samples that a verifier scored.
    """

    num_problems: int
    num_samples: int
    num_correct: int
    num_greedy: int
    num_greedy_correct: int
    num_scored: int


def sample(config: SampleConfig, *, retry_failed: bool = False, observer: Observer | None = None) -> SampleReport:
    """Draw, grade and score what is missing, and write the tables.

    A run goes on where it was interrupted. With a larger `num_samples`, or with problems appended, only what is new is
    done; another verifier scores beside the first, and the table has the scores of the latest.

    Raises:
        UserError: Something is missing or does not fit, or the folder belongs to another configuration.
        RunFailed: Too much failed or an engine stayed away; what is done is stored.
    """
    run, watching = RunDirectory(config.run_directory), observer or Silent()
    with run.lock():
        watching.stage("checking models and prompts")
        draws = [Draw(run=run, checked=check(_sampled(config), observer=watching), file=SAMPLES_FILE)]
        verifier = check_verifier(config, observer=watching)
        require_writable(run)
        if config.greedy:
            greedy = RunDirectory(run.path("greedy"))
            draws.append(Draw(run=greedy, checked=check(_greedy(config)), file=GREEDY_FILE))
        watching.stage("planning")
        for draw in draws:
            open_growing_run(draw.run, draw.checked)
        scored = (RunDirectory(run.path("scores", name), SCORE_TABLES) for name in run.folders("scores"))
        spending = spending_of(config, *(draw.run for draw in draws), *scored, num_gpus=config.num_gpus)
        note_budget(run, spending, is_left=False)
        with ExitStack() as up:
            left = [draw for draw in draws if unfinished_positions(draw.run, retry_failed=retry_failed).size]
            if left and not (spending and spending.is_over(watching)):
                up.enter_context(_cluster(config, run))
                _draw(left, retry_failed=retry_failed, observer=watching, spending=spending)
            solutions = (pair for draw in draws for pair in _votable(draw.run))
            scores = plan_scores(solutions, verifier, run) if verifier else None
            unscored = scores is not None and unfinished_positions(scores, retry_failed=retry_failed).size
            if verifier and scores and unscored and not (spending and spending.is_over(watching)):
                up.enter_context(_cluster(config, run))
                score_solutions(scores, verifier, retry_failed=retry_failed, observer=watching, spending=spending)
        parts = [*(draw.run for draw in draws), *([scores] if scores else [])]
        note_budget(run, spending, is_left=any(unfinished_positions(part).size for part in parts))
        known = read_scores(scores) if scores else {}
        for draw in draws:
            run.write_batches(scored_batches(draw.run, known), SAMPLE_SCHEMA, draw.file)
        return _report(run, greedy=config.greedy)


def _sampled(config: SampleConfig) -> BootstrapConfig:
    return _drawing(config, config.run_directory, num_samples=config.num_samples, sampling=config.sampling)


def _greedy(config: SampleConfig) -> BootstrapConfig:
    sampling = SamplingConfig(temperature=0, max_tokens=config.sampling.max_tokens)
    return _drawing(config, RunDirectory(config.run_directory).path("greedy"), num_samples=1, sampling=sampling)


def _drawing(
    config: SampleConfig, run_directory: str, *, num_samples: int, sampling: SamplingConfig
) -> BootstrapConfig:
    return BootstrapConfig(
        source=config.problems,
        run_directory=run_directory,
        seed=config.seed,
        augmentation=solutions_alone(num_samples),
        prompt_set=config.prompt_set,
        sampling=StagesSamplingConfig(solve=sampling),
        engine=config.engine,
        execution=config.execution,
        ray=config.ray,
    )


def _cluster(config: SampleConfig, run: RunDirectory) -> AbstractContextManager[None]:
    engines = [config.engine, *([config.verifier] if config.verifier else [])]
    return connected(
        config.ray,
        num_cpus=max(required_cpus(engine, config.execution) for engine in engines),
        num_gpus=max(engine.num_gpus for engine in engines),
        gpu_advice=GPU_ADVICE,
        logs=run.local_path / "logs" if run.local_path else None,
    )


def _draw(draws: list[Draw], *, retry_failed: bool, observer: Observer, spending: Spending | None) -> None:
    name = f"sample-{content_id(draws[0].run.root)[:8]}"
    with engine_up(draws[0].checked, application=name, logs=None, observer=observer) as make_runner:
        for draw in draws:
            observer.stage("sampling" if draw.file == SAMPLES_FILE else "solving greedily")
            one = replace(make_runner, config=draw.checked.config)
            draw_all(draw.run, one, retry_failed=retry_failed, observer=observer, spending=spending)


def _votable(run: RunDirectory) -> Iterator[tuple[str, str]]:
    """Yield question and text of each sample that states an answer; a truncated text states none."""
    for batch in read_samples(run):
        for row in batch.to_pylist():
            if row["extracted_answer"] is not None:
                yield row["problem"]["question"], row["completion"]


def scored_batches(run: RunDirectory, scores: dict[str, float]) -> Iterator[pa.RecordBatch]:
    """Stream the samples of a run with the scores that there are."""
    for batch in read_samples(run):
        rows = batch.to_pylist()
        for row in rows:
            row["score"] = scores.get(solution_id(row["problem"]["question"], row["completion"]))
        yield pa.RecordBatch.from_pylist(rows, schema=SAMPLE_SCHEMA)


def _report(run: RunDirectory, *, greedy: bool) -> SampleReport:
    samples = run.read_table(SAMPLES_FILE, columns=["problem_id", "verdict", "score"])
    solved = run.read_table(GREEDY_FILE, columns=["verdict"]).column("verdict").to_pylist() if greedy else []
    return SampleReport(
        num_problems=len(samples.column("problem_id").unique()),
        num_samples=len(samples),
        num_correct=samples.column("verdict").to_pylist().count("correct"),
        num_greedy=len(solved),
        num_greedy_correct=solved.count("correct"),
        num_scored=len(samples) - samples.column("score").null_count,
    )

"""`metamath-ray`: each command parses its configuration, makes one call and shows the result."""

import os
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from metamath_ray.errors import RunDirectoryError
from metamath_ray.exits import PROGRAM, fail, run_guarded

if TYPE_CHECKING:
    from rich.console import Console

    from metamath_ray.config import ExportConfig
    from metamath_ray.storage import RunDirectory


def _plan(arguments: Sequence[str]) -> None:
    from metamath_ray.arguments import parse_arguments
    from metamath_ray.config import PlanCommand

    command = parse_arguments(PlanCommand, arguments, program=f"{PROGRAM} plan")
    from metamath_ray.distributed import trial
    from metamath_ray.terminal import estimate_lines, estimate_table
    from metamath_ray.terminal_log import observing
    from metamath_ray.terminal_quiet import quiet

    with quiet(command.run_directory) as console:
        with observing(console, command.run_directory, command.ray) as observer:
            manifest, estimate = trial.plan(
                command, fork=command.fork, sample_items=command.sample_items, observer=observer
            )
        planned = manifest.stages["plan"]
        console.print(estimate_table(estimate))
        for line in estimate_lines(estimate):
            console.print(line)
        console.print(
            f"{planned['num_problems']:,} problems, {planned['num_without_masks']:,} of them without a number to mask; "
            f"{planned['num_ambiguous_masks']:,} ambiguous numbers left out"
        )
        for message in planned["invalid_records"]:
            console.print(f"skipped {message}", style="yellow", markup=False)
        console.print(f"plan: {command.run_directory}/plan.parquet")


def _preview(arguments: Sequence[str]) -> None:
    from metamath_ray.arguments import parse_arguments
    from metamath_ray.config import PreviewCommand

    command = parse_arguments(PreviewCommand, arguments, program=f"{PROGRAM} preview")
    from metamath_ray.distributed import trial
    from metamath_ray.terminal import preview_panel
    from metamath_ray.terminal_log import observing
    from metamath_ray.terminal_quiet import quiet

    with quiet(None) as console:
        with observing(console, "", command.ray) as observer:
            rows = trial.preview(command, num_rows=command.num_rows, observer=observer)
        for number, row in enumerate(rows, start=1):
            console.print(preview_panel(number, row))


def _bootstrap(arguments: Sequence[str]) -> None:
    from metamath_ray.arguments import parse_arguments
    from metamath_ray.config import BootstrapCommand

    command = parse_arguments(BootstrapCommand, arguments, program=f"{PROGRAM} bootstrap")
    from metamath_ray.distributed.bootstrap import bootstrap
    from metamath_ray.terminal_log import observing
    from metamath_ray.terminal_quiet import quiet
    from metamath_ray.terminal_status import show_status

    with quiet(command.run_directory) as console, observing(console, command.run_directory, command.ray) as observer:
        bootstrap(command, fork=command.fork, retry_failed=command.retry_failed, observer=observer)
    show_status(command.run_directory)


def _status(arguments: Sequence[str]) -> None:
    from metamath_ray.arguments import parse_arguments
    from metamath_ray.config import StatusCommand

    command = parse_arguments(StatusCommand, arguments, program=f"{PROGRAM} status")
    from metamath_ray.terminal_status import show_status

    show_status(command.run_directory)


def _export(arguments: Sequence[str]) -> None:
    from metamath_ray.arguments import parse_arguments
    from metamath_ray.config import ExportCommand

    command = parse_arguments(ExportCommand, arguments, program=f"{PROGRAM} export")
    from rich.console import Console

    from metamath_ray.export.run_export import export_run, first_rows
    from metamath_ray.storage import RunDirectory
    from metamath_ray.terminal import export_table, row_panel, skipped_tests

    console, run = Console(highlight=False), RunDirectory(command.run_directory)
    summary = export_run(run, _export_config(run, command.export))
    console.print(export_table(summary))
    for line in skipped_tests(summary):
        console.print(line, style="yellow", markup=False)
    for row in first_rows(run, NUM_SHOWN_ROWS):
        console.print(row_panel(row))
    console.print(
        f"{summary.num_exported:,} rows of {summary.num_problems:,} problems: {command.run_directory}/dataset"
    )


def _export_config(run: "RunDirectory", given: "ExportConfig | None") -> "ExportConfig":
    """Return what the run's own configuration says, under what the command line says."""
    from metamath_ray.config import ExportConfig

    try:
        stored = ExportConfig.model_validate(run.read_manifest().configuration["export"])
    except (KeyError, ValueError) as error:
        raise RunDirectoryError(f"{run.path('manifest.json')}: no readable configuration of an export") from error
    changes = given.model_dump(include=given.model_fields_set) if given else {}
    return ExportConfig.model_validate({**stored.model_dump(), **changes})


def _sample(arguments: Sequence[str]) -> None:
    from metamath_ray.arguments import parse_arguments
    from metamath_ray.config import SampleCommand

    command = parse_arguments(SampleCommand, arguments, program=f"{PROGRAM} sample")
    from metamath_ray.distributed.sample import sample
    from metamath_ray.terminal import sampled_lines
    from metamath_ray.terminal_log import observing
    from metamath_ray.terminal_quiet import quiet

    with quiet(command.run_directory) as console:
        with observing(console, command.run_directory, command.ray) as observer:
            report = sample(command, retry_failed=command.retry_failed, observer=observer)
        for line in sampled_lines(report, command.run_directory):
            console.print(line, soft_wrap=True)


def _finetune(arguments: Sequence[str]) -> None:
    from metamath_ray.arguments import parse_arguments
    from metamath_ray.config import FinetuneCommand

    command = parse_arguments(FinetuneCommand, arguments, program=f"{PROGRAM} finetune")
    from metamath_ray.terminal import stages_table
    from metamath_ray.terminal_log import observing
    from metamath_ray.terminal_quiet import quiet

    with quiet(command.run_directory) as console:
        with observing(console, command.run_directory, command.ray) as observer:
            observer.stage("loading DeepSpeed")
            from metamath_ray.distributed.finetune import finetune

            report = finetune(command, observer=observer)
        console.print(stages_table(report))
        for stage in report.stages:
            console.print(f"{stage.name}: {command.run_directory}/{stage.name}/model", soft_wrap=True)


def _serve(arguments: Sequence[str]) -> None:
    if arguments[:1] == ["build"]:
        _serve_build(arguments[1:])
        return
    from metamath_ray.arguments import parse_arguments
    from metamath_ray.config import ServeCommand

    command = parse_arguments(ServeCommand, arguments, program=f"{PROGRAM} serve")
    from metamath_ray.distributed.serving import serving
    from metamath_ray.exits import until_stopped
    from metamath_ray.terminal_log import observing
    from metamath_ray.terminal_quiet import quiet
    from metamath_ray.terminal_solve import ready_lines
    from services.solve.deployments import check, solve_application
    from services.solve.proxy import CALLBACK, CALLBACK_VARIABLE

    with quiet(None) as console, ExitStack() as up:
        with observing(console, "", command.ray) as observer:
            environment = {CALLBACK_VARIABLE: CALLBACK}
            service = serving(command, check=check, build=solve_application, environment=environment, observer=observer)
            url = up.enter_context(service)
        if command.question:
            _show_answer(console, url, {"question": command.question}, api_key_env=None)
            console.print(f"`{PROGRAM} serve` keeps it up, with a page and an API")
            return
        for line in ready_lines(url):
            console.print(line, soft_wrap=True)
        until_stopped()


def _serve_build(arguments: Sequence[str]) -> None:
    from metamath_ray.arguments import parse_arguments
    from metamath_ray.config import ServeBuildCommand

    command = parse_arguments(ServeBuildCommand, arguments, program=f"{PROGRAM} serve build")
    from services.solve.serve_file import serve_file

    print(serve_file(command), end="")


def _solve(arguments: Sequence[str]) -> None:
    from metamath_ray.arguments import parse_arguments
    from metamath_ray.config import SolveCommand

    command = parse_arguments(SolveCommand, arguments, program=f"{PROGRAM} solve")
    from rich.console import Console

    api_key_env = command.api_key_env if command.api_key_env in os.environ else None
    _show_answer(Console(highlight=False), command.url, command.body(), api_key_env=api_key_env)


def _show_answer(console: "Console", url: str, body: dict[str, Any], *, api_key_env: str | None) -> None:
    """Ask a service; draw the votes while they come in, and then what came of them."""
    from rich.live import Live

    from metamath_ray.solve_client import solve_events
    from metamath_ray.terminal_solve import answer_parts, clusters_table, curl_line

    answer: dict[str, Any] = {}
    api_key = os.environ[api_key_env] if api_key_env else None
    with Live(console=console, transient=True, auto_refresh=False) as live:
        for name, data in solve_events(url, body, api_key=api_key):
            answer = data
            if name == "clusters" and console.is_terminal:
                live.update(clusters_table(data), refresh=True)
    for part in answer_parts(answer):
        console.print(part)
    console.print(curl_line(url, body, api_key_env=api_key_env), soft_wrap=True, markup=False)


def _loop(arguments: Sequence[str]) -> None:
    from metamath_ray.arguments import parse_arguments
    from metamath_ray.config import LoopCommand

    command = parse_arguments(LoopCommand, arguments, program=f"{PROGRAM} loop")
    from metamath_ray.terminal_loop import loop_and_show

    loop_and_show(command)


def _evaluate(arguments: Sequence[str]) -> None:
    from metamath_ray.arguments import parse_arguments
    from metamath_ray.config import EvaluateCommand

    command = parse_arguments(EvaluateCommand, arguments, program=f"{PROGRAM} evaluate")
    from metamath_ray.terminal_evaluation import evaluate_and_show

    evaluate_and_show(command)


def _report(arguments: Sequence[str]) -> None:
    from metamath_ray.arguments import parse_arguments
    from metamath_ray.config import ReportCommand

    command = parse_arguments(ReportCommand, arguments, program=f"{PROGRAM} report")
    from metamath_ray.measuring import read_results, read_shown, report

    print(f"report: {report(command, read_results(command), read_shown(command))}")


def _submit(arguments: Sequence[str]) -> None:
    from metamath_ray.arguments import parse_arguments
    from metamath_ray.config import SubmitCommand, SubmitConfig, split_arguments

    own, options = split_arguments(arguments)
    command = parse_arguments(SubmitCommand, own, program=f"{PROGRAM} submit")
    from metamath_ray.distributed.submission import submit
    from metamath_ray.terminal_submit import SubmissionTerminal

    sys.exit(submit(SubmitConfig(**command.model_dump(), options=options), observer=SubmissionTerminal()))


def _grade(arguments: Sequence[str]) -> None:
    from metamath_ray.arguments import parse_arguments
    from metamath_ray.config import GradeCommand

    command = parse_arguments(GradeCommand, arguments, program=f"{PROGRAM} grade")
    from metamath_ray.grading.batch import grade_file

    counts = grade_file(command.input, command.output, workers=command.workers)
    print(
        f"{counts.total:,} lines: {counts.correct:,} correct, {counts.incorrect:,} incorrect, "
        f"{counts.unscored:,} unscored, {counts.broken:,} broken",
        file=sys.stderr,
    )


NUM_SHOWN_ROWS = 3
"""Rows that `export` shows."""

COMMANDS: dict[str, tuple[Callable[[Sequence[str]], None], str]] = {
    "plan": (_plan, "write the plan of a bootstrap and estimate its cost from a sample"),
    "preview": (_preview, "show a few rows through the whole pipe, prompts included"),
    "bootstrap": (_bootstrap, "run a bootstrap, or resume it"),
    "status": (_status, "say how far a run of any kind is"),
    "export": (_export, "write a run's data set: JSON lines, parquet, data card"),
    "sample": (_sample, "draw N solutions a problem, graded and scored, in one table; resumes and grows"),
    "finetune": (_finetune, "fine-tune a generator, a verifier, or both in sequence; resumes"),
    "serve": (_serve, "answer questions over HTTP: sample, cluster, score, re-rank; build: for a cluster"),
    "solve": (_solve, "ask a running service one question, and see how its samples voted"),
    "evaluate": (_evaluate, "compute every figure from tables of samples, and write a report"),
    "report": (_report, "write the report of an evaluation anew"),
    "loop": (_loop, "run steps in order, each made from earlier ones; skips what is unchanged"),
    "submit": (_submit, "run a job on a cluster; shows its output, ends with its exit code"),
    "grade": (_grade, "grade a file of answers against references"),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return its exit code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    if not given or given[0] in ("-h", "--help"):
        print(_usage())
        return 0 if given else 2
    if given[0] == "--version":
        print(f"{PROGRAM} {version(PROGRAM)}")
        return 0
    if given[0] not in COMMANDS:
        return fail(f"no command {given[0]!r}; there are {', '.join(COMMANDS)}", code=2)
    return run_guarded(lambda: COMMANDS[given[0]][0](given[1:]))


def _usage() -> str:
    lines = [f"usage: {PROGRAM} COMMAND [--config FILE] [--option VALUE …]", ""]
    lines += [f"  {name:<10} {what}" for name, (_, what) in COMMANDS.items()]
    return "\n".join([*lines, "", f"{PROGRAM} COMMAND --help explains every option."])


if __name__ == "__main__":
    sys.exit(main())

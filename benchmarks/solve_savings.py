"""What the solve service saves, on real samples: samples by stopping early, verifier calls by scoring what counts.

The samples are those of a bootstrap run of answer augmentation (`--samples`), scored by the service's verifier, or are
drawn and scored by the service itself. Rules that stop early are replayed on each question's samples in random orders,
and compared with the vote over all of them, question by question. "As accurate" is the cheapest fixed N, or share, that
is as accurate as the adaptive rule on these very samples: an advantage that the rule itself does not have. Strategies
are compared on blocks of N samples. Prints tables and, as its last line, one JSON object.

    python benchmarks/solve_savings.py [--samples RUN_DIRECTORY] [--quick]
"""

import argparse
import asyncio
import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table
from solve_samples import Question, draw, read_questions, scored
from solve_stopping import BLOCK, Bools, Compared, Ints, mean, share, stopping
from solve_systems import WIDTH, service, service_config

from metamath_ray.reranking import Strategy, choose, samples_to_score
from metamath_ray.statistics import Mean, mean_over_seeds, rate
from metamath_ray.storage.manifest import hardware, versions
from metamath_ray.terminal_quiet import quiet

TOP_CLUSTERS = (2, 4, 8)
ORDER_SEED = 0

Figures = dict[str, Any]


def main() -> None:
    """Get the samples, compare and print."""
    arguments = _arguments()
    num_problems, num_samples, num_orders = (12, 16, 5) if arguments.quick else (100, 64, 20)
    with quiet(None) as console:
        console.width = WIDTH
        with service(service_config(num_samples=num_samples)) as url:
            if arguments.samples:
                questions = asyncio.run(scored(read_questions(arguments.samples, num_problems)))
            else:
                questions = asyncio.run(draw(url, num_problems, num_samples))
        figures = savings(questions, num_orders, console)
    print(json.dumps({"hardware": hardware(), "versions": versions(), **figures}))


def savings(questions: Sequence[Question], num_orders: int, console: Console) -> Figures:
    """Compare the rules and the strategies on the same samples; print and return the figures."""
    num_samples = questions[0].num_samples
    single = mean_over_seeds([[one.is_right(index) for one in questions] for index in range(num_samples)])
    console.print(f"{len(questions)} questions × {num_samples} samples; one sample alone is right in {single} %\n")
    chance = np.random.default_rng(ORDER_SEED)
    orders = [[one.in_order(chance.permutation(num_samples).tolist()) for one in questions] for _ in range(num_orders)]
    return {
        "questions": len(questions),
        "samples": num_samples,
        "one_sample": asdict(single),
        "stopping": show_stopping(stopping(orders), console),
        "strategies": {
            str(size): show_strategies(strategies(questions, size), size, console)
            for size in sorted({min(BLOCK, num_samples), num_samples})
        },
    }


def show_stopping(found: dict[str, Compared], console: Console) -> Figures:
    """Print and return what each rule takes and loses."""
    table = Table(title="Stopping early: samples and tokens a question", title_justify="left", box=None)
    for column in ("", "samples", "tokens", "right, %", "points against all", "tokens saved, %", "adaptive saves, %"):
        table.add_column(column, justify="left" if not column else "right")
    figures: Figures = {}
    for name, compared in found.items():
        means = {"right": mean(compared.it.right), "points": compared.points, "tokens_saved": compared.saved}
        means |= {"adaptive_points": compared.adaptive_points, "adaptive_saves": compared.adaptive_saves}
        samples, tokens = float(compared.it.samples.mean()), float(compared.it.tokens.mean())
        figures[name] = {"samples": round(samples, 2), "tokens": round(tokens, 1), **_figures(**means)}
        shown = [str(means[column]) for column in ("right", "points", "tokens_saved", "adaptive_saves")]
        table.add_row(name, f"{samples:.1f}", f"{tokens:,.0f}", *shown)
    console.print(table, "")
    return figures


def strategies(questions: Sequence[Question], size: int) -> dict[str, tuple[Bools, Ints]]:
    """Return whether each strategy is right and the verifier calls it takes; arrays of blocks × questions."""
    ranges = [range(first, first + size) for first in range(0, questions[0].num_samples - size + 1, size)]
    blocks = [[question.in_order(indices) for question in questions] for indices in ranges]
    found = {}
    for strategy in Strategy:
        for most in TOP_CLUSTERS if strategy.needs_top_clusters_alone else TOP_CLUSTERS[-1:]:
            name = f"{strategy}, K = {most}" if strategy.needs_top_clusters_alone else str(strategy)
            ends = np.array([[_chosen(question, strategy, most) for question in block] for block in blocks])
            found[name] = (ends[..., 0].astype(bool), ends[..., 1])
    return found


def _chosen(question: Question, strategy: Strategy, num_clusters: int) -> tuple[bool, int]:
    """Return whether the choice is right, and the calls: distinct texts that the strategy needs scored."""
    clusters = question.clusters(question.num_samples)
    needed = samples_to_score(clusters, strategy, num_clusters=num_clusters)
    scores = {index: score for index, score in question.scores(question.num_samples).items() if index in needed}
    choice = choose(clusters, scores, strategy, num_clusters=num_clusters)
    right = choice.cluster is not None and question.is_right(clusters[choice.cluster].members[0])
    return right, len({question.texts[index] for index in needed})


def show_strategies(found: dict[str, tuple[Bools, Ints]], size: int, console: Console) -> Figures:
    """Print and return how often each strategy is right, and what it asks of the verifier."""
    majority, (_, all_calls) = found[Strategy.MAJORITY_VOTE][0], found[Strategy.WEIGHTED_VOTE]
    table = Table(
        title=f"Strategies: {len(majority)} × {size} samples of {majority.shape[1]} questions",
        title_justify="left",
        box=None,
    )
    columns = ("", "right, %", "points against majority", "verifier calls", "of samples, %", "of weighted vote's, %")
    for column in columns:
        table.add_column(column, justify="left" if not column else "right")
    figures: Figures = {}
    for name, (right, calls) in found.items():
        found_right, gained = mean(right), mean(right * 1.0 - majority)
        of_samples, of_all = share(calls, np.full(calls.shape, size)), share(calls, all_calls)
        figures[name] = {
            "verifier_calls": round(float(calls.mean()), 2),
            "first_block": asdict(rate(right[0].tolist())),
            **_figures(
                right=found_right, against_majority=gained, calls_of_samples=of_samples, calls_of_weighted_vote=of_all
            ),
        }
        table.add_row(name, str(found_right), str(gained), f"{calls.mean():.1f}", str(of_samples), str(of_all))
    console.print(table, "")
    return figures


def _figures(**means: Mean) -> Figures:
    return {
        name: [round(100 * value, 2) for value in (found.mean, found.low, found.high)] for name, found in means.items()
    }


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", metavar="RUN_DIRECTORY", help="a bootstrap run with 16 or more samples a problem")
    parser.add_argument("--quick", action="store_true", help="fewer questions, samples and orders; under two minutes")
    return parser.parse_args()


if __name__ == "__main__":
    main()

"""The grader against Math-Verify: accuracy, false equals, speed, bombs, clustering, in one run.

Prints tables and, as its last line, one JSON object. Real data are looked for in `--data`, else in the environment
variable METAMATH_RAY_DATA, else in ../shared/data beside the repository; without them those parts are left out.
"""

import argparse
import json
import logging
import os
import random
import resource
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import math_verify

from metamath_ray.grading import GradeVerdict, Verdict, check_canaries, extract_answer, grade, pool
from metamath_ray.grading.equivalence import explain, explain_patiently, forget
from metamath_ray.grading.readings import forget_readings, read
from metamath_ray.reranking import cluster_answers
from metamath_ray.storage.manifest import hardware, versions

ROOT = Path(__file__).resolve().parents[1]
Row = dict[str, Any]

REPEATS = 5
QUICK_SECONDS = 30.0

DISPUTED = {
    "eq0028": "the text says 'Answer', then the formula 9; line breaks inside the dollars do not change the answer",
    "eq0029": "the same with round delimiters",
}
"""Core labels that we hold to be wrong, with the argument."""

BOMBS = {
    "tower": "9^{9^{9^9}}",
    "power": "10^{100000000}",
    "factorial": "1000000000!",
    "binomial": r"\binom{10^6}{5\cdot 10^5}",
    "brackets": "(" * 5000 + "1" + ")" * 5000,
    "roots": r"\sqrt{" * 300 + "2" + "}" * 300,
    "megabyte": "1" * 1_000_000,
    "terms": "x+" * 500_000,
    "null bytes": "\x00" * 4000,
    "unbalanced": "([{" * 1200,
    "open texts": r"\text{" * 600,
    "dollars": "$" * 3999,
    "double sum": r"\sum_{k=1}^{40000}\sum_{j=1}^{40000} jk",
    "integral": r"\int_0^1 \frac{\sin(x^{100})}{x^{77}+e^x}dx",
    "set of roots": ",".join(rf"\sqrt{{\sqrt{{{n}}}+1}}" for n in range(2, 66)),
    "expansion": "(a+b+c+d+e+f+g+h)^{200}",
}


def main() -> None:
    """Run every part that its data allow, and print the figures."""
    arguments = _arguments()
    logging.disable(logging.CRITICAL)
    check_canaries()
    pool.warm_up()
    figures: Row = {"quick": arguments.quick}
    data = arguments.data
    if not data.is_dir():
        print(f"NO DATA at {data}: the parts on shared cases, golds and labelled outputs are left out.\n")
    else:
        figures["cases"] = cases(_lines(data / "equivalence_cases.jsonl"), quick=arguments.quick)
        figures["golds"] = golds(data, quick=arguments.quick)
        figures["labelled"] = labelled(data)
    figures["own_table"] = own_table(quick=arguments.quick)
    figures["speed"] = speed(data, quick=arguments.quick)
    figures["clustering"] = clustering()
    figures["bombs"] = bombs(quick=arguments.quick)
    pool.shut_down()
    print(json.dumps({"hardware": hardware(), "versions": versions(), **figures}))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    default = Path(os.environ.get("METAMATH_RAY_DATA", ROOT.parent / "shared" / "data"))
    parser.add_argument("--data", type=Path, default=default, help="folder of the real data")
    parser.add_argument("--quick", action="store_true", help="samples instead of everything; under two minutes")
    return parser.parse_args()


def _lines(path: Path) -> list[Row]:
    with path.open(encoding="utf-8") as file:
        return [json.loads(line) for line in file]


# Math-Verify, as it comes and with its answers put between dollars, without which it reads no LaTeX.


def stock(gold: str, answer: str) -> Verdict:
    """Ask Math-Verify with its stock settings."""
    return _math_verify(gold, answer)


def wrapped(gold: str, answer: str) -> Verdict:
    """Ask Math-Verify, bare answers put between dollars."""
    return _math_verify(
        *(
            text if any(mark in text for mark in ("$", "\\(", "\\[", "boxed")) else f"${text}$"
            for text in (gold, answer)
        )
    )


def _math_verify(gold: str, answer: str) -> Verdict:
    try:
        equal = math_verify.verify(math_verify.parse(gold), math_verify.parse(answer))
    except Exception:  # its own time-outs and whatever sympy raises
        return Verdict.UNKNOWN
    return Verdict.EQUAL if equal else Verdict.DIFFERENT


def ours(row: Row) -> Verdict:
    """Ask our grader: `grade` for whole responses, `compare` for answers."""
    if row["category"] != "response":
        return explain_patiently(row["gold"], row["pred"]).verdict
    verdicts = {GradeVerdict.CORRECT: Verdict.EQUAL, GradeVerdict.INCORRECT: Verdict.DIFFERENT}
    return verdicts.get(grade(row["pred"], row["gold"]).verdict, Verdict.UNKNOWN)


def cases(rows: list[Row], *, quick: bool) -> Row:
    """Print accuracy per category, side by side, and every core case that came out other than labelled."""
    print("== shared cases: right / false equal / false different / undecided; seconds")
    graders: dict[str, Callable[[Row], Verdict]] = {
        "ours": ours,
        "Math-Verify stock": lambda row: stock(row["gold"], row["pred"]),
        "Math-Verify in $": lambda row: wrapped(row["gold"], row["pred"]),
    }
    if quick:
        del graders["Math-Verify in $"]
    groups: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        groups["core" if row["core"] else "policy"].append(row)
        groups[("core " if row["core"] else "policy ") + row["category"]].append(row)
    figures: Row = {}
    for name, grader in graders.items():
        asked = rows if name == "ours" or not quick else _quick_sample(rows)
        verdicts, seconds, worst = _ask(asked, grader, QUICK_SECONDS if quick else float("inf"))
        for group, members in sorted(groups.items()):
            counted = [row for row in members if row["id"] in verdicts]
            if counted:
                figures.setdefault(group, {})[name] = _score(counted, verdicts)
        figures.setdefault("seconds", {})[name] = round(seconds, 2)
        figures.setdefault("worst_seconds_with_retries", {})[name] = round(worst, 2)
        if name == "ours":
            _print_disputes(rows, verdicts)
    for group in sorted(groups):
        for name, score in figures[group].items():
            print(f"{group:24} {name:18} " + " ".join(f"{key} {value:4}" for key, value in score.items()))
    print(
        f"seconds {figures['seconds']}  worst, retries on a busy machine included, "
        f"{figures['worst_seconds_with_retries']}\n"
    )
    return figures


def _quick_sample(rows: list[Row]) -> list[Row]:
    """Return the rows that are no parser pairs in random order: the time may not suffice for all."""
    kept = [row for row in rows if row["category"] != "parser_pair"]
    return random.Random(0).sample(kept, len(kept))


def _ask(rows: list[Row], grader: Callable[[Row], Verdict], limit: float) -> tuple[dict[str, Verdict], float, float]:
    """Ask a grader about each row, as long as the time lasts."""
    forget()
    verdicts, worst, begin = {}, 0.0, time.perf_counter()
    for row in rows:
        start = time.perf_counter()
        if start - begin > limit:
            break
        verdicts[row["id"]] = grader(row)
        worst = max(worst, time.perf_counter() - start)
    return verdicts, time.perf_counter() - begin, worst


def _score(rows: list[Row], verdicts: dict[str, Verdict]) -> Row:
    count: Counter[str] = Counter()
    for row in rows:
        verdict, expected = verdicts[row["id"]], Verdict.EQUAL if row["equal"] else Verdict.DIFFERENT
        name = {Verdict.EQUAL: "false_equal", Verdict.DIFFERENT: "false_different"}.get(verdict, "unknown")
        count["right" if verdict is expected else name] += 1
    denied = sum(row["math_equal"] is False and verdicts[row["id"]] is Verdict.EQUAL for row in rows)
    return {"of": len(rows), "equal_against_strict_reading": denied} | {
        name: count[name] for name in ("right", "false_equal", "false_different", "unknown")
    }


def _print_disputes(rows: list[Row], verdicts: dict[str, Verdict]) -> None:
    """List each core case that came out other than labelled, and each equal that a strict reading denies."""
    for row in rows:
        if row["core"] and (verdicts[row["id"]] is Verdict.EQUAL) != row["equal"]:
            argument = DISPUTED.get(row["id"], "OURS IS WRONG")
            print(f"{row['id']} label {'=' if row['equal'] else '≠'} ours {verdicts[row['id']]}: {row['gold']!r:.60} | "
                  f"{row['pred']!r:.60}: {argument}")  # fmt: skip
        if row["math_equal"] is False and verdicts[row["id"]] is Verdict.EQUAL and not row["core"]:
            print(f"{row['id']} equal by policy ({row['policy']}): {row['gold']!r:.60} | {row['pred']!r:.60}")


def golds(data: Path, *, quick: bool) -> Row:
    """Grade every reference answer against itself and through its own solution."""
    print("== reference answers: equal to themselves; correct through their own solution; how they read")
    figures: Row = {}
    for name, pairs in (("GSM8K", _gsm8k(data)), ("MATH", _math(data))):
        rows = list(pairs)
        rows = random.Random(0).sample(rows, 2_500) if quick else rows
        begin = time.perf_counter()
        alone = sum(explain(gold, gold).is_equal for _, gold in rows)
        missed = [
            (gold, found)
            for solution, gold in rows
            if (found := grade(solution, gold)).verdict is not GradeVerdict.CORRECT
        ]
        kinds = Counter(reading[0].kind if (reading := read(gold)) else "none" for _, gold in rows)
        figures[name] = {
            "of": len(rows), "self": alone, "through_solution": len(rows) - len(missed), "kinds": dict(kinds),
            "seconds": round(time.perf_counter() - begin, 1),
        }  # fmt: skip
        print(name, figures[name])
        for gold, found in missed:
            print(f"  missed: {gold!r} against {found.extracted_answer!r}: {found.reason}")
    print()
    return figures


def _gsm8k(data: Path) -> Iterator[tuple[str, str]]:
    for part in ("train", "test"):
        for row in _lines(data / "gsm8k" / f"{part}.jsonl"):
            yield row["answer"], row["answer"].rpartition("####")[2].strip()


def _math(data: Path) -> Iterator[tuple[str, str]]:
    """Yield solutions and golds; two boxes of the published data are empty."""
    for part in ("train", "test"):
        for row in _lines(data / "math" / f"{part}.jsonl"):
            if row["answer_extracted"]:
                yield row["solution"], row["answer_extracted"]


def labelled(data: Path) -> Row:
    """Grade real outputs and list each disagreement with its label."""
    print("== labelled real outputs: agreement; each disagreement, judged")
    figures: Row = {}
    for name, rows in (
        ("GSM8K example solutions", _examples(data)),
        ("Rho-1", _outputs(data / "outputs" / "rho1.jsonl")),
        ("ToRA", _outputs(data / "outputs" / "tora.jsonl")),
        ("Qwen2.5-Math on MATH", _qwen(data)),
    ):
        total, disagreements = 0, []
        for text, gold, label in rows:
            total += 1
            found = grade(text, gold)
            if (found.verdict is GradeVerdict.CORRECT) != label:
                disagreements.append((gold, label, found))
        figures[name] = {"of": total, "agree": total - len(disagreements)}
        print(f"{name}: {total - len(disagreements)} of {total} ({(total - len(disagreements)) / total:.2%})")
        for gold, label, found in disagreements:
            print(
                f"  gold {gold!r} label {label} ours {found.verdict} for {found.extracted_answer!r}: "
                + _judge(gold, label, found)
            )
    print()
    return figures


def _judge(gold: str, label: bool, found: Any) -> str:  # noqa: ANN401
    """Say who is at fault: a label that rejects a text which ends with the gold value is."""
    if ".." in gold:
        return "the gold is damaged"
    last = (found.extracted_answer or "").rpartition("=")[2]
    if not label and found.verdict is GradeVerdict.CORRECT:
        plain = "".join(character for character in last if character.isdigit())
        wanted = "".join(character for character in gold if character.isdigit())
        return "the label is at fault (it compares strings)" if plain == wanted else "to be judged"
    return "OURS IS WRONG"


def _examples(data: Path) -> Iterator[tuple[str, str, bool]]:
    for row in _lines(data / "gsm8k" / "example_model_solutions.jsonl"):
        for value in row.values():
            if isinstance(value, dict):
                yield value["solution"], row["ground_truth"], bool(value["is_correct"])


def _outputs(path: Path) -> Iterator[tuple[str, str, bool]]:
    for row in _lines(path):
        yield row["text"], str(row["gold"]), bool(row["recomputed_correct"])


def _qwen(data: Path) -> Iterator[tuple[str, str, bool]]:
    for row in _lines(data / "outputs" / "qwen25math_math_cot_100x8.jsonl"):
        for text, label in zip(row["code"], row["score"], strict=True):
            yield text, str(row["gt"]), bool(label)


def own_table(*, quick: bool) -> Row:
    """Print the accuracy of both graders on the project's own case table."""
    rows = json.loads((ROOT / "tests" / "data" / "grading_equivalence.json").read_text(encoding="utf-8"))
    decided = [row for row in rows if row["verdict"] != "unknown"]
    figures: Row = {
        "of": len(decided),
        "ours": sum(explain_patiently(row["a"], row["b"]).verdict == row["verdict"] for row in decided),
    }
    if not quick:
        figures["Math-Verify in $"] = sum(wrapped(row["a"], row["b"]) == row["verdict"] for row in decided)
    print(f"== own table (policies are ours): {figures}\n")
    return figures


def speed(data: Path, *, quick: bool) -> Row:
    """Print pairs a second of one process, caches empty, on numbers and on the MATH mix."""
    print("== pairs a second, one process")
    chance = random.Random(0)
    size = 150 if quick else 1_000
    numbers = [
        (str(n), f"{n + chance.choice((0, 0, 1)):,}" if n % 2 else f"{n}.0") for n in chance.sample(range(10**6), size)
    ]
    mixes = {"numbers": numbers}
    if data.is_dir():
        answers = [gold for _, gold in _math(data)]
        others = [chance.choice(answers) if chance.random() < 0.5 else "" for _ in range(size)]
        golds = zip(chance.sample(answers, size), others, strict=True)
        mixes["MATH mix"] = [(gold, other or gold.replace("\\frac", "\\dfrac")) for gold, other in golds]
    figures: Row = {}
    for name, pairs in mixes.items():
        mine, theirs = _rate(pairs * 3, explain), _rate(pairs, wrapped)
        figures[name] = {"ours": round(mine), "Math-Verify": round(theirs), "times": round(mine / theirs, 1)}
        print(name, figures[name])
    print()
    return figures


def _rate(pairs: list[tuple[str, str]], grader: Callable[[str, str], object]) -> float:
    begin = time.perf_counter()
    for a, b in pairs:
        forget()
        forget_readings()
        grader(a, b)
    return len(pairs) / (time.perf_counter() - begin)


def clustering() -> Row:
    """Print milliseconds (the best of several, caches empty) and algebra calls of clustering."""
    chance = random.Random(0)
    numbers = [
        f"{chance.randint(1, 400)}" if n % 2 else f"{chance.randint(1, 99)}/{chance.randint(2, 9)}" for n in range(256)
    ]
    usual = [
        chance.choice((r"\frac{1}{2}", "0.5", "1/2", r"\frac{\sqrt{3}}{2}", "2", "(1,2)", "x+1", "1+x"))
        for _ in range(64)
    ]
    hard = [rf"\sqrt{{{n}+2\sqrt{{{n - 1}}}}}" if n % 2 else rf"1+\sqrt{{{n}}}" for n in range(3, 67)]
    figures: Row = {}
    for name, answers in (("256 numbers", numbers), ("64 usual answers", usual), ("64 nested radicals", hard)):
        before, seconds, processor = pool.num_algebra_calls(), [], []
        for _ in range(REPEATS):
            forget()
            forget_readings()
            begin, used = time.perf_counter(), time.process_time()
            clusters = cluster_answers(answers)
            seconds.append(time.perf_counter() - begin)
            processor.append(time.process_time() - used)
        figures[name] = {
            "milliseconds": round(1_000 * min(seconds), 1),
            "processor_milliseconds": round(1_000 * min(processor), 1),
            "clusters": len(clusters),
            "algebra_calls": (pool.num_algebra_calls() - before) // REPEATS,
        }
        print(f"== clustering {name}: {figures[name]}")
    print()
    return figures


def bombs(*, quick: bool) -> Row:
    """Print what hostile inputs cost: the worst single comparison, hangs, memory."""
    print("== bombs: seconds a comparison")
    worst: dict[str, float] = {}
    for name, bomb in BOMBS.items():
        begin = time.perf_counter()
        verdict = explain(bomb, "7").verdict
        worst[name] = time.perf_counter() - begin
        extract_answer(bomb * 2)
        theirs = "" if quick or len(bomb) > 10_000 else f"   Math-Verify {_seconds(bomb):6.2f}"
        print(f"{name:14} ours {worst[name]:6.2f} {verdict:10}{theirs}")
    figures = {
        "worst_seconds": round(max(worst.values()), 2),
        "over_two_seconds": sum(value > 2 for value in worst.values()),
    }
    figures |= _random_strings(1_000 if quick else 10_000)
    print(figures)
    return figures


def _seconds(bomb: str) -> float:
    begin = time.perf_counter()
    wrapped(bomb, "7")
    return time.perf_counter() - begin


def _random_strings(count: int) -> Row:
    """Compare random strings of mathematical characters; report crashes, the worst case and the growth of memory."""
    chance = random.Random(0)
    pieces = [
        *"0123456789xyzπ+-*/^_=<>()[]{},.;:%$ |!&'",
        r"\frac",
        r"\sqrt",
        r"\pm",
        r"\cup",
        r"\text",
        r"\begin{pmatrix}",
        "\x00",
    ]
    before, worst = _peak(), 0.0
    for _ in range(count):
        a, b = ("".join(chance.choices(pieces, k=chance.randint(1, 30))) for _ in range(2))
        begin = time.perf_counter()
        explain(a, b)
        worst = max(worst, time.perf_counter() - begin)
    return {
        "random_strings": count,
        "random_worst_seconds": round(worst, 2),
        "grown_megabytes": round(_peak() - before, 1),
    }


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1_024


if __name__ == "__main__":
    main()

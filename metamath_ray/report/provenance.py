"""How a report's figures were made: settings, hashes, versions, hardware, and what each metric means."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from metamath_ray.evaluation.results import Evaluation, Results
from metamath_ray.report.document import Block, Definitions, Folded, Paragraph, Section, Table, cells
from metamath_ray.report.wording import METRICS, MISSING

_DATES = ("created", "time", "date")
"""Names under which an environment says when it was; the first that is there counts."""

_METHOD = (
    "Accuracy counts a sample without an answer, cut by the token limit or undecided as not right; such a sample does "
    "not vote. Intervals are 95 %, by the bootstrap over problems. Accuracy at k below N is expected over orderings of "
    "the N samples."
)


def date_of(environment: Mapping[str, Any]) -> str:
    """Return when the evaluation was made, as it says; "" where it does not."""
    date = next((str(environment[name]) for name in _DATES if environment.get(name)), "")
    return re.sub(r"^(\d{4}-\d\d-\d\d)T(\d\d:\d\d)\S*\+00:00$", r"\1, \2 UTC", date)


def provenance_section(results: Results) -> Section:
    """Return the section "How it was made"."""
    blocks: list[Block] = [Paragraph(text=_METHOD), _settings(results.evaluations)]
    entries = tuple(_flat(results.environment))
    if entries:
        blocks.append(
            Table(
                caption="This evaluation: versions, hardware, seed",
                header=("setting", "value"),
                num_texts=2,
                rows=tuple(cells(name, value) for name, value in entries),
            )
        )
    blocks.append(_definitions(results.evaluations))
    blocks.extend(
        Folded(title=f"Manifest of {one.name}", text=_json(one.manifest)) for one in results.evaluations if one.manifest
    )
    return Section(title="How it was made", blocks=tuple(blocks))


def _settings(evaluations: Sequence[Evaluation]) -> Table:
    return Table(
        caption="What was evaluated, with which settings",
        header=("evaluation", "model", "prompt set", "content hash", "chosen on", "K", "N of majority of best"),
        num_texts=5,
        rows=tuple(
            cells(
                one.name,
                one.model,
                one.prompt_set_hash or MISSING,
                str(one.manifest.get("content_hash") or MISSING),
                one.settings.chosen_on or "defaults, not chosen",
                str(one.settings.num_clusters),
                str(one.settings.num_best),
            )
            for one in evaluations
        ),
    )


def _definitions(evaluations: Sequence[Evaluation]) -> Definitions:
    """Return what the metrics that occur mean."""
    named = {name for one in evaluations for name in (*one.curves, *one.by_problem)}
    named |= {"pass_at_1"} | {name for one in evaluations for point in one.cluster_points for name in point.accuracy}
    return Definitions(
        entries=tuple(
            (f"{metric.label} ({metric.paper})" if metric.paper else metric.label, metric.meaning)
            for name, metric in METRICS.items()
            if name in named
        )
    )


def _flat(content: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Yield nested settings as "hardware.num_cpus", value."""
    for key, value in sorted(content.items()):
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield (
                f"{prefix}{key}",
                value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str),
            )


def _json(manifest: Mapping[str, Any]) -> str:
    return json.dumps(manifest, indent=2, sort_keys=True, ensure_ascii=False, default=str)

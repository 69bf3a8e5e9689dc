"""Problems → plan: one row for each thing that will be tried, before anything is tried."""

from collections.abc import Iterable, Iterator
from dataclasses import asdict
from typing import Any

from metamath_ray.augmentation import PlanSummary, fingerprint, plan_items
from metamath_ray.config import AugmentationConfig, BootstrapConfig
from metamath_ray.datasets.reading import read_configured
from metamath_ray.distributed.preflight import Checked, sampling_parameters
from metamath_ray.errors import DataError, RunDirectoryError
from metamath_ray.storage import Manifest, RunDirectory, item_to_row
from metamath_ray.storage.manifest import hardware, now, versions
from metamath_ray.types import Augmentation, Problem, WorkItem, content_id


def repeats(config: AugmentationConfig) -> dict[Augmentation, int]:
    """Return K of each augmentation."""
    return {kind: getattr(config, kind.value) for kind in Augmentation}


def planned_items(problems: Iterable[Problem], checked: Checked, summary: PlanSummary) -> Iterator[WorkItem]:
    """Stream the items of a plan, counting into the summary."""
    config = checked.config
    sampling = {
        "rewrite": sampling_parameters(config.sampling.rewrite),
        "solve": sampling_parameters(config.sampling.solve),
    }
    run_fingerprint = fingerprint(checked.prompt_set.hash, checked.model_identity, sampling)
    return plan_items(
        problems,
        repeats=repeats(config.augmentation),
        fingerprint=content_id((run_fingerprint, config.seed)),
        include_ambiguous=config.augmentation.include_ambiguous,
        max_masks=config.augmentation.max_masks,
        summary=summary,
    )


def make_plan(run: RunDirectory, checked: Checked) -> Manifest:
    """Write `plan.parquet` and the manifest; nothing is written when a record is malformed.

    Raises:
        DataError: A record is malformed (and `source.skip_invalid` is off), or there is nothing to plan.
    """
    source = checked.config.source
    reading = read_configured(source)
    summary = PlanSummary()
    items = planned_items(reading, checked, summary)
    run.write_plan(item_to_row(item, position) for position, item in enumerate(items))
    if not summary.num_items.total():
        raise DataError(f"{source.path or source.format}: no problem in it gives a work item")
    manifest = Manifest(content=checked.content, configuration=_recorded(checked.config))
    counted = {**asdict(summary), "num_items": summary.num_items.total()}
    by_augmentation = {str(kind): count for kind, count in summary.num_items.items()}
    manifest.stages["plan"] = {
        "ended": now(),
        **counted,
        "by_augmentation": by_augmentation,
        "invalid_records": reading.invalid,
    }
    run.write_manifest(manifest)
    return manifest


def open_run(run: RunDirectory, checked: Checked, *, fork: bool) -> Manifest:
    """Return the manifest of a planned run: the one that is there, or a new one.

    Args:
        fork: Plan anew over a run of another configuration; items that both plans hold stay done.

    Raises:
        RunDirectoryError: The folder belongs to another configuration, and `fork` is off.
    """
    if not run.exists("manifest.json"):
        return make_plan(run, checked)
    manifest = run.read_manifest()
    differences = manifest.differences(checked.content)
    if not differences:
        manifest.configuration, manifest.versions, manifest.hardware = _recorded(checked.config), versions(), hardware()
        run.write_manifest(manifest)
        return manifest
    if not fork:
        raise RunDirectoryError(
            f"{run.root} belongs to another configuration ({'; '.join(differences[:5])}): choose another "
            "run_directory, or pass --fork to plan anew and keep what both have in common"
        )
    return make_plan(run, checked)


GROWS = ("augmentation.answer_augmentation", "source.limit", "source_hash")
"""What may change between two starts of a sampling run: more samples a problem, more problems."""


def open_growing_run(run: RunDirectory, checked: Checked) -> Manifest:
    """Plan a run that more samples or more problems may join later; what is done stays done.

    Raises:
        RunDirectoryError: The folder belongs to a configuration that differs in something else.
    """
    if run.exists("manifest.json"):
        manifest = run.read_manifest()
        differences = [text for text in manifest.differences(checked.content) if text.partition(":")[0] not in GROWS]
        if differences:
            raise RunDirectoryError(
                f"{run.root} belongs to another configuration ({'; '.join(differences[:5])}): choose another "
                "run_directory"
            )
        earlier = manifest.stages
    else:
        earlier = {}
    manifest = make_plan(run, checked)
    manifest.stages = {**earlier, **manifest.stages}
    run.write_manifest(manifest)
    return manifest


def _recorded(config: BootstrapConfig) -> dict[str, Any]:
    """Return what the manifest keeps of a configuration: none of what only a command adds to it."""
    return config.model_dump(mode="json", include=set(BootstrapConfig.model_fields))

"""Run all that is planned and not done: progress for whoever watches, and an end for what is hopeless."""

import time
from collections.abc import Callable
from contextlib import closing

from metamath_ray.distributed.items import BlockCounts, ItemsJob, run_items
from metamath_ray.distributed.observer import Observer
from metamath_ray.errors import RunFailed, UserError
from metamath_ray.storage import RunDirectory

MIN_ITEMS_TO_JUDGE = 50
"""The failure ratio means nothing before so many items."""


def run_all(
    job: ItemsJob, *, earlier: BlockCounts, observer: Observer, record: Callable[[BlockCounts, float], None]
) -> None:
    """Run a job to its end.

    Args:
        earlier: What is done already.
        record: Told what this start did, and in how many seconds, however it ends.

    Raises:
        UserError: It cannot go on before the user does something.
        RunFailed: Too many items failed or the engine stayed away; what is done is stored.
    """
    total, limit = job.run.count_plan(), job.execution.max_failure_ratio
    observer.progress(earlier, total)
    counts, began = BlockCounts(), time.monotonic()
    try:
        with closing(run_items(job)) as blocks:
            for block in blocks:
                counts += block
                observer.progress(earlier + counts, total)
                if counts.fatal or counts.num_items >= MIN_ITEMS_TO_JUDGE:
                    _stop_if_hopeless(counts, limit, job.run)
        _stop_if_hopeless(counts, limit, job.run)
    finally:
        record(counts, time.monotonic() - began)


def _stop_if_hopeless(counts: BlockCounts, max_failure_ratio: float, run: RunDirectory) -> None:
    if counts.fatal:
        kind = UserError if counts.is_users_fault else RunFailed
        raise kind(f"{counts.fatal} [{counts.num_items} items are stored in {run.path('outcomes')}]")
    if counts.num_failed > max_failure_ratio * counts.num_items:
        raise RunFailed(
            f"{counts.num_failed} of {counts.num_items} items failed, more than execution.max_failure_ratio allows "
            f"({max_failure_ratio:.0%}); their errors are in {run.path('outcomes')}"
        )

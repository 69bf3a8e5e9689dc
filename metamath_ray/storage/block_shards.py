"""What is stored of each block of work, for a worker of thousands of blocks that cannot list the folder for each."""

from threading import Lock
from typing import Any

from metamath_ray.storage.run_directory import RunDirectory
from metamath_ray.storage.tables import TOKEN_COUNTS

_COUNTED = ("item_id", "status", *TOKEN_COUNTS)


class BlockShards:
    """Shards by block: those that were there when it was first asked, and those that it wrote itself since.

    So a worker finds all that is stored of its blocks: a block is given to one worker, and again only to the one that
    takes its place, which lists the folder anew. What a worker that was cut off stores after that is not seen.

    Args:
        run: Whose outcomes. A shard's name is its block, "-" and what tells the shards of a block apart.
    """

    def __init__(self, run: RunDirectory) -> None:
        self._run = run
        self._by_block: dict[str, list[str]] | None = None
        self._listing = Lock()

    def stored(self, block: str) -> dict[str, dict[str, Any]]:
        """Return item id → outcome, of the block's items that have one: status and tokens, without the texts."""
        shards = self._shards().get(block, ())
        batches = (
            batch
            for shard in shards
            for batch in self._run.read_batches("outcomes", f"{shard}.parquet", columns=_COUNTED)
        )
        return {row["item_id"]: row for batch in batches for row in batch.to_pylist()}

    def write(self, outcomes: list[dict[str, Any]], shard: str) -> None:
        """Write one new shard of outcomes."""
        shards = self._shards()
        self._run.write_outcomes(outcomes, shard)
        shards.setdefault(_block(shard), []).append(shard)

    def _shards(self) -> dict[str, list[str]]:
        """List the folder, the first time."""
        with self._listing:
            if self._by_block is None:
                shards: dict[str, list[str]] = {}
                for shard in self._run.outcome_shards():
                    shards.setdefault(_block(shard), []).append(shard)
                self._by_block = shards
            return self._by_block


def _block(shard: str) -> str:
    return shard.partition("-")[0]

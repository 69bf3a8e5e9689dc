"""The gate that blocks of work pass: once it is closed no row is begun, and those under way come to their end."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy


class Gate(Protocol):
    """What a worker sees of it; crosses to it by pickle, inside Ray."""

    async def enter(self, block: str) -> bool:
        """Ask to begin a block; one that has begun, and is run again after a worker's death, may always.

        Args:
            block: Its identity.
        """

    async def closed(self) -> None:
        """Return as soon as it is closed."""


class AlwaysOpen:
    """The gate of work that nothing stops before its end."""

    async def enter(self, block: str) -> bool:
        """Let every block in."""
        del block
        return True

    async def closed(self) -> None:
        """Never return."""
        await asyncio.Event().wait()


class _Keeper:
    """The actor that knows which blocks have begun; workers wait at it, and hear at once when it closes."""

    def __init__(self) -> None:
        self._begun: set[str] = set()
        self._closed = asyncio.Event()

    async def enter(self, block: str) -> bool:
        """See `Gate`."""
        if not self._closed.is_set():
            self._begun.add(block)
        return block in self._begun

    async def closed(self) -> None:
        """See `Gate`."""
        await self._closed.wait()

    async def close(self) -> int:
        """Let nobody in any more; return how many blocks have begun, those that have ended among them."""
        self._closed.set()
        return len(self._begun)


class ClusterGate:
    """The gate of one run, for the driver to close."""

    def __init__(self, keeper: Any) -> None:  # noqa: ANN401  (an actor's handle)
        self._keeper = keeper

    async def enter(self, block: str) -> bool:
        """See `Gate`."""
        return bool(await self._keeper.enter.remote(block))

    async def closed(self) -> None:
        """See `Gate`."""
        await self._keeper.closed.remote()

    def close(self) -> int:
        """Let nobody in any more; return how many blocks have begun, those that have ended among them."""
        num_begun: int = ray.get(self._keeper.close.remote())
        return num_begun


@contextmanager
def cluster_gate() -> Iterator[ClusterGate]:
    """Have a gate for as long as it is used; it stands on the driver's node, so that it goes with the driver alone."""
    here = NodeAffinitySchedulingStrategy(node_id=ray.get_runtime_context().get_node_id(), soft=False)
    keeper = ray.remote(num_cpus=0)(_Keeper).options(scheduling_strategy=here).remote()
    try:
        yield ClusterGate(keeper)
    finally:
        ray.kill(keeper)

"""A bootstrap as a process of its own, that can be killed, looked at while it works, and started again."""

import subprocess
import time
from pathlib import Path
from typing import Any

from metamath_ray.storage import RunDirectory
from tests.integration.conftest import bootstrap_config, planned_ids
from tests.integration.heads import Head, end

WAIT_SECONDS = 240
POLL_SECONDS = 0.05


class Bootstrap:
    """A bootstrap on a cluster; `settings` are those of `bootstrap_config`."""

    def __init__(self, head: Head, folder: Path, **settings: Any) -> None:  # noqa: ANN401
        self.head, self.folder, self.run = head, folder, RunDirectory(str(folder))
        self._file = folder.with_suffix(".yaml")
        self._file.write_text(bootstrap_config(folder, **settings).model_dump_json())
        self._read: dict[str, list[str]] = {}
        self.start()

    def start(self) -> None:
        """Start the command, or resume."""
        command = self.head.metamath_ray("bootstrap", "--config", str(self._file))
        environment = {**self.head.environment, "OPENAI_API_KEY": "which nobody looks at"}
        null, pipe = subprocess.DEVNULL, subprocess.PIPE
        self._process = subprocess.Popen(
            command, env=environment, stdout=null, stderr=pipe, text=True, start_new_session=True
        )

    def kill(self) -> None:
        """End the driver in the middle of what it does."""
        self._process.kill()
        self._process.communicate()

    def refusal(self) -> str:
        """Wait for a command that must end with exit code 2; return its last line."""
        _, said = self._process.communicate(timeout=WAIT_SECONDS)
        assert self._process.returncode == 2, f"exit code {self._process.returncode}: {said}"
        return said.strip().splitlines()[-1]

    def finish(self) -> None:
        """Wait for the command, which must succeed."""
        _, said = self._process.communicate(timeout=2 * WAIT_SECONDS)
        assert self._process.returncode == 0, said

    def close(self) -> None:
        """End it, should it run."""
        end(self._process)

    def stored(self) -> list[str]:
        """Return the id of each stored outcome."""
        self._read = {shard: self._read.get(shard) or self._ids(shard) for shard in self.run.outcome_shards()}
        return [item_id for ids in self._read.values() for item_id in ids]

    def _ids(self, shard: str) -> list[str]:
        ids: list[str] = self.run.read_shard(shard, ["item_id"]).column("item_id").to_pylist()
        return ids

    def wait_for_more(self) -> None:
        """Wait until it stores something new."""
        before, deadline = len(self.stored()), time.monotonic() + WAIT_SECONDS
        while len(self.stored()) <= before:
            assert self._process.poll() is None, f"it ended: {self._process.communicate()[1]}"
            assert time.monotonic() < deadline, "nothing was stored any more"
            time.sleep(POLL_SECONDS)

    def planned(self) -> set[str]:
        """Return the ids of the plan."""
        return planned_ids(self.folder)

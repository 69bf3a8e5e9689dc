"""What a loop keeps of a step, in `steps/<step>.json`: what it was made from, when it ended, how long it took."""

import json
from dataclasses import dataclass
from typing import Any, Self

from metamath_ray.errors import RunDirectoryError
from metamath_ray.storage import RunDirectory


@dataclass(frozen=True, slots=True, kw_only=True)
class StepRecord:
    """One step as it was last started.

    Attributes:
        input_hash: Identity of `inputs`.
        inputs: What decides the result (`Inputs.content`).
        made_from: Label → input hash, of the steps that it refers to.
        made: Its folder.
        command: What runs it by hand.
        ended: When it ended well, in UTC; None as long as it has not.
        seconds: What it took, all tries together.
    """

    input_hash: str
    inputs: dict[str, Any]
    made_from: dict[str, str]
    made: str
    command: str
    ended: str | None = None
    seconds: float = 0.0

    @classmethod
    def read(cls, run: RunDirectory, label: str) -> Self | None:
        """Read a step's record; None where there is none.

        Raises:
            RunDirectoryError: It is damaged.
        """
        if not run.exists("steps", f"{label}.json"):
            return None
        try:
            loaded = json.loads(run.read_text("steps", f"{label}.json"))
            return cls(made_from=loaded.pop("from"), **loaded)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            where = run.path("steps", f"{label}.json")
            raise RunDirectoryError(f"{where}: damaged ({error}); delete it, and the step runs again") from error

    def write(self, run: RunDirectory, label: str) -> None:
        """Write it, whole or not at all."""
        content = {
            "input_hash": self.input_hash,
            "ended": self.ended,
            "seconds": round(self.seconds, 1),
            "command": self.command,
            "made": self.made,
            "from": self.made_from,
            "inputs": self.inputs,
        }
        run.write_bytes((json.dumps(content, indent=2, ensure_ascii=False) + "\n").encode(), "steps", f"{label}.json")

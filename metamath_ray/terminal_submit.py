"""What `metamath-ray submit` shows: the job's output as it is, and its own remarks on the error stream."""

import sys

from metamath_ray.exits import PROGRAM


class SubmissionTerminal:
    """Shows a submitted job: its output, and only that, goes to the standard output."""

    def stage(self, name: str) -> None:
        """Say that something begins, or is to be known."""
        print(f"{PROGRAM}: {name}", file=sys.stderr, flush=True)

    def output(self, text: str) -> None:
        """Show what the job printed."""
        print(text, end="", flush=True)

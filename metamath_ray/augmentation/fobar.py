"""FOBAR: hide a number, state the answer as known, and ask for the number (MetaMath, section 3.3)."""

from metamath_ray.augmentation.masking import apply_mask
from metamath_ray.types import WorkItem


def write_question(item: WorkItem) -> str:
    """Return the backward question; no model is needed to write it."""
    if item.mask is None:
        raise ValueError("a FOBAR item hides a number")
    masked = apply_mask(item.problem.question, item.mask).rstrip()
    answer, variable = item.problem.reference_answer, item.mask.variable
    return (
        f"{masked} If we know the answer to the above question is {answer}, "
        f"what is the value of unknown variable {variable}?"
    )

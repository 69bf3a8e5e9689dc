"""Answer augmentation: the question itself, for another reasoning path (MetaMath, section 3.1)."""

from metamath_ray.types import WorkItem


def write_question(item: WorkItem) -> str:
    """Return the problem's own question."""
    return item.problem.question

"""MetaMath's four augmentations, without Ray: problems → work items → outcomes."""

from metamath_ray.augmentation.masking import apply_mask, find_masks
from metamath_ray.augmentation.plan import PlanSummary, fingerprint, plan_items
from metamath_ray.augmentation.run import run_item
from metamath_ray.augmentation.sentences import split_last_question

__all__ = [
    "PlanSummary",
    "apply_mask",
    "find_masks",
    "fingerprint",
    "plan_items",
    "run_item",
    "split_last_question",
]

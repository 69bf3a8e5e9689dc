"""Figures and their uncertainty."""

from metamath_ray.evaluation.intervals import Mean, Rate, mean_over_seeds, rate

__all__ = ["Mean", "Rate", "mean_over_seeds", "rate"]

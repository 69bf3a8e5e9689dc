"""Figures and their uncertainty."""

from metamath_ray.evaluation.intervals import Rate, rate

__all__ = ["Rate", "rate"]

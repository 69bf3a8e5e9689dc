"""Our commands as steps, each made from what earlier ones made, and run again when that has changed."""

from metamath_ray.loop.report import LoopReport, StepReport, StepState
from metamath_ray.loop.run import run_loop
from metamath_ray.loop.table import loop_table

__all__ = ["LoopReport", "StepReport", "StepState", "loop_table", "run_loop"]

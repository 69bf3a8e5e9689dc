"""Our commands as steps, each made from what earlier ones made, and run again when that has changed."""

from metamath_ray.loop.report import LoopReport, StepReport, StepState
from metamath_ray.loop.run import CONFIGURATION_FILE, run_loop
from metamath_ray.loop.status import loop_status
from metamath_ray.loop.table import loop_table

__all__ = ["CONFIGURATION_FILE", "LoopReport", "StepReport", "StepState", "loop_status", "loop_table", "run_loop"]

"""From outcomes to a published data set in the format of MetaMathQA."""

from metamath_ray.export.metamathqa import MetaMathQARow, read_rows, row_of, row_type
from metamath_ray.export.selection import Rejected, Selected, select_rows, solved_problem_ids
from metamath_ray.export.summary import AugmentationCounts, ExportSummary
from metamath_ray.export.writer import write_export

__all__ = [
    "AugmentationCounts",
    "ExportSummary",
    "MetaMathQARow",
    "Rejected",
    "Selected",
    "read_rows",
    "row_of",
    "row_type",
    "select_rows",
    "solved_problem_ids",
    "write_export",
]

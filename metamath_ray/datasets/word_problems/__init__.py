"""A synthetic world of grade-school word problems, with all that MetaMath's augmentations need to be checked by rule.

A problem (``WordProblem``) is a chain of facts. It can be written in many wordings, solved along several paths, asked
backward, and any text can be tested for being one of its wordings. Nothing but the standard library is used.
"""

from metamath_ray.datasets.word_problems.backward import BackwardForm, BackwardProblem, maskable_places, write_backward
from metamath_ray.datasets.word_problems.drills import write_drill
from metamath_ray.datasets.word_problems.equations import all_equations_hold, equations_in
from metamath_ray.datasets.word_problems.sampling import sample_problem
from metamath_ray.datasets.word_problems.solutions import write_solution
from metamath_ray.datasets.word_problems.splits import (
    Split,
    generate_problems,
    generate_structures,
    sample_from_split,
    split_of,
    to_problem,
)
from metamath_ray.datasets.word_problems.structure import WordProblem
from metamath_ray.datasets.word_problems.wordings import (
    NumberPlace,
    Question,
    is_wording_of,
    keeps_answer,
    last_sentence_pairs,
    write_question,
)

__all__ = [
    "BackwardForm",
    "BackwardProblem",
    "NumberPlace",
    "Question",
    "Split",
    "WordProblem",
    "all_equations_hold",
    "equations_in",
    "generate_problems",
    "generate_structures",
    "is_wording_of",
    "keeps_answer",
    "last_sentence_pairs",
    "maskable_places",
    "sample_from_split",
    "sample_problem",
    "split_of",
    "to_problem",
    "write_backward",
    "write_drill",
    "write_question",
    "write_solution",
]

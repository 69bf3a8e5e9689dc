"""Every bound of the grader, with its reason. Inputs beyond a cap are not parsed; they are compared as strings only."""

MAX_ANSWER_CHARS = 4_000
"""The longest answer that is read as mathematics; the longest gold of MATH has 159 characters."""

MAX_STATEMENT_CHARS = 20_000
"""The tail of an overlong answer in which a stated answer is looked for: a reference may be a whole solution."""

MAX_STATEMENTS = 3
"""How often a stated answer may itself state one: "so the answer is: x is 5"."""

MAX_COMPLETION_CHARS = 200_000
"""The tail of a completion in which a final answer is looked for: about 50,000 tokens, twice a long reasoning trace."""

MAX_DIGITS = 1_000
"""Digits of one literal. 2^2005 has 604; Python itself refuses to convert 4,300."""

MAX_EXPONENT = 3_000
"""Largest power of ten in a literal, and largest power of a floating number; with `MAX_DIGITS` below 4,300 digits."""

MAX_EXACT_BITS = 100_000
"""Size of an exact intermediate result; beyond it values live in a prime field or as floating numbers."""

MAX_NODES = 1_500
"""Nodes of one parsed answer: a 10x10 matrix of fractions has 400."""

MAX_STEPS = 20_000
"""Operations of one evaluation: a sum of a thousand terms of twenty nodes; about 20 ms."""

MAX_DEPTH = 60
"""Nesting of one parsed answer; keeps the recursive parser far from Python's own limit of 1,000 frames."""

MAX_TREE_DEPTH = 200
"""Levels of nodes of one parsed answer: a product of so many factors; an evaluation takes three frames a level."""

MAX_LATEX_CHARS = 400
MAX_LATEX_BRACKETS = 60
"""What is handed to the LaTeX library, whose parser takes exponential time on nested brackets."""

MAX_READINGS = 6
"""Ways to read one ambiguous surface ("1,234" is a number or a pair)."""

COMPARE_SECONDS = 2.0
"""Promise to the caller: no `compare` takes longer, whatever it is given; the start of a worker is not counted."""

START_SECONDS = 120.0
"""Time for a worker to start: importing sympy takes 3 s on an idle core; what takes forty times that never comes up."""

MAX_STARTS = 2
"""Workers that one question may see die before they are ready: one may meet a machine that is short of memory."""

MAX_ATTEMPTS = 4
"""Comparisons that `grade` makes of one pair while only a busy machine keeps the answer back."""

ALGEBRA_SECONDS = 1.2
"""Share of it that evaluation and algebra may use."""

GRACE_SECONDS = 0.3
"""Time beyond that until a worker that does not answer is killed; the rest is for a busy machine."""

WORKER_MEMORY_BYTES = 1 << 30
"""Address space of one algebra worker."""

WORKER_CPU_SECONDS = 3
"""Processor time of one request; the kernel ends a worker that outlives its parent in the middle of one."""

MAX_WORKERS = 2
"""Algebra workers of one process: Ray runs many processes, each with its own pool."""

CACHE_SIZE = 16_384
MAX_CACHED_CHARS = 200
"""Answers and pairs remembered per process, and how long they may be: about 50 MB at most."""

"""Where problems come from, as a user states it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, get_args

from metamath_ray.datasets.tabular import ROLES
from metamath_ray.errors import ConfigError

SourceFormat = Literal["auto", "gsm8k", "gsm8k_backward", "math", "jsonl", "parquet", "huggingface", "word_problems"]
Split = Literal["train", "validation", "test"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ProblemSource:
    """Where problems come from.

    Attributes:
        format: "auto" looks at the path and at the fields of the first record and says what it saw when it cannot tell.
            "jsonl" and "parquet" take any columns, named by `fields`.
        path: A file or folder, or the Hub's name of a data set ("openai/gsm8k"); None for "word_problems".
        subset: Configuration of a Hub data set ("main").
        split: "train", "validation" or "test". None takes it from the record's own id ("test/algebra/1.json"), else
            from the name of the file or folder, else "train".
        fields: Role → column where the format's own names do not fit. Roles: question, answer, solution, subject,
            level, num_steps, id.
        name: Name of the source, which tags exported rows; None takes the format's or the file's.
        limit: Only the first so many valid problems; for "word_problems", required: how many to generate.
        seed: For "word_problems" alone.
    """

    format: SourceFormat = "auto"
    path: str | None = None
    subset: str | None = None
    split: str | None = None
    fields: Mapping[str, str] = field(default_factory=dict)
    name: str | None = None
    limit: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        if self.format not in get_args(SourceFormat):
            raise ConfigError(f"format '{self.format}' is none of {', '.join(get_args(SourceFormat))}")
        if self.format == "word_problems" and self.limit is None:
            raise ConfigError("format 'word_problems' needs `limit`: how many problems to generate")
        if self.format != "word_problems" and not self.path:
            raise ConfigError(f"format '{self.format}' needs `path`: a file, a folder or a data set's name")
        if self.limit is not None and self.limit < 1:
            raise ConfigError(f"limit {self.limit} is less than 1")
        if self.split is not None and self.split not in get_args(Split):
            raise ConfigError(f"split '{self.split}' is none of {', '.join(get_args(Split))}")
        unknown = sorted(set(self.fields) - set(ROLES))
        if unknown:
            raise ConfigError(f"fields: '{unknown[0]}' is none of the roles {', '.join(ROLES)}")

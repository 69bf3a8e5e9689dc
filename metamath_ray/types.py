"""What flows through the system: frozen records, in the order in which they come to be."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache


class Augmentation(StrEnum):
    """The four ways of MetaMath (arXiv 2309.12284, section 3) to write a question out of a question."""

    ANSWER_AUGMENTATION = "answer_augmentation"
    REPHRASING = "rephrasing"
    SELF_VERIFICATION = "self_verification"
    FOBAR = "fobar"

    @property
    def is_backward(self) -> bool:
        """Whether the new question asks for a masked number instead of the original answer."""
        return self in (Augmentation.SELF_VERIFICATION, Augmentation.FOBAR)


def content_id(parts: Iterable[object]) -> str:
    """Hash the parts, in order, into 24 hexadecimal digits (96 bits).

    Each part is length-prefixed, so that moving a character from one part to the next changes the id.
    """
    digest = hashlib.sha256()
    for part in parts:
        encoded = repr(part).encode() if not isinstance(part, str) else part.encode()
        digest.update(f"{len(encoded)}:".encode())
        digest.update(encoded)
    return digest.hexdigest()[:24]


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """A question with its reference answer.

    Attributes:
        source: Name of the data set ("gsm8k", "math", "word_problems", …); gives the tag of exported rows.
        split: "train", "validation" or "test"; whatever is made out of the problem inherits it.
        source_id: Where the problem stands in its source, for messages: "train.jsonl:12" or the source's own id.
        num_steps: Number of arithmetic steps of the reference solution, where the source knows it.
    """

    question: str
    reference_answer: str
    reference_solution: str = ""
    source: str = "unknown"
    split: str = "train"
    source_id: str = ""
    subject: str | None = None
    level: str | None = None
    num_steps: int | None = None

    @property
    def problem_id(self) -> str:
        """Identity by content: the same question with the same answer is the same problem."""
        return _problem_id(self.question, self.reference_answer)


@lru_cache(maxsize=256)
def _problem_id(question: str, reference_answer: str) -> str:
    """Hash once what neighbours in a plan share."""
    return content_id((question, reference_answer))


@dataclass(frozen=True, slots=True, kw_only=True)
class Mask:
    """One number of a question, to be hidden behind a variable.

    Attributes:
        start: First character of the number in the question (currency and unit stay outside).
        end: One past its last character.
        text: `question[start:end]`, for example "1,250" or "Twenty-five".
        value: The number as a plain answer ("1250", "25", "1/2").
        variable: A name that the question does not use, usually "x".
        is_ambiguous: The same value stands elsewhere in the question, so hiding it here leaks it.
    """

    start: int
    end: int
    text: str
    value: str
    variable: str
    is_ambiguous: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SamplingParameters:
    """How a completion is sampled; `temperature` 0 is greedy."""

    temperature: float = 0.7
    top_p: float = 1.0
    max_tokens: int = 1024
    stop: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkItem:
    """One row of the plan: one problem, one augmentation, one mask, one repeat.

    Attributes:
        item_id: Hash of everything that decides the outcome: question, reference answer, augmentation, mask, repeat,
            prompt set, model and sampling parameters (see `augmentation.plan`).
        mask: Set exactly for the backward augmentations.
        repeat: 0, 1, … K-1; the only thing that tells the K samples of one question apart.
    """

    item_id: str
    problem: Problem
    augmentation: Augmentation
    mask: Mask | None
    repeat: int

    def seed(self, stage: str) -> int:
        """Return the sampling seed (31 bits) of one stage of this item; stages do not share seeds."""
        return int(content_id((self.item_id, stage))[:8], 16) & 0x7FFFFFFF


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatMessage:
    """One turn of a chat prompt; `role` is "system", "user" or "assistant"."""

    role: str
    content: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RenderedPrompt:
    """What an engine is asked: token ids where we hold the tokenizer, chat messages where a hosted model hides it.

    Exactly one of the two is set.
    """

    token_ids: tuple[int, ...] | None = None
    messages: tuple[ChatMessage, ...] | None = None


class FinishReason(StrEnum):
    """Why the engine stopped."""

    STOP = "stop"
    LENGTH = "length"
    OTHER = "other"


@dataclass(frozen=True, slots=True, kw_only=True)
class Completion:
    """One sampled text, as the engine returned it."""

    text: str
    finish_reason: FinishReason
    num_prompt_tokens: int
    num_completion_tokens: int
    seed: int
    model: str

    @property
    def is_truncated(self) -> bool:
        """Whether the text was cut by the token limit; such a text never votes and is never trained on."""
        return self.finish_reason is not FinishReason.STOP


class Verdict(StrEnum):
    """Whether two answers are the same; `unknown` when it could not be decided."""

    EQUAL = "equal"
    DIFFERENT = "different"
    UNKNOWN = "unknown"


class GradeVerdict(StrEnum):
    """What a completion earned; `unscored` is neither right nor wrong and is counted apart."""

    CORRECT = "correct"
    INCORRECT = "incorrect"
    UNSCORED = "unscored"


@dataclass(frozen=True, slots=True, kw_only=True)
class Grade:
    """A rule-based judgement of one completion against a reference answer.

    Attributes:
        extracted_answer: The final answer found in the completion, None when there is none.
        reason: Why, in a few words: "equal", "different", "no_answer", "undecided: …".
    """

    verdict: GradeVerdict
    extracted_answer: str | None
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerCluster:
    """Samples whose answers are mathematically equal.

    Attributes:
        answer: The representative: the most frequent surface form, the first of those on a tie.
        members: Indices into the clustered sequence, ascending.
    """

    answer: str
    members: tuple[int, ...]

    @property
    def num_votes(self) -> int:
        """Number of samples in the cluster."""
        return len(self.members)


class OutcomeStatus(StrEnum):
    """What became of a work item."""

    ACCEPTED = "accepted"
    REJECTED = "rejected"
    FAILED = "failed"


class RejectionReason(StrEnum):
    """Why an item that ran to its end is not kept."""

    WRONG_ANSWER = "wrong_answer"
    NO_ANSWER = "no_answer"
    TRUNCATED = "truncated"
    UNDECIDED = "undecided"
    BAD_REWRITE = "bad_rewrite"
    DUPLICATE = "duplicate"
    OVER_CAP = "over_cap"
    CONTAMINATED = "contaminated"
    BACKWARD_CHECK = "backward_check"
    HELD_OUT = "held_out"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What one work item became: exactly one for each.

    Attributes:
        reason: A `RejectionReason` when rejected, the name of the error's kind when failed, "" when accepted.
        error: The error's message when failed.
        query: The new question ("" when it was never written).
        rewrite: The completion that wrote it; None where no model was asked (AnsAug, FOBAR).
        solution: The completion that answered it; None when the item ended before.
        expected_answer: What the solution was graded against: the reference answer, or the masked number.
        extracted_answer: What was found in the solution.
    """

    item: WorkItem
    status: OutcomeStatus
    reason: str = ""
    error: str = ""
    query: str = ""
    rewrite: Completion | None = None
    solution: Completion | None = None
    expected_answer: str = ""
    extracted_answer: str | None = None

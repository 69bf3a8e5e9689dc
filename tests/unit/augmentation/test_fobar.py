import pytest

from metamath_ray.augmentation import answer_augmentation, find_masks, fobar
from metamath_ray.types import Augmentation, Mask, Problem, WorkItem


def _item(question: str, answer: str, mask: Mask | None) -> WorkItem:
    return WorkItem(
        item_id="item",
        problem=Problem(question=question, reference_answer=answer),
        augmentation=Augmentation.FOBAR,
        mask=mask,
        repeat=0,
    )


def test_the_papers_example() -> None:
    question = (
        "James buys 5 packs of beef that are 4 pounds each. The price of beef is $5.50 per pound. How much did he pay?"
    )
    assert fobar.write_question(_item(question, "110", find_masks(question)[0])) == (
        "James buys x packs of beef that are 4 pounds each. The price of beef is $5.50 per pound. How much did he pay? "
        "If we know the answer to the above question is 110, what is the value of unknown variable x?"
    )


@pytest.mark.parametrize("answer", [r"\frac{1}{2}", r"63\pi", "1,000"])
def test_repo_integer_regex_the_answer_stays_as_it_is(answer: str) -> None:
    question = "Let $r = 7$. What is $a$?\n"
    assert fobar.write_question(_item(question, answer, find_masks(question)[0])) == (
        f"Let $r = x$. What is $a$? If we know the answer to the above question is {answer}, "
        "what is the value of unknown variable x?"
    )


def test_the_chosen_variable_is_asked_for() -> None:
    question = "If $2x = 14$, what is $x$?"
    assert fobar.write_question(_item(question, "7", find_masks(question)[1])).startswith(
        "If $2x = y$, what is $x$? If "
    )
    assert fobar.write_question(_item(question, "7", find_masks(question)[1])).endswith("unknown variable y?")


def test_fobar_needs_a_mask() -> None:
    with pytest.raises(ValueError, match="hides a number"):
        fobar.write_question(_item("How many?", "1", None))


def test_answer_augmentation_asks_the_question_itself() -> None:
    assert answer_augmentation.write_question(_item("How many?\nTwo lines.", "1", None)) == "How many?\nTwo lines."

import re
from html.parser import HTMLParser

from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from metamath_ray.report.document import Cell, Document, Folded, Section, Table
from metamath_ray.report.markdown import escaped, fenced, to_markdown

MARKS = st.text(alphabet="\\`*_<>|~$&;![](){}#x1 /:.\n", max_size=30)


class Seen(HTMLParser):
    """The text that a reader sees, and the tags that made it."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.text, self.tags = "", set[str]()
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)

    def handle_data(self, data: str) -> None:
        self.text += data


def rendered(markdown: str) -> Seen:
    return Seen(MarkdownIt("commonmark").enable(["table", "strikethrough"]).render(markdown))


@settings(deadline=None, max_examples=100)
@given(text=MARKS)
def test_any_text_in_a_line_is_shown_as_it_is(text: str) -> None:
    seen = rendered(f"Said: {escaped(text)}")
    assert seen.tags == {"p"}
    assert seen.text.strip() == f"Said: {' '.join(text.split())}".strip()


@settings(deadline=None, max_examples=100)
@given(texts=st.lists(MARKS, min_size=3, max_size=3))
def test_any_text_stays_in_its_cell(texts: list[str]) -> None:
    table = Table(caption="c", header=("a", "b", "c"), rows=(tuple(Cell(text=f"x{text}x") for text in texts),))
    document = Document(title="t", date="", summary=("s",), sections=(Section(title="u", blocks=(table,)),))
    seen = rendered(to_markdown(document))
    assert seen.tags == {"h1", "h2", "p", "strong", "table", "thead", "tbody", "tr", "th", "td"}
    assert all(" ".join(f"x{text}x".split()) in seen.text for text in texts)


@settings(deadline=None)
@given(text=st.text(alphabet="`~x\n ", max_size=40))
def test_any_text_stays_in_its_code_block(text: str) -> None:
    markdown = f"{fenced(text)}\n\nafter"
    tokens = MarkdownIt("commonmark").parse(markdown)
    assert [token.type for token in tokens] == ["fence", "paragraph_open", "inline", "paragraph_close"]
    assert tokens[0].content.rstrip("\n") == text.rstrip("\n")


def test_the_best_of_a_column_is_bold() -> None:
    table = Table(
        caption="c", header=("model", "a"), rows=((Cell(text="m"), Cell(text="1.0", is_best=True)),), note="n"
    )
    folded = Folded(title="Manifest", text="{}")
    document = Document(title="t", date="d", summary=("s",), sections=(Section(title="u", blocks=(table, folded)),))
    text = to_markdown(document)
    assert "| model | a |\n| :--- | ---: |\n| m | **1.0** |\n\nn\n" in text
    assert re.search(r"<details>\n<summary>Manifest</summary>\n\n```\n\{\}\n```\n\n</details>", text)

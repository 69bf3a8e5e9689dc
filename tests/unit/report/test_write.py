"""The report as files: what a reader opens."""

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from markdown_it import MarkdownIt

from metamath_ray.errors import RunDirectoryError
from metamath_ray.evaluation.results import Evaluation, Results
from metamath_ray.report.write import write_report
from metamath_ray.storage import RunDirectory
from tests.unit.report.conftest import ATTACK

SNAPSHOT = Path(__file__).parents[2] / "data" / "report" / "report.md"
VOID = {"meta", "br", "input", "link", "img"}


class Page(HTMLParser):
    """A page's elements, refused where tags do not match."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.parents: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self.parents.append(self.open[-1] if self.open else "")
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self.parents.append(self.open[-1])

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, f"</{tag}> at line {self.getpos()[0]}"

    def named(self, tag: str) -> Iterator[dict[str, str | None]]:
        return (attributes for name, attributes in self.elements if name == tag)


@pytest.fixture(scope="module")
def html(written: Path) -> str:
    return (written / "index.html").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def page(html: str) -> Page:
    return Page(html)


def test_markdown_is_as_it_was(written: Path) -> None:
    assert (written / "report.md").read_text(encoding="utf-8") == SNAPSHOT.read_text(encoding="utf-8")


def test_every_tag_is_closed(page: Page) -> None:
    assert page.open == []


def test_nothing_comes_from_outside(html: str, page: Page) -> None:
    ours = html.replace("http://example.org/x.png", "")
    assert not re.search(r"https?:|//[a-z]", ours.replace("/*", "").replace("*/", ""))
    addresses = [
        value for _, attributes in page.elements for name, value in attributes.items() if name in ("src", "href")
    ]
    assert addresses
    assert all(str(address).startswith("#") for address in addresses)
    (policy,) = [one["content"] for one in page.named("meta") if one.get("http-equiv") == "Content-Security-Policy"]
    assert str(policy).startswith("default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-")


def test_model_text_is_never_markup(html: str, page: Page) -> None:
    assert "<script>alert" not in html
    assert html.count("&lt;script&gt;alert(1)&lt;/script&gt;") >= 4
    assert len(list(page.named("script"))) == 1
    assert not list(page.named("img"))


def test_names_are_never_markup(tmp_path: Path, make_evaluation: Callable[[str, float], Evaluation]) -> None:
    bad = replace(make_evaluation(ATTACK, 0.2), replay={}, groups={}, manifest={ATTACK: ATTACK})
    results = Results(
        evaluations=(bad,), comparisons=(), contamination={ATTACK: {ATTACK: 1}}, environment={ATTACK: ATTACK}
    )
    write_report(results, tmp_path, title=ATTACK)
    text = (tmp_path / "index.html").read_text(encoding="utf-8")
    assert Page(text).open == []
    assert "<script>alert" not in text
    rendered = Page(
        MarkdownIt("commonmark").enable("table").render((tmp_path / "report.md").read_text(encoding="utf-8"))
    )
    assert rendered.open == []
    assert not list(rendered.named("script"))
    assert not list(rendered.named("a"))
    assert all(str(image["src"]).startswith("plots/") for image in rendered.named("img"))
    assert {re.sub(r"[a-z0-9-]+\.png", "", path.name) for path in (tmp_path / "plots").iterdir()} == {""}


def test_every_id_is_unique_and_every_link_meets_one(page: Page) -> None:
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    links = {str(value)[1:] for _, attributes in page.elements for name, value in attributes.items() if name == "href"}
    assert links <= set(ids)


def test_every_table_has_a_caption_and_every_head_a_scope(html: str, page: Page) -> None:
    tables = html.count("<table>")
    assert tables > 8
    assert tables == len(re.findall(r"<table>\s*<caption><span>[^<]+</span></caption>", html))
    assert {attributes["scope"] for attributes in page.named("th")} == {"col", "row"}


def test_headings_do_not_leave_out_a_level(page: Page) -> None:
    levels = [int(tag[1]) for tag, _ in page.elements if re.fullmatch(r"h[1-6]", tag)]
    assert levels[0] == 1
    assert set(levels[1:]) == {2}


def test_every_plot_says_what_it_shows_and_is_a_file_too(written: Path, html: str, page: Page) -> None:
    drawn = list(page.named("svg"))
    assert all(one["role"] == "img" and len(str(one["aria-label"])) > 20 for one in drawn)
    files = {path.name for path in (written / "plots").iterdir()}
    markdown = (written / "report.md").read_text(encoding="utf-8")
    assert len(files) == len(drawn) == html.count("<figcaption>")
    assert set(re.findall(r"\]\(plots/([^)]+)\)", markdown)) == files
    assert all((written / "plots" / name).read_bytes().startswith(b"\x89PNG") for name in files)


def test_plots_take_the_colours_of_the_page(html: str) -> None:
    used = set(re.findall(r"var\(--(\w+)\)", html))
    assert {"blue", "vermillion"} <= used
    assert all(f"--{name}:" in html for name in used)
    drawings = "".join(re.findall(r"<svg.*?</svg>", html, flags=re.DOTALL))
    assert "currentColor" in drawings
    assert not re.findall(r"#[0-9a-f]{6}\b", drawings)


def test_what_has_no_data_is_left_out_with_a_reason(
    tmp_path: Path, make_evaluation: Callable[[str, float], Evaluation]
) -> None:
    bare = replace(
        make_evaluation("bare", 0.2), curves={}, greedy=None, replay={}, groups={}, num_tokens=None, manifest={}
    )
    address = write_report(
        Results(evaluations=(bare,), comparisons=(), contamination={}, environment={}), tmp_path, title="Bare"
    )
    text = Path(address).read_text(encoding="utf-8")
    assert not (tmp_path / "plots").exists()
    assert "<svg" not in text
    assert "Not drawn for bare: no samples are scored by a verifier." in text
    assert "No training rows were given" in text
    assert "There is nothing to compare" in text
    for absent in ("Data quality", "By level", 'id="browser"', 'class="date"'):
        assert absent not in text


def test_a_second_report_replaces_the_first(tmp_path: Path) -> None:
    nothing = Results(evaluations=(), comparisons=(), contamination={}, environment={})
    write_report(nothing, tmp_path, title="First")
    assert write_report(nothing, RunDirectory(str(tmp_path)), title="Second") == str(tmp_path / "index.html")
    assert "<h1>Second</h1>" in (tmp_path / "index.html").read_text(encoding="utf-8")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["index.html", "report.md"]


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    nothing = Results(evaluations=(), comparisons=(), contamination={}, environment={})
    with pytest.raises(RunDirectoryError, match="file/report"):
        write_report(nothing, tmp_path / "file" / "report", title="x")

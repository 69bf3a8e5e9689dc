import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

import services

PAGE = Path(services.__file__).parent / "solve" / "page"
FILES = sorted(PAGE.iterdir())
MAX_BYTES = 40_000
NAMESPACE = 'xmlns="http://www.w3.org/2000/svg"'
CONTROLS = {"input", "select", "textarea"}
VOID = {"input", "link", "meta", "br", "img"}


class Document(HTMLParser):
    """The elements of a document, each with its attributes, the elements around it, and its text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str], list[str]]] = []
        self.texts: list[tuple[list[str], str]] = []
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert not self._open, f"never closed: {self._open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}, list(self._open)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag, f"{tag} closed out of turn"

    def handle_data(self, data: str) -> None:
        self.texts.append((list(self._open), data.strip()))


@pytest.fixture(scope="module")
def document() -> Document:
    return Document((PAGE / "index.html").read_text())


def test_the_whole_page_is_small() -> None:
    assert {file.suffix for file in FILES} == {".css", ".html", ".js", ".svg"}
    assert sum(file.stat().st_size for file in FILES) < MAX_BYTES


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_no_file_names_an_outside_host(file: Path) -> None:
    text = file.read_text().replace(NAMESPACE, "")
    assert not re.search(r"(?:https?|wss?|ftp)://|javascript:|\bdata:\w+/|blob:", text)
    assert not re.search(r"""["'(=\s]//[\w.-]+\.\w""", text)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_no_file_makes_code_or_markup_out_of_text_but_the_one_that_checks_it(file: Path) -> None:
    text = file.read_text()
    assert not re.search(r"\b(?:eval|Function|insertAdjacentHTML|outerHTML|document\.write|setHTMLUnsafe)\b", text)
    assert text.count("innerHTML") == (1 if file.name == "math.js" else 0)


def test_no_script_or_style_is_inline(document: Document) -> None:
    for tag, attributes, _ in document.elements:
        assert tag != "style"
        assert "style" not in attributes
        assert not [name for name in attributes if name.startswith("on")]
        assert tag != "script" or attributes["src"]
    assert not any(around[-1:] == ["script"] and text for around, text in document.texts)


def test_what_the_page_loads_is_there(document: Document) -> None:
    loaded = [
        attributes.get("src") or attributes["href"]
        for tag, attributes, _ in document.elements
        if tag in ("script", "link")
    ]
    imported = [
        f"page/{name}"
        for file in PAGE.glob("*.js")
        for name in re.findall(r'^import .* from "\./(.+)";$', file.read_text(), re.MULTILINE)
    ]
    assert {*loaded, *imported} == {f"page/{file.name}" for file in FILES if file.suffix != ".html"}


def test_every_control_has_a_label(document: Document) -> None:
    named = {attributes.get("for") for tag, attributes, _ in document.elements if tag == "label"}
    controls = [(attributes, around) for tag, attributes, around in document.elements if tag in CONTROLS]
    assert controls
    for attributes, around in controls:
        assert "label" in around or attributes["id"] in named, attributes


def test_every_button_has_a_text(document: Document) -> None:
    num_buttons = sum(tag == "button" for tag, _, _ in document.elements)
    assert num_buttons
    assert sum(around[-1:] == ["button"] and bool(text) for around, text in document.texts) == num_buttons


def test_every_id_that_the_script_asks_for_stands_once_in_the_document(document: Document) -> None:
    ids = [attributes["id"] for _, attributes, _ in document.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    asked = re.findall(r'\bat\("([\w-]+)"\)', (PAGE / "page.js").read_text())
    assert asked
    assert set(asked) <= set(ids)


def test_references_between_elements_lead_somewhere(document: Document) -> None:
    ids = {attributes.get("id") for _, attributes, _ in document.elements}
    named = [
        attributes[name]
        for _, attributes, _ in document.elements
        for name in ("aria-labelledby", "aria-describedby", "for")
        if name in attributes
    ]
    assert named
    assert set(named) <= ids


def test_the_key_has_no_name_so_that_no_form_can_send_it(document: Document) -> None:
    (key,) = [attributes for _, attributes, _ in document.elements if attributes.get("id") == "key"]
    assert "name" not in key
    assert key["autocomplete"] == "off"

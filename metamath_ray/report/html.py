"""A report as one HTML page that needs nothing but itself."""

import base64
import hashlib
from importlib.resources import files

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from metamath_ray.report.document import Document, Samples
from metamath_ray.report.samples import SampleKind

_PAGE = files("metamath_ray.report") / "page"


def to_html(document: Document) -> str:
    """Return the text of `index.html`; all of the document's texts are escaped, only its drawings are markup."""
    script, style = _asset("page.js"), _asset("page.css")
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    return environment.from_string(_asset("page.html.j2")).render(
        document=document,
        drawn=Markup,
        kinds=list(SampleKind),
        models=_models(document),
        script=Markup(script),  # noqa: S704  our own file
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        style=Markup(style),  # noqa: S704  our own file
    )


def _asset(name: str) -> str:
    return (_PAGE / name).read_text(encoding="utf-8").strip()


def _models(document: Document) -> list[str]:
    """Return the evaluations that have samples to browse."""
    blocks = (block for section in document.sections for block in section.blocks)
    return list(dict.fromkeys(name for block in blocks if isinstance(block, Samples) for name, _ in block.samples))

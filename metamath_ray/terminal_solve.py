"""What `metamath-ray solve` shows: clusters as bars, the answer, its solution, and how to ask the same with curl."""

import json
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

BAR_WIDTH = 30
MAX_CLUSTERS = 10
"""Clusters that get a bar; the others are counted."""
MAX_ANSWER_CHARS = 40
_FULL, _PARTS = "█", " ▏▎▍▌▋▊▉"


def ready_lines(url: str) -> list[str]:
    """Say that the service is up, and how to use it."""
    return [
        f"ready: {url} (page), {url}/docs (API); Ctrl+C stops",
        f'  metamath-ray solve --url {url} "Ann has 12 apples and buys 7 more. How many has she?"',
    ]


def answer_parts(answer: Mapping[str, Any]) -> list[RenderableType]:
    """Show a response: how the samples voted, what came out, the chosen solution and the cost."""
    parts: list[RenderableType] = [clusters_table(answer)] if answer["clusters"] else []
    parts.append(answer_line(answer))
    if answer["solution"] is not None:
        parts.append(solution_panel(answer))
    return [*parts, Text(cost_line(answer))]


def clusters_table(answer: Mapping[str, Any]) -> Table:
    """Draw the clusters of a response, the chosen one marked: as long as its weight, and its votes as a number.

    Args:
        answer: The response of POST /v1/solve, or the data of an event `clusters`.
    """
    clusters: Sequence[Mapping[str, Any]] = answer["clusters"]
    has_scores = any(cluster["score"] is not None for cluster in clusters)
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("", "answer", "", "votes", *(["score"] if has_scores else [])):
        table.add_column(name, justify="right" if name in ("votes", "score") else "left", no_wrap=True)
    heaviest = max((cluster["weight"] for cluster in clusters), default=0)
    for cluster in clusters[:MAX_CLUSTERS]:
        is_chosen = cluster["answer"] == answer.get("answer")
        table.add_row(
            "▸" if is_chosen else "",
            Text(printable(_short(cluster["answer"]))),
            bar(cluster["weight"] / heaviest if heaviest else 0.0),
            f"{cluster['votes']}",
            *([f"{cluster['score'] or 0.0:.2f}"] if has_scores else []),
            style="bold green" if is_chosen else None,
        )
    if len(clusters) > MAX_CLUSTERS:
        table.add_row("", f"and {len(clusters) - MAX_CLUSTERS} more", style="dim")
    return table


def bar(share: float) -> str:
    """Draw a share of the whole width, in eighths of a character."""
    eighths = round(max(0.0, min(1.0, share)) * BAR_WIDTH * 8)
    return (_FULL * (eighths // 8) + _PARTS[eighths % 8]).rstrip()


def answer_line(answer: Mapping[str, Any]) -> Text:
    """Say the answer and how sure it is; or why there is none."""
    if answer["answer"] is None:
        return Text(f"no answer: {printable(answer['no_answer_reason'] or 'no reason given')}", style="bold yellow")
    line = Text("answer: ", style="bold")
    line.append(printable(answer["answer"]), style="bold green")
    line.append(f"  confidence {answer['confidence']:.0%} by {answer['strategy']}", style="")
    return line


def cost_line(answer: Mapping[str, Any]) -> str:
    """Say what it took."""
    usage, saved = answer["usage"], answer["saved"]
    parts = [
        f"{answer['num_samples']} samples in {answer['timings']['total']:.1f} s",
        f"{usage['generator']['completion_tokens']:,} tokens of {answer['models']['generator']}",
    ]
    if usage["verifier"]:
        parts.append(f"{usage['verifier']['requests']} scored by {answer['models']['verifier']}")
    if saved["samples"]:
        parts.append(f"{saved['samples']} samples saved ({answer['stop_reason']})")
    return printable(" · ".join([*parts, f"seed {answer['seed']}"]))


def solution_panel(answer: Mapping[str, Any]) -> Panel:
    """Show the chosen solution."""
    return Panel(Text(printable(answer["solution"] or "")), title="solution", title_align="left")


def curl_line(url: str, body: Mapping[str, Any], *, api_key_env: str | None) -> str:
    """Return the command that asks the same; a key is named by its variable.

    Args:
        api_key_env: The variable, where a key was sent.
    """
    key = f' -H "authorization: Bearer ${api_key_env}"' if api_key_env else ""
    address = shlex.quote(f"{url.rstrip('/')}/v1/solve")
    return f"curl {address} -H 'content-type: application/json'{key} -d {shlex.quote(json.dumps(dict(body)))}"


def printable(text: str) -> str:
    """Replace what would steer the terminal: control characters and changes of writing direction, line breaks kept."""
    return "".join(character if character.isprintable() or character == "\n" else "�" for character in text)


def _short(text: str) -> str:
    return text if len(text) <= MAX_ANSWER_CHARS else f"{text[: MAX_ANSWER_CHARS - 1]}…"

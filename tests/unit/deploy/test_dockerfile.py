"""deploy/Dockerfile: pinned, without root and secrets, and sent no more than it copies."""

import re
import shlex
from pathlib import PurePath

from tests.unit.deploy.presets import ROOT

TEXT = (ROOT / "deploy" / "Dockerfile").read_text(encoding="utf-8")
IGNORED = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()


def instructions() -> list[tuple[str, str]]:
    lines = "\n".join(line for line in TEXT.splitlines() if not line.startswith("#"))
    joined = lines.replace("\\\n", " ").splitlines()
    return [(line.split()[0].upper(), line.split(maxsplit=1)[1]) for line in joined if line.strip()]


def test_every_base_has_an_exact_version() -> None:
    bases = [rest.split()[0] for name, rest in instructions() if name == "FROM"]
    assert bases
    assert all(re.search(r":\d+\.\d+\.\d+(-[a-z0-9.]+)*$|@sha256:[0-9a-f]{64}$", base) for base in bases), bases


def test_nothing_is_fetched_but_packages() -> None:
    assert "ADD" not in {name for name, _ in instructions()}
    assert not re.search(r"curl|wget|https?://", "\n".join(rest for name, rest in instructions() if name == "RUN"))


def test_no_argument_or_variable_holds_a_secret() -> None:
    assert "ARG" not in {name for name, _ in instructions()}
    named = re.findall(r"(\w+)=", " ".join(rest for name, rest in instructions() if name == "ENV"))
    assert named
    assert not [name for name in named if re.search("TOKEN|SECRET|PASSWORD|_KEY", name)]


def test_it_installs_the_lock_and_runs_without_root() -> None:
    steps = instructions()
    assert [rest for name, rest in steps if name == "USER"] == ["ray"]
    user = steps.index(("USER", "ray"))
    installed = [position for position, (name, rest) in enumerate(steps) if name == "RUN" and "uv pip install" in rest]
    assert min(installed) > user
    assert "--requirements requirements/gpu.lock" in steps[installed[0]][1]


def test_every_package_beside_the_lock_is_pinned() -> None:
    commands = "\n".join(rest for name, rest in instructions() if name == "RUN")
    for command in re.findall(r"uv pip install ([^&\n]+)", commands):
        named = [word for word in shlex.split(command) if not (word.startswith("-") or word == "." or ".lock" in word)]
        assert all("==" in name for name in named), named


def test_what_is_copied_is_sent_and_exists() -> None:
    sent = {line.removeprefix("!") for line in IGNORED if line.startswith("!")}
    assert "*" in IGNORED
    for name, rest in instructions():
        if name == "COPY" and "--from" not in rest:
            sources = [word for word in shlex.split(rest) if not word.startswith("--")][:-1]
            assert {PurePath(source).parts[0] for source in sources} <= sent
            assert all((ROOT / source).exists() for source in sources)


def test_a_token_is_asked_for_unless_somebody_says_otherwise() -> None:
    assert any(name == "ENV" and "RAY_AUTH_MODE=token" in rest for name, rest in instructions())

import re
from pathlib import Path

import pytest

from metamath_ray.arguments import parse_arguments
from metamath_ray.config import (
    BootstrapCommand,
    BootstrapConfig,
    EvaluateCommand,
    FinetuneCommand,
    FrozenConfig,
    OpenAIEngineConfig,
    SampleCommand,
    ServeEngineConfig,
)
from metamath_ray.errors import ConfigError
from metamath_ray.prompts.prompt_set import available_prompt_sets

CONFIG = """\
source: {format: gsm8k, path: train.jsonl}
sampling: {solve: {temperature: 0.3}}
engine: {kind: openai, base_url: "http://127.0.0.1:1/v1", model: from-file}
"""


@pytest.fixture
def config_file(tmp_path: Path) -> str:
    path = tmp_path / "config.yaml"
    path.write_text(CONFIG)
    return str(path)


def parse(*arguments: str) -> BootstrapConfig:
    return parse_arguments(BootstrapConfig, arguments, program="test")


def test_the_command_line_wins_over_the_file_and_the_file_over_defaults(config_file: str) -> None:
    config = parse("--config", config_file, "--engine.model", "from-line", "--sampling.solve.max-tokens", "7")
    assert isinstance(config.engine, OpenAIEngineConfig)
    assert config.engine.model == "from-line"
    assert (config.sampling.solve.temperature, config.sampling.solve.max_tokens) == (0.3, 7)
    assert config.sampling.rewrite.temperature == 0.7
    assert config.source.limit is None


def test_flags_need_no_value(config_file: str) -> None:
    command = parse_arguments(BootstrapCommand, ["--config", config_file, "--fork"], program="test")
    assert command.fork


@pytest.mark.parametrize(
    ("command", "form"),
    [("bootstrap", BootstrapCommand), ("sample", SampleCommand), ("evaluate", EvaluateCommand)],
)
def test_every_preset_is_a_valid_configuration(command: str, form: type[FrozenConfig]) -> None:
    presets = sorted((Path(__file__).parents[2] / "jobs" / "configs").glob(f"{command}_*.yaml"))
    assert presets
    for preset in presets:
        parse_arguments(form, ["--config", str(preset)], program="test")


def test_a_sample_preset_names_a_prompt_set_that_there_is_and_leaves_room_for_the_prompt() -> None:
    for preset in sorted((Path(__file__).parents[2] / "jobs" / "configs").glob("sample_*_1gpu.yaml")):
        command = parse_arguments(SampleCommand, ["--config", str(preset)], program="test")
        assert command.prompt_set in available_prompt_sets()
        assert isinstance(command.engine, ServeEngineConfig)
        assert command.engine.max_model_len
        assert command.sampling.max_tokens + 512 <= command.engine.max_model_len


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--source.format", "word_problems", "--nope", "1"], "unrecognized arguments: --nope"),
        (
            ["--source.format", "word_problems", "--source.limit", "many"],
            "source.limit: Input should be a valid integer",
        ),
        (["--source.format", "word_problems", "--augmentation.fobar", "-1"], "augmentation.fobar"),
        (["--config", "/no/such/file.yaml"], "cannot read the configuration"),
        ([], "source: Field required"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(arguments: list[str], said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse(*arguments)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["- a\n- b\n", "a: [", "just text"])
def test_a_file_that_is_no_configuration_is_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=r"bad\.yaml"):
        parse("--config", str(path))


def test_help_explains_what_is_given_by_name(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse_arguments(FinetuneCommand, ["--help"], program="test")
    said = capsys.readouterr().out
    assert "each of stages" in said
    for setting, meaning in (
        ("solutions.rows", "File of rows with `query` and `response`"),
        ("samples.draw.num_samples", "2310.10047 takes 64. (default: 64)"),
        ("optimizer.warmup_ratio", "Share of the steps"),
    ):
        assert re.search(rf"^  {re.escape(setting)}\n +.*{re.escape(meaning)}", said, re.MULTILINE)


def test_an_unknown_setting_in_the_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text("source: {format: word_problems}\nsampling: {sovle: {temperature: 1}}\n")
    with pytest.raises(ConfigError, match=r"sampling\.sovle"):
        parse("--config", str(path))


def test_the_environment_sets_no_option(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEED", "3")
    monkeypatch.setenv("ENGINE__MODEL", "other")
    command = parse_arguments(BootstrapCommand, ["--source.format", "word_problems"], program="test")
    assert command.seed == 0
    assert (
        parse_arguments(BootstrapCommand, ["--source.format", "word_problems", "--seed", "4"], program="test").seed == 4
    )

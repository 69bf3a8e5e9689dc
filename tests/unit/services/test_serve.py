"""What is Ray's: options, metrics, the proxy; without a cluster."""

import json
import re
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from ray.serve.schema import LoggingConfig
from ray.util import metrics as ray_metrics
from starlette.types import Message, Receive, Scope, Send

from metamath_ray.cli import main
from metamath_ray.config import ReplicasConfig, ServeEngineConfig, SolveConfig
from metamath_ray.distributed.deployment import llm_config_arguments
from metamath_ray.distributed.serve_engine import DEPLOYMENT_NAME
from metamath_ray.errors import ModelError
from metamath_ray.solving import Solution, StopReason, Usage
from services.solve.deployments import VERIFIER_DEPLOYMENT_NAME, check, drain_seconds, ingress_options, model_options
from services.solve.metrics import RayMetrics
from services.solve.proxy import CleanFailures
from services.solve.serve_file import serve_file

ROOT = Path(__file__).parents[3]
SOLUTION = Solution(
    answer=None, no_answer_reason="none", solution=None, chosen=None, confidence=0.0, clusters=(), candidates=(),
    stop_reason=StopReason.CONFIDENT, num_samples_drawn=5, num_samples_cancelled=0, num_samples_saved=11,
    num_verifier_calls_saved=2, generator_usage=Usage(num_requests=5, num_prompt_tokens=50, num_completion_tokens=40),
    verifier_usage=Usage(num_requests=3, num_prompt_tokens=30, num_completion_tokens=3),
    seconds={"sampling": 1.0, "clustering": 0.1, "scoring": 0.2, "total": 1.3}, generator_model="g", verifier_model="v",
    prompt_set_hash="p", verifier_prompt_hash="q",
)  # fmt: skip


def test_a_model_follows_its_own_load_and_drains() -> None:
    config, engine = SolveConfig(), ServeEngineConfig(max_num_seqs=64, num_replicas=3)
    options = llm_config_arguments(engine, model_path="/model")["deployment_config"]
    replicas = ReplicasConfig(min_replicas=2, max_replicas=5)
    found = model_options(options, config, engine, replicas, name=VERIFIER_DEPLOYMENT_NAME)
    target = 64 * 0.75 / 8
    assert found["autoscaling_config"] == {"min_replicas": 2, "max_replicas": 5, "target_ongoing_requests": target}
    assert "num_replicas" not in found
    assert found["name"] == "verifier"
    assert found["graceful_shutdown_timeout_s"] > config.limits.max_time_limit_seconds


def test_a_call_to_the_generator_is_a_question_s_samples() -> None:
    config = SolveConfig.model_validate({"generator": {"max_num_seqs": 64}, "num_samples": 8})
    options = llm_config_arguments(config.generator, model_path="/model")["deployment_config"]
    found = model_options(options, config, config.generator, config.autoscaling.generator, name=DEPLOYMENT_NAME)
    assert found["autoscaling_config"]["target_ongoing_requests"] == 64 * 0.75 / 8


def test_a_model_is_asked_for_its_own_task_and_in_its_own_words(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    metadata = tmp_path / "metamath_ray.json"
    engine = {"model": str(tmp_path)}
    prompts = {"prompt_set": "embedded", "verifier_prompt": "paper"}
    config = SolveConfig.model_validate({"verifier": engine, **prompts})
    check(config)
    metadata.write_text('{"kind": "generator"}')
    with pytest.raises(ModelError, match="asked to be a verifier"):
        check(config)
    metadata.write_text('{"kind": "verifier", "verifier_prompt_hash": "another"}')
    with pytest.raises(ModelError, match="another verifier prompt"):
        check(config)
    with pytest.raises(ModelError, match="asked to be a generator"):
        check(SolveConfig.model_validate({"generator": engine, **prompts}))


def test_the_ingress_itself_refuses_and_not_serve() -> None:
    config = SolveConfig.model_validate({"limits": {"max_running": 4, "max_queued": 6}})
    options = ingress_options(config)
    assert options["max_ongoing_requests"] > 4 + 6
    assert options["autoscaling_config"]["target_ongoing_requests"] == 4
    assert options["graceful_shutdown_timeout_s"] == drain_seconds(config)


@pytest.mark.parametrize(
    ("ray", "expected"),
    [
        ({}, ("TEXT", "WARNING")),
        ({"log_format": "json"}, ("JSON", "INFO")),
        ({"log_format": "json", "log_level": "ERROR"}, ("JSON", "ERROR")),
    ],
)
def test_serve_logs_in_the_format_of_the_job(ray: dict[str, str], expected: tuple[str, str]) -> None:
    found = ingress_options(SolveConfig.model_validate({"ray": ray}))["logging_config"]
    logging = LoggingConfig.model_validate(found)
    assert (logging.encoding, logging.log_level, logging.enable_access_log) == (*expected, False)


@pytest.mark.parametrize(
    "file",
    [ROOT / "services" / "solve.yaml", *sorted((ROOT / "jobs" / "configs").glob("solve_*.yaml"))],
    ids=lambda file: file.name,
)
def test_every_preset_is_a_configuration(file: Path) -> None:
    content = yaml.safe_load(file.read_text("utf-8"))
    SolveConfig.model_validate(content["applications"][0]["args"] if "applications" in content else content)


def test_what_build_writes_is_the_configuration_again(capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--generator.max-num-seqs", "16", "--verifier", "null", "--limits.max-samples", "32"]
    assert main(["serve", "build", *options, "--http.port", "8123"]) == 0
    written = yaml.safe_load(capsys.readouterr().out)
    assert written["http_options"] == {"host": "127.0.0.1", "port": 8123}
    [application] = written["applications"]
    found = SolveConfig.model_validate(application["args"])
    assert (found.generator.max_num_seqs, found.verifier, found.limits.max_samples) == (16, None, 32)


def test_the_packaged_file_is_one_that_build_writes() -> None:
    packaged = yaml.safe_load((ROOT / "services" / "solve.yaml").read_text("utf-8"))
    config = SolveConfig.model_validate(packaged["applications"][0]["args"])
    assert yaml.safe_load(serve_file(config)) == packaged


def test_build_refuses_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["serve", "build", "--generator.model", "./mine"]) == 2
    assert "prompt_set: name the one that ./mine knows" in capsys.readouterr().err


@pytest.fixture
def recorded(monkeypatch: pytest.MonkeyPatch) -> dict[str, float]:
    """What the metrics were told, by name and tags."""
    found: dict[str, float] = {}

    def record(self: Any, value: float, tags: dict[str, str] | None = None) -> None:  # noqa: ANN401
        name = self.info["name"] + "".join(f" {key}={tag}" for key, tag in (tags or {}).items())
        found[name] = found.get(name, 0) + value

    monkeypatch.setattr(ray_metrics.Metric, "_record", record)
    return found


def test_metrics_count_what_was_drawn_and_what_was_saved(recorded: dict[str, float]) -> None:
    RayMetrics().solved(SOLUTION, queue_seconds=0.5)
    assert recorded["metamath_solve_samples"] == 5
    assert recorded["metamath_solve_samples_saved"] == 11
    assert recorded["metamath_solve_verifier_calls_saved"] == 2
    assert recorded["metamath_solve_unanswered"] == 1
    assert recorded["metamath_solve_tokens model=generator kind=completion"] == 40
    assert recorded["metamath_solve_seconds stage=queue"] == 0.5
    assert "metamath_solve_agreement" not in recorded


def test_the_dashboard_draws_every_metric_and_no_other(recorded: dict[str, float]) -> None:
    exported = {value.info["name"] for value in vars(RayMetrics()).values()}
    board = json.loads((ROOT / "deploy" / "grafana" / "solve.json").read_text("utf-8"))
    asked = "\n".join(target["expr"] for panel in board["panels"] for target in panel["targets"])
    names = {re.sub(r"_(total|bucket|sum|count)$", "", name) for name in re.findall(r"\bray_(\w+)", asked)}
    assert names == exported


def proxied(*messages: Message) -> httpx.AsyncClient:
    """A client of Serve's proxy, which answers with these messages."""

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        given = [value for name, value in scope["headers"] if name == b"x-request-id"]
        assert len(given) == 1  # which Serve hands on, and echoes
        assert re.fullmatch(rb"[\w.:-]{1,64}", given[0])
        for message in messages:
            await send(message)

    return httpx.AsyncClient(transport=httpx.ASGITransport(app=CleanFailures(serve)), base_url="http://service")


def response(status: int, kind: str, body: str) -> tuple[Message, Message]:
    headers = [(b"content-type", kind.encode())]
    start = {"type": "http.response.start", "status": status, "headers": headers}
    return start, {"type": "http.response.body", "body": body.encode()}


@pytest.mark.parametrize("messages", [(), response(500, "text/plain", "actor died at 10.0.0.7")], ids=["none", "raw"])
async def test_a_dead_replica_is_a_clean_503(messages: tuple[Message, ...]) -> None:
    async with proxied(*messages) as caller:
        found = await caller.post("/v1/solve", headers={"x-request-id": "mine"})
    assert (found.status_code, found.headers["retry-after"]) == (503, "5")
    assert found.json()["error"]["request_id"] == found.headers["x-request-id"] == "mine"
    assert "10.0.0.7" not in found.text


@pytest.mark.parametrize("given", [None, b"\xff", b"", b"x" * 65, b"two words"])
async def test_an_id_that_cannot_be_written_anywhere_is_replaced_before_serve_reads_it(given: bytes | None) -> None:
    async with proxied() as caller:
        found = await caller.post("/v1/solve", headers=[] if given is None else [(b"x-request-id", given)])
    assert found.json()["error"]["request_id"] == found.headers["x-request-id"]
    assert re.fullmatch("[0-9a-f]{32}", found.headers["x-request-id"])


@pytest.mark.parametrize(("status", "kind"), [(200, "text/html"), (404, "text/plain"), (500, "application/json")])
async def test_what_the_service_says_passes(status: int, kind: str) -> None:
    async with proxied(*response(status, kind, "{}")) as caller:
        found = await caller.get("/")
    assert (found.status_code, found.text) == (status, "{}")

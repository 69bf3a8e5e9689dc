"""The solve service's configuration: models, prompts, limits, access, and where it listens; and its client's."""

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field, model_validator
from pydantic_settings import CliPositionalArg

from metamath_ray.config.base import FrozenConfig, RayConfig
from metamath_ray.config.bootstrap import SamplingConfig, ServeEngineConfig

EMBEDDED_GENERATOR = "embedded:teacher"
EMBEDDED_VERIFIER = "embedded:verifier"

StrategyName = Literal[
    "majority_vote",
    "best_of_n",
    "best_of_top_clusters",
    "weighted_vote",
    "weighted_vote_top_clusters",
    "majority_of_best",
]
"""As `metamath_ray.reranking.Strategy` names them."""


class LimitsConfig(FrozenConfig):
    """What one request may ask for, and how many are worked on."""

    max_samples: int = Field(default=64, ge=1)
    """Largest `num_samples` of a request."""
    max_tokens: int = Field(default=2048, ge=1)
    """Largest `max_tokens` of a request."""
    max_question_chars: int = Field(default=8_000, ge=1)
    """Longest question."""
    max_body_bytes: int = Field(default=262_144, ge=1024)
    """Longest request body; a longer one is refused unread."""
    max_batch: int = Field(default=32, ge=1)
    """Most questions of a batch."""
    default_time_limit_seconds: float = Field(default=60, gt=0)
    """Time limit of a request that names none; it counts from the request's arrival, waiting included."""
    max_time_limit_seconds: float = Field(default=300, gt=0)
    """Longest time limit of a request."""
    max_running: int = Field(default=16, ge=1)
    """Questions that one replica of the ingress solves at once; 16 of 16 samples fill an engine of 256 sequences."""
    max_queued: int = Field(default=64, ge=0)
    """Questions that wait there for their turn; one more is refused at once with 503 and Retry-After."""

    @model_validator(mode="after")
    def _possible(self) -> "LimitsConfig":
        if self.default_time_limit_seconds > self.max_time_limit_seconds:
            raise ValueError(
                f"default_time_limit_seconds ({self.default_time_limit_seconds:g}) exceeds max_time_limit_seconds "
                f"({self.max_time_limit_seconds:g})"
            )
        return self


class AccessConfig(FrozenConfig):
    """Who may call, and how much; each replica of the ingress counts for itself."""

    keys: dict[str, str] = Field(default_factory=dict)
    """Name of a caller → SHA-256 of the caller's key, in hexadecimal; METAMATH_RAY_API_KEYS="name:hash,…" adds to them.
    Without any, everybody may call."""
    requests_per_minute: int | None = Field(default=None, ge=1)
    """Questions that a key may ask in a minute; no limit by default. Without keys, all callers share one limit."""
    tokens_per_minute: int | None = Field(default=None, ge=1)
    """Tokens that a key may use in a minute, prompts and completions of both models together; no limit by default."""
    cors_origins: tuple[str, ...] = ()
    """Origins of other sites' pages that may call ("https://example.org"); none by default."""

    @model_validator(mode="after")
    def _hashes(self) -> "AccessConfig":
        for name, digest in self.keys.items():
            if not _is_sha256(digest):
                raise ValueError(
                    f"keys.{name} is not a SHA-256 in hexadecimal; make one with `printf %s KEY | sha256sum`"
                )
        return self


def _is_sha256(digest: str) -> bool:
    return len(digest) == 64 and all(character in "0123456789abcdef" for character in digest)


class HttpConfig(FrozenConfig):
    """Where `metamath-ray serve` listens."""

    host: str = "127.0.0.1"
    """Address to listen on; "0.0.0.0" is every interface of this machine, so set keys first."""
    port: int = Field(default=8000, ge=1, le=65535)
    """Port to listen on."""


class ReplicasConfig(FrozenConfig):
    """Replicas of a deployment, which follow its load."""

    min_replicas: int = Field(default=1, ge=1)
    """Replicas that are always up: a model that must be loaded first answers nobody in time."""
    max_replicas: int = Field(default=1, ge=1)
    """Most replicas."""

    @model_validator(mode="after")
    def _possible(self) -> "ReplicasConfig":
        if self.max_replicas < self.min_replicas:
            raise ValueError(f"max_replicas ({self.max_replicas}) is less than min_replicas ({self.min_replicas})")
        return self


class AutoscalingConfig(FrozenConfig):
    """Replicas of each deployment."""

    generator: ReplicasConfig = ReplicasConfig()
    """vLLM with the generator; takes the place of `generator.num_replicas`."""
    verifier: ReplicasConfig = ReplicasConfig()
    """vLLM with the verifier, where it is another model; takes the place of `verifier.num_replicas`."""
    ingress: ReplicasConfig = ReplicasConfig()
    """What answers HTTP, clusters and re-ranks; no model is in it."""


class SolveConfig(FrozenConfig):
    """Question → samples → clusters → answer, over HTTP."""

    generator: ServeEngineConfig = ServeEngineConfig(model=EMBEDDED_GENERATOR)
    """Who writes the solutions."""
    verifier: ServeEngineConfig | None = None
    """Who scores them; the generator's deployment does where its model is named again. Without one there is the
    majority vote alone. By default "embedded:verifier" beside the embedded generator, and none beside another."""
    prompt_set: str = "embedded"
    """Packaged prompt set, or a YAML file of your own; to be named with every generator that is not embedded."""
    verifier_prompt: str | None = None
    """Packaged verifier prompt, or a YAML file of your own; to be named with every verifier that is not embedded, which
    knows its own."""
    sampling: SamplingConfig = SamplingConfig(temperature=0.8)
    """How requests sample that do not say."""
    num_samples: int = Field(default=16, ge=1)
    """Samples of a request that does not say."""
    retry_budget_seconds: float = Field(default=20, gt=0)
    """A model that answers nothing for so long fails the request with 503 and Retry-After."""
    limits: LimitsConfig = LimitsConfig()
    """What one request may ask for."""
    access: AccessConfig = AccessConfig()
    """Keys and rates."""
    http: HttpConfig = HttpConfig()
    """Where it listens; `serve run` and `serve deploy` take this from their own file."""
    autoscaling: AutoscalingConfig = AutoscalingConfig()
    """Replicas."""
    ray: RayConfig = RayConfig()
    """Where it runs."""

    @model_validator(mode="before")
    @classmethod
    def _embedded_pair(cls, given: Any) -> Any:  # noqa: ANN401  (pydantic's raw input)
        """The embedded verifier has learned to judge the embedded generator, and nobody else."""
        if not isinstance(given, Mapping) or "verifier" in given:
            return given
        is_embedded = _model(given.get("generator")) == EMBEDDED_GENERATOR
        return {**given, "verifier": {"model": EMBEDDED_VERIFIER}} if is_embedded else given

    @model_validator(mode="after")
    def _asked_as_taught(self) -> "SolveConfig":
        """A model that we did not make is asked in its own words, and which these are only the user knows."""
        for name, engine, hint in (
            ("prompt_set", self.generator, "chat or metamath_chat for an instruct model; see docs/prompts.md"),
            ("verifier_prompt", self.verifier, "the one that it was trained with; see docs/prompts.md"),
        ):
            if engine and not engine.model.startswith("embedded:") and name not in self.model_fields_set:
                raise ValueError(f"{name}: name the one that {engine.model} knows ({hint})")
        return self

    @model_validator(mode="after")
    def _fits(self) -> "SolveConfig":
        for name, engine in (("generator", self.generator), ("verifier", self.verifier)):
            if engine is not None and engine.attach is not None:
                raise ValueError(f"{name}.attach: the service deploys its own models; leave it out")
        for name, asked, most in (
            ("samples", self.num_samples, self.limits.max_samples),
            ("tokens", self.sampling.max_tokens, self.limits.max_tokens),
        ):
            if asked > most:
                raise ValueError(f"{asked} {name} of a request that does not say exceed limits.max_{name} ({most})")
        return self

    @property
    def shares_weights(self) -> bool:
        """Whether the generator's deployment is the verifier's too."""
        return self.verifier is not None and self.verifier.model == self.generator.model


def _model(generator: object) -> object:
    """Return the generator's model, as far as it is known before validation."""
    if isinstance(generator, ServeEngineConfig):
        return generator.model
    return generator.get("model", EMBEDDED_GENERATOR) if isinstance(generator, Mapping) else EMBEDDED_GENERATOR


class ServeCommand(SolveConfig):
    """Serve the solver over HTTP until interrupted."""

    question: str | None = Field(default=None, min_length=1)
    """Answer this question, show how its samples voted, and stop."""


class ServeBuildCommand(SolveConfig):
    """Print the Serve config file of a service, which `serve deploy` takes, and takes again to change it."""


class SolveCommand(FrozenConfig):
    """Ask a running service one question, and show how its samples voted."""

    question: CliPositionalArg[str] = Field(min_length=1)
    """The question."""
    url: str = "http://127.0.0.1:8000"
    """Address of the service."""
    api_key_env: str = "METAMATH_RAY_API_KEY"
    """Environment variable that holds the key, where the service asks for one; the key itself is written nowhere."""
    num_samples: int | None = Field(default=None, ge=1)
    """Samples; as many as the service draws by default."""
    strategy: StrategyName | None = None
    """How the answer is chosen; the service's own by default: weighted_vote where it has a verifier."""
    seed: int | None = Field(default=None, ge=0, lt=2**31)
    """Two requests with one seed get the same samples; another one each time by default."""
    time_limit_seconds: float | None = Field(default=None, gt=0)
    """When it is over, the best answer so far is given."""
    adaptive: bool = False
    """Stop as soon as the leading answer is sure to stay the leader."""

    def body(self) -> dict[str, Any]:
        """Return the request's body: what was said, and nothing else."""
        knobs = self.model_dump(mode="json", exclude={"url", "api_key_env", "adaptive"}, exclude_none=True)
        return {**knobs, **({"adaptive": {}} if self.adaptive else {})}

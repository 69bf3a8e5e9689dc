"""The main job's configuration: problems → plan → bootstrap → export."""

from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator
from pydantic_settings import CliPositionalArg

from metamath_ray.config.base import FrozenConfig, RayConfig, SourceConfig


class AugmentationConfig(FrozenConfig):
    """How many new questions are made out of one."""

    answer_augmentation: int = Field(default=2, ge=0)
    """Reasoning paths sampled for the question itself."""
    rephrasing: int = Field(default=2, ge=0)
    """Rewrites of the question, each answered once."""
    self_verification: int = Field(default=1, ge=0)
    """Solutions for each masked number, the question turned into a statement."""
    fobar: int = Field(default=1, ge=0)
    """Solutions for each masked number, the answer given as a condition."""
    max_masks: int | None = Field(default=None, ge=1)
    """Use at most this many numbers of a question; all of them by default, as in the paper."""
    include_ambiguous: bool = False
    """Also mask a number whose value occurs again in the question, which leaks it."""


class SamplingConfig(FrozenConfig):
    """How completions are sampled."""

    temperature: float = Field(default=0.7, ge=0, le=2)
    """0 is greedy, 0.7 is MetaMath's; vLLM takes no more than 2."""
    top_p: float = Field(default=1.0, gt=0, le=1)
    """Nucleus."""
    max_tokens: int = Field(default=1024, ge=1)
    """Longest completion; a longer one is truncated, and so rejected."""


class StagesSamplingConfig(FrozenConfig):
    """Sampling of the two stages of an item."""

    rewrite: SamplingConfig = SamplingConfig(max_tokens=512)
    """Writing a new question, or a statement."""
    solve: SamplingConfig = SamplingConfig()
    """Answering it."""


class ServeEngineConfig(FrozenConfig):
    """vLLM behind Ray Serve: deployed for the run, or attached to."""

    kind: Literal["serve"] = "serve"
    """Tells this engine from the others."""
    model: str = "embedded:teacher"
    """Hugging Face name, folder, or "embedded:teacher" / "embedded:base"."""
    attach: str | None = None
    """Name of a running Serve application of ours to use, instead of deploying one for this run."""
    num_replicas: int = Field(default=1, ge=1)
    """Replicas; a fixed number, because bulk work fills all of them."""
    tensor_parallel_size: int = Field(default=1, ge=1)
    """GPUs a replica."""
    accelerator_type: str | None = None
    """Ray's name of the GPU ("H100", "A10G", "L4", …); None runs on CPU."""
    gpu_table: str | None = None
    """YAML file with the memory of GPUs, `NAME: GiB` a line, over the packaged table; see docs/costs.md."""
    dtype: Literal["auto", "float32", "float16", "bfloat16"] = "auto"
    """"auto" is the model's own on a GPU and float32 on a CPU, where vLLM's bfloat16 kernels can kill the worker."""
    max_model_len: int | None = Field(default=None, ge=16)
    """Longest prompt and completion together; the model's own by default."""
    max_num_seqs: int = Field(default=256, ge=1)
    """Sequences that one replica decodes at once."""
    kv_cache_gib: int = Field(default=1, ge=1)
    """Memory for the key-value cache on CPU, in GiB."""
    request_timeout_seconds: float = Field(default=300, gt=0)
    """Longest wait for one completion, queue included, before it is asked for again."""
    start_deadline_seconds: float = Field(default=1800, gt=0)
    """A replica that is not ready by then ends the run, with the tail of its log."""
    engine_kwargs: dict[str, Any] = Field(default_factory=dict)
    """Further arguments of vLLM's engine, passed through."""

    @model_validator(mode="after")
    def _no_secrets(self) -> "ServeEngineConfig":
        secrets = [name for name in self.engine_kwargs if name.endswith(("token", "key", "secret", "password"))]
        if secrets:
            raise ValueError(f"engine_kwargs.{secrets[0]} would be written down; use the environment (HF_TOKEN)")
        return self

    @property
    def num_gpus(self) -> int:
        """GPUs that the deployment needs."""
        return 0 if self.accelerator_type is None else self.num_replicas * self.tensor_parallel_size


class OpenAIEngineConfig(FrozenConfig):
    """Any OpenAI-compatible URL, for example a hosted teacher."""

    kind: Literal["openai"]
    """Tells this engine from the others."""
    base_url: str
    """For example "https://api.openai.com/v1"."""
    model: str
    """Name of the model there."""
    api_key_env: str = "OPENAI_API_KEY"
    """Environment variable that holds the key; the key itself is written nowhere."""
    tokenizer: str | None = None
    """Tokenizer folder or name to send token ids; None sends chat messages."""
    timeout_seconds: float = Field(default=300, gt=0)
    """Longest wait for one completion."""

    @field_validator("base_url")
    @classmethod
    def _plain_url(cls, url: str) -> str:
        address = urlsplit(url)
        if address.scheme not in ("http", "https") or not address.hostname:
            raise ValueError(f"{url!r} is no address; it begins with http:// or https://")
        if address.username or address.password:
            raise ValueError("the address holds credentials, which would be written down; use api_key_env")
        return url

    @property
    def request_timeout_seconds(self) -> float:
        """Longest wait for one completion."""
        return self.timeout_seconds

    @property
    def num_replicas(self) -> int:
        """None of ours."""
        return 0

    @property
    def num_gpus(self) -> int:
        """None of ours."""
        return 0


EngineConfig = Annotated[ServeEngineConfig | OpenAIEngineConfig, Field(discriminator="kind")]


class ExecutionConfig(FrozenConfig):
    """How the work is spread and how much trouble it survives."""

    num_workers: int = Field(default=1, ge=1)
    """Actors that drive items; a fixed pool."""
    rows_in_flight: int = Field(default=256, ge=1)
    """Items that one actor works on at once."""
    batch_size: int = Field(default=64, ge=1)
    """Items that an actor takes, and stores, together."""
    flush_seconds: float = Field(default=15.0, gt=0)
    """A finished item is on disk at most this much later."""
    retry_budget_seconds: float = Field(default=900.0, gt=0)
    """The run ends when the engine has answered nothing for so long; longer than the wait for one completion."""
    max_failure_ratio: float = Field(default=0.05, ge=0, le=1)
    """Failed items in all that this start finished, above which it ends; looked at from 50 items on, and at the end."""

    def require_patience_with(self, engine: "ServeEngineConfig | OpenAIEngineConfig") -> None:
        """See that an engine may be away for longer than one try takes.

        Raises:
            ValueError: Nothing would ever be tried twice.
        """
        if self.retry_budget_seconds <= engine.request_timeout_seconds:
            raise ValueError(
                f"execution.retry_budget_seconds ({self.retry_budget_seconds:.0f}) must exceed the wait for one "
                f"completion ({engine.request_timeout_seconds:.0f}), or nothing is ever tried twice"
            )


class ExportConfig(FrozenConfig):
    """Which accepted outcomes become rows."""

    max_rows_per_problem: int | None = Field(default=None, ge=1)
    """Keep at most this many rows of one augmentation for a seed problem."""
    backward_check: bool = False
    """Keep a backward row only if its question, x put back, was also solved forward in this run."""
    decontaminate_against: tuple[SourceConfig, ...] = ()
    """Test sets whose questions must not come out."""
    removed_overlaps: tuple[Literal["exact", "ngram", "template"], ...] = ("exact", "ngram")
    """Likenesses to a test question that remove a row; the others are reported. See docs/export.md."""


class BudgetConfig(FrozenConfig):
    """When a run stops, to be resumed with a larger budget; what earlier starts stored counts."""

    tokens: int | None = Field(default=None, ge=1)
    """Most tokens, prompts and completions together; no limit by default."""
    money: float | None = Field(default=None, gt=0)
    """Most money, by price_per_million_tokens and price_per_gpu_hour together; no limit by default."""

    def require_price(self, *, per_token: float | None, per_gpu_hour: float | None, num_gpus: int) -> None:
        """Refuse a limit in money that nothing counts towards.

        Raises:
            ValueError: No price is given that this run pays.
        """
        if self.money is not None and not (per_token or (per_gpu_hour and num_gpus)):
            said = "" if num_gpus else " (this run uses no GPU of yours, so price_per_gpu_hour alone is nothing)"
            raise ValueError(f"budget.money needs price_per_million_tokens or price_per_gpu_hour{said}")


class BootstrapConfig(FrozenConfig):
    """Problems → plan → bootstrap → export."""

    source: SourceConfig
    """Seed problems."""
    run_directory: str = "runs/bootstrap"
    """Folder of everything that the run makes; an interrupted run resumes there."""
    seed: int = 0
    """Another seed gives other samples of everything."""
    augmentation: AugmentationConfig = AugmentationConfig()
    """How many new questions of which kind."""
    prompt_set: str = "embedded"
    """Packaged prompt set, or a YAML file of your own."""
    sampling: StagesSamplingConfig = StagesSamplingConfig()
    """Temperatures and lengths."""
    engine: EngineConfig = ServeEngineConfig()
    """Who answers."""
    execution: ExecutionConfig = ExecutionConfig()
    """Concurrency, retries, limits."""
    export: ExportConfig = ExportConfig()
    """What is kept."""
    ray: RayConfig = RayConfig()
    """Where it runs."""
    price_per_million_tokens: float | None = Field(default=None, ge=0)
    """Money for a million tokens, prompt and completion alike; used by the estimate of `plan` and by the budget."""
    price_per_gpu_hour: float | None = Field(default=None, ge=0)
    """Money for an hour of one GPU; used by `plan`, over its table of prices, and by the budget."""
    budget: BudgetConfig = BudgetConfig()
    """When it has cost enough."""

    @model_validator(mode="after")
    def _something_to_do(self) -> "BootstrapConfig":
        kinds = self.augmentation
        if not any((kinds.answer_augmentation, kinds.rephrasing, kinds.self_verification, kinds.fobar)):
            raise ValueError("augmentation: every kind is 0, so there is nothing to do")
        return self

    @model_validator(mode="after")
    def _patience_for_more_than_one_try(self) -> "BootstrapConfig":
        self.execution.require_patience_with(self.engine)
        return self

    @model_validator(mode="after")
    def _budget_has_a_price(self) -> "BootstrapConfig":
        self.budget.require_price(
            per_token=self.price_per_million_tokens,
            per_gpu_hour=self.price_per_gpu_hour,
            num_gpus=self.engine.num_gpus,
        )
        return self

    def content(self) -> dict[str, Any]:
        """Return what decides the outcomes: two runs with equal content may share a folder.

        Leaves out where the work runs, how it is spread, and what the export keeps.
        """
        chosen = self.model_dump(mode="json", include={"seed", "source", "augmentation", "prompt_set", "sampling"})
        return {**chosen, "model": self.engine.model}


class BootstrapCommand(BootstrapConfig):
    """Problems → plan → bootstrap: runs, or resumes what was interrupted."""

    retry_failed: bool = False
    """Also run the items again that failed before; a new outcome takes the failed one's place."""
    fork: bool = False
    """Plan anew over a run of another configuration; items that both plans hold stay done."""


class PlanCommand(BootstrapCommand):
    """Write plan.parquet and say what the run will cost, measured on a sample of it."""

    sample_items: int = Field(default=32, ge=0)
    """Items that are run now to measure the cost, and stay done; 0 only counts."""
    gpu: str | None = None
    """Price the run on GPUs of this kind ("H100"), by Ray's name."""
    num_gpus: int = Field(default=1, ge=1)
    """So many of them."""
    tokens_per_second: float | None = Field(default=None, gt=0)
    """Completion tokens a second that one of them makes, measured elsewhere; what the sample here makes by default."""
    prices: str | None = None
    """YAML file of prices, over the packaged table; see docs/costs.md."""

    @model_validator(mode="after")
    def _speed_is_known(self) -> "PlanCommand":
        if self.gpu is None:
            if self.tokens_per_second or self.prices:
                raise ValueError("tokens_per_second and prices are of the GPU that the run is priced on; give gpu")
            return self
        if not self.sample_items:
            raise ValueError("gpu: without sample_items it is not known how many tokens an item takes")
        here = self.engine.accelerator_type if isinstance(self.engine, ServeEngineConfig) else "no GPU of yours"
        if self.tokens_per_second is None and here != self.gpu:
            raise ValueError(
                f"gpu is {self.gpu}, and the sample runs on {here or 'CPU'}: give tokens_per_second, measured on "
                f"{self.gpu}, or engine.accelerator_type {self.gpu}"
            )
        return self


class PreviewCommand(BootstrapConfig):
    """Show a few rows through the whole pipe, prompts included; writes nothing."""

    num_rows: int = Field(default=5, ge=1)
    """Rows to show; the augmentations take turns."""


class StatusCommand(FrozenConfig):
    """Say how far a run is, running or dead, from its files alone."""

    run_directory: str
    """Folder of the run."""


class ExportCommand(FrozenConfig):
    """Write a run's data set: JSON lines, parquet, rejected rows, data card."""

    run_directory: str
    """Folder of the run."""
    export: ExportConfig | None = None
    """What is kept; what the run's own configuration says by default."""


class GradeCommand(FrozenConfig):
    """Grade a file of JSON lines; each gets `verdict`, `extracted` and `reason`."""

    input: CliPositionalArg[str]
    """Lines with `completion` or `answer`, and `reference_answer`; "-" is the standard input."""
    output: str = "-"
    """Where the graded lines go; "-" is the standard output."""
    workers: int = Field(default=1, ge=1)
    """Processes that grade."""

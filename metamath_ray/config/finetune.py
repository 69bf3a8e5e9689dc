"""Fine-tuning: a model, the stages that it goes through one after the other, and the machines that train it."""

from typing import Any, Literal

from pydantic import Field, field_serializer, field_validator, model_validator

from metamath_ray.config.base import FrozenConfig, RayConfig, SourceConfig
from metamath_ray.config.bootstrap import ExecutionConfig, SamplingConfig, ServeEngineConfig

RESERVED_NAMES = ("start", "logs")
"""Of the run's folder and of its manifest."""


class SolutionsConfig(FrozenConfig):
    """Questions with the solutions to learn: MetaMathQA-shaped rows, or problems with their reference solutions."""

    rows: str | None = None
    """File of rows with `query` and `response` (JSON, JSON lines or parquet), or a bootstrap's run directory."""
    problems: SourceConfig | None = None
    """Problems whose reference solutions are learned."""
    style: Literal["as_written", "step_by_step"] = "as_written"
    """How a reference solution is put: as its author wrote it, or a sentence a line (the two styles of 2310.10047)."""
    limit: int | None = Field(default=None, ge=1)
    """Use this many rows, drawn with the run's seed, and no more."""

    @model_validator(mode="after")
    def _one_source(self) -> "SolutionsConfig":
        if (self.rows is None) == (self.problems is None):
            raise ValueError("give either rows or problems")
        return self


class DrawConfig(FrozenConfig):
    """Samples to draw, when their stage begins, from the model of the stage before."""

    problems: SourceConfig
    """Training problems to solve."""
    num_samples: int = Field(default=64, ge=2)
    """Solutions a problem; 2310.10047 takes 64."""
    sampling: SamplingConfig = SamplingConfig(temperature=0.8)
    """Temperature and length."""
    engine: ServeEngineConfig = ServeEngineConfig()
    """How vLLM runs; its `model` is not used."""
    execution: ExecutionConfig = ExecutionConfig()
    """Concurrency, retries, limits."""

    @model_validator(mode="after")
    def _patience_for_more_than_one_try(self) -> "DrawConfig":
        self.execution.require_patience_with(self.engine)
        return self


class SamplesConfig(FrozenConfig):
    """Graded samples of the generator, out of which a verifier learns."""

    path: tuple[str, ...] | None = Field(default=None, min_length=1)
    """Parquet file or folder of samples, or the run directory of a bootstrap with answer augmentation; or several of
    them, as a list. Equal solutions of a problem count once."""
    draw: DrawConfig | None = None
    """Draw them from the model of the stage before, or from the model that the run starts with."""
    max_pairs_per_problem: int = Field(default=10, ge=1)
    """A right and a wrong solution of one problem make a pair; 2310.10047 takes 10 a problem."""
    balance: Literal["as_sampled", "within_problems", "equal"] = "as_sampled"
    """"within_problems" takes pairs for the pointwise loss alone, too, so that knowing which problems are easy does not
    help with those that are solved right and wrong; "equal" thins the more frequent class of what is in no pair."""
    validation_share: float = Field(default=0.1, gt=0, lt=1)
    """Share of the problems kept apart, to measure the verifier on."""

    @field_validator("path", mode="before")
    @classmethod
    def _path_alone(cls, given: object) -> object:
        return (given,) if isinstance(given, str) else given

    @field_serializer("path")
    def _one_alone(self, path: tuple[str, ...] | None) -> str | tuple[str, ...] | None:
        """One table is the same configuration alone and in a list, and the one that older runs have stored."""
        return path[0] if path is not None and len(path) == 1 else path

    @model_validator(mode="after")
    def _one_source(self) -> "SamplesConfig":
        if (self.path is None) == (self.draw is None):
            raise ValueError("give either path or draw")
        return self


class OptimizerConfig(FrozenConfig):
    """AdamW and its learning rate."""

    learning_rate: float = Field(default=2e-5, gt=0)
    """Highest rate."""
    warmup_ratio: float = Field(default=0.03, ge=0, lt=1)
    """Share of the steps over which the rate rises from zero."""
    schedule: Literal["cosine", "linear", "constant"] = "cosine"
    """How the rate falls after the warm-up."""
    weight_decay: float = Field(default=0.0, ge=0)
    """Decoupled weight decay."""
    betas: tuple[float, float] = (0.9, 0.999)
    """Decay of the two moments."""
    max_grad_norm: float = Field(default=1.0, gt=0)
    """Gradients are scaled down to this norm."""


class StageConfig(FrozenConfig):
    """One stage: what is learned, from what, for how long."""

    solutions: SolutionsConfig | None = None
    """Solutions to learn; the stage trains a generator."""
    samples: SamplesConfig | None = None
    """Samples to judge; the stage trains a verifier. With both, it trains the two tasks jointly."""
    solution_weight: float = Field(default=1.0, gt=0)
    """Weight of the solutions' loss, a mean over the tokens of a step."""
    pairwise_weight: float = Field(default=1.0, ge=0)
    """Weight of the margin loss over pairs (2310.10047, equation 8)."""
    pointwise_weight: float = Field(default=0.0, ge=0)
    """Weight of the cross-entropy over single solutions (equation 9)."""
    margin: float = Field(default=1.0, ge=0)
    """λ of equation 8; the paper does not give it."""
    epochs: float = Field(default=3.0, gt=0)
    """Passes over the data; not used with `max_steps`."""
    max_steps: int | None = Field(default=None, ge=1)
    """Steps, whatever the size of the data."""
    global_batch_size: int = Field(default=128, ge=1)
    """Rows a step over all workers; a pair is one row."""
    max_length: int = Field(default=512, ge=16)
    """Longest row in tokens; a longer one is left out and counted."""
    optimizer: OptimizerConfig = OptimizerConfig()
    """Rate and schedule."""

    @model_validator(mode="after")
    def _something_to_learn(self) -> "StageConfig":
        if self.solutions is None and self.samples is None:
            raise ValueError("give solutions, samples or both")
        if self.samples and not (self.pairwise_weight or self.pointwise_weight):
            raise ValueError("pairwise_weight and pointwise_weight are both 0, so samples teach nothing")
        return self


class AdapterConfig(FrozenConfig):
    """LoRA instead of all weights."""

    rank: int = Field(default=96, ge=1)
    """Rank of the added matrices."""
    alpha: float = Field(default=16, gt=0)
    """The added matrices are scaled by alpha / rank."""
    dropout: float = Field(default=0.05, ge=0, lt=1)
    """Dropout before them."""
    targets: Literal["all", "attention"] = "all"
    """Attention and MLP, or attention alone."""
    quantize: bool = False
    """QLoRA: the frozen weights in 4 bits; needs a GPU."""


class TrainersConfig(FrozenConfig):
    """The workers that train, and how the memory of the model is spread over them."""

    num_workers: int = Field(default=1, ge=1)
    """Ray Train workers; one GPU each where there are GPUs."""
    min_workers: int | None = Field(default=None, ge=1)
    """Go on with so few when nodes are lost; a fixed number by default."""
    accelerator_type: str | None = None
    """Ray's name of the GPU ("H100", "A10G", …); None trains on CPU."""
    cpus_per_worker: float = Field(default=1, gt=0)
    """Logical CPUs of a worker."""
    micro_batch_size: int = Field(default=4, ge=1)
    """Rows that a worker takes at once, on average; they are packed into one sequence without padding."""
    zero_stage: Literal[0, 1, 2, 3] = 2
    """DeepSpeed ZeRO: what is split over the workers: nothing, optimizer, + gradients, + weights."""
    offload: bool = False
    """Keep the optimizer's state, and with ZeRO-3 the weights, in CPU memory."""
    activation_checkpointing: bool = False
    """Compute activations again in the backward pass instead of keeping them."""
    max_failures: int = Field(default=3, ge=0)
    """Restarts after a worker's death."""
    checkpoint_every_steps: int = Field(default=200, ge=1)
    """Steps between checkpoints."""
    checkpoints_kept: int = Field(default=2, ge=1)
    """Checkpoints of a running stage that are kept."""

    @model_validator(mode="after")
    def _possible(self) -> "TrainersConfig":
        if self.min_workers and self.min_workers > self.num_workers:
            raise ValueError(f"min_workers ({self.min_workers}) exceeds num_workers ({self.num_workers})")
        if self.offload and self.zero_stage < 1:
            raise ValueError("offload needs zero_stage 1 or more")
        return self


class HeldOutConfig(FrozenConfig):
    """Problems that the generator is measured on after each stage, greedily."""

    problems: SourceConfig
    """The problems; their split must not be "train"."""
    max_tokens: int = Field(default=512, ge=1)
    """Longest solution."""
    batch_size: int = Field(default=64, ge=1)
    """Problems generated at once."""
    before_training: bool = True
    """Also measure the model that the run starts with."""


class FinetuneConfig(FrozenConfig):
    """Base model → stage → stage → …; each stage leaves a Hugging Face folder."""

    model: str = "embedded:base"
    """Hugging Face name, folder, or "embedded:base"."""
    run_directory: str = "runs/finetune"
    """Folder of everything that the run makes; an interrupted run resumes there."""
    seed: int = 0
    """Order of the rows, choice of pairs, adapters' start."""
    prompt_set: str = "embedded"
    """Prompt set of the solutions; the model will be asked in the same words."""
    verifier_prompt: str | None = None
    """Prompt of the verifier: packaged, or a YAML file of your own; None: the model's own, where it is a verifier
    already, or else the paper's."""
    stages: dict[str, StageConfig] = Field(min_length=1)
    """In order, by name; each starts from the weights of the one before."""
    adapter: AdapterConfig | None = None
    """LoRA; None trains all weights."""
    trainers: TrainersConfig = TrainersConfig()
    """Who trains."""
    held_out: HeldOutConfig | None = None
    """What the generator is measured on."""
    trackers: tuple[Literal["mlflow", "wandb"], ...] = ()
    """Also report to these, if they are installed; TensorBoard files and metrics.jsonl are always written."""
    ray: RayConfig = RayConfig()
    """Where it runs."""

    @model_validator(mode="after")
    def _possible(self) -> "FinetuneConfig":
        for name, stage in self.stages.items():
            if not name.isidentifier():
                raise ValueError(f"stages: {name!r} names a folder; use letters, digits and underscores")
            if name in RESERVED_NAMES:
                raise ValueError(f"stages: {name!r} is a name that the run itself uses; choose another")
            if stage.global_batch_size < self.trainers.num_workers:
                raise ValueError(
                    f"stages.{name}.global_batch_size ({stage.global_batch_size}) is smaller than "
                    f"trainers.num_workers ({self.trainers.num_workers}), so some workers would have nothing to do"
                )
        return self

    @model_validator(mode="after")
    def _adapter_fits(self) -> "FinetuneConfig":
        if self.adapter and self.adapter.quantize:
            if self.trainers.accelerator_type is None:
                raise ValueError("adapter.quantize needs a GPU: 4-bit weights have no CPU kernels; set it to false")
            if self.trainers.zero_stage == 3:
                raise ValueError("adapter.quantize cannot be split by ZeRO-3; use trainers.zero_stage 2")
        return self

    @model_validator(mode="after")
    def _measured_on_unseen_problems(self) -> "FinetuneConfig":
        if self.held_out and self.held_out.problems.split == "train":
            raise ValueError('held_out.problems.split is "train"; a model is not measured on what it learned')
        return self

    def content(self) -> dict[str, Any]:
        """Return what decides the weights: two runs with equal content may share a folder.

        Leaves out where the work runs and how it is spread: that of drawing samples and of measuring, too.
        """
        chosen = {"model", "seed", "prompt_set", "verifier_prompt", "adapter", "stages", "held_out"}
        how = {"batch_size", "before_training"}
        drawn = {"engine", "execution"}
        return self.model_dump(
            mode="json",
            include=chosen,
            exclude={"stages": {"__all__": {"samples": {"draw": drawn}}}, "held_out": how},
        )


class FinetuneCommand(FinetuneConfig):
    """Fine-tune a model: generator, verifier, or one after the other; runs, or resumes what was interrupted."""

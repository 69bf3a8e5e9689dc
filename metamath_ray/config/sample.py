"""Sampling: N graded solutions of each problem, scored by a verifier where one is given, in one table."""

from pydantic import Field, model_validator

from metamath_ray.config.base import FrozenConfig, RayConfig, SourceConfig
from metamath_ray.config.bootstrap import (
    BudgetConfig,
    EngineConfig,
    ExecutionConfig,
    SamplingConfig,
    ServeEngineConfig,
)


class SampleConfig(FrozenConfig):
    """Problems → N graded, scored solutions of each → samples.parquet, and one greedy solution → greedy.parquet."""

    problems: SourceConfig
    """Problems to solve."""
    run_directory: str = "runs/sample"
    """Folder of everything that the run makes; an interrupted run resumes there, and more samples or problems join."""
    seed: int = 0
    """Another seed gives other samples."""
    num_samples: int = Field(default=16, ge=1)
    """N: solutions a problem."""
    greedy: bool = True
    """Also draw one greedy solution a problem."""
    prompt_set: str = "embedded"
    """Prompt set that the generator was trained on."""
    sampling: SamplingConfig = SamplingConfig(temperature=0.8)
    """Temperature, nucleus and length; the greedy solution takes the length alone."""
    engine: EngineConfig = ServeEngineConfig()
    """Who answers."""
    verifier: ServeEngineConfig | None = None
    """Who scores the solutions, when all are drawn; None leaves them without scores."""
    verifier_prompt: str | None = None
    """Prompt that the verifier was trained on; None: the one that its folder names, or else the paper's."""
    execution: ExecutionConfig = ExecutionConfig()
    """Concurrency, retries, limits."""
    ray: RayConfig = RayConfig()
    """Where it runs."""
    price_per_million_tokens: float | None = Field(default=None, ge=0)
    """Money for a million tokens, prompt and completion alike; used by the budget."""
    price_per_gpu_hour: float | None = Field(default=None, ge=0)
    """Money for an hour of one GPU; used by the budget."""
    budget: BudgetConfig = BudgetConfig()
    """When it has cost enough: samples, greedy solutions and scores together."""

    @model_validator(mode="after")
    def _several_differ(self) -> "SampleConfig":
        if self.num_samples > 1 and self.sampling.temperature == 0:
            raise ValueError("num_samples exceeds 1 at temperature 0: all samples would be the same")
        return self

    @model_validator(mode="after")
    def _patience_for_more_than_one_try(self) -> "SampleConfig":
        for engine in (self.engine, *([self.verifier] if self.verifier else [])):
            self.execution.require_patience_with(engine)
        return self

    @model_validator(mode="after")
    def _budget_has_a_price(self) -> "SampleConfig":
        self.budget.require_price(
            per_token=self.price_per_million_tokens,
            per_gpu_hour=self.price_per_gpu_hour,
            num_gpus=self.num_gpus,
        )
        return self

    @property
    def num_gpus(self) -> int:
        """GPUs that the larger of its deployments needs; they are up one after the other."""
        return max(self.engine.num_gpus, self.verifier.num_gpus if self.verifier else 0)


class SampleCommand(SampleConfig):
    """Draw N solutions a problem, grade and score them: runs, resumes, or adds what is missing."""

    retry_failed: bool = False
    """Also draw and score again what failed before."""

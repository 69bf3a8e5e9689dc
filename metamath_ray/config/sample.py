"""Sampling: N graded solutions of each problem, scored by a verifier where one is given, in one table."""

from pydantic import Field, model_validator

from metamath_ray.config.base import FrozenConfig, RayConfig, SourceConfig
from metamath_ray.config.bootstrap import EngineConfig, ExecutionConfig, SamplingConfig, ServeEngineConfig


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
    verifier_prompt: str = "paper"
    """Prompt that the verifier was trained on."""
    execution: ExecutionConfig = ExecutionConfig()
    """Concurrency, retries, limits."""
    ray: RayConfig = RayConfig()
    """Where it runs."""

    @model_validator(mode="after")
    def _several_differ(self) -> "SampleConfig":
        if self.num_samples > 1 and self.sampling.temperature == 0:
            raise ValueError("num_samples exceeds 1 at temperature 0: all samples would be the same")
        return self


class SampleCommand(SampleConfig):
    """Draw N solutions a problem, grade and score them: runs, resumes, or adds what is missing."""

    retry_failed: bool = False
    """Also draw and score again what failed before."""

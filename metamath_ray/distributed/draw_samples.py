"""N graded solutions a problem, out of a model: a bootstrap of answer augmentation alone."""

from metamath_ray.config import AugmentationConfig, BootstrapConfig, DrawConfig, RayConfig, StagesSamplingConfig
from metamath_ray.distributed.bootstrap import bootstrap
from metamath_ray.distributed.observer import Observer


def solutions_alone(num_samples: int) -> AugmentationConfig:
    """Return the augmentation that asks each problem's own question N times."""
    return AugmentationConfig(answer_augmentation=num_samples, rephrasing=0, self_verification=0, fobar=0)


def draw_samples(
    draw: DrawConfig, *, model: str, run_directory: str, prompt_set: str, seed: int, ray: RayConfig, observer: Observer
) -> None:
    """Draw samples into a run directory, or go on with a draw that was interrupted.

    Raises:
        UserError: Something is missing or does not fit.
        RunFailed: The engine stayed away, or too many items failed.
    """
    config = BootstrapConfig(
        source=draw.problems,
        run_directory=run_directory,
        seed=seed,
        augmentation=solutions_alone(draw.num_samples),
        prompt_set=prompt_set,
        sampling=StagesSamplingConfig(solve=draw.sampling),
        engine=draw.engine.model_copy(update={"model": model}),
        execution=draw.execution,
        ray=ray,
    )
    bootstrap(config, observer=observer)

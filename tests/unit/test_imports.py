import subprocess
import sys

import pytest

CORE = (
    "metamath_ray.types",
    "metamath_ray.errors",
    "metamath_ray.config",
    "metamath_ray.arguments",
    "metamath_ray.augmentation",
    "metamath_ray.capacity",
    "metamath_ray.cli",
    "metamath_ray.datasets",
    "metamath_ray.embedded",
    "metamath_ray.evaluation",
    "metamath_ray.export",
    "metamath_ray.grading",
    "metamath_ray.inference",
    "metamath_ray.loop",
    "metamath_ray.measuring",
    "metamath_ray.prompts",
    "metamath_ray.report",
    "metamath_ray.reranking",
    "metamath_ray.solving",
    "metamath_ray.storage",
    "metamath_ray.verifier",
)


@pytest.mark.parametrize("module", CORE)
def test_the_core_imports_without_what_runs_it(module: str) -> None:
    heavy = ("ray", "torch", "vllm", "deepspeed", "fastapi")
    code = f"import sys, {module}; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"

r"""Evaluate on a cluster: tables of samples → every figure → the report; without a GPU.

    ray job submit --working-dir . -- python jobs/evaluate.py \
        --config /shared/evaluate.yaml --output /shared/evaluation

Takes the options of `metamath-ray evaluate`. The output has to be a folder that outlives the job, or a bucket: the
job's working directory is a copy that Ray throws away.
"""

import sys

from metamath_ray.arguments import parse_arguments
from metamath_ray.config import EvaluateCommand
from metamath_ray.exits import require_lasting, run_guarded
from metamath_ray.terminal_evaluation import evaluate_and_show


def main() -> None:
    """Run the job."""
    command = parse_arguments(EvaluateCommand, sys.argv[1:], program="jobs/evaluate.py")
    require_lasting(command.output)
    evaluate_and_show(command)


if __name__ == "__main__":
    sys.exit(run_guarded(main))

"""What a model needs, what machines have, and what they cost; pure, so that it is known before anything is started."""

from metamath_ray.capacity.budget import Budget, budget_of
from metamath_ray.capacity.gpus import GpuType, load_gpus
from metamath_ray.capacity.hub import hub_shape
from metamath_ray.capacity.model_folder import check_complete, read_shape
from metamath_ray.capacity.model_shape import ModelShape
from metamath_ray.capacity.nodes import (
    Bundle,
    NodeGroup,
    check_nodes,
    engine_bundles,
    launcher_groups,
    trainer_bundles,
)
from metamath_ray.capacity.prices import GpuPlan, Price, load_prices
from metamath_ray.capacity.serving_fit import check_serving
from metamath_ray.capacity.training_fit import check_training
from metamath_ray.capacity.versions import check_versions

__all__ = [
    "Budget",
    "Bundle",
    "GpuPlan",
    "GpuType",
    "ModelShape",
    "NodeGroup",
    "Price",
    "budget_of",
    "check_complete",
    "check_nodes",
    "check_serving",
    "check_training",
    "check_versions",
    "engine_bundles",
    "hub_shape",
    "launcher_groups",
    "load_gpus",
    "load_prices",
    "read_shape",
    "trainer_bundles",
]

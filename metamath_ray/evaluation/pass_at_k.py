"""The probability that one of k samples is correct, without bias (arXiv 2107.03374, section 2.1)."""

import numpy as np
import numpy.typing as npt

from metamath_ray.errors import ConfigError


def pass_at_k(num_samples: int, num_correct: int, k: int) -> float:
    """Return 1 - C(n - c, k) / C(n, k): the share of the sets of k out of n samples that hold a correct one.

    A product of k factors, none above 1, so nothing overflows.

    Raises:
        ConfigError: k is less than 1 or more than the number of samples.
    """
    if not 1 <= k <= num_samples:
        raise ConfigError(f"k is {k}: expected 1 to {num_samples}, the number of samples")
    drawn = np.arange(k, dtype=np.float64)
    return float(1 - np.prod(np.maximum(num_samples - num_correct - drawn, 0) / (num_samples - drawn)))


def pass_at_sizes(is_correct: npt.NDArray[np.bool_], sizes: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """Return `pass_at_k` of one problem's samples at each k."""
    num_samples, num_correct = len(is_correct), int(is_correct.sum())
    return np.array([pass_at_k(num_samples, num_correct, int(k)) for k in sizes])

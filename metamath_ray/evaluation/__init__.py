"""From one table of samples to every figure, without a model: pass@k, votes, re-ranking, stopping, calibration."""

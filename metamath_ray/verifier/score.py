"""From the log-probabilities of a verifier's two labels to one number (arXiv 2310.10047, section 3.2)."""

from math import exp


def log_odds(correct_logprob: float, incorrect_logprob: float) -> float:
    """Return log(S / (1 - S)): unlike S, it still tells apart what a sure verifier holds for near certain.

    Args:
        correct_logprob: Natural logarithm of p(correct | prompt); -inf for a label that an engine did not report.
        incorrect_logprob: The same of p(incorrect | prompt).

    Returns:
        From -inf to inf; 0 when both labels are impossible, for then the verifier says nothing. NaN gives NaN.
    """
    return 0.0 if correct_logprob == incorrect_logprob else correct_logprob - incorrect_logprob


def score(correct_logprob: float, incorrect_logprob: float) -> float:
    """Return S = p(correct) / (p(correct) + p(incorrect)), from 0 to 1, without a probability that underflows."""
    odds = log_odds(correct_logprob, incorrect_logprob)
    return 1 / (1 + exp(-odds)) if odds >= 0 else exp(odds) / (1 + exp(odds))

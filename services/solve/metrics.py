"""The service's figures through Ray's Prometheus export, where each name begins with `ray_`.

`deploy/grafana/solve.json` draws them.
"""

from ray.util.metrics import Counter, Gauge, Histogram

from metamath_ray.solving import Solution, StopReason, Usage

STAGES = ("sampling", "clustering", "scoring", "total")
SECONDS = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 25.0, 50.0, 100.0, 300.0]
SHARES = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0]


class RayMetrics:
    """A `Monitor` that counts."""

    def __init__(self) -> None:
        self._responses = Counter(
            "metamath_solve_responses", "HTTP responses, by route and status.", tag_keys=("route", "status")
        )
        self._questions = Counter(
            "metamath_solve_questions", "Questions solved, by why sampling ended.", tag_keys=("stop_reason",)
        )
        self._unanswered = Counter("metamath_solve_unanswered", "Questions of which no sample has an answer.")
        self._samples = Counter("metamath_solve_samples", "Samples drawn.")
        self._samples_saved = Counter("metamath_solve_samples_saved", "Samples not drawn: the answer was sure enough.")
        self._calls = Counter("metamath_solve_verifier_calls", "Solutions scored.")
        self._calls_saved = Counter("metamath_solve_verifier_calls_saved", "Solutions that needed no score.")
        self._tokens = Counter(
            "metamath_solve_tokens", "Tokens, by model (generator, verifier) and kind.", tag_keys=("model", "kind")
        )
        self._agreement = Histogram(
            "metamath_solve_agreement", "Share of the samples in the largest cluster.", boundaries=SHARES
        )
        self._seconds = Histogram(
            "metamath_solve_seconds", "Time of a question, by stage.", boundaries=SECONDS, tag_keys=("stage",)
        )
        self._running = Gauge("metamath_solve_running", "Questions being solved.")
        self._waiting = Gauge("metamath_solve_waiting", "Questions waiting for their turn.")

    def responded(self, route: str, status: int) -> None:
        """Count a response."""
        self._responses.inc(tags={"route": route, "status": str(status)})

    def solved(self, solution: Solution, *, queue_seconds: float) -> None:
        """Count a solved question."""
        self._questions.inc(tags={"stop_reason": str(solution.stop_reason)})
        _add(self._unanswered, int(solution.answer is None))
        _add(self._samples, solution.num_samples_drawn)
        if solution.stop_reason is StopReason.CONFIDENT:
            _add(self._samples_saved, solution.num_samples_saved)
        _add(self._calls, solution.verifier_usage.num_requests)
        _add(self._calls_saved, solution.num_verifier_calls_saved)
        self._count_tokens("generator", solution.generator_usage)
        self._count_tokens("verifier", solution.verifier_usage)
        if solution.clusters:
            self._agreement.observe(max(one.num_votes for one in solution.clusters) / solution.num_samples_drawn)
        self._seconds.observe(queue_seconds, tags={"stage": "queue"})
        for stage in STAGES:
            self._seconds.observe(solution.seconds[stage], tags={"stage": stage})

    def load(self, *, num_running: int, num_waiting: int) -> None:
        """Note how many questions there are."""
        self._running.set(num_running)
        self._waiting.set(num_waiting)

    def _count_tokens(self, model: str, usage: Usage) -> None:
        _add(self._tokens, usage.num_prompt_tokens, model=model, kind="prompt")
        _add(self._tokens, usage.num_completion_tokens, model=model, kind="completion")


def _add(counter: Counter, number: int, **tags: str) -> None:
    """Add to a counter; Ray refuses to add nothing."""
    if number:
        counter.inc(number, tags=tags or None)

"""What answers HTTP under Ray Serve: engines over deployment handles → solver → `create_api`."""

from fastapi import FastAPI
from ray import serve
from ray.serve.handle import DeploymentHandle
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from metamath_ray.config import SolveConfig
from metamath_ray.distributed.grouped_calls import FOR_SAMPLES, FOR_SCORES
from metamath_ray.distributed.serve_engine import ServeEngine, ServeLabelScorer
from metamath_ray.errors import EngineUnavailable
from metamath_ray.grading import check_canaries
from metamath_ray.inference import RetryingEngine, RetryingLabelScorer
from metamath_ray.inference.models import context_length, resolve_model, verifier_prompt_for
from metamath_ray.prompts import Renderer, VerifierRenderer, load_prompt_set, load_tokenizer
from metamath_ray.solving import Solver, Verifier
from services.solve.envelope import REQUEST_ID_HEADER
from services.solve.metrics import RayMetrics
from services.solve.routes import create_api


@serve.ingress()  # without an app: Serve asks for it once the replica is there
class SolveIngress:
    """One replica of the service; holds no model."""

    def __init__(self, config: SolveConfig, generator: DeploymentHandle, verifier: DeploymentHandle | None) -> None:
        """Connect to the models.

        Args:
            generator: The deployment; given so that Serve knows that the two belong together.
            verifier: The same; None where there is none, or where the generator is both.
        """
        check_canaries()
        self._config = config
        self._application = serve.get_replica_context().app_name
        self._generator_name = generator.deployment_name
        self._verifier_name = verifier.deployment_name if verifier else self._generator_name

    def __serve_build_asgi_app__(self) -> FastAPI:
        """Build the application; Serve's own hook."""
        solver = Solver(generator=self._generator(), renderer=self._renderer(), verifier=self._verifier())
        api = create_api(solver, self._config, monitor=RayMetrics())
        api.add_middleware(WithoutRequestId)
        return api

    def _renderer(self) -> Renderer:
        tokenizer = load_tokenizer(resolve_model(self._config.generator.model))
        return Renderer(load_prompt_set(self._config.prompt_set), tokenizer)

    def _generator(self) -> RetryingEngine:
        engine = self._config.generator
        return RetryingEngine(
            ServeEngine(
                application=self._application,
                model=engine.model,
                timeout_seconds=engine.request_timeout_seconds,
                grouping=FOR_SAMPLES,
                max_model_len=engine.max_model_len or context_length(resolve_model(engine.model)),
            ),
            budget_seconds=self._config.retry_budget_seconds,
            exhausted=EngineUnavailable,
        )

    def _verifier(self) -> Verifier | None:
        engine = self._config.verifier
        if engine is None:
            return None
        scorer = ServeLabelScorer(
            application=self._application,
            model=engine.model,
            timeout_seconds=engine.request_timeout_seconds,
            grouping=FOR_SCORES,
            deployment=self._verifier_name,
        )
        patient = RetryingLabelScorer(
            scorer, budget_seconds=self._config.retry_budget_seconds, exhausted=EngineUnavailable
        )
        path = resolve_model(engine.model)
        prompt = verifier_prompt_for(path, self._config.verifier_prompt)
        return Verifier(patient, VerifierRenderer(prompt, load_tokenizer(path)))


class WithoutRequestId:
    """Takes the request's id off the response: Serve's proxy gave it to us, and writes it there itself."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on."""

        async def send_without(message: Message) -> None:
            if message["type"] == "http.response.start":
                del MutableHeaders(scope=message)[REQUEST_ID_HEADER]
            await send(message)

        await self._app(scope, receive, send_without)

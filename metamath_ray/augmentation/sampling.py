"""One stage of an item put to the engine."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from metamath_ray.inference import CompletionEngine, CompletionRequest
from metamath_ray.prompts import Renderer, Task
from metamath_ray.types import Completion, SamplingParameters, WorkItem


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampler:
    """An engine and the renderer of its prompts."""

    engine: CompletionEngine
    renderer: Renderer

    async def sample(
        self, item: WorkItem, stage: str, task: Task, fields: Mapping[str, str], sampling: SamplingParameters
    ) -> Completion:
        """Sample one completion with the seed of the item's stage; the white space around its text is taken off.

        Raises:
            EngineError: As `CompletionEngine.complete`.
            PromptError: The prompt set does not have the task.
        """
        stop = dict.fromkeys((*sampling.stop, *self.renderer.prompt_set.stop(task)))
        request = CompletionRequest(
            prompt=self.renderer.render(task, fields, source=item.problem.source),
            sampling=replace(sampling, stop=tuple(stop)),
            seed=item.seed(stage),
        )
        completion = await self.engine.complete(request)
        return replace(completion, text=completion.text.strip())

"""Every exception of the project; each takes one message, and so pickles.

MetamathRayError
├── UserError                 the user can fix it: one line, exit code 2
│   ├── ConfigError           a setting is missing, unknown or impossible
│   ├── DataError             a record is malformed: names file, line, field and what was expected
│   ├── PromptError           a prompt set is missing or malformed, or does not fit the model
│   ├── ModelError            a model or deployment does not exist or cannot be loaded
│   └── RunDirectoryError     a run folder is busy, foreign, missing or cannot be written
├── EngineError               a completion could not be had
│   ├── RequestRejected       this request is at fault: the row fails, the run goes on
│   ├── EngineUnavailable     the engine is at fault: retried with back-off on another replica
│   │   └── BackPressure      the engine is full
│   └── AccessDenied          the key or the model name is refused: no retry will help, the run ends
├── GraderBroken              the grader fails its known pairs: nothing may be labelled with it
└── RunFailed                 too much failed: the run ends non-zero, its outcomes stay
"""


class MetamathRayError(Exception):
    """Base of every exception that the project raises on purpose."""


class UserError(MetamathRayError):
    """Something the user can fix; shown as one line, without a traceback."""


class ConfigError(UserError):
    """A setting is missing, unknown or impossible."""


class DataError(UserError):
    """A record is malformed."""


class PromptError(UserError):
    """A prompt set is missing or malformed, or does not fit the model."""


class ModelError(UserError):
    """A model or a deployment does not exist or cannot be loaded."""


class RunDirectoryError(UserError):
    """A run folder is busy, belongs to another configuration, is missing or cannot be written."""


class EngineError(MetamathRayError):
    """A completion could not be had."""


class RequestRejected(EngineError):
    """The engine refused this request and would refuse it again."""


class EngineUnavailable(EngineError):
    """The engine did not answer, or died while it did; another attempt may succeed."""


class BackPressure(EngineUnavailable):
    """The engine is full; another attempt will succeed later."""


class AccessDenied(EngineError):
    """The engine refuses the caller's credentials, or has no model of the name asked for."""


class GraderBroken(MetamathRayError):
    """The grader fails its known pairs; nothing may be labelled with it."""


class RunFailed(MetamathRayError):
    """Too much of the run failed; what was done is stored."""

"""Settings of all tests: no deadline for hypothesis, because a busy machine is not a wrong answer."""

from hypothesis import settings

settings.register_profile("metamath-ray", deadline=None, derandomize=True)
settings.load_profile("metamath-ray")

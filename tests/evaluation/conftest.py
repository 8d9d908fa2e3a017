"""Settings of this room's tests."""

from hypothesis import settings

# a busy machine is no reason to fail: the first example imports, the rest take a millisecond
settings.register_profile("evaluation", deadline=None)
settings.load_profile("evaluation")

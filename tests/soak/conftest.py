"""A registered model with hand-made bundles, as the tests of serving have it."""

from tests.serving.conftest import empty_registry, registered

__all__ = ["empty_registry", "registered"]

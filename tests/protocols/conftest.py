"""The server of hand-made bundles, for every protocol."""

from tests.serving.conftest import served

__all__ = ["served"]

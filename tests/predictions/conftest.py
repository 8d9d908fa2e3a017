"""The S3 server of the storage tests."""

from tests.storage.conftest import s3_server

__all__ = ["s3_server"]

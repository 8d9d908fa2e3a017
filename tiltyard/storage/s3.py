"""Objects in a bucket of S3, or of any server that speaks its protocol."""

import hashlib
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import IO, TYPE_CHECKING

import boto3
from boto3.exceptions import Boto3Error
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from tiltyard.errors import ConflictError, StorageError
from tiltyard.storage.base import Store
from tiltyard.storage.keys import check_key, check_prefix

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

CONNECT_SECONDS = 3.0
READ_SECONDS = 30.0
ATTEMPTS = 3

_ABSENT = {"404", "NoSuchKey"}
_TAKEN = {"412", "PreconditionFailed"}
_RACING = {"409", "ConditionalRequestConflict"}
_WRITER = "tiltyard-writer"
_CHUNK = 1 << 20


class S3Store(Store):
    """A bucket, or everything below a prefix of it, as object store.

    `create` is a conditional put (`If-None-Match: *`), which S3 decides atomically. Each carries a token of its own,
    so that a put whose answer was lost, and which was then tried again, is recognised as the winner it is.
    Credentials come from where boto3 finds them (`AWS_*`, profile, instance role).

    Args:
        bucket: Name of the bucket; it must exist.
        prefix: Folder inside the bucket; empty for all of it.
        endpoint: Address of an S3 server other than AWS.
        cache: Local folder that `fetch` downloads to, once per content.
    """

    def __init__(self, bucket: str, prefix: str = "", *, endpoint: str | None = None, cache: Path) -> None:
        self.bucket = bucket
        self.prefix = check_prefix(prefix)
        self._cache = cache
        with self._explained("", "open"):
            self._client = _connect(endpoint)

    def read(self, key: str) -> bytes:
        """Return an object's content."""
        with self._explained(key, "read"):
            return self._client.get_object(Bucket=self.bucket, Key=self._key(key))["Body"].read()

    def write(self, key: str, content: bytes) -> None:
        """Write an object, replacing one that is there."""
        with self._explained(key, "write"):
            self._client.put_object(Bucket=self.bucket, Key=self._key(key), Body=content)

    def create(self, key: str, content: bytes) -> None:
        """Write an object that must not be there yet.

        Raises:
            ConflictError: The key is taken; nothing was written.
        """
        writer = uuid.uuid4().hex
        with self._explained(key, "create"):
            for _ in range(ATTEMPTS):
                refusal = self._put_new(key, content, writer)
                if refusal not in _RACING:
                    break
            if refusal and not self._is_written_by(key, writer):
                raise ConflictError(
                    f"`{key}` exists already: somebody else was first", cure="Look at the present state and try again."
                )

    def exists(self, key: str) -> bool:
        """Whether there is such an object."""
        with self._explained(key, "look for"):
            return self._metadata(key) is not None

    def list(self, prefix: str) -> list[str]:
        """Return the keys below a prefix, sorted."""
        below = self.prefix + check_prefix(prefix)
        with self._explained(prefix, "list"):
            pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=below)
            found = [entry["Key"] for page in pages for entry in page.get("Contents", [])]
        return sorted(key.removeprefix(self.prefix) for key in found if not key.endswith("/"))

    def delete(self, key: str) -> None:
        """Remove an object; one that is not there is no error."""
        with self._explained(key, "delete"):
            self._client.delete_object(Bucket=self.bucket, Key=self._key(key))

    def upload(self, file: Path, key: str) -> None:
        """Write a file's content under a key, in parts when it is large; it appears when the last part is there."""
        with self._explained(key, "write"):
            self._client.upload_file(str(file), self.bucket, self._key(key))

    def fetch(self, key: str) -> Path:
        """Return a local copy, downloaded once per content (its ETag)."""
        with self._explained(key, "read"):
            answer = self._client.get_object(Bucket=self.bucket, Key=self._key(key))
            identity = f"{self._client.meta.endpoint_url}/{self.bucket}/{self._key(key)}/{answer['ETag']}"
            copy = self._cache / hashlib.sha256(identity.encode()).hexdigest()[:32] / Path(key).name
            if copy.is_file():
                answer["Body"].close()
                return copy
            with _completed(copy) as file:
                for chunk in answer["Body"].iter_chunks(_CHUNK):
                    file.write(chunk)
        return copy

    def _key(self, key: str) -> str:
        """Return the full key in the bucket."""
        return self.prefix + check_key(key)

    def _put_new(self, key: str, content: bytes, writer: str) -> str:
        """Put an object that must not exist; returns the code of the refusal, empty when it was written."""
        try:
            self._client.put_object(
                Bucket=self.bucket, Key=self._key(key), Body=content, IfNoneMatch="*", Metadata={_WRITER: writer}
            )
        except ClientError as error:
            if _code(error) in _TAKEN | _RACING:
                return _code(error)
            raise
        return ""

    def _metadata(self, key: str) -> dict[str, str] | None:
        """Return an object's own metadata; None when there is no object."""
        try:
            return self._client.head_object(Bucket=self.bucket, Key=self._key(key))["Metadata"]
        except ClientError as error:
            if _code(error) in _ABSENT:
                return None
            raise

    def _is_written_by(self, key: str, writer: str) -> bool:
        """Whether the object is the one of this very put."""
        return (self._metadata(key) or {}).get(_WRITER) == writer

    @contextmanager
    def _explained(self, key: str, verb: str) -> Iterator[None]:
        """Turn S3's refusals into sentences."""
        where = f"s3://{self.bucket}/{self.prefix}"
        what = f"cannot {verb} `{key}`" if key else f"cannot {verb} the store"
        try:
            yield
        except ClientError as error:
            if _code(error) in _ABSENT:
                absent = f"there is no object `{key}`"
                raise StorageError(absent, where=where, cure="Was it deleted, or the store?") from error
            raise StorageError(f"{what} ({_code(error)})", where=where, cure=_cure(_code(error))) from error
        except (BotoCoreError, Boto3Error) as error:
            cure = "Check the network, `TILTYARD_S3_ENDPOINT` and the AWS credentials, then try again."
            raise StorageError(f"{what} ({error})", where=where, cure=cure) from error
        except OSError as error:
            cure = "Check the disk's free space and the folder's permissions."
            raise StorageError(f"{what} ({error.strerror})", where=str(self._cache), cure=cure) from error


def _connect(endpoint: str | None) -> "S3Client":
    """Make a client that gives up soon: three attempts of a few seconds to connect."""
    config = Config(
        connect_timeout=CONNECT_SECONDS,
        read_timeout=READ_SECONDS,
        retries={"total_max_attempts": ATTEMPTS, "mode": "standard"},
        s3={"addressing_style": "path" if endpoint else "auto"},
    )
    return boto3.client("s3", endpoint_url=endpoint, config=config)


def _code(error: ClientError) -> str:
    """Return S3's name of a refusal."""
    return error.response.get("Error", {}).get("Code", "unknown")


def _cure(code: str) -> str:
    """Say what to do about a refusal."""
    if code == "NoSuchBucket":
        return "Create the bucket, or correct `TILTYARD_STORE`."
    if code in {"403", "AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch"}:
        return "Check the AWS credentials and the bucket's policy: get, put, list and delete are needed."
    return "Try again; if it stays, ask who keeps the S3 server."


@contextmanager
def _completed(target: Path) -> Iterator[IO[bytes]]:
    """Open a file beside its final place; it takes that place when the block ends well, else it is removed."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with NamedTemporaryFile(dir=target.parent, prefix=".", delete=False) as file:
        try:
            yield file
            file.flush()
            os.fsync(file.fileno())
            Path(file.name).replace(target)
        finally:
            Path(file.name).unlink(missing_ok=True)

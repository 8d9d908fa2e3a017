"""From an address to a store, or to the remote files that a data source names."""

import re
from pathlib import Path
from urllib.parse import unquote, urlsplit

from tiltyard.errors import StorageError
from tiltyard.storage.base import Store
from tiltyard.storage.folder import FolderStore
from tiltyard.storage.s3 import S3Store

_WILDCARD = re.compile(r"[*?]")


def open_store(uri: str, *, endpoint: str | None = None, cache: Path) -> Store:
    """Open an object store.

    Args:
        uri: A folder (a path or `file://…`) or `s3://bucket/prefix`.
        endpoint: Address of an S3 server other than AWS.
        cache: Local folder for copies of remote objects.

    Raises:
        StorageError: The address is of no known kind, or the folder cannot be made.
    """
    scheme, separator, _ = uri.partition("://")
    if not separator:
        return FolderStore(Path(uri))
    if scheme == "file":
        return FolderStore(Path(unquote(urlsplit(uri).path)))
    bucket, prefix = _split(uri)
    return S3Store(bucket, prefix, endpoint=endpoint, cache=cache)


def fetch_url(url: str, *, endpoint: str | None = None, cache: Path) -> Path:
    """Return a local copy of `s3://bucket/key`, with the key's own file name; downloaded once per content.

    Raises:
        StorageError: There is no such object, or the server cannot be reached.
    """
    bucket, key = _split(url)
    return S3Store(bucket, endpoint=endpoint, cache=cache).fetch(key)


def list_urls(pattern: str, *, endpoint: str | None = None, cache: Path) -> list[str]:
    """Return the addresses a pattern stands for, sorted.

    Args:
        pattern: `s3://bucket/key`; `*` and `?` match within a folder, `**` across; one that ends in `/` is a folder
            and stands for everything below it. One without any of these is returned as it is.
        endpoint: Address of an S3 server other than AWS.
        cache: Local folder for copies of remote objects.

    Raises:
        StorageError: The address is not one of S3, or the server cannot be reached.
    """
    bucket, key = _split(pattern)
    if key.endswith("/") or not key:
        wanted, folder = re.compile(re.escape(key) + ".*"), key
    elif _WILDCARD.search(key):
        wanted, folder = _compiled(key), "/".join(_WILDCARD.split(key, maxsplit=1)[0].split("/")[:-1])
    else:
        return [pattern]
    keys = S3Store(bucket, endpoint=endpoint, cache=cache).list(folder)
    return [f"s3://{bucket}/{found}" for found in keys if wanted.fullmatch(found)]


def _split(url: str) -> tuple[str, str]:
    """Split `s3://bucket/key` into bucket and key."""
    scheme, _, rest = url.partition("://")
    bucket, _, key = rest.partition("/")
    if scheme != "s3" or not bucket:
        raise StorageError(f"`{url}` is not an address of a store", cure="Use a folder or `s3://bucket/prefix`.")
    return bucket, key


def _compiled(pattern: str) -> re.Pattern[str]:
    """Translate `*`, `**` and `?` into a regular expression."""
    parts = re.split(r"(\*\*/|\*\*|\*|\?)", pattern)
    meaning = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    return re.compile("".join(meaning.get(part, re.escape(part)) for part in parts))

"""The rows of a query, by SQLAlchemy; no message ever holds a password."""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus

import pandas as pd
from sqlalchemy import URL, Connection, Engine, create_engine, make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from tiltyard.data.coercion import arrow_column
from tiltyard.data.dialect import check_names
from tiltyard.errors import DataError, ProjectError
from tiltyard.project.model import SqlSource

_VARIABLE = re.compile(r"\$\{(\w+)\}")
_READING = re.compile(r"(?:\s|--[^\n]*\n|/\*.*?\*/|\()*(select|with|values|table)\b", re.IGNORECASE | re.DOTALL)


def iter_sql(source: SqlSource, chunk_rows: int, *, folder: Path) -> Iterator[pd.DataFrame]:
    """Yield the rows of a query in chunks, by a server-side cursor where the database has one.

    The connection only reads, and its transaction is rolled back.

    Args:
        source: URL and query; `${NAME}` in the URL is replaced from the environment.
        chunk_rows: Rows per chunk.
        folder: The project's folder; a relative path of an SQLite file is relative to it.

    Raises:
        DataError: The database cannot be reached or refuses the query.
        ProjectError: A variable of the URL is not set, the URL is none, or the query does not only read.
    """
    url = _url(source, folder)
    where = name_of(url)
    if not _READING.match(source.query):
        raise ProjectError("`query` is not a SELECT", where=where, cure="A source only reads: give one SELECT.")
    secrets = _secrets(source, url)
    try:
        engine = create_engine(url)
    except (SQLAlchemyError, ImportError) as error:
        raise DataError(_without(str(error), secrets), where=where, cure="Install the driver.") from None
    try:
        with _reading(engine) as connection:
            result = connection.exec_driver_sql(source.query)
            names = tuple(result.keys())
            check_names(names, where=where)
            while rows := result.fetchmany(chunk_rows):
                yield _frame(names, rows)
    except SQLAlchemyError as error:
        reason = _without(str(getattr(error, "orig", None) or error), secrets)
        cure = "Check the query, and that the database can be reached."
        raise DataError(f"the database refused: {reason}", where=where, cure=cure) from None
    finally:
        engine.dispose()


@contextmanager
def _reading(engine: Engine) -> Iterator[Connection]:
    """Connect so that nothing can be written, and rows arrive as they are fetched."""
    with engine.connect() as connection:
        connection = connection.execution_options(stream_results=True, no_parameters=True)  # noqa: PLW2901  # the same
        if engine.dialect.name == "postgresql":
            connection = connection.execution_options(postgresql_readonly=True)  # noqa: PLW2901  # the same
        if engine.dialect.name == "sqlite":  # its driver commits a DELETE inside a WITH
            connection.exec_driver_sql("PRAGMA query_only = ON")
        yield connection


def describe_sql(source: SqlSource, folder: Path) -> str:
    """Name a source's database without user and password."""
    return name_of(_url(source, folder))


def name_of(url: URL) -> str:
    """Name a database without user, password and options."""
    host = f"{url.host}/" if url.host else ""
    return f"{url.get_backend_name()}:{host}{url.database or ''}"


def _url(source: SqlSource, folder: Path) -> URL:
    """Return the URL with its variables replaced, and an SQLite file made absolute."""
    text = _VARIABLE.sub(_from_environment, source.url)
    try:
        url = make_url(text)
    except (ArgumentError, ValueError):
        cure = "Write it like postgresql://user:${PASSWORD}@host/database or sqlite:///file.db."
        raise ProjectError("`url` of the source is not a database URL", cure=cure) from None
    if url.drivername in {"postgres", "postgresql"}:
        return url.set(drivername="postgresql+psycopg")
    if url.get_backend_name() == "sqlite" and url.database and not url.database.startswith((":memory:", "file:")):
        file = folder / url.database
        if not file.is_file():  # connecting would make an empty database
            raise DataError("there is no such SQLite file", where=str(file), cure="Correct `url` of the source.")
        return url.set(database=str(file))
    return url


def _from_environment(match: re.Match[str]) -> str:
    value = os.environ.get(match[1])
    if value is None:
        what = f"`url` of the source names ${{{match[1]}}}, which is not set"
        raise ProjectError(what, cure=f"Set {match[1]} in the environment.")
    return value


def _secrets(source: SqlSource, url: URL) -> set[str]:
    """Return every text that must not stand in a message: the password as written and as meant, and variables."""
    secrets = {os.environ.get(name, "") for name in _VARIABLE.findall(source.url)}
    if url.password is not None:
        password = str(url.password)
        secrets |= {password, quote(password, safe=""), quote_plus(password)}
    hidden = {"password", "passwd", "sslpassword"}
    secrets |= {str(value) for key, value in url.query.items() if key in hidden}
    return {secret for secret in secrets if secret}


def _without(message: str, secrets: set[str]) -> str:
    """Return a driver's message on one line, with every secret blotted out."""
    for secret in sorted(secrets, key=len, reverse=True):
        message = message.replace(secret, "***")
    return " ".join(message.split())[:300]


def _frame(names: tuple[str, ...], rows: Any) -> pd.DataFrame:
    """Return rows as a frame: Arrow columns where values are of one type, else objects."""
    columns: dict[str, Any] = {}
    for name, values in zip(names, zip(*rows, strict=True), strict=True):
        series = pd.Series(list(values), dtype=object)
        array = arrow_column(series)
        columns[name] = series if array is None else pd.Series(pd.arrays.ArrowExtensionArray(array))
    return pd.DataFrame(columns)

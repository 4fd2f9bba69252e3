"""Rows of a SQL database, through SQLAlchemy, which is installed with the extra ``sql``."""

from __future__ import annotations

import base64
import functools
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from holdfast.errors import PortError
from holdfast.extras import install
from holdfast.ports.context import PortContext
from holdfast.ports.sources.reading import Entry, Reading
from holdfast.ports.text import text_of
from holdfast.stack.base import Json
from holdfast.stack.effects import SqlSource
from holdfast.stack.templates import render, render_text

if TYPE_CHECKING:
    from sqlalchemy import Engine

_POOL_SIZE = 4


def read(source: SqlSource, context: PortContext, port: str) -> Reading:
    """Run the query in a transaction that is rolled back, and take each row for an entry."""
    try:
        import sqlalchemy
        from sqlalchemy import exc
    except ImportError:
        raise PortError(
            f"{port} reads a SQL database, and SQLAlchemy is not installed",
            remedy=f"{install('sql')}; and the driver of the database",
        ) from None
    parameters = {name: _parameter(render(value, context.values)) for name, value in source.parameters.items()}
    try:
        engine = _engine(render_text(source.url, context.values), context.stack.path.parent)
        with engine.connect() as connection:
            rows = connection.execute(sqlalchemy.text(source.query), parameters).mappings().all()
            connection.rollback()
    except (exc.SQLAlchemyError, ImportError) as error:
        raise PortError(
            f"{port}: the database could not be read",
            # the statement and its parameters, which SQLAlchemy adds on further lines, are in the descriptor
            cause=f"{type(error).__name__}: {str(error).splitlines()[0]}",
            remedy="correct url and query of the source, install the driver, or start the database",
        ) from None
    return Reading(tuple(Entry({name: _plain(value) for name, value in row.items()}) for row in rows))


@functools.lru_cache(maxsize=16)
def _engine(url: str, folder: Path) -> Engine:
    """The engine of a URL; a relative SQLite file is beside the descriptor."""
    import sqlalchemy

    parsed = sqlalchemy.make_url(url)
    if parsed.get_backend_name() == "sqlite":
        if parsed.database and parsed.database != ":memory:":
            parsed = parsed.set(database=str(folder / parsed.database))
        return sqlalchemy.create_engine(parsed, poolclass=sqlalchemy.NullPool)
    return sqlalchemy.create_engine(parsed, pool_size=_POOL_SIZE, pool_pre_ping=True)


def _parameter(value: Json) -> Json:
    return text_of(value) if isinstance(value, dict | list) else value


def _plain(value: Any) -> Json:
    """A column's value as plain JSON: exact numbers, bytes as text or base64, anything else as its text."""
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else str(value)
    if isinstance(value, bytes | memoryview):
        try:
            return bytes(value).decode()
        except UnicodeDecodeError:
            return base64.b64encode(bytes(value)).decode("ascii")
    if value is None or isinstance(value, bool | int | float | str | list | dict):
        return value
    return str(value)

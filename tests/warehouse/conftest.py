"""Fixtures: databases to load into."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.helpers.warehouse import Postgres, missing_postgres, postgres

ROOT = Path(__file__).resolve().parent.parent.parent
_numbers = count(1)


@pytest.fixture(scope="session")
def server() -> Iterator[Postgres]:
    """Start a PostgreSQL server for the whole test run."""
    if (reason := missing_postgres()) is not None:
        pytest.skip(reason)
    with postgres() as running:
        yield running


class Database:
    """An empty database of the test server."""

    def __init__(self, server: Postgres, name: str) -> None:
        self.server, self.name = server, name
        self.url = server.url(name)

    def rows(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.url) as connection:
            cursor = connection.execute(query.encode(), values or None)
            return cursor.fetchall() if cursor.description is not None else []


@pytest.fixture
def database(server: Postgres) -> Database:
    name = f"test_{next(_numbers)}"
    with psycopg.connect(server.url(), autocommit=True) as connection:
        connection.execute(f"DROP DATABASE IF EXISTS {name}".encode())
        connection.execute(f"CREATE DATABASE {name}".encode())
    return Database(server, name)

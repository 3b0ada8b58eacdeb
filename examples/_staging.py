"""The table that an import fills beside the one it will replace, and how far it has come: one transaction holds both.

A job that was killed or drained is gone on with by its next attempt, maybe while the last one still writes. So
the names hold the attempt: the next one renames what it finds, and the next statement of the last one fails.
"""

import json
import sqlite3
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

BUSY_S = 30.0  # wait for another program that writes to the database
PARTS = ("", " rejected", " place")  # what an import has in the database: rows, rows that did not fit, how far it is


@dataclass(frozen=True, slots=True)
class Rejected:
    """A row that does not fit."""

    line: int  # of the file, where it begins
    reason: str
    values: list[str]


@dataclass(frozen=True, slots=True)
class Place:
    """How far an import is."""

    records: int = 0  # of the file that were read, rejected ones among them
    stored: int = 0
    rejected: int = 0


class Staging:
    """Owns what an import has in the database until it is published.

    Duties in call order: `begin`, `add` for each batch, `rejected`, `publish`; or `drop`.
    """

    def __init__(self, connection: sqlite3.Connection, table: str, job_id: str, attempt: int) -> None:
        self._connection = connection
        self._table = quoted(table)
        self._prefix = f"{table} import {job_id} "
        self._attempt = attempt
        self._columns = 0

    def _name(self, part: str = "", attempt: int | None = None) -> str:
        return quoted(f"{self._prefix}{attempt or self._attempt}{part}")

    def begin(self, columns: list[str], source: str) -> Place:
        """Go on from where an earlier attempt has come, or begin anew.

        Args:
            source: what the file is known by; one that has changed since is read from its beginning.
        """
        self._columns = len(columns)
        self._connection.execute("BEGIN IMMEDIATE")
        with self._connection:
            attempts = self._attempts()
            for attempt in attempts:
                if attempt == attempts[-1] and self._known_by(attempt) == source:
                    self._take_over(attempt)
                else:
                    self._drop(attempt)
            if not attempts or self._known_by(self._attempt) is None:
                self._create(columns, source)
            return self._place()

    def _attempts(self) -> list[int]:
        """The attempts of this job that have left something, in order."""
        query = "SELECT name FROM sqlite_master WHERE type = 'table' AND substr(name, 1, ?) = ?"
        names = self._connection.execute(query, (len(self._prefix), self._prefix)).fetchall()
        return sorted({int(name.removeprefix(self._prefix).split()[0]) for (name,) in names})

    def _known_by(self, attempt: int) -> str | None:
        """The file that an attempt has read; None where it has not come so far."""
        try:
            ((source,),) = self._connection.execute(f"SELECT source FROM {self._name(' place', attempt)}")
        except sqlite3.OperationalError:  # no such table
            return None
        return str(source)

    def _take_over(self, attempt: int) -> None:
        for part in PARTS:
            self._connection.execute(f"ALTER TABLE {self._name(part, attempt)} RENAME TO {self._name(part)}")

    def _drop(self, attempt: int) -> None:
        for part in PARTS:
            self._connection.execute(f"DROP TABLE IF EXISTS {self._name(part, attempt)}")

    def _create(self, columns: list[str], source: str) -> None:
        definition = ", ".join(f"{quoted(column)} TEXT" for column in columns)
        self._connection.execute(f"CREATE TABLE {self._name()} ({definition})")
        self._connection.execute(f"CREATE TABLE {self._name(' rejected')} (line INTEGER, reason TEXT, said TEXT)")
        self._connection.execute(
            f"CREATE TABLE {self._name(' place')} (source TEXT, records INTEGER, stored INTEGER, rejected INTEGER)"
        )
        self._connection.execute(f"INSERT INTO {self._name(' place')} VALUES (?, 0, 0, 0)", (source,))

    def _place(self) -> Place:
        (row,) = self._connection.execute(f"SELECT records, stored, rejected FROM {self._name(' place')}")
        return Place(*row)

    def add(self, rows: list[list[str]], rejected: Iterable[Rejected], place: Place) -> None:
        """Store rows, and that the import has come as far as `place`: both or neither."""
        marks = ", ".join("?" * self._columns)
        said = [(one.line, one.reason, json.dumps(one.values)) for one in rejected]
        self._connection.execute("BEGIN IMMEDIATE")
        with self._connection:
            self._connection.executemany(f"INSERT INTO {self._name()} VALUES ({marks})", rows)
            self._connection.executemany(f"INSERT INTO {self._name(' rejected')} VALUES (?, ?, ?)", said)
            self._connection.execute(
                f"UPDATE {self._name(' place')} SET records = ?, stored = ?, rejected = ?",
                (place.records, place.stored, place.rejected),
            )

    def rejected(self) -> Iterator[Rejected]:
        """All rows that did not fit, in order."""
        query = f"SELECT line, reason, said FROM {self._name(' rejected')} ORDER BY rowid"
        for line, reason, said in self._connection.execute(query):
            yield Rejected(line, reason, json.loads(said))

    def publish(self) -> None:
        """Take the place of the old table."""
        self._connection.execute("BEGIN IMMEDIATE")
        with self._connection:
            self._connection.execute(f"DROP TABLE IF EXISTS {self._table}")
            self._connection.execute(f"ALTER TABLE {self._name()} RENAME TO {self._table}")
            self._drop(self._attempt)

    def drop(self) -> None:
        """Remove what was not published."""
        self._drop(self._attempt)


def connect(database: Path) -> sqlite3.Connection:
    """The database, with transactions in our hands."""
    connection = sqlite3.connect(database, timeout=BUSY_S, isolation_level=None)
    connection.execute("PRAGMA legacy_alter_table = ON")  # views of the replaced table stay as they are
    return connection


def known_by(path: Path, columns: list[str]) -> str:
    """What a file is known by: its size, its time, its columns."""
    found = path.stat()
    mark: list[Any] = [found.st_size, found.st_mtime_ns, columns]
    return json.dumps(mark)


def quoted(name: str) -> str:
    """A name as SQL takes it, whatever it holds."""
    return '"' + name.replace('"', '""') + '"'

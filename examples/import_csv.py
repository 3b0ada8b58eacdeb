"""Brings a CSV file into an SQLite database, and reports the rows that do not fit."""

import csv
import io
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from examples._paths import below, replacing, shown
from windsock import Progress, task

BATCH = 1000  # rows in one transaction
MAX_COLUMNS = 2000  # of a table, SQLite's default
BUSY_S = 30.0  # wait for another program that writes to the database


@task
def import_csv(progress: Progress, path: str, database: str) -> dict[str, Any]:
    """Import a CSV file into an SQLite table named after it; rows that do not fit go into a report.

    The first line names the columns. All values are kept as text, as they are. A rerun replaces the table.

    Args:
        path: the CSV file (UTF-8, commas), below --files.
        database: the SQLite file, below --files; it is made if there is none.
    """
    source, target = below(path), below(database)
    table = table_name(source.stem)
    report = target.parent / f"{table}-rejected.csv"
    target.parent.mkdir(parents=True, exist_ok=True)
    with closing(Source(source)) as rows, closing(connect(target)) as connection:
        progress.update(0, source.stat().st_size, unit="bytes")
        staging = Staging(connection, table, progress)
        staging.create(rows.columns)
        try:
            with replacing(report) as partial:
                stored, rejected = fill(staging, rows, partial, progress)
                staging.publish()
        finally:
            staging.drop()
    if not rejected:
        report.unlink()  # an earlier one would mislead
    progress.log(f"{stored} rows in table {table}, {rejected} rejected")
    return {
        "rows": stored,
        "rejected": rejected,
        "report": shown(report) if rejected else None,
        "table": table,
    }


@dataclass(frozen=True, slots=True)
class Row:
    """One record of the file."""

    line: int  # of the file, where it begins
    values: list[str]
    reason: str  # why it is rejected; empty if it is not


class Source:
    """Owns the open CSV file: its columns, then its rows."""

    def __init__(self, path: Path) -> None:
        self._raw = path.open("rb")
        # What is not UTF-8 comes as surrogates, so that it costs its row and not the import.
        text = io.TextIOWrapper(self._raw, encoding="utf-8-sig", errors="surrogateescape", newline="")
        self._reader = csv.reader(text)
        self._text = text
        try:
            self.columns = column_names(next(self._reader, []))
        except (ValueError, csv.Error):
            text.close()
            raise

    def __iter__(self) -> Iterator[Row]:
        while True:
            line = self._reader.line_num + 1
            try:
                values = next(self._reader)
            except StopIteration:
                return
            except csv.Error as error:
                yield Row(line, [], str(error))
                continue
            if values:
                yield Row(line, values, self._fault(values))

    def _fault(self, values: list[str]) -> str:
        if len(values) != len(self.columns):
            return f"{len(values)} values for {len(self.columns)} columns"
        return "" if all(is_text(value) for value in values) else "not UTF-8"

    @property
    def read(self) -> int:
        """Bytes read so far."""
        return self._raw.tell()

    def close(self) -> None:
        """Let go of the file."""
        self._text.close()


class Staging:
    """Owns the table that is filled beside the one it will replace.

    Its name holds the attempt. What an attempt lost with its worker has left behind is removed, and should
    that one still be writing somewhere, its next statement fails.
    """

    def __init__(self, connection: sqlite3.Connection, table: str, progress: Progress) -> None:
        self._connection = connection
        self._table = quoted(table)
        self._prefix = f"{table} import {progress.job_id} "
        self._name = quoted(f"{self._prefix}{progress.attempt}")
        self._insert = ""

    def create(self, columns: list[str]) -> None:
        """Begin anew."""
        self._drop_leftovers()
        definition = ", ".join(f"{quoted(column)} TEXT" for column in columns)
        self._connection.execute(f"CREATE TABLE {self._name} ({definition})")
        self._insert = f"INSERT INTO {self._name} VALUES ({', '.join('?' * len(columns))})"

    def drop(self) -> None:
        """Remove what was not published."""
        self._connection.execute(f"DROP TABLE IF EXISTS {self._name}")

    def _drop_leftovers(self) -> None:
        query = "SELECT name FROM sqlite_master WHERE type = 'table' AND substr(name, 1, ?) = ?"
        for (name,) in self._connection.execute(query, (len(self._prefix), self._prefix)).fetchall():
            self._connection.execute(f"DROP TABLE {quoted(name)}")

    def add(self, rows: list[list[str]]) -> None:
        """Store rows, in one transaction."""
        self._connection.execute("BEGIN IMMEDIATE")
        with self._connection:
            self._connection.executemany(self._insert, rows)

    def publish(self) -> None:
        """Take the place of the old table."""
        self._connection.execute("BEGIN IMMEDIATE")
        with self._connection:
            self._connection.execute(f"DROP TABLE IF EXISTS {self._table}")
            self._connection.execute(f"ALTER TABLE {self._name} RENAME TO {self._table}")


def fill(staging: Staging, rows: Source, report: Path, progress: Progress) -> tuple[int, int]:
    """Bring all rows where they belong; how many were stored, and rejected."""
    stored = rejected = 0
    with report.open("w", encoding="utf-8", errors="backslashreplace", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["line", "reason", *rows.columns])
        every = iter(rows)
        while batch := list(islice(every, BATCH)):
            good = [row.values for row in batch if not row.reason]
            bad = [row for row in batch if row.reason]
            staging.add(good)
            writer.writerows([row.line, row.reason, *row.values] for row in bad)
            for row in bad:
                progress.log(f"line {row.line} rejected: {row.reason}", "warning")
            stored, rejected = stored + len(good), rejected + len(bad)
            progress.update(rows.read, note=f"{stored:,} rows")
    return stored, rejected


def connect(database: Path) -> sqlite3.Connection:
    """The database, with transactions in our hands."""
    connection = sqlite3.connect(database, timeout=BUSY_S, isolation_level=None)
    connection.execute("PRAGMA legacy_alter_table = ON")  # views of the replaced table stay as they are
    return connection


def table_name(stem: str) -> str:
    """A plain name for the table of a file."""
    name = re.sub(r"\W+", "_", stem, flags=re.ASCII).strip("_").lower() or "table"
    return f"csv_{name}" if name.startswith("sqlite_") else name


def column_names(header: list[str]) -> list[str]:
    """The columns that a header line names: no empty ones, none twice (SQLite does not tell case apart).

    Raises:
        ValueError: there is no header, or it has more columns than a table may have.
    """
    if not any(name.strip() for name in header):
        raise ValueError("the file has no header line: the first line must name the columns")
    if len(header) > MAX_COLUMNS:
        raise ValueError(f"{len(header)} columns; a table has at most {MAX_COLUMNS}")
    names: list[str] = []
    known: set[str] = set()
    for number, given in enumerate(header, 1):
        wanted = given.strip().replace("\0", "").encode("utf-8", "replace").decode() or f"column_{number}"
        name, suffix = wanted, 2
        while name.lower() in known:
            name, suffix = f"{wanted}_{suffix}", suffix + 1
        known.add(name.lower())
        names.append(name)
    return names


def is_text(value: str) -> bool:
    """Whether a value is free of bytes that were not UTF-8."""
    if value.isascii():
        return True
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def quoted(name: str) -> str:
    """A name as SQL takes it, whatever it holds."""
    return '"' + name.replace('"', '""') + '"'

"""Brings a CSV file into an SQLite database, and reports the rows that do not fit."""

import csv
import io
import re
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from examples._paths import below, replacing, shown
from examples._staging import Place, Rejected, Staging, connect, known_by
from windsock import Progress, task

BATCH = 5000  # rows in one transaction
MAX_COLUMNS = 2000  # of a table, SQLite's default


@task(limit=1, key="database", priority=5, max_attempts=5)  # one at a time writes to a database
def import_csv(progress: Progress, path: str, database: str) -> dict[str, Any]:
    """Import a CSV file into an SQLite table named after it; rows that do not fit go into a report.

    The first line names the columns. All values are kept as text. A rerun replaces the table. A job that was
    killed or drained goes on where it was, on another node if the database is there too, and stores no row twice.

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
        staging = Staging(connection, table, progress.job_id, progress.attempt)
        place = staging.begin(rows.columns, known_by(source, rows.columns))
        say_where(progress, place)
        try:
            place = fill(staging, rows, place, progress)
            write_report(report, rows.columns, staging.rejected())
            staging.publish()
        except BaseException:
            if not progress.goes_on:  # else the next attempt will
                staging.drop()
            raise
    if not place.rejected:
        report.unlink()  # an earlier one would mislead
    progress.log(f"{place.stored} rows in table {table}, {place.rejected} rejected")
    return {
        "rows": place.stored,
        "rejected": place.rejected,
        "report": shown(report) if place.rejected else None,
        "table": table,
    }


def say_where(progress: Progress, place: Place) -> None:
    """Log what an earlier attempt has left.

    Two know how far it was: the job, by its checkpoint, and the database. The checkpoint may be a moment older, or of a
    database that is not this one; only the database knows which rows it has, so it is believed.
    """
    if place.records:
        progress.log(f"goes on after {place.records} rows")
    elif progress.checkpointed:
        progress.log(
            f"{progress.checkpointed['rows']} rows were done, but not in this database: begins anew", "warning"
        )


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


def fill(staging: Staging, rows: Source, place: Place, progress: Progress) -> Place:
    """Bring all rows where they belong, from `place` on; how many there were."""
    every = iter(rows)
    skip(every, place.records, rows, progress)
    while batch := list(islice(every, BATCH)):
        good = [row.values for row in batch if not row.reason]
        bad = [Rejected(row.line, row.reason, row.values) for row in batch if row.reason]
        place = Place(place.records + len(batch), place.stored + len(good), place.rejected + len(bad))
        staging.add(good, bad, place)
        for row in bad:
            progress.log(f"line {row.line} rejected: {row.reason}", "warning")
        progress.checkpoint({"rows": place.records})
        progress.update(rows.read, note=f"{place.stored:,} rows")
    return place


def skip(every: Iterator[Row], records: int, rows: Source, progress: Progress) -> None:
    """Read over what is stored already."""
    while records and (batch := list(islice(every, min(BATCH, records)))):
        records -= len(batch)
        progress.update(rows.read)


def write_report(report: Path, columns: list[str], rejected: Iterable[Rejected]) -> None:
    """Write the rows that did not fit, with where they are and why."""
    with (
        replacing(report) as partial,
        partial.open("w", encoding="utf-8", errors="backslashreplace", newline="") as file,
    ):
        writer = csv.writer(file)
        writer.writerow(["line", "reason", *columns])
        writer.writerows([row.line, row.reason, *row.values] for row in rejected)


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

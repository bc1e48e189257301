"""Parquet and CSV files of one's own: opened, typed, and refused with the file, column, and row that is wrong."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import polars as pl

TRADE_COLUMNS = ("ts", "symbol", "price", "qty", "side")
BAR_COLUMNS = ("ts", "symbol", "open", "high", "low", "close", "volume")
_CSV_SUFFIXES = (".csv", ".csv.gz", ".csv.zst", ".txt")
_PARQUET_MAGIC = b"PAR1"
_NUMBERS = ("price", "qty", "open", "high", "low", "close", "volume")


class RecordingError(Exception):
    """A file that cannot be replayed: the text names the file, the column, the row, and what to do."""


@dataclass(frozen=True, slots=True)
class RecordingFile:
    """A file whose columns are there and of the right types; its values are not looked at yet."""

    path: Path
    kind: str
    """`trades` or `bars`."""
    columns: tuple[str, ...]
    has_trade_ids: bool
    rows: int
    is_csv: bool
    frame: pl.LazyFrame
    """The columns that are used: `ts` and `trade_id` Int64, `symbol` and `side` String, the others Float64."""

    def chunks(self, size: int, offset: int = 0) -> Iterator[tuple[int, pl.DataFrame]]:
        """Give the rows in order, `size` at a time, with the index of the first.

        Of a Parquet file only one chunk is in memory. A CSV file is read whole: it has no way in but from its start.
        """
        if self.is_csv:
            whole = self.frame.collect()
            for start in range(offset, self.rows, size):
                yield start, whole.slice(start, size)
            return
        for start in range(offset, self.rows, size):
            yield start, self.frame.slice(start, size).collect()

    def row(self, index: int) -> str:
        """Name a row for people: counted from 1, in a CSV file with its line."""
        return f"row {index + 1} (line {index + 2})" if self.is_csv else f"row {index + 1}"


def open_recording(path: Path) -> RecordingFile:
    """Open a file and check that its columns make trades or bars. Raises `RecordingError`."""
    is_csv = _is_csv(path)
    try:
        frame = pl.scan_csv(path, infer_schema=False) if is_csv else pl.scan_parquet(path)
        schema = frame.collect_schema()
        rows = frame.select(pl.len()).collect().item()
    except (pl.exceptions.PolarsError, OSError, ValueError) as error:
        raise RecordingError(f"{path}: cannot be read: {_first_line(error)}") from None
    kind, columns = _kind(path, schema.names())
    if rows == 0:
        raise RecordingError(f"{path}: is empty: column ts and the others have no row; record or export some first")
    has_trade_ids = kind == "trades" and "trade_id" in schema and (is_csv or schema["trade_id"].is_integer())
    used = (*columns, "trade_id") if has_trade_ids else columns
    if is_csv:
        frame = _typed_csv(path, frame.select(used))
    else:
        for column in used:
            _check_type(path, column, schema[column])
        frame = frame.select(_cast(column) for column in used)
    return RecordingFile(path, kind, columns, has_trade_ids, rows, is_csv, frame)


def _is_csv(path: Path) -> bool:
    if not path.exists():
        folder = path.parent if path.parent.is_dir() else Path.cwd()
        raise RecordingError(f"{path}: no such file; give the path of a Parquet or CSV file (looked in {folder})")
    if not path.is_file():
        raise RecordingError(f"{path}: is a folder, not a file; give the path of one Parquet or CSV file")
    try:
        with path.open("rb") as file:
            start = file.read(4)
    except OSError as error:
        raise RecordingError(f"{path}: cannot be read: {error.strerror}; check its permissions") from None
    if not start:
        raise RecordingError(f"{path}: is empty: it has no column and no row; record or export some first")
    if start == _PARQUET_MAGIC:
        return False
    if path.name.lower().endswith(_CSV_SUFFIXES):
        return True
    raise RecordingError(f"{path}: is neither Parquet nor CSV; convert it to Parquet, or name it *.csv if it is text")


def _kind(path: Path, names: list[str]) -> tuple[str, tuple[str, ...]]:
    present = set(names)
    kind = "trades"
    columns: tuple[str, ...] = TRADE_COLUMNS
    if "price" not in present and present & {"open", "high", "low", "close"}:
        kind, columns = "bars", BAR_COLUMNS
    missing = [column for column in columns if column not in present]
    if not missing:
        return kind, columns
    if {"bid", "ask"} & present and "price" not in present:
        raise RecordingError(
            f"{path}: column price is missing: these are quotes; replay needs trades ({', '.join(TRADE_COLUMNS)})"
            f" or bars ({', '.join(BAR_COLUMNS)})"
        )
    raise RecordingError(
        f"{path}: column {missing[0]} is missing (row 1 has: {', '.join(names[:12]) or 'nothing'});"
        f" {kind} need the columns {', '.join(columns)}"
    )


def _check_type(path: Path, column: str, found: pl.DataType) -> None:
    if column in ("ts", "trade_id"):
        fits, wanted = found.is_integer(), "int64, whole nanoseconds since 1970-01-01 UTC"
    elif column in _NUMBERS:
        fits, wanted = found.is_numeric(), "numbers (float, integer, or decimal)"
    else:
        fits = found in (pl.String, pl.Categorical, pl.Enum, pl.Null) and not (column == "symbol" and found == pl.Null)
        wanted = "text"
    if not fits:
        raise RecordingError(f"{path}: column {column} has the type {found} from row 1 on; it must hold {wanted}")


def _cast(column: str) -> pl.Expr:
    if column in ("ts", "trade_id"):
        return pl.col(column).cast(pl.Int64)
    if column in _NUMBERS:
        return pl.col(column).cast(pl.Float64)
    return pl.col(column).cast(pl.String)


def _typed_csv(path: Path, frame: pl.LazyFrame) -> pl.LazyFrame:
    """Turn the text of a CSV file into numbers, or name the first cell that is none."""
    try:
        raw = frame.collect()
    except pl.exceptions.PolarsError as error:
        raise RecordingError(f"{path}: cannot be read as CSV: {_first_line(error)}") from None
    typed = raw.select(
        pl.col(column).str.strip_chars().replace("", None).cast(_csv_type(column), strict=False)
        if _csv_type(column) != pl.String
        else pl.col(column).fill_null("")
        for column in raw.columns
    )
    for column in raw.columns:
        broken = (raw[column].fill_null("").str.strip_chars() != "") & typed[column].is_null()
        if broken.any():
            index = broken.arg_max() or 0
            wanted = "a whole number of nanoseconds" if column == "ts" else "a number"
            raise RecordingError(
                f"{path}: column {column}, row {index + 1} (line {index + 2}): {raw[column][index]!r} is not {wanted};"
                " correct or remove the row"
            )
    return typed.lazy()


def _csv_type(column: str) -> type[pl.DataType]:
    if column in ("ts", "trade_id"):
        return pl.Int64
    return pl.Float64 if column in _NUMBERS else pl.String


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n", 1)[0][:200]

"""Make a recording of the real E-mini S&P ticks in mlfinpy's wheel: `python -m collector.sample WHEEL OUT`.

The wheel (MIT licence) is read as the zip file it is, and not installed. OUT is Parquet, or CSV where it is named so;
its columns are those of every recording of trades: ts, symbol, price, qty, side.
"""

import sys
import zipfile
from pathlib import Path

import polars as pl

MEMBER = "mlfinpy/dataset/data/tick_data.csv"
SYMBOL = "ES"
_ZONE = "America/Chicago"
"""The file names no zone; its session opens at 17:00, as it does in Chicago."""


class SampleError(Exception):
    """The wheel does not hold the ticks: the text says what is missing."""


def convert(wheel: Path, out: Path) -> int:
    """Write the ticks of the wheel as a recording; give their number. Raises `SampleError`."""
    try:
        with zipfile.ZipFile(wheel) as archive, archive.open(MEMBER) as member:
            ticks = pl.read_csv(member.read(), schema_overrides={"Price": pl.Float64, "Volume": pl.Float64})
        utc = pl.col("DateTime").str.to_datetime("%Y-%m-%d %H:%M:%S%.f", time_unit="ns").dt.replace_time_zone(_ZONE)
        recording = ticks.select(
            utc.dt.convert_time_zone("UTC").dt.epoch("ns").alias("ts"),
            pl.lit(SYMBOL).alias("symbol"),
            pl.col("Price").alias("price"),
            pl.col("Volume").alias("qty"),
            pl.lit("").alias("side"),
        )
    except FileNotFoundError:
        raise SampleError(f"{wheel}: no such file; download it with: pip download --no-deps mlfinpy==0.1.2") from None
    except (zipfile.BadZipFile, KeyError, pl.exceptions.PolarsError) as error:
        raise SampleError(f"{wheel}: is not the wheel of mlfinpy 0.1.2 with {MEMBER}: {error}") from None
    # Whoever looks at OUT meanwhile, or a second run after a crash, never sees half of it.
    unfinished = out.with_name(out.name + ".part")
    if out.suffix == ".csv":
        recording.write_csv(unfinished)
    else:
        recording.write_parquet(unfinished)
    unfinished.replace(out)
    return recording.height


def main(arguments: list[str]) -> int:
    """Convert one wheel; give the exit status."""
    if len(arguments) != 2:
        sys.stderr.write("usage: python -m collector.sample WHEEL OUT\n")
        return 2
    try:
        rows = convert(Path(arguments[0]), Path(arguments[1]))
    except SampleError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    sys.stdout.write(f"{arguments[1]}: {rows} trades of {SYMBOL}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

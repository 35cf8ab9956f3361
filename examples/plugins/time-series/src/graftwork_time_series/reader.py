"""Reads time series: CSV and TSV by their column of times, NumPy's .npz by the rate that it states; nothing is guessed.

What a file is, its first bytes say, so that bytes without a name are read as well.
"""

import csv
import hashlib
import io
import zipfile
import zlib
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.csv

from graftwork import Empty, Raw, Reader, Unreadable, Value, show
from graftwork_time_series.series import Series

TIME = "time"
"""The column of a table that holds the times of its rows, in seconds."""
EVEN = 0.05
"""How far a time may lie from its place on an even grid, as a part of a step: what rounding of printed times makes."""
MISSING = ["", "nan", "NaN", "NA", "null"]
"""Cells of a table that hold no value."""

BOM = b"\xef\xbb\xbf"
ARRAY, ARCHIVE = b"\x93NUMPY", b"PK"
"""The first bytes of a .npy file, and of a .npz file."""


class SeriesReader(Reader):
    """Tables, arrays with a rate, and series in memory: a `Series`, or `{"values": (T,) or (T, C), "sampling_rate":
    Hz}`."""

    items: ClassVar[str] = "files"

    def facts(self, raw: Raw) -> Mapping[str, Value]:
        """missing_values (per cent, rounded up), signal ("varying" or "constant"), sampling_rate (Hz), channels and
        duration (s, cut to milliseconds)."""
        return self.decode(raw).facts()

    def decode(self, raw: Raw) -> Series:
        series = _series(raw)
        if series.values.size == 0:
            raise Empty(*_sentence(raw, "it holds no points"))
        if np.isinf(series.values).any():
            raise _unreadable(raw, "some of its values are infinite")
        if np.isnan(series.values).all(axis=0).any():
            raise Empty(*_sentence(raw, "a channel of it holds no value at all"))
        return series

    def read(self, raw: Raw) -> tuple[Mapping[str, Value], Series]:
        series = self.decode(raw)
        return series.facts(), series

    def defects(self, value: Series) -> Mapping[str, float]:
        """`flat`: of the series as it enters the encoder, filled, resampled and cut."""
        return {"flat": value.flat()}

    def inspect(self, raw: Raw) -> Mapping[str, float]:
        return self.defects(self.decode(raw))

    def size(self, raw: Raw) -> int:
        """Values, of all channels."""
        return self.decode(raw).values.size

    def memory(self, value: Series) -> int:
        return value.values.nbytes

    def digest(self, raw: Raw) -> bytes:
        """Of the values and their rate, so that a series is the same in CSV and in .npz."""
        series = self.decode(raw)
        about = f"{series.rate!r} {series.values.shape}".encode()
        return hashlib.blake2b(about + np.ascontiguousarray(series.values).tobytes(), digest_size=16).digest()


def _series(raw: Raw) -> Series:
    if isinstance(raw.value, Series):
        return raw.value
    if isinstance(raw.value, Mapping):
        return _stated(raw, raw.value)
    if raw.value is not None and not isinstance(raw.value, bytes):
        raise _unreadable(
            raw,
            f"a {type(raw.value).__name__} does not say its rate; {{'values': ..., 'sampling_rate': ...}} is accepted",
        )
    try:
        content = raw.content()
    except OSError as error:
        raise _unreadable(raw, f"the file cannot be opened ({error.strerror})") from error
    if content.startswith(ARRAY):
        raise Unreadable(
            f"'{raw.name}' holds an array without a sampling rate; .npz files with 'values' and 'sampling_rate' are "
            "accepted.",
            "Save both: numpy.savez('series.npz', values=array, sampling_rate=100.0)",
        )
    return _archive(raw, content) if content.startswith(ARCHIVE) else _table(raw, content.removeprefix(BOM))


def _archive(raw: Raw, content: bytes) -> Series:
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as file:
            return _stated(raw, {name: file[name] for name in ("values", "sampling_rate") if name in file})
    except (ValueError, OSError, EOFError, zipfile.BadZipFile, zlib.error, NotImplementedError, MemoryError) as error:
        if isinstance(error, Unreadable):
            raise
        raise _unreadable(raw, f"it is no whole .npz file: {_plain(error)}") from error


def _stated(raw: Raw, found: Mapping[Any, Any]) -> Series:
    """What states its values and its rate by name."""
    for name in ("values", "sampling_rate"):
        if found.get(name) is None:
            raise _unreadable(
                raw, f"it holds no '{name}'; 'values' (points, channels) and 'sampling_rate' are accepted"
            )
    try:
        values, rate = np.asarray(found["values"]), np.asarray(found["sampling_rate"])
    except ValueError as error:  # rows of unequal length
        raise _unreadable(raw, f"its values are no array: {_plain(error)}") from error
    if values.dtype.kind not in "fiu" or rate.dtype.kind not in "fiu":
        raise _unreadable(raw, f"it holds {values.dtype} at a rate of {rate.dtype}; numbers are accepted")
    if values.ndim == 1:
        values = values[:, None]
    if values.ndim != 2 or values.shape[1] > max(values.shape[0], 1):
        raise _unreadable(raw, f"its values have the shape {values.shape}; (points,) or (points, channels) is accepted")
    if rate.ndim != 0 or not 0 < rate < np.inf:
        raise _unreadable(raw, f"its sampling rate is {rate}; a number of Hz above 0 is accepted")
    return Series(values.astype(np.float64), float(rate))


def _table(raw: Raw, content: bytes) -> Series:
    """A header line, a column of times and one or more of values."""
    if not content.strip():
        raise Empty(*_sentence(raw, "it is empty"))
    first, _, rows = content.lstrip().partition(b"\n")
    try:
        header = first.decode()
    except UnicodeDecodeError as error:
        raise _unreadable(raw, "it is neither a table in UTF-8 nor an .npz file") from error
    delimiter = max(",;\t", key=header.count)
    names = next(csv.reader([header], delimiter=delimiter))
    if len(set(names)) < len(names):
        raise _unreadable(raw, "two of its columns have one name")
    times = [name for name in names if name.strip().lower() == TIME]
    if len(times) != 1 or len(names) < 2:
        raise Unreadable(
            f"'{raw.name}' has the columns {', '.join(map(repr, names))}; one called '{TIME}', in seconds, and one or "
            "more of values are accepted.",
            f"Write them into its first line: {TIME},NAME,...",
        )
    if not rows.strip():
        raise Empty(*_sentence(raw, "it holds no points"))
    try:
        table = pa.csv.read_csv(
            pa.py_buffer(content),
            # The rows of which one is wrong are counted by one thread alone; files are read in several at once anyway.
            read_options=pa.csv.ReadOptions(use_threads=False),
            parse_options=pa.csv.ParseOptions(delimiter=delimiter),
            convert_options=pa.csv.ConvertOptions(
                column_types=dict.fromkeys(names, pa.float64()), null_values=MISSING, strings_can_be_null=True
            ),
        )
        columns = {name: table.column(name).to_numpy() for name in names}
    except (pa.ArrowInvalid, KeyError) as error:
        raise _unreadable(raw, _plain(error)) from error
    rate = _rate(raw, columns.pop(times[0]))
    return Series(np.stack(list(columns.values()), axis=1), rate)


def _rate(raw: Raw, times: npt.NDArray[np.float64]) -> float:
    """Points per second, to six significant digits, of times that lie on an even grid."""
    if len(times) == 1:
        raise _unreadable(raw, "it holds one point, from which no sampling rate follows; two or more are accepted")
    steps = np.diff(times)
    if not np.isfinite(times).all():
        raise _unreadable(raw, f"a time is missing in its column '{TIME}'")
    if (steps <= 0).any():
        raise _unreadable(raw, "its times do not rise from row to row")
    step = (times[-1] - times[0]) / len(steps)
    grid = times[0] + step * np.arange(len(times))
    if (np.abs(times - grid) > EVEN * step).any():
        raise Unreadable(
            f"'{raw.name}' has steps of time from {show(float(steps.min()), 's')} to {show(float(steps.max()), 's')}; "
            "even ones are accepted.",
            "Bring it to even steps first (pandas.DataFrame.resample, numpy.interp), or leave it out.",
        )
    return float(f"{1 / step:.6g}")


def _plain(error: Exception) -> str:
    """A library's message as the end of a sentence."""
    line = " ".join(str(error).split()).rstrip(" .") or type(error).__name__
    return (line[:1].lower() + line[1:] if line[1:2].islower() else line)[:200]


def _sentence(raw: Raw, reason: str) -> tuple[str, str]:
    return f"'{raw.name}' cannot be read as a time series: {reason}.", "Mend or save it again, or leave it out."


def _unreadable(raw: Raw, reason: str) -> Unreadable:
    return Unreadable(*_sentence(raw, reason))

"""What is read as a time series, and what is refused, in a sentence that says why."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import graftwork as gw
from graftwork_time_series.reader import SeriesReader
from graftwork_time_series.series import Series

READER = SeriesReader()


def table(*lines: str) -> bytes:
    return "\n".join(lines).encode()


def archive(**arrays: object) -> bytes:
    made = io.BytesIO()
    np.savez(made, **arrays)  # pyright: ignore[reportArgumentType]
    return made.getvalue()


def array() -> bytes:
    made = io.BytesIO()
    np.save(made, np.zeros(9))
    return made.getvalue()


def series(values: np.ndarray, rate: float) -> gw.Raw:
    return gw.Raw("s", value=Series(values, rate))


def test_a_table_has_its_rate_from_its_times_and_a_channel_for_each_other_column() -> None:
    content = table("x;Time;y", "1;10.0;5", "2;10.25;", "3;10.5;5", "4;10.75;5")
    facts, found = READER.read(gw.Raw("a.csv", value=b"\xef\xbb\xbf" + content))
    assert facts == {"missing_values": 13, "signal": "varying", "sampling_rate": 4, "channels": 2, "duration": 1.0}
    np.testing.assert_array_equal(found.values, [[1, 5], [2, np.nan], [3, 5], [4, 5]])


@settings(max_examples=40, deadline=None)
@given(
    rate=st.floats(0.001, 9_999).map(lambda rate: float(f"{rate:.5g}")),
    points=st.integers(2, 60),
    channels=st.integers(1, 2),
)
def test_what_is_written_as_a_table_and_as_an_archive_is_one_series(rate: float, points: int, channels: int) -> None:
    values = np.random.default_rng(points).normal(1e6, 1, (points, channels))
    rows = [",".join(map(repr, [n / rate, *map(float, row)])) for n, row in enumerate(values)]
    header = ",".join(["time", "a", "b"][: channels + 1])
    one = gw.Raw("a.csv", value=table(header, *rows))
    other = gw.Raw("a.npz", value=archive(values=values, sampling_rate=rate))
    assert READER.facts(one) == READER.facts(other)
    assert READER.digest(one) == READER.digest(other)
    assert READER.digest(one) != READER.digest(series(values, 2 * rate))
    np.testing.assert_array_equal(READER.decode(one).values, values)


def test_times_may_be_rounded_as_printed_ones_are_but_none_may_be_missing() -> None:
    times = [round(n / 60, 3) for n in range(600)]
    content = table("time,x", *(f"{time},{n % 7}" for n, time in enumerate(times)))
    assert READER.facts(gw.Raw("a.csv", value=content))["sampling_rate"] == pytest.approx(60, rel=1e-3)
    del times[1]
    content = table("time,x", *(f"{time},0" for time in times))
    with pytest.raises(
        gw.Unreadable, match=r"has steps of time from 0\.016 s to 0\.033 s; even ones are accepted\. Br"
    ):
        READER.facts(gw.Raw("a.csv", value=content))


READ = "'it' cannot be read as a time series: "
REFUSED = [
    (b"", f"{READ}it is empty."),
    (table("time,x"), f"{READ}it holds no points."),
    (
        table("time,x", "0,1"),
        f"{READ}it holds one point, from which no sampling rate follows; two or more are accepted.",
    ),
    (
        table("seconds,x", "0,1", "1,2"),
        "'it' has the columns 'seconds', 'x'; one called 'time', in seconds, and one or more of values are accepted.",
    ),
    (
        table("time", "0", "1"),
        "'it' has the columns 'time'; one called 'time', in seconds, and one or more of values are accepted.",
    ),
    (
        table("time,Time,x", "0,0,2", "1,1,3"),
        "'it' has the columns 'time', 'Time', 'x'; one called 'time', in seconds, and one or more of values are accepted.",
    ),
    (table("time,x,x", "0,1,2", "1,2,3"), f"{READ}two of its columns have one name."),
    (table("time,x", "0,1", ",2", "2,3"), f"{READ}a time is missing in its column 'time'."),
    (table("time,x", "0,1", "2,2", "1,3"), f"{READ}its times do not rise from row to row."),
    (
        table("time,x", "0,1", "1,a"),
        f"{READ}in CSV column #1: Row #3: CSV conversion error to double: invalid value 'a'.",
    ),
    (table("time,x", "0,1", "1,2,3"), f"{READ}CSV parse error: Row #3: Expected 2 columns, got 3: 1,2,3."),
    (table("time,x", "0,1", "1,inf"), f"{READ}some of its values are infinite."),
    (table("time,x,y", "0,1,", "1,2,NaN"), f"{READ}a channel of it holds no value at all."),
    ("time,x\n0,1\n1,2".encode("utf-16"), f"{READ}it is neither a table in UTF-8 nor an .npz file."),
    (
        array(),
        "'it' holds an array without a sampling rate; .npz files with 'values' and 'sampling_rate' are accepted.",
    ),
    (archive(values=np.zeros(9), sampling_rate=9)[:-40], f"{READ}it is no whole .npz file: file is not a zip file."),
    (
        archive(values=np.zeros(9)),
        f"{READ}it holds no 'sampling_rate'; 'values' (points, channels) and 'sampling_rate' are accepted.",
    ),
    (
        archive(values=np.zeros((2, 9)), sampling_rate=9),
        f"{READ}its values have the shape (2, 9); (points,) or (points, channels) is accepted.",
    ),
    (
        archive(values=np.zeros(9), sampling_rate=-1),
        f"{READ}its sampling rate is -1; a number of Hz above 0 is accepted.",
    ),
    (
        archive(values=np.array(["a", "b"]), sampling_rate=9),
        f"{READ}it holds <U1 at a rate of int64; numbers are accepted.",
    ),
    (archive(values=np.zeros(0), sampling_rate=9), f"{READ}it holds no points."),
    (
        np.zeros(9),
        f"{READ}a ndarray does not say its rate; {{'values': ..., 'sampling_rate': ...}} is accepted.",
    ),
]


@pytest.mark.parametrize(("given_value", "sentence"), REFUSED)
def test_what_is_no_series_is_refused_in_a_sentence(given_value, sentence) -> None:
    with pytest.raises(gw.Unreadable) as caught:
        READER.facts(gw.Raw("it", value=given_value))
    assert caught.value.message == sentence
    assert caught.value.hint


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        gw.Unreadable, match=r"^'gone' cannot .*: the file cannot be opened \(No such file or directory\)"
    ):
        READER.facts(gw.Raw("gone", tmp_path / "gone.csv"))


def test_objects_in_an_archive_are_refused_and_nothing_of_them_runs(tmp_path: Path) -> None:
    class Payload:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "ran",))

    content = archive(values=np.array([Payload()], dtype=object), sampling_rate=9)
    assert b"touch" in content
    with pytest.raises(gw.Unreadable, match=r"it is no whole \.npz file: object arrays cannot be loaded"):
        READER.facts(gw.Raw("it", value=content))
    assert not (tmp_path / "ran").exists()
    with np.load(io.BytesIO(content), allow_pickle=True) as file:
        assert len(file["values"]) == 1
    assert (tmp_path / "ran").exists()  # the payload is a real one

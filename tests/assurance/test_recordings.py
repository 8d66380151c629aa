import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prikkfri.assurance.localisation import Cell
from prikkfri.assurance.recordings import Row, locate, read_series, read_table
from prikkfri.assurance.segments import Segment
from prikkfri.errors import UsageError


def test_a_series_of_counts_with_labels() -> None:
    series = read_series(["time_utc,count,anomaly", "1998-06-10T12:00:00,5,0", "1998-06-10T12:01:00,7.5,1"])
    assert [(bucket.time, bucket.kept) for bucket in series.buckets] == [(897480000.0, 5.0), (897480060.0, 7.5)]
    assert (series.bucket_seconds, series.labelled) == (60.0, (False, True))


def test_a_time_that_does_not_say_its_zone_is_utc_wherever_the_machine_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    try:
        rows = ["1998-06-10T12:00:00,5", " 1998-06-10T21:00:00+09:00 ,5"]
        assert {bucket.time for bucket in read_series(["time_utc,count", *rows]).buckets} == {897480000.0}
    finally:
        monkeypatch.undo()
        time.tzset()


def test_a_series_of_kept_and_broken() -> None:
    series = read_series(["time_utc,kept,broken", "2018-08-20T21:00:00+02:00,5,1", "2018-08-20T21:00:01+02:00,0,6"])
    assert [(bucket.kept, bucket.broken) for bucket in series.buckets] == [(5.0, 1.0), (0.0, 6.0)]


def test_the_usual_distance_of_two_rows_is_their_median_and_gaps_change_nothing() -> None:
    rows = [f"2018-08-20T21:0{minute}:00,{minute}" for minute in (0, 1, 1, 2, 3, 9)]
    assert read_series(["time_utc,count", *rows]).bucket_seconds == 60.0


@pytest.mark.parametrize(
    ("label", "labelled"), [("1", True), ("0", False), ("", False), ("yes", True), ("0.0", True), (None, False)]
)
def test_what_the_file_itself_calls_an_anomaly_is_one(label: str | None, labelled: bool) -> None:
    row = "2018-08-20T21:00:00,5" + ("" if label is None else f",{label}")
    assert read_series(["time_utc,count,anomaly", row, row]).labelled == (labelled, labelled)
    assert read_series(["time_utc,count", *["2018-08-20T21:00:00,5"] * 2]).labelled == ()


@pytest.mark.parametrize(
    ("lines", "line"),
    [
        ([], "line 1"),
        (["time_utc,kept"], "line 1"),
        (["time_utc,count", "2018-08-20T21:00:00,1e15"], "line 2: '1e15' is not a count"),
        (["time_utc,count", "2018-08-20T21:00:00"], "line 2: None is not a count"),
        (["time_utc,kept,broken", "2018-08-20T21:00:00,1,x"], "line 2: 'x' is not a count"),
        (["when,count"], "line 1"),
        (["time_utc,count", "yesterday,5"], "line 2: 'yesterday' is not a time such as 2018-08-20T19:00:00"),
        (["time_utc,count", "2018-08-20T21:00:00,-5"], "line 2"),
        (["time_utc,count", "2018-08-20T21:00:00,nan"], "line 2"),
        (["time_utc,count", "2018-08-20T21:00:00,5", "2018-08-20T20:00:00,5"], "line 3"),
        (["time_utc,count", "2018-08-20T21:00:00,5"], "fewer than two rows"),
    ],
)
def test_a_wrong_series_is_refused_with_its_line(lines: list[str], line: str) -> None:
    with pytest.raises(UsageError, match=line):
        read_series(lines)


TABLE = ["minute,partner,failed,total", "1,Telia,1,500", "1,Tre,1,500", "5,Telia,41,500", "5,Tre,1,500"]


def test_a_table_is_located() -> None:
    placement = locate(read_table(TABLE), 5)
    assert [each.segment for each in placement.placed] == [Segment.of({"partner": "Telia"})]
    assert [each.segment for each in placement.cleared] == [Segment.of({"partner": "Tre"})]
    assert locate(read_table(TABLE), 1).placed == ()


HEADER = "minute,partner,failed,total"


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        (["minute,failed,total"], "line 1: the header must name minute, one dimension or more, failed and total"),
        (["partner,failed,total"], "line 1"), (["minute,partner,total"], "line 1"),
        ([HEADER, "1,Telia,4,4", "1,Telia,5,4"], "line 3: more failed than total"),
        ([HEADER, "x,Telia,1,4"], "line 2: 'x' is not a count"), ([HEADER, "1,Telia,1,-4"], "line 2: '-4' is not"),
        ([HEADER, "1,Telia,,4"], "line 2: '' is not a count"),
    ],
)  # fmt: skip
def test_a_wrong_table_is_refused_with_its_line(lines: list[str], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        read_table(lines)


def test_every_column_that_is_not_a_figure_is_a_dimension() -> None:
    (row,) = read_table(["failed,partner,minute,total,direction", "1.5,,7,4,in"])
    assert row == Row(7, Cell(Segment.of({"partner": "", "direction": "in"}), 4.0, 1.5))


def test_what_was_before_the_minute_says_what_is_usual_and_what_came_after_does_not() -> None:
    def placed(*telia_failed: int) -> int:
        rows = [
            f"{minute},{partner},{failed},500"
            for minute, of_telia in enumerate(telia_failed, 1)
            for partner, failed in (("Telia", of_telia), ("Tre", 0), ("Ice", 0))
        ]
        return len(locate(read_table([HEADER, *rows]), 2).placed)

    assert placed(0, 40) == placed(0, 40, 40) == 1
    assert placed(40, 40) == placed(40, 40, 0) == 0
    alone = [HEADER, *(f"1,{partner},{failed},500" for partner, failed in (("Telia", 400), ("Tre", 0), ("Ice", 0)))]
    assert len(locate(read_table(alone), 1).placed) == 1


@pytest.mark.parametrize("read", [read_series, read_table])
def test_a_file_of_more_rows_than_can_be_held_is_refused(read: Any) -> None:
    limit = 3
    rows = {read_series: ["time_utc,count", *["2018-08-20T21:00:00,5"] * 4], read_table: [HEADER, *["1,Telia,1,4"] * 4]}
    assert read(rows[read][:-1], rows_max=limit)
    with pytest.raises(UsageError, match="more than 3 rows; cut the file in parts"):
        read(rows[read], rows_max=limit)


@pytest.mark.parametrize("header", ["time_utc,count", HEADER])
def test_what_is_no_csv_is_refused_with_its_line(header: str) -> None:
    read = read_table if header == HEADER else read_series
    with pytest.raises(UsageError, match="line 2: not CSV"):
        read([header, "x" * 200_000])
    with pytest.raises(UsageError, match="line 1: not CSV"):
        read(["x" * 200_000])


def test_a_minute_that_is_not_there_is_refused_with_those_that_are() -> None:
    with pytest.raises(UsageError, match="no minute 9; it has 1 to 5"):
        locate(read_table([TABLE[0], "3,Tre,1,500", *reversed(TABLE[1:])]), 9)
    with pytest.raises(UsageError, match="it is empty"):
        locate([], 9)


@given(st.lists(st.text(max_size=60), max_size=8), st.booleans())
def test_any_text_is_read_or_refused(lines: list[str], headed: bool) -> None:
    for read, header in ((read_series, "time_utc,count"), (read_table, "minute,a,failed,total")):
        try:
            read([header, *lines] if headed else lines)
        except UsageError as error:
            assert "\n" not in str(error)

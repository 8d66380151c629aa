import pytest
from hypothesis import given
from hypothesis import strategies as st

from prikkfri.assurance.recordings import locate, read_series, read_table
from prikkfri.assurance.segments import Segment
from prikkfri.errors import UsageError


def test_a_series_of_counts_with_labels() -> None:
    series = read_series(["time_utc,count,anomaly", "1998-06-10T12:00:00,5,0", "1998-06-10T12:01:00,7.5,1"])
    assert [(bucket.time, bucket.kept) for bucket in series.buckets] == [(897480000.0, 5.0), (897480060.0, 7.5)]
    assert (series.bucket_seconds, series.labelled) == (60.0, (False, True))


def test_a_series_of_kept_and_broken() -> None:
    series = read_series(["time_utc,kept,broken", "2018-08-20T21:00:00+02:00,5,1", "2018-08-20T21:00:01+02:00,0,6"])
    assert [(bucket.kept, bucket.broken) for bucket in series.buckets] == [(5.0, 1.0), (0.0, 6.0)]


@pytest.mark.parametrize(
    ("lines", "line"),
    [
        (["when,count"], "line 1"),
        (["time_utc,count", "yesterday,5"], "line 2"),
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


@pytest.mark.parametrize("lines", [["minute,failed,total"], [HEADER, "1,Telia,5,4"], [HEADER, "x,Telia,1,4"]])
def test_a_wrong_table_is_refused(lines: list[str]) -> None:
    with pytest.raises(UsageError, match="line"):
        read_table(lines)


def test_a_minute_that_is_not_there_is_refused_with_those_that_are() -> None:
    with pytest.raises(UsageError, match="it has 1 to 5"):
        locate(read_table(TABLE), 9)


@given(st.lists(st.text(max_size=60), max_size=8), st.booleans())
def test_any_text_is_read_or_refused(lines: list[str], headed: bool) -> None:
    for read, header in ((read_series, "time_utc,count"), (read_table, "minute,a,failed,total")):
        try:
            read([header, *lines] if headed else lines)
        except UsageError as error:
            assert "\n" not in str(error)

"""What would have been told of a recorded series."""

from pathlib import Path
from typing import Annotated

import typer

from prikkfri.cli.options import JsonFile
from prikkfri.cli.printing import console, refuse_unwritable, write_json
from prikkfri.errors import UsageError


def detect(
    file: Annotated[Path, typer.Argument(metavar="SERIES.csv", help="time_utc,count or time_utc,broken,total.")],
    json_file: JsonFile = None,
) -> None:
    """Tell what detection would have told of a recorded series, bucket by bucket, as if it were live."""
    from datetime import UTC, datetime

    from prikkfri.assurance.recordings import findings, read_series

    refuse_unwritable(json_file, "--json")
    try:
        with file.open(encoding="utf-8-sig", newline="") as lines:
            found = findings(series := read_series(lines))
    except UsageError as error:
        raise UsageError(f"{file}: {error}") from None
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise UsageError(f"{file}: {why}; name a CSV file that can be read") from None

    def told(time: float) -> str:
        return datetime.fromtimestamp(time, UTC).isoformat().replace("+00:00", "Z")

    if json_file is not None:
        alarms = [
            {"from": told(each.since), "to": told(each.until), "detected": told(each.detected),
             "direction": each.direction, "expected": each.expected, "seen": each.seen}
            for each in found
        ]  # fmt: skip
        write_json({"alarms": alarms}, json_file)
    elif not found:
        console.print(f"no alarm in {len(series.buckets)} buckets of {series.bucket_seconds:g} s")
    else:
        for each in found:
            console.print(
                f"{told(each.detected)} {each.direction}: {each.seen:.4g} seen, {each.expected:.4g} expected,"
                f" from {told(each.since)} to {told(each.until)}",
                soft_wrap=True,
            )

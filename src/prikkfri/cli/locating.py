"""Where the fault of a recorded minute is."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from prikkfri.cli.options import JsonFile
from prikkfri.cli.printing import console, refuse_unwritable, write_json
from prikkfri.errors import UsageError

if TYPE_CHECKING:
    from prikkfri.assurance.localisation import ClearedValue, FaultSegment
    from prikkfri.assurance.suspects import Location


def locate(
    file: Annotated[Path, typer.Argument(metavar="TABLE.csv", help="minute, a column a dimension, failed, total.")],
    minute: Annotated[int, typer.Option(help="The minute to look at; those before it say what is usual.")],
    json_file: JsonFile = None,
) -> None:
    """Tell where the fault of a minute is: segments, further suspects, and what is cleared."""
    from prikkfri.assurance import recordings

    refuse_unwritable(json_file, "--json")
    try:
        with file.open(encoding="utf-8-sig", newline="") as lines:
            found = recordings.locate(recordings.read_table(lines), minute)
    except UsageError as error:
        raise UsageError(f"{file}: {error}") from None
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise UsageError(f"{file}: {why}; name a CSV file that can be read") from None
    if json_file is not None:
        write_json(document(found), json_file)
    else:
        say(found)


def document(found: "Location") -> dict[str, Any]:
    def counted(each: "FaultSegment | ClearedValue") -> dict[str, Any]:
        return {"segment": dict(each.segment.values), "settled": each.settled, "broken": each.broken,
                "usual_share": each.usual}  # fmt: skip

    return {
        "segments": [dict(each.segment.values) for each in found.placed],
        "suspects": [
            {**counted(each), "outside_share": each.outside, "score": each.evidence} for each in found.suspects
        ],
        "cleared": [counted(each) for each in found.cleared],
    }


def say(found: "Location") -> None:
    if not found.placed:
        console.print("in none of the values that are known")
    further = found.suspects[len(found.placed) :]
    for title, listed in (("", found.placed), ("or", further), ("cleared", found.cleared)):
        for each in listed:
            console.print(f"{title} {each.sentence}".strip(), soft_wrap=True, markup=False)

"""docs/subscribers.md shows a file that can be imported, and names every column."""

import re
from pathlib import Path
from zoneinfo import ZoneInfo

from prikkfri.clock import ManualClock
from prikkfri.storage import Location, open_database
from prikkfri.subscribers.customer_file import COLUMNS, PASSWORD_HASH
from prikkfri.subscribers.service import import_file
from prikkfri.subscribers.store import holder_at

DOCUMENT = Path(__file__).parents[2] / "docs" / "subscribers.md"


async def test_the_example_is_imported_and_says_what_the_text_says(tmp_path: Path) -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    assert tuple(re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE)) == (*COLUMNS, PASSWORD_HASH)
    (example,) = re.findall(r"```csv\n(.*?)```", text, re.DOTALL)
    file = tmp_path / "customers.csv"
    file.write_text(example, encoding="utf-8")
    database = await open_database(Location(tmp_path), "subscribers")
    report = await import_file(
        database,
        file,
        region="NO",
        timezone=ZoneInfo("Europe/Oslo"),
        clock=ManualClock(),
        progress=lambda done, of: None,
    )
    assert (report.added, report.rejected) == (4, 0)
    january, march = 1_705_000_000.0, 1_710_000_000.0  # 2024
    holders = [await database.read(lambda q, at=at: holder_at(q, "+4791234567", at)) for at in (january, march)]
    assert [holder.name for holder in holders if holder] == ["Kari Nordmann", "Ola Nordmann"]
    await database.close()

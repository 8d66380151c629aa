"""The message centre among drawn partners and faults: nothing to a stranger, nothing lost, nothing twice untold; and
the judge notices the field's known faults when they are put into a copy of the centre."""

import json
import os
import secrets
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import prikkfri
from prikkfri.simulation.messages.drawing import FAULTS, Table
from prikkfri.simulation.messages.many import judged

pytestmark = pytest.mark.slow

SOURCE = Path(prikkfri.__file__).parent
FRESH = secrets.randbelow(1_000_000_000)
SMALL = Table(messages=700, faults=(3, 6))


@pytest.mark.parametrize("seed", [1, 2, FRESH], ids=["one", "two", "fresh"])
def test_a_world_by_lot_is_found_right(seed: int) -> None:
    found = judged(seed, SMALL)
    if found.findings and seed == FRESH and "CI" in os.environ:
        # What a change did not bring holds no change up; the seed is in the summary, to be mended and kept.
        pytest.xfail(f"small world {seed}: {found.findings[:5]}")
    assert found.findings == (), f"seed {seed}: {found.faults}"
    if seed != FRESH:  # in one world of twenty the centre is away for nearly all of the time
        assert found.figures.accepted > 100


@pytest.mark.parametrize("kind", FAULTS)
def test_each_fault_alone_is_lived_through(kind: str) -> None:
    found = judged(5, Table(messages=250, faults=(4, 4), kinds=(kind,)))
    assert found.findings == () and found.faults[kind] == 4


_SCRIPT = """
import json, sys
from prikkfri.simulation.messages.drawing import Table
from prikkfri.simulation.messages.many import judged
seed, most, table = json.loads(sys.argv[1])
table = Table(**{name: tuple(value) if isinstance(value, list) else value for name, value in table.items()})
messages = 0
while messages < most:
    found = judged(seed, table)
    messages += found.events
    seed += 1
    if found.findings or most <= table.messages:
        break
print(json.dumps([found.digest, messages, found.findings[:20]]))
"""


def elsewhere(
    seed: int, most: int, table: dict[str, Any], *, source: Path = SOURCE, hash_seed: str = "0"
) -> tuple[str, int, list[str]]:
    """In a process of its own: the digest of the last world, how many messages that took, and what was found."""
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(source.parent)}
    told = subprocess.run(
        [sys.executable, "-c", _SCRIPT, json.dumps([seed, most, table])], env=environment, capture_output=True,
        text=True, check=True,
    )  # fmt: skip
    digest, messages, findings = json.loads(told.stdout)
    return digest, messages, findings


def test_the_same_seed_is_the_same_world_in_any_process() -> None:
    table = {"messages": 400, "faults": (5, 5)}
    [one, other] = [elsewhere(7, 1, table, hash_seed=each) for each in ("1", "77")]
    assert one == other
    assert one[0] == judged(7, Table(messages=400, faults=(5, 5))).digest


@dataclass(frozen=True)
class Plant:
    """A known fault of the field: what stands in a file of ours, and what would stand there with it."""

    name: str
    file: str
    ours: str
    theirs: str
    told: str
    """What the judge says of it."""
    faults: tuple[str, ...] = ()
    table: tuple[tuple[str, Any], ...] = ()
    first: int = 1
    """The world that is drawn first: what shows in few worlds would have to be looked for long."""

    @property
    def drawn(self) -> dict[str, Any]:
        faults = (3, 6) if self.faults else (0, 0)
        return {"messages": 500, "faults": faults, "kinds": self.faults, **dict(self.table)}


FEW = (("phones", (2, 3)), ("accounts", (4, 5)), ("partners", (1, 1)))
"""So many messages are for one phone."""
LATE = (("phones", (1, 1)), ("partners", (1, 1)), ("odd", 0.0), ("answers_late", 0.9), ("receipts_late", 0.9))
PLANTS = (
    Plant(
        "acknowledged before it is synced", "storage/sqlite.py", "PRAGMA synchronous = FULL",
        "PRAGMA synchronous = OFF", "not known any more", ("power-cut",),
    ),
    Plant(
        "acknowledged before it is stored", "sms/sessions/service.py",
        "        refused = await self._submissions.store(party, intake)\n",
        "        for request, status, body in intake.answers:\n"
        "            connection.session.answer(request, status, body)\n"
        "        intake.answers.clear()\n"
        "        connection.flush()\n"
        "        refused = await self._submissions.store(party, intake)\n",
        "not known any more", ("killed", "killed-at-a-write"),
    ),
    Plant(
        "a receipt that is acknowledged before it is stored", "sms/sessions/service.py",
        "        refused = await self._submissions.store(party, intake)\n",
        "        for told in intake.told:\n"
        "            connection.session.answer(told.request, Status.OK, MessageResponse())\n"
        "        connection.flush()\n"
        "        refused = await self._submissions.store(party, intake)\n"
        "        intake.told.clear()\n",
        "answered that its receipt is taken", ("killed", "killed-at-a-write"),
    ),
    Plant(
        "parts of two senders under one reference", "protocols/smpp/concatenation.py",
        "        key = (origin, sender, recipient, structs.replace(part, number=0))\n",
        '        key = ("", sender, recipient, structs.replace(part, number=0))\n',
        "torn", table=(*FEW, ("long", 0.6), ("by_http", 0.0), ("undeliverable", 0.2)),
    ),
    Plant(
        "references at random", "protocols/smpp/concatenation.py",
        "reference = (first if last == _NOT_YET else last + 1) % 256\n", "reference = first % 8\n",
        "torn", table=(*FEW, ("long", 0.9), ("by_http", 1.0), ("undeliverable", 0.2)),
    ),
    Plant(
        "the recipient of the first part is another", "sms/submission.py",
        "            submission.recipient.text,\n",
        '            submission.recipient.text[:-1] + "7" if number == 1 else submission.recipient.text,\n',
        "left for",
    ),
    Plant(
        "a seal for another than the recipient", "sms/submission.py",
        "            submission.recipient.text,\n", '            submission.recipient.text[:-1] + "7",\n', "left for",
    ),
    Plant(
        "one buffer for all, behind the last look", "protocols/smpp/session.py",
        "        self._unwritten.append(pdu)\n",
        '        kept = vars(self).setdefault("buffer", pdu) if command == Command.SUBMIT_SM else pdu\n'
        "        self._unwritten.append(kept[:12] + pdu[12:16] + kept[16:])\n",
        "nobody got it",
    ),
    Plant(
        "sent again without doubt", "sms/intake.py", "        intake.in_doubt.append(context.id)\n",
        '        intake.put_off.append((context.id, Retry(batch.now, "no-answer")))\n',
        "", ("cut", "stalled"),
    ),
    Plant(
        "sequence numbers that are used again while they wait", "protocols/smpp/session.py",
        "            if self._sequence not in self._window and self._sequence not in self._late:\n",
        "            if True:\n", "did not settle",
        table=(("narrow", 0.0), ("windows", (400,)), ("sequence_max", (401,)), *LATE),
    ),
    Plant(
        "a receipt of another number", "sms/receipt_ids.py",
        "    told = [address for address in addresses if address]\n", "    told: list[str] = []\n",
        "answered that its receipt is taken",
        table=(("ids_reused", 0.2), ("receipts_late", 0.5)),
    ),
    Plant(
        "one octet of the reference as key", "sms/receipts/service.py",
        "            meant = {each for each in (*doubtful, *unanswered) if reference_of(each) == receipt.reference}\n"
        "            if len(meant) == 1 and not meant.isdisjoint(doubtful):"
        "  # of two that share 16 bits either may be meant\n"
        "                [message] = meant\n",
        "            meant = [each for each in doubtful if reference_of(each) % 256 == receipt.reference % 256]\n"
        "            if meant:\n"
        "                message = meant[0]\n",
        "would tell", ("killed",), (*LATE, ("narrow", 0.0), ("windows", (400,)), ("undeliverable", 0.5)),
    ),
    Plant(
        "messages of a moment by their ids", "sms/store.py",
        "return message.due_at, message.accepted_at, message.submission, message.part", "return (message.id,)",
        "left before",
    ),
    Plant(
        "a claim without its epoch", "journal/writing.py", " AND epoch = :epoch", "", "torn", ("second-owner",),
        (
            *LATE, ("messages", 600), ("faults", (10, 14)), ("phones", (1, 2)),
            ("accounts", (4, 5)), ("narrow", 0.0), ("windows", (400,)), ("long", 0.9), ("by_http", 0.5),
            ("undeliverable", 0.2), ("per_second", (40, 80)),
        ),
        first=401,
    ),
    Plant(
        "a restored snapshot that nobody notices", "sms/restored.py", "    if mark.commits <= found.commits:\n",
        "    if mark.commits >= 0:\n", "left after a snapshot was restored", ("snapshot-restored",),
    ),
    Plant(
        "references after a restored snapshot that the lost history may have used",
        "protocols/smpp/concatenation.py", "        return self._octet << 8 if now < self._apart_until else 0\n",
        "        return 0\n", "torn", ("snapshot-restored",),
        table=(
            ("messages", 300), ("phones", (1, 2)), ("accounts", (4, 5)), ("partners", (1, 1)), ("narrow", 0.0),
            ("long", 0.9), ("undeliverable", 0.3), ("odd", 0.0), ("per_second", (100, 400)),
        ),
    ),
    Plant(
        "sensitive messages of a restored snapshot that are sent", "sms/restored.py",
        "or is_sensitive(message_class) or overdue)", "or overdue)", "though it is sensitive", ("snapshot-restored",),
        table=(("sensitive", 1.0), ("faults", (1, 1))),
    ),
)  # fmt: skip


@pytest.mark.parametrize(
    "plant", {plant.table: plant for plant in PLANTS if plant.table}.values(), ids=lambda plant: plant.name
)
def test_without_the_fault_nothing_is_found(plant: Plant) -> None:
    """In the worlds in which it is noticed: else it would be something else that is."""
    for seed in (1, 2):
        assert judged(seed, Table(**plant.drawn)).findings == ()


@pytest.mark.parametrize("plant", PLANTS, ids=lambda plant: plant.name)
def test_the_judge_notices(plant: Plant, tmp_path: Path) -> None:
    copy = tmp_path / "prikkfri"
    shutil.copytree(SOURCE, copy, ignore=shutil.ignore_patterns("vendor", "__pycache__"))
    file = copy / plant.file
    text = file.read_text(encoding="utf-8")
    assert text.count(plant.ours) == 1, f"{plant.file} is another by now: {plant.ours!r}"
    file.write_text(text.replace(plant.ours, plant.theirs), encoding="utf-8")
    _, messages, findings = elsewhere(plant.first, 6_000, plant.drawn, source=copy)
    assert any(plant.told in each for each in findings), f"{messages} messages: {findings}"

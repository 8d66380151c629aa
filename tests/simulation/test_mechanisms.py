"""What can be switched off is documented, and is really off."""

from pathlib import Path

import pytest

from prikkfri.config import ROLES, load
from prikkfri.simulation import demo, misdelivery
from prikkfri.simulation.mechanisms import KICKOFF, MISDELIVERY, Mechanism

DOCUMENT = Path(__file__).parents[2] / "docs" / "rehearsals.md"
ALL = [("kickoff", name, each) for name, each in KICKOFF.items()]
ALL += [("misdelivery", name, each) for name, each in MISDELIVERY.items()]


@pytest.mark.parametrize(("rehearsal", "name", "mechanism"), ALL, ids=[f"{r} {n}" for r, n, _ in ALL])
def test_each_mechanism_is_switched_off_and_in_the_table(
    rehearsal: str, name: str, mechanism: Mechanism, tmp_path: Path
) -> None:
    plan = misdelivery.Plan()
    texts = {
        "kickoff": demo.configuration(),
        "misdelivery": misdelivery.configuration(plan, [0] * 8, [2777, 2778, 2779]),
    }
    (tmp_path / "prikkfri.toml").write_text(texts[rehearsal].replace("port = 0", "port = 9"), encoding="utf-8")
    with_it = load(tmp_path, file=None, environment={}, demo=True)
    assert load(tmp_path, file=None, environment=mechanism.settings, demo=True) != with_it or mechanism.role in ROLES
    rows = [line for line in DOCUMENT.read_text(encoding="utf-8").splitlines() if line.startswith(f"| {rehearsal}")]
    assert any(f"`{name}`" in row and "| none |" not in row for row in rows)

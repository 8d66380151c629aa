"""A machine too busy to judge says so: what is measured, what is concluded, what is shown."""

import asyncio
import os
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st
from waiting import eventually

from prikkfri.clock import ManualClock
from prikkfri.simulation.company import Usage, backends, family, keep_company, others_share, usage
from prikkfri.simulation.lateness import (
    LATE_SECONDS,
    LATE_SECONDS_MAX,
    LATE_SHARE_MAX,
    TICK_SECONDS,
    keep_time,
    lateness,
    not_judged,
    reason_not_judged,
    timed,
    unless_held,
    within,
)
from prikkfri.simulation.report import Check, Report, render

BUSY = "the machine was too busy"


@given(st.lists(st.floats(-0.1, 20.0)))
def test_too_busy_is_when_a_stated_share_was_late_or_anything_at_all_by_seconds(late: list[float]) -> None:
    found = lateness(late)
    share = sum(each > LATE_SECONDS for each in late) / len(late) if late else 0.0
    assert found.share == pytest.approx(share, abs=1e-4) and found.worst_s >= 0
    late_enough = round(share, 4) > LATE_SHARE_MAX or round(max(late, default=0), 2) > LATE_SECONDS_MAX
    assert bool(found.too_busy) is late_enough
    if found.too_busy:
        assert f"{found.worst_s:.1f} s at the worst" in found.too_busy and BUSY in found.too_busy


async def test_a_loop_that_was_held_up_is_found_late_by_as_much_and_once() -> None:
    late: list[float] = []
    clock = ManualClock()
    keeping = asyncio.create_task(keep_time(late, clock))
    await asyncio.sleep(0)  # it waits for its first tick
    clock.advance(TICK_SECONDS + 0.6)  # nobody else got to run meanwhile
    await eventually(lambda: late)
    clock.advance(TICK_SECONDS)
    await eventually(lambda: len(late) > 1)
    keeping.cancel()
    assert late[:2] == pytest.approx([0.6, 0.0])


def test_a_matter_of_time_is_judged_only_when_there_was_time_and_an_impossible_figure_never() -> None:
    holds, fails = Check("a", "3.0 s", True), Check("b", "30.0 s", False)
    assert [timed(check, "") for check in (holds, fails)] == [holds, fails]
    for check in (holds, fails):
        late = timed(check, BUSY)
        assert (late.name, late.holds, late.figure) == (check.name, None, f"not judged: {BUSY}")
    assert unless_held(holds, BUSY) == holds and unless_held(fails, BUSY).holds is None
    assert unless_held(fails, "") == fails
    for after_s, also, busy, verdict in (
        (3.0, True, "", "passed"), (15.0, True, "", "passed"), (15.1, True, "", "failed"), (-1.0, True, "", "failed"),
        (3.0, False, "", "failed"), (3.0, True, BUSY, "not judged"), (None, True, "", "not judged"),
        (None, True, BUSY, "not judged"),
    ):  # fmt: skip
        check = within("c", after_s, 15.0, busy, figure="x", also=also)
        assert check.verdict == verdict, (after_s, also, busy)
        assert (check.figure == "x") is (verdict != "not judged")
    assert within("c", None, 15.0, "", figure="-4.4 s").figure == "not judged: it was so before the fault had begun"


def test_the_report_has_a_verdict_of_its_own_for_what_was_not_judged() -> None:
    holds, fails, late = Check("a", "3.0 s", True), Check("b", "never", False), not_judged(Check("c", "", None), BUSY)
    report = Report(
        title="t", sentence="s", passed=False, staged_at="now", machine="m", again="g", commit="c",
        checks=[holds, late], events=[], lines=[], unit="u",
    )  # fmt: skip
    page = render(report)
    assert "Not judged</span>" in page and "Failed" not in page and "Passed" not in page
    assert '<tr class="unknown"><td class="mark">not judged</td><td>c</td>' in page
    assert "Failed</span>" in render(replace(report, checks=[holds, late, fails]))
    assert "Passed</span>" in render(replace(report, checks=[holds], passed=True))
    assert reason_not_judged([holds, late, late, fails]) == BUSY and reason_not_judged([holds, fails]) == ""


@pytest.mark.parametrize(
    ("others", "busy"), [([], False), ([0.6, 0.6], False), ([0.2, 1.0], False), ([0.3, 1.0], True)]
)
def test_a_machine_that_others_have_taken_is_too_busy_even_when_nothing_was_late(
    others: list[float], busy: bool
) -> None:
    found = lateness([0.0] * 100, others)
    assert bool(found.too_busy) is busy
    assert not busy or found.too_busy == "the machine was too busy: others took 65% of it"
    assert "s at the worst" in lateness([9.0], others).too_busy, "what was late is said first"


def test_what_others_take_is_what_neither_we_nor_our_children_do() -> None:
    before = Usage(1_000, 500, {1: 100, 2: 50})
    assert others_share(before, Usage(1_100, 600, {1: 130, 2: 60, 9: 10})) == 0.25  # 50 of 100 busy, of 200 in all
    assert others_share(before, Usage(1_100, 500, {1: 110})) == 0.9  # what has ended is not ours any more
    assert others_share(before, Usage(1_010, 600, {1: 400})) == 0.0
    assert others_share(before, before) == 0.0
    assert others_share(Usage(0, 0), Usage(7, 0)) == 1.0


def test_a_family_is_its_heads_and_all_who_descend_from_them() -> None:
    parents = {2: 1, 3: 2, 4: 3, 5: 1, 6: 5, 7: 7}
    assert family(parents, {2, 7, 99}) == {2, 3, 4, 7}
    assert family({}, {1}) == set()


def test_the_machine_is_read_as_linux_shows_it(tmp_path: Path) -> None:
    mine, role = os.getpid(), 700_001
    proc, home = tmp_path / "proc", tmp_path / "home"
    (home / "run").mkdir(parents=True)
    (home / "run" / "signin.lock").write_text(f"{role}\n")
    (home / "run" / "door.lock").write_text("")
    for process, parent, used in ((mine, 1, 7), (role, 1, 20), (700_002, role, 300), (700_003, 1, 4_000)):
        (proc / str(process)).mkdir(parents=True)
        fields = ["S", str(parent), *["0", "0", "0", "0", "0", "0", "0", "0", "0"], str(used), "1", "0"]
        (proc / str(process) / "stat").write_text(f"{process} (a) b (c) {' '.join(fields)}")
    (proc / "sys").mkdir()
    (proc / "stat").write_text("cpu  1 20 300 4000 50000 600000 7000000 80000000 9 9\ncpu0 1 1\n")
    assert usage(home, proc=proc) == Usage(87_600_321, 54_000, {mine: 8, role: 21, 700_002: 301})
    (proc / "stat").write_text("something else")
    assert usage(home, proc=proc) is None and usage(home, proc=tmp_path / "nowhere") is None


def test_who_works_for_a_database_is_told_from_those_who_work_for_others() -> None:
    titles = {
        2: "/usr/lib/postgresql/18/bin/postgres -D /var/lib/postgresql",
        3: "postgres: checkpointer",
        4: "postgres: walwriter",
        5: "postgres: prikkfri evening [local] COMMIT",
        6: "postgres: prikkfri other 10.0.0.1(4711) idle",
        7: "postgres: logical replication launcher",
        13: "postgres: checkpointer",
        14: "postgres: prikkfri other [local] idle",
    }
    parents = {process: 1 if process == 2 else 12 if process > 10 else 2 for process in titles}
    assert backends(titles, parents, "evening") == {3, 4, 5}
    assert backends(titles, parents, "other") == {3, 4, 6, 13, 14}
    assert backends(titles, parents, "nobody's") == set()


def test_what_a_database_server_does_for_the_roles_is_no_company(tmp_path: Path, postgres_url: str) -> None:
    """It was: rehearsals on PostgreSQL said that the machine was too busy for what they did to it themselves."""
    with psycopg.connect(postgres_url) as connection:
        process = connection.info.backend_pid
        before = usage(tmp_path, postgres_url)
        connection.execute("SELECT count(*) FROM generate_series(1, 2000000)")
        after = usage(tmp_path, postgres_url)
    assert before is not None and after is not None and after.ours[process] - before.ours[process] > 5
    assert process not in (usage(tmp_path) or before).ours


async def test_company_is_kept_until_it_is_known_no_more() -> None:
    readings: list[Usage | None] = [Usage(0, 0), Usage(1, 1), None]
    shares: list[float] = []
    await keep_company(shares, lambda: readings.pop(0), pause_seconds=0.0)
    assert shares == [0.5] and readings == []

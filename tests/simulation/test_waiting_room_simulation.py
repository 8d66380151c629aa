"""The line before drawn crowds, and an oracle that knows nothing of the line."""

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from prikkfri.cli.simulations import commands
from prikkfri.simulation.waiting.judging import (
    OVERTAKEN_SECONDS,
    estimate_error,
    goodput_share,
    goodput_share_after_restart,
    machine_used,
    outstanding_s,
    overtaken,
)
from prikkfri.simulation.waiting.many import at_the_door
from prikkfri.simulation.waiting.world import AGAIN_SECONDS_MAX, Evening, Scene, World


def evening_of(came: list[float], called: list[float], absent: int | None = None) -> Evening:
    people = len(came)
    away = np.arange(people) == (-1 if absent is None else absent)
    nan = np.full(people, np.nan)
    return Evening(
        np.array(came),
        np.full(people, np.inf),
        np.array(came),
        np.array(called),
        nan,
        nan,
        np.zeros(people, np.bool_),
        away,
    )


def test_the_oracle_sees_who_is_called_more_than_a_second_after_somebody_who_came_later() -> None:
    assert overtaken(evening_of([1, 2, 3], [10, 9.5, 9.01])) == 0
    assert overtaken(evening_of([1, 2, 3], [10, 9.5, 8.9])) == 1
    assert overtaken(evening_of([1, 2, 3], [10, 9.95, 8.9])) == 2
    assert overtaken(evening_of([1, 2, 3], [10, 9.95, 8.9], absent=0)) == 1
    assert overtaken(evening_of([1, 2, 3], [np.nan, 9.5, 8.9])) == 0


def test_the_oracle_compares_what_was_shown_after_a_minute_with_the_real_wait() -> None:
    evening = evening_of([0, 0, 100], [200, 400, 300])
    everybody = np.arange(3)
    evening.shown = [(everybody, 59.0, np.zeros(3)), (everybody, 100.0, np.array([110.0, 360.0, 0.0]))]
    found = estimate_error(evening)
    assert (found.median, found.p90) == (35.0, 55.0)
    assert found.p90_of_allowed == pytest.approx(10 / 15 + 0.9 * (2 - 10 / 15), abs=0.001)


def test_a_small_crowd_is_let_in_in_order_on_a_busy_machine() -> None:
    evening = World(Scene(1_500, 10, leaving=0.45)).run()
    assert overtaken(evening) == 0
    assert machine_used(evening) > 0.9
    assert evening.waiting_peak > 700 and evening.state_bytes < 2_000_000
    honest = ~np.isnan(evening.called_at)
    assert np.array_equal(honest, ~np.isnan(evening.signed_in_at))


def test_the_oracle_counts_who_signed_in_while_they_were_still_there() -> None:
    evening = evening_of([0.0] * 5 + [30.0], [1.0] * 6)
    evening.leaves_at = np.array([12.0, 12.0, 30.0, 30.0, 30.0, 30.0])
    evening.signed_in_at = np.array([11.0, 13.0, 14.0, 9.9, 30.0, np.nan])  # the last two too early, and too late
    assert goodput_share(evening, Scene(6, 0.2)) == 0.5


@pytest.mark.parametrize(("load_x", "seed"), [(2.0, 1), (5.0, 2), (10.0, 3)])
def test_most_who_come_leave_within_seconds_and_sign_in_is_busy_with_those_who_stay(load_x: float, seed: int) -> None:
    """A line that waited for those who had gone stood still for minutes at ten times its load."""
    scene = Scene(int(load_x * 30 * 50), 30, load_x=load_x, patience_s=10.0, seed=seed)
    evening = World(scene).run()
    assert goodput_share(evening, scene) > 0.85
    called = int(np.sum(~np.isnan(evening.called_at)))
    assert overtaken(evening) < called / 25 and outstanding_s(evening) < 3


@pytest.mark.parametrize(("load_x", "seed"), [(5.0, 7), (10.0, 8)])
def test_a_door_that_is_killed_in_the_midst_of_a_crowd_goes_on_as_it_was(load_x: float, seed: int) -> None:
    """One that had forgotten how few come ran past those who had left for fifteen seconds, and let nobody in."""
    scene = Scene(int(load_x * 30 * 50), 30, load_x=load_x, patience_s=10.0, door_killed_at_s=25.0, seed=seed)
    evening = World(scene).run()
    assert goodput_share_after_restart(evening, scene) > 0.85
    assert overtaken(evening, OVERTAKEN_SECONDS + AGAIN_SECONDS_MAX) == 0


def test_nobody_who_waited_loses_their_place_to_a_killed_door() -> None:
    """Those who had come back since the line was last written down were counted nowhere."""
    scene = Scene(5_000, 10, leaving=0.12, door_killed_at_s=25.0, seed=7)
    assert overtaken(World(scene).run()) <= 3


def test_the_same_seed_is_the_same_evening() -> None:
    first, second = [World(Scene(400, 10, leaving=0.1, seed=7)).run() for _ in range(2)]
    assert np.array_equal(first.called_at, second.called_at, equal_nan=True)


def test_no_altered_ticket_is_let_in_and_one_shown_again_gets_the_same_pass() -> None:
    forged, repeated, tickets_per_cpu_s = at_the_door(1)
    assert (forged, repeated) == (0, 0) and tickets_per_cpu_s > 0


@pytest.mark.slow
def test_the_command_writes_its_keys_and_says_whether_the_goal_holds(tmp_path: Path) -> None:
    written = tmp_path / "found.json"
    answer = CliRunner().invoke(commands, ["waiting-room", "--events", "1000", "--json", str(written)])
    assert answer.exit_code in (0, 1), answer.output
    found = json.loads(written.read_text(encoding="utf-8"))
    assert list(found) == [
        "waiting_peak",
        "state_bytes",
        "overtaken_by_more_than_1_s",
        "estimate_error_s",
        "machine_used",
        "passes_outstanding_s",
        "bots_30",
        "all_leave_recovery_s",
        "ten_times",
        "door_killed",
        "forged_admitted",
        "repeated_admitted",
        "tickets_per_cpu_s",
    ]
    assert {name: list(error) for name, error in found["estimate_error_s"].items()} == {
        "leaving_12": ["median", "p90"],
        "leaving_45": ["median", "p90"],
    }
    assert list(found["door_killed"]) == ["goodput_share", "overtaken"]
    assert list(found["bots_30"]) == ["honest_share"] and list(found["ten_times"]) == ["goodput_share"]

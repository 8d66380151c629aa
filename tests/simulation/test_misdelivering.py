"""How soon a partner that misdelivers is noticed, in virtual time: drawn by seed, at default settings."""

import json
from pathlib import Path
from statistics import median

import pytest
from typer.testing import CliRunner

from prikkfri.cli import application
from prikkfri.config import Sms
from prikkfri.errors import UsageError
from prikkfri.simulation.misdelivering import HARD_CASE, SETTINGS, HonestHours, Noticing, goal_of, honest, misdelivering
from prikkfri.sms.trust.noticing import CanarySchedule, seconds_to_notice

CALM_SECONDS = 300.0


def test_the_same_seed_draws_the_same_run_and_all_astray_is_noticed_within_the_minute() -> None:
    first = misdelivering(3, 1.0, calm_seconds=CALM_SECONDS)
    assert first == misdelivering(3, 1.0, calm_seconds=CALM_SECONDS)
    assert first != misdelivering(4, 1.0, calm_seconds=CALM_SECONDS)
    assert first.noticed_after_s is not None and 10 < first.noticed_after_s < 60
    assert first.stopped_wrongly == 0
    assert 1_500 < first.canaries_per_hour < 4_000


def test_one_in_twenty_is_noticed_by_canaries_alone() -> None:
    found = [misdelivering(seed, 0.05, HARD_CASE, calm_seconds=CALM_SECONDS).noticed_after_s for seed in range(3)]
    assert all(each is not None and 20 < each < 600 for each in found)


def test_an_honest_route_is_not_stopped() -> None:
    assert honest(1, hours=0.3).stopped_wrongly == 0


def test_it_runs_at_default_settings_and_states_its_goals() -> None:
    assert Sms() == SETTINGS
    assert [goal_of(share) for share in (1.0, 0.05, 0.049, 0.01, 0.0099)] == [180.0, 180.0, 1_800.0, 1_800.0, None]


def figures(median_s: float | None, wrongly: int = 0, goal_s: float | None = 180.0) -> Noticing:
    return Noticing(0.05, 9, 9, median_s, 1.0, wrongly, 1.0, 1.0, goal_s, HARD_CASE, {})


def test_a_goal_holds_when_half_are_in_time_and_none_was_stopped_wrongly() -> None:
    assert figures(180.0).holds
    assert not figures(180.1).holds
    assert not figures(None).holds
    assert not figures(100.0, wrongly=1).holds
    assert figures(None, goal_s=None).holds
    assert HonestHours(1.0, 0, 0.1, 1, 1.0, HARD_CASE, {}).holds
    assert not HonestHours(1.0, 1, 0.1, 1, 1.0, HARD_CASE, {}).holds


def test_the_command_says_what_it_assumes_and_writes_its_figures(tmp_path: Path) -> None:
    written = tmp_path / "found.json"
    ended = CliRunner().invoke(application, ["simulate", "sms", "--hours", "0.1", "--json", str(written)])
    assert ended.exit_code == 0
    found = json.loads(written.read_text())
    assert (found["hours"], found["stopped_wrongly"]) == (0.1, 0)
    assert found["assumed"]["messages_per_second"] == 113.0
    assert found["settings"]["canary_seconds"] == Sms().canary_seconds
    both = ["simulate", "sms", "--hours", "1", "--misdelivering-partner", "0.1"]
    assert isinstance(CliRunner().invoke(application, both).exception, UsageError)


@pytest.mark.slow
@pytest.mark.parametrize(("share", "runs"), [(0.05, 12), (0.2, 12)])
def test_what_the_console_says_would_be_noticed_is_what_is_measured(share: float, runs: int) -> None:
    looking = CanarySchedule(1 / SETTINGS.canary_seconds, HARD_CASE.phones / 2, HARD_CASE.phones, 10.0)
    found = [misdelivering(seed, share, HARD_CASE, calm_seconds=600.0).noticed_after_s for seed in range(runs)]
    measured = median(each or 1e9 for each in found)
    assert measured == pytest.approx(seconds_to_notice(share, looking), rel=0.5)

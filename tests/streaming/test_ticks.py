import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prikkfri.streaming.switching import HELD_TICKS_MAX, READY_TICKS_MIN, Switch, next_switch
from prikkfri.streaming.ticks import (
    PICTURES_AHEAD_SECONDS_MAX,
    SAMPLE_RATE,
    SAMPLES_PER_TICK,
    SOUND_WAITING_SECONDS_MAX,
    TICKS_PER_SECOND,
    Assembler,
    Sound,
    Tick,
    letterbox,
)


def picture(number: int) -> np.ndarray:
    return np.full((3, 2), number % 256, np.uint8)


def numbers(ticks: list[Tick]) -> list[int]:
    return [int(tick.picture[0, 0]) for tick in ticks]


def ramp(first: int, count: int) -> Sound:
    """Sound whose samples tell their own number."""
    return np.tile(np.arange(first, first + count, dtype=np.float32), (2, 1))


@pytest.mark.parametrize("rate", [10, 24, 25, 30, 50, 60])
def test_any_picture_rate_becomes_25_and_keeps_its_speed(rate: int) -> None:
    assembler = Assembler(has_sound=False)
    ticks = [tick for n in range(4 * rate) for tick in assembler.add_picture(100 + n / rate, picture(n))]
    assert abs(len(ticks) - 4 * TICKS_PER_SECOND) <= 1 + TICKS_PER_SECOND / rate
    for n, shown in enumerate(numbers(ticks)):
        assert abs(shown / rate - n / TICKS_PER_SECOND) <= max(1 / rate, 0.5 / TICKS_PER_SECOND) + 1e-6


@pytest.mark.parametrize("samples", [1024, 1152, 480, 7])
def test_sound_comes_out_as_it_went_in(samples: int) -> None:
    assembler, ticks, sent = Assembler(has_sound=True), [], 0
    for n in range(3 * TICKS_PER_SECOND):
        ticks += assembler.add_picture(n / TICKS_PER_SECOND, picture(n))
        while sent < (n + 1) * SAMPLES_PER_TICK:
            ticks += assembler.add_sound(sent / SAMPLE_RATE, ramp(sent, samples))
            sent += samples
    heard = np.concatenate([tick.sound for tick in ticks], axis=1)
    assert len(ticks) >= 3 * TICKS_PER_SECOND - 2
    assert np.array_equal(heard, ramp(0, heard.shape[1]))


def test_sound_that_begins_later_or_earlier_than_the_picture_stays_with_it() -> None:
    for lead in (-480, 480):
        assembler = Assembler(has_sound=True)
        ticks = assembler.add_sound(10 + lead / SAMPLE_RATE, ramp(SAMPLE_RATE + lead, 3 * SAMPLES_PER_TICK))
        for n in range(3):
            ticks += assembler.add_picture(10 + n / TICKS_PER_SECOND, picture(n))
        first = ticks[0].sound[0]
        assert first[-1] == SAMPLE_RATE + SAMPLES_PER_TICK - 1
        assert first[0] == (SAMPLE_RATE if lead < 0 else 0)


@pytest.mark.parametrize("ahead", [-5000.0, -2.5, 2.5, 95443.7])
def test_sound_that_is_reckoned_from_another_moment_begins_with_the_picture(ahead: float) -> None:
    """As in a stream that is joined while one of its clocks has just begun anew."""
    assembler, began = Assembler(has_sound=True), 100.0
    ticks = assembler.add_sound(began + ahead, ramp(1, SAMPLES_PER_TICK))
    for n in range(TICKS_PER_SECOND):
        ticks += assembler.add_picture(began + n / TICKS_PER_SECOND, picture(n))
        sent = 1 + (n + 1) * SAMPLES_PER_TICK
        ticks += assembler.add_sound(began + ahead + (n + 1) / TICKS_PER_SECOND, ramp(sent, SAMPLES_PER_TICK))
    heard = np.concatenate([tick.sound[0] for tick in ticks])
    assert len(ticks) >= TICKS_PER_SECOND - 1
    # The tick of sound that had come before is taken to end where the picture begins.
    assert np.array_equal(heard, 1 + SAMPLES_PER_TICK + np.arange(heard.size, dtype=np.float32))


@pytest.mark.parametrize("gap", [-0.5, -0.2, -0.045, -0.04, 0.04, 0.045, 0.2, 0.9])
def test_a_hole_in_the_sound_is_silence_and_an_overlap_is_heard_once(gap: float) -> None:
    """Either way what follows is heard when it is due, to 0.05 s: what a source's clock trembles by is passed over."""
    assembler, ticks = Assembler(has_sound=True), []
    whole, slack = SAMPLE_RATE, 0.05
    for n in range(3 * TICKS_PER_SECOND):
        at = n / TICKS_PER_SECOND
        ticks += assembler.add_picture(at, picture(n))
        sent_at = at if at < 1 else at + gap
        ticks += assembler.add_sound(sent_at, ramp(1 + round(sent_at * SAMPLE_RATE), SAMPLES_PER_TICK))
    heard = np.concatenate([tick.sound[0] for tick in ticks])
    assert np.array_equal(heard[:whole], 1 + np.arange(whole, dtype=np.float32))
    after = heard[whole : whole + SAMPLE_RATE]
    if abs(gap) <= slack:
        assert after[0] == 1 + whole + round(gap * SAMPLE_RATE)
        assert after.all()
    elif gap > 0:
        silent = round(gap * SAMPLE_RATE)
        assert not after[:silent].any()
        assert after[silent] == 1 + whole + silent
    else:
        late = 1 + whole - after[0]
        assert 0 <= late <= slack * SAMPLE_RATE
        assert np.array_equal(after, after[0] + np.arange(after.size, dtype=np.float32))


def test_missing_sound_is_silence_and_a_missing_picture_is_repeated() -> None:
    assembler, ticks = Assembler(has_sound=True), []
    for n in range(TICKS_PER_SECOND):
        ticks += assembler.add_picture(n / TICKS_PER_SECOND, picture(n))
    assert len(ticks) == pytest.approx(TICKS_PER_SECOND * (1 - PICTURES_AHEAD_SECONDS_MAX), abs=1)
    assert not any(tick.sound.any() for tick in ticks)

    assembler, ticks = Assembler(has_sound=True), assembler.add_picture(0, picture(7))
    ticks = assembler.add_picture(0, picture(7))
    for n in range(TICKS_PER_SECOND):
        ticks += assembler.add_sound(n / TICKS_PER_SECOND, ramp(1, SAMPLES_PER_TICK))
    assert len(ticks) == pytest.approx(TICKS_PER_SECOND * (1 - PICTURES_AHEAD_SECONDS_MAX), abs=1)
    assert set(numbers(ticks)) == {7}


@pytest.mark.parametrize("jump", [-5000.0, -1.5, 3.0, 95443.7])
def test_a_jump_of_the_timestamps_is_passed_over(jump: float) -> None:
    assembler, ticks = Assembler(has_sound=True), []
    for n in range(100):
        at = n / TICKS_PER_SECOND + (jump if n >= 50 else 0)
        ticks += assembler.add_picture(at, picture(n))
        ticks += assembler.add_sound(at, ramp(n * SAMPLES_PER_TICK, SAMPLES_PER_TICK))
    assert numbers(ticks) == list(range(len(ticks)))
    assert len(ticks) >= 98
    heard = np.concatenate([tick.sound for tick in ticks], axis=1)
    assert np.array_equal(heard, ramp(0, heard.shape[1]))


@given(
    st.lists(
        st.tuples(st.booleans(), st.floats(-1e5, 1e5) | st.floats(0, 3), st.integers(1, 2000)), min_size=1, max_size=60
    )
)
@settings(deadline=None)
def test_whatever_the_timestamps_ticks_are_whole_and_few_wait(events: list[tuple[bool, float, int]]) -> None:
    assembler = Assembler(has_sound=True)
    for is_picture, time, samples in events:
        ticks = assembler.add_picture(time, picture(1)) if is_picture else assembler.add_sound(time, ramp(0, samples))
        assert all(tick.sound.shape == (2, SAMPLES_PER_TICK) and tick.sound.dtype == "float32" for tick in ticks)
        assert len(ticks) <= 4 * TICKS_PER_SECOND
        assert assembler.sound_waiting_seconds <= SOUND_WAITING_SECONDS_MAX


@pytest.mark.parametrize(("moved", "waiting"), [(0.05, 0.08), (-0.05, 0.08), (1.0, 1.08), (1.01, 0.08)])
def test_sound_that_trembles_goes_on_a_hole_is_as_long_as_it_is_and_more_is_a_jump(
    moved: float, waiting: float
) -> None:
    """To the limit itself."""
    assembler = Assembler(has_sound=True)
    assert assembler.sound_waiting_seconds == 0
    assembler.add_sound(-0.04, ramp(1, SAMPLES_PER_TICK))
    assembler.add_sound(moved, ramp(1, SAMPLES_PER_TICK))
    assert assembler.sound_waiting_seconds == waiting


@pytest.mark.parametrize(
    ("pictures", "sound_seconds", "shown"),
    [
        ([0.0, 0.015], 0.04, []),  # another may come that is nearer to the end of the tick
        ([0.0, 0.02], 0.04, []),
        ([0.0, 0.02, 0.03], 0.04, [2]),
        ([0.0, 0.021], 0.04, [1]),
        ([0.0, 0.04], 0.03, []),
        ([0.0, PICTURES_AHEAD_SECONDS_MAX], 0.0, []),
        ([0.0, PICTURES_AHEAD_SECONDS_MAX + 0.01], 0.0, [1]),
        ([0.0], PICTURES_AHEAD_SECONDS_MAX, []),
        ([0.0], PICTURES_AHEAD_SECONDS_MAX + 0.01, [1]),
        ([0.0, 0.04], PICTURES_AHEAD_SECONDS_MAX + 0.16, [1, 2, 2, 2]),  # goes on with the last
    ],
)
def test_a_tick_is_made_when_its_picture_and_sound_are_known_or_one_has_waited_long_enough(
    pictures: list[float], sound_seconds: float, shown: list[int]
) -> None:
    assembler = Assembler(has_sound=True)
    ticks = [tick for n, time in enumerate(pictures, 1) for tick in assembler.add_picture(time, picture(n))]
    ticks += assembler.add_sound(0.0, ramp(1, round(sound_seconds * SAMPLE_RATE)))
    assert numbers(ticks) == shown
    assert assembler.sound_waiting_seconds == pytest.approx(max(0.0, sound_seconds - len(ticks) / TICKS_PER_SECOND))


@pytest.mark.parametrize(("begins", "silent"), [(0.12, 0.12), (2.0, 2.0), (2.01, 0.0)])
def test_sound_that_begins_after_the_picture_is_whole_and_what_is_too_far_from_it_is_brought_to_it(
    begins: float, silent: float
) -> None:
    assembler = Assembler(has_sound=True)
    assembler.add_picture(0, picture(1))
    ticks = assembler.add_sound(begins, ramp(1, SAMPLE_RATE))
    for n in range(1, 4 * TICKS_PER_SECOND):
        ticks += assembler.add_picture(n / TICKS_PER_SECOND, picture(n))
    heard = np.concatenate([tick.sound[0] for tick in ticks])
    expected = np.concatenate([np.zeros(round(silent * SAMPLE_RATE)), ramp(1, SAMPLE_RATE)[0]])
    assert np.array_equal(heard[: expected.size], expected)
    assert assembler.sound_waiting_seconds == 0


def test_sound_that_comes_back_on_another_clock_after_a_long_silence_is_heard_at_once() -> None:
    assembler = Assembler(has_sound=True)
    assembler.add_sound(0, ramp(1, SAMPLES_PER_TICK))
    for n in range(5 * TICKS_PER_SECOND):
        assembler.add_picture(n / TICKS_PER_SECOND, picture(n))
    [first, *_] = assembler.add_sound(5_000, ramp(1, SAMPLE_RATE))
    assert np.array_equal(first.sound, ramp(1, SAMPLES_PER_TICK))


def test_of_sound_without_a_picture_only_the_newest_two_seconds_are_kept() -> None:
    assembler = Assembler(has_sound=True)
    for second in range(5):
        assembler.add_sound(second, ramp(second * SAMPLE_RATE, SAMPLE_RATE))
    assert assembler.sound_waiting_seconds == 2.0
    [first, *_] = assembler.add_picture(3, picture(1)) + assembler.add_picture(4, picture(2))
    assert first.sound[0, 0] == 3 * SAMPLE_RATE


@pytest.mark.parametrize(("width", "height"), [(4, 6), (4, 10), (10, 4), (6, 4), (12, 12), (14, 16)])
def test_a_picture_on_black_keeps_the_grid_of_its_colours(width: int, height: int) -> None:
    """Colours are half as fine as the picture: an odd step would put them beside what they colour."""
    inner = np.concatenate([np.full((4, 4), 200, np.uint8), np.full((2, 4), 90, np.uint8)])
    whole = letterbox(inner, width=width, height=height)
    assert whole.dtype == np.uint8
    rows, columns = np.nonzero(whole[:height] == 200)
    # In the middle, or as near to it as the grid allows.
    assert abs(rows.min() - (height - 4) / 2) <= 1 and abs(columns.min() - (width - 4) / 2) <= 1
    top, left = int(rows.min()), int(columns.min())
    assert (top % 2, left % 2, rows.size) == (0, 0, 16)
    for plane in np.split(whole.reshape(-1)[width * height :], 2):
        coloured = np.argwhere(plane.reshape(height // 2, width // 2) == 90)
        assert [tuple(at) for at in coloured] == [
            (top // 2 + row, left // 2 + column) for row in range(2) for column in range(2)
        ]


def test_a_narrow_picture_stands_in_the_middle_of_black() -> None:
    inner = np.concatenate([np.full((4, 4), 200, np.uint8), np.full((2, 4), 90, np.uint8)])
    whole = letterbox(inner, width=8, height=4)
    assert whole.shape == (6, 8)
    assert whole[:4].tolist() == [[16, 16, 200, 200, 200, 200, 16, 16]] * 4
    assert whole[4:].reshape(-1).tolist() == [128, 90, 90, 128] * 4
    assert letterbox(whole, 8, 4) is whole


def test_a_source_that_stops_is_held_and_then_becomes_the_slate_within_three_seconds() -> None:
    switch = next_switch(Switch(), READY_TICKS_MIN)
    assert switch.on_air == "source"
    shown = []
    for _ in range(3 * TICKS_PER_SECOND):
        switch = next_switch(switch, 0)
        shown.append(switch.on_air)
    assert shown == ["held"] * HELD_TICKS_MAX + ["slate"] * (3 * TICKS_PER_SECOND - HELD_TICKS_MAX)
    assert "slate" in shown


def test_a_source_that_returns_is_taken_up_when_enough_of_it_waits() -> None:
    assert [next_switch(Switch(), ready).on_air for ready in range(READY_TICKS_MIN + 1)] == [
        "slate"
    ] * READY_TICKS_MIN + ["source"]
    assert next_switch(Switch("held", 40), 1) == Switch("source")

from hypothesis import given
from hypothesis import strategies as st

from prikkfri.assurance.segments import Segment, dimensions_of, segment_of
from prikkfri.journal import Outcome

segments = st.dictionaries(st.sampled_from(["service", "layer", "partner", "a"]), st.sampled_from("xy")).map(Segment.of)


def test_a_segment_is_said_with_the_service_first() -> None:
    segment = Segment.of({"partner": "Telia", "layer": "link", "service": "messages"})
    assert str(segment) == "service=messages, layer=link, partner=Telia"
    assert str(Segment()) == "everything"
    assert (segment.get("partner"), segment.get("region")) == ("Telia", "")
    assert str(segment.without("layer")) == "service=messages, partner=Telia"
    assert str(segment.base) == "service=messages, layer=link"


def test_an_outcome_lies_in_its_own_words_and_no_dimension_hides_them() -> None:
    known = {"time": 1.0, "service": "messages", "step": "deliver", "layer": "link", "verdict": "kept"}
    outcome = Outcome(**known, observed=False, dimensions={"layer": "mine", "partner": "Telia"})  # type: ignore[arg-type]
    assert str(segment_of(outcome)) == "service=messages, step=deliver, layer=link, seen=reported, partner=Telia"


def test_a_segment_is_the_same_in_whatever_order_it_is_said() -> None:
    said = {
        "partner": "Telia",
        "seen": "reported",
        "layer": "link",
        "step": "deliver",
        "service": "messages",
        "class": "code",
    }
    segment = Segment.of(said)
    assert segment == Segment.of(dict(reversed(said.items())))
    assert str(segment) == "service=messages, step=deliver, layer=link, seen=reported, class=code, partner=Telia"
    assert segment.base == Segment.of({name: said[name] for name in ("service", "step", "layer", "seen")})
    assert segment.without("service", "seen", "class", "colour") == Segment.of(
        {"partner": "Telia", "layer": "link", "step": "deliver"}
    )


def test_what_holds_what_and_what_meets_what() -> None:
    telia, inwards = Segment.of({"partner": "Telia"}), Segment.of({"direction": "in"})
    both, tre = Segment.of({"partner": "Telia", "direction": "in"}), Segment.of({"partner": "Tre"})
    assert telia.holds(both) and inwards.holds(both) and not both.holds(telia)
    assert not telia.holds(tre) and not telia.holds(inwards) and not telia.holds(Segment())
    assert telia.meets(inwards) and both.meets(telia) and Segment().meets(tre)
    assert not telia.meets(tre) and not both.meets(tre)


def test_what_a_role_saw_and_what_a_device_says_are_told_apart() -> None:
    known = {"time": 1.0, "service": "messages", "step": "deliver", "layer": "link", "verdict": "kept"}
    seen = Outcome(**known, dimensions={"partner": "Telia"})  # type: ignore[arg-type]
    said = Outcome(**known, observed=False, dimensions={"partner": "Telia"})  # type: ignore[arg-type]
    assert dimensions_of(seen) == {"service": "messages", "step": "deliver", "layer": "link", "partner": "Telia"}
    assert dimensions_of(said) == {**dimensions_of(seen), "seen": "reported"}


@given(segments, segments, segments)
def test_holding_is_an_order_and_meeting_is_mutual(one: Segment, two: Segment, three: Segment) -> None:
    assert one.holds(one)
    assert Segment().holds(one)
    assert not (one.holds(two) and two.holds(one)) or one == two
    assert not (one.holds(two) and two.holds(three)) or one.holds(three)
    assert one.meets(two) == two.meets(one)
    if one.holds(two):
        assert one.meets(two)

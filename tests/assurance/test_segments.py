from hypothesis import given
from hypothesis import strategies as st

from prikkfri.assurance.segments import Segment, segment_of
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


@given(segments, segments, segments)
def test_holding_is_an_order_and_meeting_is_mutual(one: Segment, two: Segment, three: Segment) -> None:
    assert one.holds(one)
    assert Segment().holds(one)
    assert not (one.holds(two) and two.holds(one)) or one == two
    assert not (one.holds(two) and two.holds(three)) or one.holds(three)
    assert one.meets(two) == two.meets(one)
    if one.holds(two):
        assert one.meets(two)

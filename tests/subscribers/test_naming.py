"""Finding somebody by the name that was typed."""

import pytest

from prikkfri.subscribers.naming import is_named, words_of
from prikkfri.subscribers.service import subscribers_named
from prikkfri.subscribers.subscriptions import Subscriber


@pytest.mark.parametrize(
    ("name", "typed", "theirs"),
    [
        ("Kari Nordmann", "kari", True),
        ("Kari Nordmann", "NORDMANN  kari", True),
        ("Kari Nordmann", "nord", True),
        ("Kari Nordmann", "mann", False),
        ("Kari Nordmann", "kari kari", False),
        ("Kari Karlsen", "kar kari", True),  # the short word takes no long one's place
        ("Kari Nordmann", "", False),
        ("Kari Nordmann", "kari berg", False),
        ("Anne-Marie Dahl", "marie", True),
        ("Renée Berg", "renee berg", True),
        ("Åse Øye", "ÅSE øye", True),
        ("Åse Øye", "ase", False),
        ("", "kari", False),
    ],
)
def test_a_name_is_found_by_the_beginnings_of_its_words(name: str, typed: str, theirs: bool) -> None:
    assert is_named(name, words_of(typed)) is theirs


async def test_all_are_looked_through_some_at_a_time_until_there_are_enough() -> None:
    people = [Subscriber(f"s-{n}", "Kari Berg" if n % 3 == 0 else "Ola Berg", "") for n in range(10)]
    asked = []

    async def page(after: str) -> list[Subscriber]:
        asked.append(after)
        return [each for each in people if each.id > after][:3]

    assert [each.id for each in await subscribers_named(page, "kari", most=9)] == ["s-0", "s-3", "s-6", "s-9"]
    assert asked == ["", "s-2", "s-5", "s-8", "s-9"]
    asked.clear()
    assert [each.id for each in await subscribers_named(page, "kari", most=2)] == ["s-0", "s-3"]
    assert asked == ["", "s-2"]
    assert await subscribers_named(page, " ", most=2) == [] and len(asked) == 2

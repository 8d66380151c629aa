"""What hurts is asked for twice: a page between the click and the deed, which needs no JavaScript."""

from collections.abc import Mapping
from dataclasses import dataclass

from prikkfri.protocols.asgi import HttpResponse
from prikkfri.web.console.pages import ConsoleRequest, ShowPage

NOT_SURE = "Nothing is done yet: say `sure`=`yes`."


@dataclass(frozen=True)
class Confirmation:
    """What is asked of whoever clicked."""

    question: str
    effect: str
    """What it does to others."""
    label: str
    """Of the button that does it."""


def ask_first(
    show: ShowPage, request: ConsoleRequest, who: str, sure: Confirmation, *, fields: Mapping[str, str], back: str
) -> HttpResponse:
    """The page that asks. Its form is sent to where the first came from, with `fields` and that somebody is sure."""
    return show(
        "confirm.html", request, who, status=422, trouble=NOT_SURE, question=sure.question, effect=sure.effect,
        label=sure.label, fields=fields, back=back,
    )  # fmt: skip

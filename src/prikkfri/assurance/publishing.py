"""What the public is told: the overview as a summary document in the shape that Statuspage made common.

What fails for a few is the console's matter: a component is out when enough customers are hit (`status.weigh`).
It never says more than is known. Statuspage has no word for "not known", so a component of which nothing is known is
`degraded_performance` and its description says what is meant; our own `state` and `since` stand beside it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo
from typing import Any, Literal
from zoneinfo import ZoneInfo

from prikkfri.assurance.overview import Breakage, Overview, RoleState
from prikkfri.assurance.status import Severity, Statement, open_statements, weigh
from prikkfri.journal import role_of
from prikkfri.protocols.iso8601 import iso

KNOWN_SECONDS = 60.0
"""How long a document may be told as the present; assurance publishes every few seconds."""
PAGE_ID = "prikkfri"

State = Literal["operational", "partial_outage", "major_outage", "unknown"]


@dataclass(frozen=True)
class Component:
    """A part of the service as the public knows it, and what it stands on."""

    id: str
    name: str
    service: str
    steps: tuple[str, ...]
    """Empty: every step of the service."""
    roles: tuple[str, ...]

    def concerns(self, service: str, step: str) -> bool:
        return service == self.service and (not self.steps or step in self.steps)


COMPONENTS = (
    Component("sign-in", "Signing in", "television", ("enter", "sign-in", "playback-token"), ("signin", "door")),
    Component("watch", "Watching", "television", ("start-playback", "switch-channel", "watch"), ("playout",)),
    Component("messages", "Text messages", "messages", (), ("sms",)),
)
_STATUS = {
    "operational": "operational",
    "partial_outage": "partial_outage",
    "major_outage": "major_outage",
    "unknown": "degraded_performance",
}
_TOLD = {
    "operational": None,
    "unknown": "Not known right now",
    "partial_outage": "Partial disruption",
    "major_outage": "Major disruption",
}
_SEVERITY = ("operational", "unknown", "partial_outage", "major_outage")
_OVERALL = {
    "operational": ("none", "All Systems Operational"),
    "unknown": ("minor", "Not Everything Is Known Right Now"),
    "partial_outage": ("major", "Partial System Outage"),
    "major_outage": ("critical", "Major Service Outage"),
}


def summary(
    overview: Overview,
    roles: Sequence[RoleState],
    *,
    operator: str,
    url: str,
    zone: ZoneInfo,
    told: Sequence[Statement] = (),
) -> dict[str, Any]:
    """The document for `/api/v2/summary.json`; `told` is what the public is told of incidents.

    Its times are those of `zone`, as those in the texts of `told` are to be.
    """
    states = {component.id: _state(component, overview, roles, told) for component in COMPONENTS}
    found: list[State] = [state for state, _ in states.values()]
    # What is told or broken outside of every component is no reason to say that all is well.
    found += [each.severity for each in told if not each.over]
    found += [_broken(breakage) for breakage in overview.breakages]
    worst = max(found, key=_SEVERITY.index)
    indicator, description = _OVERALL[worst]
    updated_at = iso(overview.at, zone)
    return {
        "page": _page(operator, url, zone, updated_at),
        "status": {"indicator": indicator, "description": description, "state": worst},
        "components": [
            _component(component, *states[component.id], position, updated_at, zone)
            for position, component in enumerate(COMPONENTS, 1)
        ],
        "incidents": [_incident(statement, zone) for statement in told],
        "scheduled_maintenances": [],
    }


def _page(operator: str, url: str, zone: ZoneInfo, updated_at: str) -> dict[str, str]:
    return {"id": PAGE_ID, "name": operator, "url": url, "time_zone": zone.key, "updated_at": updated_at}


def _incident(statement: Statement, zone: tzinfo) -> dict[str, Any]:
    """An incident in Statuspage's shape; beside it, in our own fields, the promises to the public and the languages."""
    return {
        "id": statement.id,
        "name": statement.title["en"],
        "names": dict(statement.title),
        "status": statement.stage,
        "state": statement.state,
        "impact": "critical" if statement.severity == "major_outage" else "major",
        "started_at": iso(statement.since, zone),
        "created_at": iso(statement.since, zone),
        "updated_at": iso(statement.updated_at, zone),
        "resolved_at": iso(statement.resolved_at, zone) if statement.resolved_at else None,
        "expected_at": _promised(statement, statement.expected_solution_at, zone),
        "next_update_at": _promised(statement, statement.next_update_at, zone),
        "page_id": PAGE_ID,
        "shortlink": "",
        "incident_updates": [
            {
                "id": f"{statement.id}-{update.at:.0f}-{update.stage}",
                "incident_id": statement.id,
                "status": update.stage,
                "body": update.body["en"],
                "bodies": dict(update.body),
                "created_at": iso(update.at, zone),
                "updated_at": iso(update.at, zone),
            }
            for update in statement.updates
        ],
    }


def _promised(statement: Statement, moment: float | None, zone: tzinfo) -> str | None:
    """A promise to the public that still stands: none does, kept or not, once it is over."""
    return iso(moment, zone) if moment and not statement.over else None


def _state(
    component: Component, overview: Overview, roles: Sequence[RoleState], told: Sequence[Statement]
) -> tuple[State, float | None]:
    """The state, the worst of what is known, and since when it is so when that is known."""
    faults: list[tuple[Severity, float]] = [
        *((each.severity, each.since) for each in open_statements(told, component.service, component.steps)),
        *((_broken(b), b.since) for b in overview.breakages if component.concerns(b.service, b.step)),
    ]
    faults = [each for each in faults if each[0] != "operational"]
    if faults:
        return max((state for state, _ in faults), key=_SEVERITY.index), min(since for _, since in faults)
    unseen = [since for stream, since in overview.blind if role_of(stream) in component.roles]
    unseen += [role.since for role in roles if role.role in component.roles and role.answers is not True]
    if unseen:
        return "unknown", min(unseen) or None
    return "operational", None


def _broken(breakage: Breakage) -> Severity:
    return weigh(breakage.hit, breakage.asked)


def _component(
    component: Component, state: State, since: float | None, position: int, updated_at: str, zone: tzinfo
) -> dict[str, Any]:
    return {
        "id": component.id,
        "name": component.name,
        "status": _STATUS[state],
        "state": state,
        "since": iso(since, zone) if since else None,
        "description": _TOLD[state],
        "position": position,
        "page_id": PAGE_ID,
        "group_id": None,
        "group": False,
        "showcase": True,
        "only_show_if_degraded": False,
        "start_date": None,
        "created_at": updated_at,
        "updated_at": updated_at,
    }


def as_known(document: Mapping[str, Any], now: float) -> dict[str, Any]:
    """`document` as it may be told at `now`: what has not been confirmed for `KNOWN_SECONDS` is not known any more.

    Whatever was said to work is then `degraded_performance` and `unknown`; whatever was said to fail stays so, and
    `status.last_known` keeps what was last said. Raises `ValueError` when it has no `page.updated_at`.
    """
    told: dict[str, Any] = {**document}
    since = document["page"]["updated_at"]
    if now - moment(since) <= KNOWN_SECONDS:
        return told
    status = document["status"]
    told["components"] = [_forgotten(component, since) for component in document["components"]]
    told["status"] = {
        "indicator": "minor" if status["indicator"] == "none" else status["indicator"],
        "description": f"Not Known Since {since}; Last Known: {status['description']}",
        "state": "unknown",
        "last_known": status,
    }
    return told


def _forgotten(component: Mapping[str, Any], since: str) -> dict[str, Any]:
    if component["status"] != "operational":
        return {**component}
    forgotten = {"status": _STATUS["unknown"], "state": "unknown", "since": since}
    return {**component, **forgotten, "description": _TOLD["unknown"]}


def unknown_summary(operator: str, url: str, zone: ZoneInfo) -> dict[str, Any]:
    """The document of a status page that has never been told anything."""
    page = _page(operator, url, zone, iso(0, zone))
    status = {"indicator": "minor", "description": "Not Known Yet", "state": "unknown"}
    return {"page": page, "status": status, "components": [], "incidents": [], "scheduled_maintenances": []}


def moment(text: str) -> float:
    """Seconds since 1970 UTC of an ISO 8601 time with its zone. Raises `ValueError`."""
    parsed = datetime.fromisoformat(text)
    if parsed.tzinfo is None:
        raise ValueError(f"{text!r} says no zone")
    return parsed.timestamp()

"""What the status page says, in Norwegian (bokmål), Swedish and English, and which of them a reader wants."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, tzinfo
from typing import Any

LANGUAGES = {"nb": "Norsk", "sv": "Svenska", "en": "English"}
DEFAULT_LANGUAGE = "en"
_NEIGHBOURS = {"no": "nb", "nn": "nb", "da": "nb"}
"""Languages whose readers are best served by another's."""
HEADER_CHARACTERS_MAX = 500

WORDS: Mapping[str, Mapping[str, str]] = {
    "en": {
        "title": "{operator}: status",
        "status": "Status",
        "operational": "Everything works",
        "unknown": "We do not know right now",
        "unknown_some": "We do not know everything right now",
        "partial_outage": "{parts}: partial disruption",
        "major_outage": "{parts}: major disruption",
        "elsewhere": "Some services",
        "stale": "Nothing has reached this page since {time}. Last known then: {last}.",
        "never": "This page has not been told anything yet. It looks again by itself.",
        "parts": "Parts of the service",
        "component.sign-in": "Signing in",
        "component.watch": "Watching",
        "component.messages": "Text messages",
        "state.operational": "Works",
        "state.unknown": "Not known",
        "state.degraded_performance": "Unstable",
        "state.partial_outage": "Partial disruption",
        "state.major_outage": "Major disruption",
        "state.under_maintenance": "Being maintained",
        "since": "since {time}",
        "incidents": "What we are working on",
        "earlier": "Earlier",
        "maintenances": "Planned",
        "next_update": "Next update at {time}",
        "next_update_overdue": "The update promised for {time} is late",
        "expected": "Expected to be solved at {time}",
        "expected_overdue": "Was expected to be solved at {time}; that did not hold",
        "updated": "Updated {age} ago",
        "never_updated": "Not updated yet",
        "s": "{n} s",
        "min": "{n} min",
        "h": "{n} h",
        "d": "{n} d",
        "times": "Times in {zone}.",
        "machines": "For machines",
        "language": "Language",
        "offline": "This page cannot be reached right now; what stands here was fetched at {time}.",
    },
    "nb": {
        "title": "{operator}: driftsstatus",
        "status": "Driftsstatus",
        "operational": "Alt virker",
        "unknown": "Status er ukjent akkurat nå",
        "unknown_some": "Vi vet ikke alt akkurat nå",
        "partial_outage": "{parts}: noen problemer",
        "major_outage": "{parts}: store problemer",
        "elsewhere": "Enkelte tjenester",
        "stale": "Ingenting har nådd denne siden siden {time}. Sist kjent da: {last}.",
        "never": "Siden har ikke fått noen opplysninger ennå. Den oppdaterer seg selv.",
        "parts": "Deler av tjenesten",
        "component.sign-in": "Innlogging",
        "component.watch": "TV-bildet",
        "component.messages": "Tekstmeldinger",
        "state.operational": "Virker",
        "state.unknown": "Ukjent",
        "state.degraded_performance": "Ustabilt",
        "state.partial_outage": "Noen problemer",
        "state.major_outage": "Store problemer",
        "state.under_maintenance": "Vedlikehold pågår",
        "since": "siden {time}",
        "incidents": "Dette arbeider vi med",
        "earlier": "Tidligere",
        "maintenances": "Planlagt",
        "next_update": "Neste oppdatering kl. {time}",
        "next_update_overdue": "Oppdateringen vi lovet kl. {time}, er forsinket",
        "expected": "Ventes løst kl. {time}",
        "expected_overdue": "Skulle vært løst kl. {time}; det holdt ikke",
        "updated": "Oppdatert for {age} siden",
        "never_updated": "Ikke oppdatert ennå",
        "s": "{n} s",
        "min": "{n} min",
        "h": "{n} t",
        "d": "{n} d",
        "times": "Tider i {zone}.",
        "machines": "For maskiner",
        "language": "Språk",
        "offline": "Siden kan ikke nås akkurat nå; det som står her, ble hentet kl. {time}.",
    },
    "sv": {
        "title": "{operator}: driftstatus",
        "status": "Driftstatus",
        "operational": "Allt fungerar",
        "unknown": "Statusen är okänd just nu",
        "unknown_some": "Vi vet inte allt just nu",
        "partial_outage": "{parts}: vissa störningar",
        "major_outage": "{parts}: stora störningar",
        "elsewhere": "Vissa tjänster",
        "stale": "Inget har nått den här sidan sedan {time}. Senast känt då: {last}.",
        "never": "Sidan har inte fått några uppgifter än. Den uppdateras av sig själv.",
        "parts": "Delar av tjänsten",
        "component.sign-in": "Inloggning",
        "component.watch": "Tv-bilden",
        "component.messages": "Sms",
        "state.operational": "Fungerar",
        "state.unknown": "Okänt",
        "state.degraded_performance": "Instabilt",
        "state.partial_outage": "Vissa störningar",
        "state.major_outage": "Stora störningar",
        "state.under_maintenance": "Underhåll pågår",
        "since": "sedan {time}",
        "incidents": "Det här arbetar vi med",
        "earlier": "Tidigare",
        "maintenances": "Planerat",
        "next_update": "Nästa uppdatering kl. {time}",
        "next_update_overdue": "Uppdateringen vi lovade kl. {time} är försenad",
        "expected": "Väntas vara löst kl. {time}",
        "expected_overdue": "Skulle ha varit löst kl. {time}; det höll inte",
        "updated": "Uppdaterat för {age} sedan",
        "never_updated": "Inte uppdaterat än",
        "s": "{n} s",
        "min": "{n} min",
        "h": "{n} h",
        "d": "{n} d",
        "times": "Tider i {zone}.",
        "machines": "För maskiner",
        "language": "Språk",
        "offline": "Sidan kan inte nås just nu; det som står här hämtades kl. {time}.",
    },
}
_MONTHS = {
    "en": ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"],
    "nb": ["jan.", "feb.", "mars", "april", "mai", "juni", "juli", "aug.", "sep.", "okt.", "nov.", "des."],
    "sv": ["jan.", "feb.", "mars", "april", "maj", "juni", "juli", "aug.", "sep.", "okt.", "nov.", "dec."],
}


_ZONES: Mapping[str, Mapping[str, str]] = {
    "Europe/Oslo": {"en": "Norwegian time", "nb": "norsk tid", "sv": "norsk tid"},
    "Europe/Stockholm": {"en": "Swedish time", "nb": "svensk tid", "sv": "svensk tid"},
}


_STATES = {"none": "operational", "minor": "partial_outage", "major": "partial_outage", "critical": "major_outage"}
"""What is said for a status that gives only Statuspage's indicator."""
_TONES = {"operational": "kept", "unknown": "warning", "partial_outage": "warning", "major_outage": "broken"}


def state_of(status: Mapping[str, Any]) -> str:
    state: str = status.get("state") or _STATES[status["indicator"]]
    return state


def tone(document: Mapping[str, Any]) -> str:
    return _TONES[state_of(document["status"])]


def headline(document: Mapping[str, Any], words: Mapping[str, str]) -> str:
    status = document["status"]
    known_in_part = status.get("state") == "unknown" and "last_known" not in status and document["components"]
    said = words["unknown_some" if known_in_part else state_of(status)]
    return plain(said, document["components"], state_of(status), words)


def plain(said: str, components: Sequence[Mapping[str, Any]], state: str, words: Mapping[str, str]) -> str:
    """With the parts of the service that stand in this state by name."""
    names = [
        words.get(f"component.{each['id']}", each["name"])
        for each in components
        if (each.get("state") or each["status"]) == state
    ]
    return said.format(parts=", ".join(names) or words["elsewhere"])


def zone_said(key: str, language: str) -> str:
    """`norsk tid` of Europe/Oslo; the name of a zone that nobody here has a word for."""
    return _ZONES.get(key, {}).get(language, key)


def particulars(document: Mapping[str, Any], words: Mapping[str, str], time: Callable[[str], str]) -> str:
    """What stands under the headline: why nothing is known, and what was known last."""
    status = document["status"]
    if "last_known" in status:
        state = state_of(status["last_known"])
        last = plain(words[state], document["components"], state, words)
        return words["stale"].format(time=time(document["page"]["updated_at"]), last=last)
    return "" if document["components"] else words["never"]


def wanted_language(accept_language: str) -> str:
    """The language of ours that a reader's browser ranks highest (RFC 9110, 12.5.4)."""
    ranked: list[tuple[float, int, str]] = []
    for place, part in enumerate(accept_language[:HEADER_CHARACTERS_MAX].split(",")):
        tag, _, weight = part.partition(";")
        primary = tag.strip().lower().partition("-")[0]
        language = _NEIGHBOURS.get(primary, primary)
        try:
            quality = float(weight.strip().removeprefix("q=")) if weight.strip() else 1.0
        except ValueError:
            continue
        if language in LANGUAGES and quality > 0:
            ranked.append((-quality, place, language))
    return min(ranked)[2] if ranked else DEFAULT_LANGUAGE


def time_said(moment: float, now: float, zone: tzinfo, language: str) -> str:
    """`21:03` today, `19 Aug 21:03` on another day."""
    then = datetime.fromtimestamp(moment, zone)
    if then.date() == datetime.fromtimestamp(now, zone).date():
        return f"{then:%H:%M}"
    day = f"{then.day}" if language == "en" else f"{then.day}." if language == "nb" else f"{then.day}"
    return f"{day} {_MONTHS[language][then.month - 1]} {then:%H:%M}"


def age_said(seconds: float, language: str) -> str:
    for limit, size, unit in ((100, 1, "s"), (6_000, 60, "min"), (172_800, 3_600, "h")):
        if seconds < limit:
            return WORDS[language][unit].format(n=int(max(seconds, 0) // size))
    return WORDS[language]["d"].format(n=int(seconds // 86_400))

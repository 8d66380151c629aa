"""Notices: drafts of what must be told to authorities and to those hit, with the time by which the law asks for it.

A draft holds the facts that the system has, says which it lacks, and is sent by a person: whether the law applies is
for people to judge. Times run from the moment when the operator became aware, which is the confirmation.

Sources: Regulation (EU) 2016/679 (GDPR) articles 33 (72 hours, supervisory authority) and 34 (those concerned, where
the risk is high); Commission Regulation (EU) 611/2013 article 2 (24 hours, a provider of public electronic
communications whose customers' personal data was breached); Directive (EU) 2022/2555 (NIS 2) article 23 (early warning
within 24 hours, notification within 72 hours).
"""

from collections import Counter
from dataclasses import dataclass

from prikkfri.assurance import plain
from prikkfri.assurance.impact import ExposureFigures
from prikkfri.assurance.incidents import Incident
from prikkfri.config import SENSITIVE_CLASSES

HOUR = 3_600.0


@dataclass(frozen=True)
class Notice:
    to: str
    basis: str
    """The clause that asks for it."""
    due_at: float
    text: str
    lacking: tuple[str, ...]
    """What the clause asks for and the system does not know."""

    def overdue(self, now: float) -> bool:
        return now > self.due_at


def notices(incident: Incident, exposed: ExposureFigures | None, *, hit: int | None) -> tuple[Notice, ...]:
    """The drafts for an incident, the most urgent first; none while it is only suspected.

    `exposed`: None where nobody knows, which is drafted as none.
    """
    if incident.confirmed_at is None or incident.dismissed:
        return ()
    aware = incident.confirmed_at
    what = _facts(incident, exposed, hit)
    drafts = [
        Notice(
            "the authority for network and information security",
            "NIS 2, article 23(4)(a): early warning, if the incident is significant",
            aware + 24 * HOUR,
            what,
            ("whether an unlawful or malicious act is suspected", "whether other countries are affected"),
        )
    ]
    if exposed:
        lacking = ("the likely consequences", "the contact point", *(() if hit else ("who read the messages",)))
        drafts += [
            Notice(
                "the authority for electronic communications",
                "Regulation (EU) 611/2013, article 2(2): personal data breach",
                aware + 24 * HOUR,
                what,
                lacking,
            ),
            Notice("the data protection authority", "GDPR, article 33", aware + 72 * HOUR, what, lacking),
        ]
        if sensitive_count(exposed):
            text = (
                "A message meant for you may have reached a stranger. If it held a code or a link to sign in with, do"
                " not use it, and ask its sender for a new one."
            )
            drafts.append(Notice("those to whom the messages were sent", "GDPR, article 34", aware, text, ()))
    return tuple(sorted(drafts, key=lambda draft: draft.due_at))


def sensitive_count(exposed: ExposureFigures) -> int:
    return sum(count for name, count in exposed.by_class.items() if name in SENSITIVE_CLASSES)


def _facts(incident: Incident, exposed: ExposureFigures | None, hit: int | None) -> str:
    where = "; ".join(plain.place(segment) for segment in incident.segments)
    lines = [f"Where: {where}.", f"Customers hit: {'not known yet' if hit is None else hit}."]
    if exposed:
        classes = Counter[str]()
        for name, count in exposed.by_class.items():
            classes[name or "unclassified"] += count
        told = ", ".join(f"{count} {name}" for name, count in classes.most_common())
        lines.append(
            f"Messages that went that way: {exposed.messages} ({told}); which of them a stranger saw is not known."
        )
    lines.append("Measures: " + ("; ".join(_measures(incident)) or "none yet") + ".")
    return "\n".join(lines)


def _measures(incident: Incident) -> list[str]:
    return [entry.text for entry in incident.timeline if entry.kind in ("mitigate", "act") and entry.text]

"""What a rehearsal can be staged without, to see that the check which a mechanism stands for goes red."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from prikkfri.simulation.faults import Fault


@dataclass(frozen=True)
class Mechanism:
    """Something that the product does, and how it is switched off."""

    what: str
    settings: Mapping[str, str] = field(default_factory=dict)
    """As in the environment of the roles."""
    role: str = ""
    """The role that is not started."""
    fault: Fault = "kill"
    """In which evening it shows."""


NEVER = "1e9"
KICKOFF: Mapping[str, Mechanism] = {
    "long-tokens": Mechanism(
        "playback tokens that outlive the evening",
        {"PRIKKFRI_STREAMING_TOKEN_LIFETIME_HOURS": "0.004", "PRIKKFRI_STREAMING_EXPIRED_TOKEN_GRACE_HOURS": "0"},
    ),
    "fallback-rule": Mechanism("the rule that opens the channel", {"PRIKKFRI_STREAMING_FALLBACK_AFTER_SECONDS": NEVER}),
    "detection": Mechanism(
        "the tests of detection, and the rule whose word is a sign beside them (each makes up for the other)",
        {
            "PRIKKFRI_ASSURANCE_FALSE_ALARMS_PER_YEAR": "1e-300",
            "PRIKKFRI_STREAMING_FALLBACK_AFTER_SECONDS": NEVER,
        },
    ),
    "grace-times": Mechanism(
        "grace times, after which an unanswered promise is broken",
        {"PRIKKFRI_ASSURANCE_SIGN_IN_GRACE_SECONDS": NEVER, "PRIKKFRI_ASSURANCE_LINE_GRACE_SECONDS": NEVER},
    ),
    "waiting-room": Mechanism("the waiting room", {"PRIKKFRI_DOOR_WAITING_ROOM": "off"}, fault="crowd"),
    "remedies": Mechanism("the policy of service credits", {"PRIKKFRI_ASSURANCE_REMEDIES": "[]"}),
    "telling": Mechanism("the account in whose name customers are told", {"PRIKKFRI_ASSURANCE_TELL_ACCOUNT": ""}),
    "status": Mechanism("the status page", role="status"),
    "assurance": Mechanism("assurance, whole", role="assurance"),
}
MISDELIVERY: Mapping[str, Mechanism] = {
    "canaries": Mechanism("canaries", {"PRIKKFRI_SMS_CANARIES": "[]"}),
    "canary-rule": Mechanism("the rule that stops a route", {"PRIKKFRI_SMS_CANARY_RULE": "watch"}),
    "detection": Mechanism("detection", {"PRIKKFRI_ASSURANCE_FALSE_ALARMS_PER_YEAR": "1e-300"}),
}
"""By the name that `--without` takes."""

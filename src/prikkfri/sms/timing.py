"""How long the message centre waits and how often it looks: one value, given by whoever builds it."""

from dataclasses import dataclass

from prikkfri.sms.delivery import RECONNECT_SECONDS


@dataclass(frozen=True, kw_only=True)
class Timing:
    look_seconds: float = 1.0
    """How often we look for what has become due while nothing else wakes us."""
    storage_pause_seconds: float = 1.0
    """How long a party waits whose events the database would not take."""
    bind_seconds_max: float = 5.0
    """How long a connection may take to bind."""
    wrong_password_seconds: float = 1.0
    """How long a bind that is refused, for whatever reason, waits for its answer."""
    connect_seconds_max: float = 10.0
    reconnect_seconds: float = RECONNECT_SECONDS
    """Before the first try to bind a link again; each further pause is twice as long (`delivery.reconnect_pause`)."""
    take_over_seconds: float = 5.0
    """A link on which nobody has been bound for so long is down, and others take its messages."""
    give_back_seconds_max: float = 30.0
    """A link that is back waits at most so long for the one that stood in for it to send what came before."""
    leave_seconds_max: float = 3.0
    """How long peers have to answer our unbind."""
    early_receipt_seconds: float = 120.0
    """A receipt may overtake the answer that tells its message's id by this much: what fits nothing then is held."""
    early_receipt_look_seconds: float = 0.25
    """Before one that fits nothing is looked at once more; after that, when its answer comes or its time is up."""
    held_told_seconds: float = 60.0
    """How often, at most, the log says of a link that its receipts fit nothing or are not known."""
    receipt_retry_seconds: float = 15.0
    """Before an account is told again what it would not hear, or did not answer."""
    unreported_seconds: float = 3_600.0
    """After its expiry a message whose receipt never came counts as unreported."""
    left_waiting_seconds: float = 3_600.0
    """Of older messages that wait for an account nobody is to hear any more when its last connection ends."""
    count_every_seconds: float = 5.0
    """How often we look for whom as much waits as may wait."""
    holders_seconds_max: float = 1.0
    """Whoever is asked who holds a number and has not answered by then is not waited for."""
    holders_pause_seconds: float = 10.0
    """So long it is not asked again then."""
    mark_seconds: float = 1.0
    """How often, at most, it is noted how far the centre has come: what was committed after that is not missed."""
    mark_seconds_max: float = 3.0
    """A note that is not written after so long is said to be in trouble, and not waited for when the centre stops."""
    erase_every_seconds: float = 600.0
    clock_step_seconds: float = 5.0
    """A clock that goes off by so much between two looks has been set."""
    clock_steady_seconds: float = 3_600.0
    """After that no sealing key is destroyed for so long: it may have been set wrongly."""
    judge_seconds: float = 0.5
    """How often canaries are judged."""
    canaries_kept_seconds: float = 2 * 86_400.0
    hints_weighed_seconds: float = 30.0
    """How often the hints of a route, or that there were none, are weighed against what went over it."""


TIMING = Timing()

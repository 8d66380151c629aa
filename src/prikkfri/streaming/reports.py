"""Reports: what a customer's device says became of its promise.

Anybody may say anything: a report is marked as reported, moves no money, raises nothing and answers nothing. It says
whose device it is when it comes with a token of ours; without one it is marked as unproven, too.
"""

import re

import msgspec

from prikkfri.errors import RemoteProtocolError
from prikkfri.journal.outcomes import Outcome

REPORT_BYTES_MAX = 2048
LAYER_OF_STEP = {
    "open-page": "interface",
    "enter": "door",
    "sign-in": "signin",
    "playback-token": "door",
    "start-playback": "streams",
    "watch": "streams",
}
_DEVICE = re.compile(r"d-[A-Za-z0-9_-]{22}", re.ASCII)
_SLUG = re.compile(r"[a-z0-9][a-z0-9-]{0,63}", re.ASCII)


class Report(msgspec.Struct, frozen=True):
    device: str
    step: str
    kept: bool
    reason: str = ""
    channel: str = ""
    token: str = ""
    """A playback or device token, when the device has one and does not send it as a bearer token."""


def read_report(body: bytes) -> Report:
    """Raises `RemoteProtocolError` with one line for people."""
    if len(body) > REPORT_BYTES_MAX:
        raise RemoteProtocolError(f"a report has at most {REPORT_BYTES_MAX} bytes")
    try:
        report = msgspec.json.decode(body, type=Report)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise RemoteProtocolError(f"not a report: {error}") from None
    if not _DEVICE.fullmatch(report.device):
        raise RemoteProtocolError("`device` is d- and 22 base64url characters")
    if report.step not in LAYER_OF_STEP:
        raise RemoteProtocolError(f"`step` is one of {', '.join(LAYER_OF_STEP)}")
    if report.reason and not _SLUG.fullmatch(report.reason):
        raise RemoteProtocolError("`reason` is at most 64 small letters, digits and hyphens")
    if not report.kept and not report.reason:
        raise RemoteProtocolError("a broken promise needs a `reason`")
    return report


def reported(report: Report, now: float, customer: str = "") -> Outcome:
    """`customer`: whose token it came with; empty: it proves nothing."""
    dimensions = {"channel": report.channel} if report.channel else {}
    return Outcome(
        time=now,
        service="television",
        step=report.step,
        layer=LAYER_OF_STEP[report.step],
        verdict="kept" if report.kept else "broken",
        reason="" if report.kept else report.reason,
        customer=customer,
        device=report.device,
        observed=False,
        dimensions=dimensions if customer else {**dimensions, "proof": "none"},
    )

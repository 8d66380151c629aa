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
OTHER_REASON = "other"
REASONS = frozenset(
    # What a viewer says when no role answers or its picture stands still; what set-top boxes say as well.
    ("late", "no-answer", "no-progress", "stalled", "timeout", "unplayable", "unreachable",
     # What roles answer.
     "bad-command", "bad-origin", "bad-report", "bad-request", "bad-ticket", "bad-time", "bad-token",
     "database-unavailable", "expired", "headers-too-large", "in-doubt", "internal", "method-not-allowed", "no-picture",
     "no-session", "no-subscription", "not-entitled", "not-found", "not-your-pass", "not-yours", "overloaded",
     "pass-spent", "revoked", "too-large",
     "too-many-joins", "too-many-reports", "too-many-tries", "too-slow", "wrong-credentials", "wrong-origin",
     # The errors of hls.js, in small letters with hyphens.
     "aborted", "asset-list-load-error", "asset-list-load-timeout", "asset-list-parsing-error", "attach-media-error",
     "audio-track-load-error", "audio-track-load-time-out", "buffer-add-codec-error", "buffer-append-error",
     "buffer-append-no-progress", "buffer-appending-error", "buffer-full-error", "buffer-incompatible-codecs-error",
     "buffer-nudge-on-stall", "buffer-seek-over-hole", "buffer-stalled-error", "frag-decrypt-error", "frag-gap",
     "frag-load-error", "frag-load-time-out", "frag-parsing-error", "internal-exception",
     "interstitial-asset-item-error", "key-load-error", "key-load-time-out", "key-system-destroy-close-session-error",
     "key-system-destroy-media-keys-error", "key-system-destroy-remove-session-error",
     "key-system-license-request-failed", "key-system-no-access", "key-system-no-configured-license",
     "key-system-no-keys", "key-system-no-session", "key-system-server-certificate-request-failed",
     "key-system-server-certificate-update-failed", "key-system-session-update-failed",
     "key-system-status-internal-error", "key-system-status-output-restricted", "level-empty-error", "level-load-error",
     "level-load-time-out", "level-parsing-error", "level-switch-error", "manifest-incompatible-codecs-error",
     "manifest-load-error", "manifest-load-time-out", "manifest-parsing-error", "media-source-requires-reset",
     "playlist-unchanged-error", "remux-alloc-error", "subtitle-track-load-error", "subtitle-track-load-time-out",
     "unknown")
)  # fmt: skip
"""Beside the status of an answer (`http-502`) and the error of a video element (`media-3`). Anybody may write a report:
each word of its own would be a row of counts every few seconds, so that any other is `OTHER_REASON`."""
_NUMBERED = re.compile(r"http-[345][0-9]{2}|media-[1-4]", re.ASCII)
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
    known = not report.reason or report.reason in REASONS or _NUMBERED.fullmatch(report.reason)
    return report if known else msgspec.structs.replace(report, reason=OTHER_REASON)


def outcome_of(report: Report, now: float, customer: str = "") -> Outcome:
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

"""What networks hand in for others than our accounts: whose numbers it may be for, and where a loop is cut.

Our own network's customers write to anybody. A partner hands in what is for us: for our accounts, our canaries, our own
network's customers. Whatever else it hands in would leave over somebody else's link at our cost and in our name, or
come back to where it came from, round and round.
"""

import re
from collections.abc import Mapping

from prikkfri.protocols.smpp.concatenation import payload
from prikkfri.protocols.smpp.pdu import ShortMessage, Status
from prikkfri.protocols.smpp.receipt import is_receipt
from prikkfri.sms.routing import Party, Routes

LOOP, NO_TRANSIT, RECEIPT = "loop", "no-transit", "receipt-as-message"
STATUSES: Mapping[str, Status] = {
    LOOP: Status.INVALID_DESTINATION,
    NO_TRANSIT: Status.INVALID_DESTINATION,
    RECEIPT: Status.PERMANENT_APPLICATION_ERROR,
}
"""What a network is answered. Nothing of it gets better by trying again."""
_ESM_CLASS_TYPE, _ESM_CLASS_NOTIFICATION = 0x3C, 0x20
_RECEIPT_ID = re.compile(rb"\bid\s*:\s*\S", re.IGNORECASE)
_RECEIPT_STATE = re.compile(rb"\bstat\s*:\s*[a-z]", re.IGNORECASE)


def refused(message: ShortMessage, routes: Routes, origin: Party, recipient: str) -> str:
    """Why what a link hands in is not sent on over a link; empty: it may be, or there is no route that it could take.

    Of links only: an account sends to anybody.
    """
    if origin.kind != "link" or recipient in routes.short_codes or (matched := routes.prefix(recipient)) is None:
        return ""
    if resembles_receipt(message):
        return RECEIPT
    if routes.neighbour(origin) is None:
        return ""
    links = routes.prefixes[matched]
    if not routes.onward(links, origin):
        return LOOP
    ours = links[0] not in routes.neighbours or recipient in routes.canaries
    return "" if ours or origin.name in routes.transit else NO_TRANSIT


def resembles_receipt(message: ShortMessage) -> bool:
    """Whether it may tell of a message rather than be one. Wider than `is_receipt`: what is none is only not sent on,
    while a receipt that is sent on shows on somebody's phone."""
    if is_receipt(message) or message.esm_class & _ESM_CLASS_TYPE == _ESM_CLASS_NOTIFICATION:
        return True
    text = payload(message).replace(b"\0", b"")  # UTF-16 of such letters is they and zeros
    return bool(_RECEIPT_ID.search(text) and _RECEIPT_STATE.search(text))

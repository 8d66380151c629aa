"""What kind of client signs in: coarse, for finding where a fault is, never for deciding who gets in."""

_TELEVISIONS = ("smart-tv", "smarttv", "tizen", "webos", "web0s", "appletv", "googletv", "android tv", "bravia", "aft")
_PHONES = ("mobile", "iphone", "ipad", "android")
USER_AGENT_LENGTH_MAX = 512


def client_kind(user_agent: str) -> str:
    """`television`, `phone` (or tablet), `computer`, or `other`."""
    agent = user_agent[:USER_AGENT_LENGTH_MAX].lower()
    if any(word in agent for word in _TELEVISIONS):
        return "television"
    if any(word in agent for word in _PHONES):
        return "phone"
    return "computer" if "mozilla/" in agent else "other"

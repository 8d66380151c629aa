"""What kind of client signs in: coarse, for finding where a fault is, never for deciding who gets in."""

from functools import lru_cache

_TELEVISIONS = ("smart-tv", "smarttv", "tizen", "webos", "web0s", "appletv", "googletv", "android tv", "bravia", "aft")
_PHONES = ("mobile", "iphone", "ipad", "android")
USER_AGENT_LENGTH_MAX = 512
AGENTS_REMEMBERED = 1_024
"""Few browsers are very many people's."""


def client_kind(user_agent: str) -> str:
    """`television`, `phone` (or tablet), `computer`, or `other`."""
    return _kind(user_agent[:USER_AGENT_LENGTH_MAX])


@lru_cache(AGENTS_REMEMBERED)
def _kind(user_agent: str) -> str:
    agent = user_agent.lower()
    if any(word in agent for word in _TELEVISIONS):
        return "television"
    if any(word in agent for word in _PHONES):
        return "phone"
    return "computer" if "mozilla/" in agent else "other"


_APPS = (  # the first that is named counts: each of these names those below it as well
    ("Edg", "Edge"), ("OPR/", "Opera"), ("SamsungBrowser", "Samsung Internet"), ("Firefox/", "Firefox"),
    ("FxiOS/", "Firefox"), ("CriOS/", "Chrome"), ("Chrome/", "Chrome"), ("Safari/", "Safari"),
)  # fmt: skip
_SYSTEMS = (
    ("AppleTV", "Apple TV"), ("Apple TV", "Apple TV"), ("Tizen", "Samsung TV"), ("Web0S", "LG TV"), ("WebOS", "LG TV"),
    ("BRAVIA", "Sony TV"), ("GoogleTV", "Google TV"), ("Android TV", "Android TV"), ("iPad", "iPad"),
    ("iPhone", "iPhone"), ("Android", "Android"), ("CrOS", "ChromeOS"), ("Windows", "Windows"), ("Mac OS X", "Mac"),
    ("Macintosh", "Mac"), ("Linux", "Linux"),
)  # fmt: skip


def device_name(user_agent: str) -> str:
    """What people know their device by, in no language: `Firefox · Windows`; empty when nothing is told."""
    return _name(user_agent[:USER_AGENT_LENGTH_MAX])


@lru_cache(AGENTS_REMEMBERED)
def _name(agent: str) -> str:
    names = (next((name for mark, name in marks if mark in agent), "") for marks in (_APPS, _SYSTEMS))
    return " · ".join(filter(None, names))

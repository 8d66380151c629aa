"""Command keys that change while a role runs: what comes with another that is taken is handed on as if by its own."""

from dataclasses import replace

from starlette.types import ASGIApp, Receive, Scope, Send

from prikkfri.app.published import PLACES, reading_key
from prikkfri.app.roles import COMMANDED, Role
from prikkfri.clock import Clock
from prikkfri.config import Config
from prikkfri.protocols.asgi import bearer, same_secret
from prikkfri.storage.rotation import AcceptedKeys


def owned_keys(name: str) -> list[str]:
    """The names of the keys by which a role is told something."""
    return [
        *([name] if name in COMMANDED else []),
        *(["canaries"] if name == "sms" else []),
        *([reading_key(name)] if name in PLACES else []),
    ]


def taking_keys(application: ASGIApp, keys: AcceptedKeys) -> ASGIApp:
    """Hands on what comes with a key of `keys`, as if it came with that by which the role was put together."""

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        if keys.others and scope["type"] == "http" and (given := bearer(scope)):
            for other, built in keys.others.items():
                if same_secret(given, other):
                    kept = [(name, value) for name, value in scope["headers"] if name != b"authorization"]
                    scope = {**scope, "headers": [*kept, (b"authorization", f"Bearer {built}".encode())]}
                    break
        await application(scope, receive, send)

    return answer


def with_command_keys(role: Role, name: str, config: Config, clock: Clock) -> Role:
    """The role with command keys that a person can have changed. Raises `StorageError`."""
    if not (owned := owned_keys(name)):
        return role
    keys = AcceptedKeys(config.home, owned, clock)
    return replace(role, application=taking_keys(role.application, keys), work=(*role.work, keys.follow))

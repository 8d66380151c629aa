"""The signin role: credentials and sessions, over its database."""

import asyncio
import logging

import httpx

from prikkfri.app.internal_network import following, identity_of, internal_client
from prikkfri.app.limits import LIMITS
from prikkfri.app.locks import file_name
from prikkfri.app.roles import Role
from prikkfri.app.roles.journals import location_of, spool_over, trimming
from prikkfri.clock import Clock
from prikkfri.config import Account, Config, process_name
from prikkfri.errors import RemoteProtocolError, StorageError
from prikkfri.journal import open_journal
from prikkfri.journal.http import serving_journal
from prikkfri.protocols import jwt
from prikkfri.signin.devices import http as devices_http
from prikkfri.signin.devices.service import Devices
from prikkfri.signin.http import application
from prikkfri.signin.passwords import http as passwords_http
from prikkfri.signin.passwords.service import Passwords
from prikkfri.signin.personal import http as personal_http
from prikkfri.signin.personal.service import Personal
from prikkfri.signin.service import SignIn, load_keys
from prikkfri.storage import open_database
from prikkfri.storage.keys import command_key, read_public_keys, role_secret
from prikkfri.storage.rotation import KeyRotation, SecretRotation

log = logging.getLogger("prikkfri.signin")

SEND_SECONDS_MAX = 5.0
"""The SMS centre has taken a code by then, or nobody knows whether it has."""


async def build(config: Config, clock: Clock) -> Role:
    location = location_of(config)
    database = await open_database(location, "signin")
    subscribers = await open_database(location, "subscribers")
    process = process_name("signin", config.instance)
    journal = await open_journal(database, stream=process, clock=clock)
    spool = spool_over(journal, config)
    issuer = file_name(process)
    keys = load_keys(config.home, issuer)
    service = SignIn(
        database=database,
        subscribers=subscribers,
        journal=journal,
        record=spool.record,
        config=config,
        keys=keys,
        clock=clock,
    )
    url, viewer, key = config.roles.signin.url, config.roles.viewer.url, command_key(config.home, "signin")
    device_keys = dict(jwt.read_jwks(read_public_keys(config.home, "device")))
    devices = Devices(
        database=database,
        journal=journal,
        device_keys=device_keys,
        subscribers=subscribers,
        key=keys.device,
        load=lambda: service.pool.load,
        revoked=service.publish_revoked_soon,
        clock=clock,
    )
    personal = Personal(
        database=database,
        subscribers=subscribers,
        journal=journal,
        revoked=service.publish_revoked_soon,
        clock=clock,
    )
    client = internal_client(identity := identity_of(config, clock), roles=config.roles)
    account = next((a for a in config.sms.accounts if a.system_id == config.signin.code_account), None)

    async def send(number: str, text: str) -> str | None:
        assert account is not None
        return await sent(client, config.roles.sms.internal, account, config.operator, number, text)

    codes_key = role_secret(config.home, "signin-codes")
    passwords = Passwords(
        database=database,
        subscribers=subscribers,
        journal=journal,
        record=spool.record,
        pool=service.pool,
        send=send if account else None,
        revoked=service.publish_revoked_soon,
        config=config,
        key=codes_key,
        clock=clock,
    )

    def know_next_key() -> None:
        device_keys.update(jwt.read_jwks(read_public_keys(config.home, "device")))

    rotations = (
        SecretRotation(config.home, "signin-session", keys.session, clock).follow,
        SecretRotation(config.home, "signin-codes", codes_key, clock).follow,
        KeyRotation(config.home, "signin-device", keys.device, clock, published=know_next_key, issuer=issuer).follow,
        KeyRotation(config.home, "signin-playback", keys.playback, clock, issuer=issuer).follow,
    )

    async def know_others_keys() -> None:
        """What another process has signed is to be known here."""
        while True:
            await clock.sleep(LIMITS.published_read_seconds)
            try:
                know_next_key()
            except (StorageError, RemoteProtocolError) as error:
                log.error("the public keys of device tokens cannot be read: %s", error)

    async def close() -> None:
        await client.aclose()
        await database.close()
        await subscribers.close()

    return Role(
        serving_journal(
            application(
                service,
                viewer_origin=viewer,
                secure=url.startswith("https://"),
                command_key=key,
                rooms=[
                    *devices_http.routes(devices, viewer_origin=viewer, command_key=key),
                    *passwords_http.routes(passwords, viewer_origin=viewer, command_key=key),
                    *personal_http.routes(personal, command_key=key),
                ],
            ),
            lambda: journal,
            key,
        ),
        work=(
            service.run,
            passwords.run,
            spool.run,
            trimming(journal, config, clock),
            *following(identity),
            *rotations,
            *([know_others_keys] if config.roles.signin.instances else []),
        ),
        counters=service.counters,
        close=close,
    )


async def sent(
    client: httpx.AsyncClient, sms: str, account: Account, operator: str, number: str, text: str
) -> str | None:
    """Hands a text to the SMS centre in the operator's name; returns its id, empty when it was not taken.

    None: no answer came, and nobody knows whether it was.
    """
    message = {"from": operator[:11], "to": number, "text": text}
    try:
        async with asyncio.timeout(SEND_SECONDS_MAX):
            response = await client.post(f"{sms}/messages", json=message, auth=(account.system_id, account.password))
        if response.is_error and response.status_code != httpx.codes.INTERNAL_SERVER_ERROR:  # that is `in-doubt`
            return ""
        return str(response.raise_for_status().json()["id"])
    except (httpx.ConnectError, httpx.ConnectTimeout):
        return ""
    except (httpx.HTTPError, TimeoutError, ValueError, KeyError, TypeError):
        return None

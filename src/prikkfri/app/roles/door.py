"""The door role: waiting room and playback tokens, which need nothing but keys on disk."""

from prikkfri.app.internal_network import following, identity_of, internal_client
from prikkfri.app.locks import file_name
from prikkfri.app.roles import Role
from prikkfri.app.roles.journals import spool_of, trimming_spool
from prikkfri.clock import Clock
from prikkfri.config import Config, process_name
from prikkfri.door.http import application
from prikkfri.door.service import Door, asking_signin, load_keys
from prikkfri.journal.http import serving_journal
from prikkfri.storage.device_tokens import DeviceTokens
from prikkfri.storage.keys import command_key
from prikkfri.storage.rotation import KeyRotation, SecretRotation


async def build(config: Config, clock: Clock) -> Role:
    spool = spool_of("door", config, clock)
    client = internal_client(identity := identity_of(config, clock))
    issuer = file_name(process_name("door", config.instance))
    keys = load_keys(config.home, issuer)
    service = Door(
        record=spool.record,
        config=config,
        keys=keys,
        clock=clock,
        tokens=DeviceTokens(config.home, clock),
        ask_capacity=asking_signin(
            client, [edge.internal for edge in config.roles.processes("signin").values()], config.home
        ),
        has_line=not config.instance,
    )

    key = command_key(config.home, "door")

    async def close() -> None:
        await client.aclose()
        await spool.close()

    return Role(
        serving_journal(
            application(
                service,
                viewer_origin=config.roles.viewer.url,
                open_channels_url=f"{config.roles.playout.url}/open",
                command_key=key,
            ),
            lambda: spool.journal,
            key,
        ),
        work=(
            service.run,
            spool.run,
            trimming_spool(spool, config, clock),
            *following(identity),
            SecretRotation(config.home, "door-ticket", keys.ticket, clock, is_busy=lambda: service.draws_lots).follow,
            KeyRotation(config.home, "door-playback", keys.playback, clock, issuer=issuer).follow,
            KeyRotation(
                config.home, "door-pass", keys.admission, clock, published=service.read_pass_keys, issuer=issuer
            ).follow,
        ),
        counters=service.counters,
        troubles=lambda: service.troubles,
        close=close,
    )

"""The playout role: live channels, which need nothing but public keys."""

from prikkfri.app.roles import Role
from prikkfri.app.roles.journals import spool_of, trimming_spool
from prikkfri.clock import Clock
from prikkfri.config import Config
from prikkfri.streaming.demo import channels as demo_channels
from prikkfri.streaming.http import application
from prikkfri.streaming.service import Playout


async def build(config: Config, clock: Clock) -> Role:
    spool = spool_of("playout", config, clock)
    channels = config.streaming.channels or (demo_channels() if config.demo else ())
    service = Playout(
        channels,
        config.streaming,
        folder=config.home,
        keys_path=config.home / "public" / "playback-keys",
        revocations_path=config.home / "public" / "revoked.json",
        record=spool.record,
        clock=clock,
    )
    return Role(
        application(service, config.roles.viewer.url),
        work=(service.run, spool.run, trimming_spool(spool, config, clock)),
        counters=service.metrics,
        close=spool.close,
    )

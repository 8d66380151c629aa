"""The playout role: live channels, which need nothing but public keys."""

from prikkfri.app.roles import Role
from prikkfri.app.roles.journals import spool_over, trimming
from prikkfri.clock import Clock
from prikkfri.config import Config
from prikkfri.journal import open_journal
from prikkfri.storage import open_spool
from prikkfri.streaming.demo import channels as demo_channels
from prikkfri.streaming.http import application
from prikkfri.streaming.service import Playout


async def build(config: Config, clock: Clock) -> Role:
    database = await open_spool(config.home, "playout")
    journal = await open_journal(database, stream="playout", clock=clock)
    spool = spool_over(journal, config)
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
        work=(
            service.run,
            spool.run,
            trimming(journal, config, clock, held_max=config.journal.spool_outcomes_max),
        ),
        counters=service.metrics,
        close=database.close,
    )

"""The playout role: live channels, which need nothing but public keys."""

import asyncio
import math
from dataclasses import replace
from functools import partial

import httpx

from prikkfri.app.internal_network import following, identity_of, internal_client
from prikkfri.app.locks import file_name
from prikkfri.app.roles import Role
from prikkfri.app.roles.journals import spool_of, trimming_spool
from prikkfri.clock import Clock
from prikkfri.config import Config, process_name
from prikkfri.journal.http import serving_journal
from prikkfri.storage.device_tokens import DeviceTokens
from prikkfri.storage.keys import command_key
from prikkfri.streaming.demo import FALLBACK as DEMO_FALLBACK
from prikkfri.streaming.demo import channels as demo_channels
from prikkfri.streaming.fallback import trouble_of
from prikkfri.streaming.http import application
from prikkfri.streaming.service import Playout

SIGN_IN_ANSWER_SECONDS_MAX = 1.0


async def build(config: Config, clock: Clock) -> Role:
    spool = spool_of("playout", config, clock)
    channels = config.streaming.channels or (demo_channels() if config.demo else ())
    settings = config.streaming
    if config.demo and not settings.channels:
        settings = replace(settings, fallback_channels=(DEMO_FALLBACK,))
    tokens = DeviceTokens(config.home, clock)
    client = internal_client(
        identity := identity_of(config, clock), roles=config.roles, timeout_seconds=SIGN_IN_ANSWER_SECONDS_MAX
    )

    service = Playout(
        channels,
        settings,
        folder=config.home,
        state_folder=config.home / file_name(process_name("playout", config.instance)),
        keys_path=config.home / "public" / "playback-keys",
        revocations_path=config.home / "public" / "revoked.json",
        record=spool.record,
        clock=clock,
        sign_in_trouble=partial(sign_in_trouble, client, config),
        device_tokens=tokens,
        trusted_proxies=config.trusted_proxies,
    )

    key = command_key(config.home, "playout")

    async def close() -> None:
        await client.aclose()
        await spool.close()

    return Role(
        serving_journal(application(service, config.roles.viewer.url, key), lambda: spool.journal, key),
        work=(service.run, tokens.follow, spool.run, trimming_spool(spool, config, clock), *following(identity)),
        counters=service.metrics,
        troubles=service.troubles,
        close=close,
    )


async def sign_in_trouble(client: httpx.AsyncClient, config: Config) -> str:
    """Why people do not get in just now, as signin and the door themselves answer; empty when they do."""
    answers, wait_s = await asyncio.gather(_answers(client, config), _wait_s(client, config))
    return trouble_of(answers, wait_s, config.streaming)


async def _answers(client: httpx.AsyncClient, config: Config) -> bool:
    """Whether signin answers at all."""
    try:
        response = await client.get(f"{config.roles.signin.internal}/health")
    except httpx.HTTPError:
        return False
    return response.is_success


async def _wait_s(client: httpx.AsyncClient, config: Config) -> float | None:
    """What whoever comes to the door now has to wait, endless while the line stands still; None: the door is silent."""
    try:
        response = await client.get(f"{config.roles.door.internal}/line")
        told = response.raise_for_status().json()
        wait_s = math.inf if told["wait_s"] is None else float(told["wait_s"])
        ordered = told.get("ordered") or {}
        # Until a room opens nobody has waited in vain.
        return wait_s - float(ordered["in_s"]) if ordered.get("state") == "scheduled" else wait_s
    except (httpx.HTTPError, ValueError, TypeError, KeyError, AttributeError):
        return None

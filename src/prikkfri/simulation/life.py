"""A little life for the demo: some people watch, messages flow, so that no page is empty.

`python -m prikkfri.simulation.life --home HOME`, until SIGTERM or the end of standard input.
"""

import argparse
import asyncio
import contextlib
import os
import random
from collections.abc import Mapping
from pathlib import Path

import aiohttp

from prikkfri.app.process import run_until_stopped, say_ready
from prikkfri.clock import SystemClock
from prikkfri.config import Config, load
from prikkfri.errors import PrikkfriError
from prikkfri.simulation.canary_phones import CanaryPhones
from prikkfri.simulation.customer_service import CustomerService
from prikkfri.simulation.demo import (
    PARTNER_CANARIES,
    PARTNER_PEOPLE,
    PASSWORD,
    PEOPLE,
    PHONES,
    SMPP_PASSWORD,
    partners_of,
    people,
)
from prikkfri.simulation.esme import Esme
from prikkfri.simulation.partners.operators import FOOD_BOX, Partner
from prikkfri.simulation.partners.operators import SHORT_CODE as BOX_CODE
from prikkfri.simulation.people import TROUBLE, Addresses, Viewer, device_pseudonym, open_session
from prikkfri.storage.keys import command_key

VIEWERS = 5
SESSION_SECONDS = 60.0
"""So short that somebody soon comes who shows whether signing in works again."""
WATCH_SECONDS = 6.0
MESSAGE_SECONDS = 4.0
REPLY_SECONDS = 15.0
PARTNER_MESSAGE_SECONDS = 2.0
"""Over the partners; of the same kinds as in the misdelivery, which is then no rise and no fall of its own."""
ANSWER_SECONDS = 1.0
BIND_SECONDS = 2.0
CANARIES_TOLD_SECONDS = 1.0
SHORT_CODE, ITS_ACCOUNT, CLINIC = "2010", "middag", "legevakt"

NOTICES = (
    "Middagskassen din kommer i dag mellom 16 og 18.",
    "Kassen står utenfor døra. God middag!",
    "Denne uka: torsk, linsegryte og pannekaker. Svar BYTT for å bytte.",
    "Hei! Vi er litt forsinket i kveld, beklager. Ny tid: 18.30.",
)
CHAT = ("Kommer du i kveld?", "På vei nå 😊", "Kan du kjøpe melk?", "Ring meg når du kan")
ANSWER = "Takk for svaret! Vi har notert det."
REPLIES = ("BYTT", "Tusen takk!", "Kan dere ringe på? 😊", "Ikke hjemme før 18")


async def watch(
    viewer: Viewer, channels: tuple[str, ...], lots: random.Random, customer_service: CustomerService
) -> None:
    """Signs in, watches for a while, switches channel now and then, comes back later; calls when they do not get in."""
    while True:
        asked = await viewer.sign_in(give_up_at=viewer.clock.now() + 60)
        if not asked.got_at:
            customer_service.call("television", "cannot sign in", viewer.person.subscriber_id)
        channel = lots.choice(channels)
        leave_at = viewer.clock.now() + lots.uniform(0.5, 1.5) * SESSION_SECONDS
        while viewer.clock.now() < leave_at:
            await viewer.watch(channel)
            if lots.random() < 0.05:
                channel = lots.choice(channels)
            await asyncio.sleep(lots.uniform(0.5, 1.5) * WATCH_SECONDS)


async def send_notices(http: aiohttp.ClientSession, url: str, numbers: list[str], lots: random.Random) -> None:
    while True:
        to = lots.choice(numbers)
        with contextlib.suppress(*TROUBLE):
            if lots.random() < 0.3:
                await _hand_in(http, url, CLINIC, "Legevakt", to, _code(lots))
            else:
                await _hand_in(http, url, ITS_ACCOUNT, SHORT_CODE, to, lots.choice(NOTICES))
        await asyncio.sleep(lots.uniform(0.5, 1.5) * MESSAGE_SECONDS)


async def write_over_partners(
    http: aiohttp.ClientSession, centre: str, partners: Mapping[int, Partner], lots: random.Random
) -> None:
    """People of one partner write to those of another; a firm and a clinic write to both."""
    while True:
        port, home = lots.choice(list(partners.items()))
        away = lots.choice([each for each in partners.values() if each is not home] or [home])
        to, kind = lots.choice(away.numbers(0, PARTNER_PEOPLE)), lots.random()
        with contextlib.suppress(*TROUBLE):
            if kind < 0.5:
                sender = lots.choice(home.numbers(0, PARTNER_PEOPLE))
                typed = {"to": to, "text": lots.choice(CHAT)}
                await http.post(f"http://localhost:{port}/phones/{sender}/send", json=typed)
            elif kind < 0.8:
                await _hand_in(http, centre, FOOD_BOX, BOX_CODE, to, lots.choice(NOTICES))
            else:
                await _hand_in(http, centre, CLINIC, "Legevakt", to, _code(lots))
        await asyncio.sleep(lots.expovariate(1 / PARTNER_MESSAGE_SECONDS))


async def _hand_in(http: aiohttp.ClientSession, centre: str, account: str, sender: str, to: str, text: str) -> None:
    credentials = aiohttp.encode_basic_auth(account, SMPP_PASSWORD)
    message = {"from": sender, "to": f"+{to.removeprefix('+')}", "text": text}
    await http.post(f"{centre}/messages", json=message, headers={"Authorization": credentials})


def _code(lots: random.Random) -> str:
    return f"Koden din er {lots.randrange(10**6):06d}. Del den ikke."


async def reply(http: aiohttp.ClientSession, phones: str, numbers: list[str], lots: random.Random) -> None:
    while True:
        await asyncio.sleep(lots.uniform(0.5, 1.5) * REPLY_SECONDS)
        with contextlib.suppress(*TROUBLE):
            await http.post(
                f"{phones}/phones/{lots.choice(numbers)}/send", json={"to": SHORT_CODE, "text": lots.choice(REPLIES)}
            )


async def answer_replies(port: int) -> None:
    """The short code's own system: bound for as long as the centre runs, it takes what people reply and answers."""
    while True:
        esme = Esme(port, ITS_ACCOUNT, SMPP_PASSWORD, SystemClock())
        with contextlib.suppress(PrikkfriError, OSError):
            await esme.bind()
        while esme.bound:
            replies = [sender for _, sender, _ in esme.replies]
            esme.replies.clear()
            esme.receipts.clear()
            for sender in replies:
                await esme.submit(SHORT_CODE, sender, ANSWER)
            await asyncio.sleep(ANSWER_SECONDS)
        await asyncio.sleep(BIND_SECONDS)


async def _channels(http: aiohttp.ClientSession, playout: str) -> dict[str, str]:
    """Package by channel, as soon as playout tells."""
    while True:
        with contextlib.suppress(*TROUBLE):
            async with http.get(f"{playout}/channels") as response:
                return {channel["id"]: channel["package"] for channel in await response.json()}
        await asyncio.sleep(1)


async def live(config: Config) -> None:
    """Goes on until cancelled."""
    lots = random.Random()
    roles = config.roles
    addresses = Addresses.of(config)
    persons = people(PEOPLE)
    numbers = [person.msisdn for person in persons[:PHONES]]
    say_ready()
    async with open_session() as http, asyncio.TaskGroup() as tasks:
        channels = await _channels(http, addresses.playout)
        key = command_key(config.home, "assurance")
        customer_service = CustomerService(http, addresses.assurance, key, SystemClock())
        tasks.create_task(customer_service.work())
        tasks.create_task(customer_service.be_asked(lots))
        for number, person in enumerate(persons[1 : VIEWERS + 1]):
            device = device_pseudonym(number, seed=0)
            viewer = Viewer(person, device, PASSWORD, http, addresses, SystemClock())
            may_watch = tuple(channel for channel, package in channels.items() if package in person.packages)
            tasks.create_task(watch(viewer, may_watch, lots, customer_service))
        partners = partners_of(config)
        for port, partner in partners.items():
            theirs = partner.numbers(PARTNER_PEOPLE, PARTNER_CANARIES)
            key = command_key(config.home, "canaries")
            page, every = f"http://localhost:{port}", CANARIES_TOLD_SECONDS
            tasks.create_task(CanaryPhones(http, page, roles.sms.url, key, theirs, tell_seconds=every).run())
        if partners:
            tasks.create_task(write_over_partners(http, roles.sms.url, partners, lots))
        tasks.create_task(send_notices(http, roles.sms.url, numbers, lots))
        tasks.create_task(answer_replies(roles.sms.smpp_port))
        tasks.create_task(reply(http, f"http://localhost:{config.phones_port}", numbers, lots))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m prikkfri.simulation.life")
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--config", type=Path)
    arguments = parser.parse_args()
    config = load(arguments.home, file=arguments.config, environment=os.environ, demo=True)
    asyncio.run(run_until_stopped(lambda: live(config)))

"""A little life for the demo: some people watch, messages flow, so that no page is empty.

`python -m prikkfri.simulation.life --home HOME`, until SIGTERM or the end of standard input.
"""

import argparse
import asyncio
import contextlib
import os
import random
from pathlib import Path

import aiohttp

from prikkfri.app.process import run_until_stopped, say_ready
from prikkfri.clock import SystemClock
from prikkfri.config import Config, load
from prikkfri.errors import PrikkfriError
from prikkfri.simulation.demo import PASSWORD, PEOPLE, PHONES, SMPP_PASSWORD, people
from prikkfri.simulation.esme import Esme
from prikkfri.simulation.people import TROUBLE, Addresses, Viewer, device_pseudonym, open_session

VIEWERS = 5
SESSION_SECONDS = 240.0
WATCH_SECONDS = 6.0
MESSAGE_SECONDS = 4.0
REPLY_SECONDS = 15.0
ANSWER_SECONDS = 1.0
BIND_SECONDS = 2.0
SHORT_CODE, ITS_ACCOUNT = "2010", "middag"

NOTICES = (
    "Middagskassen din kommer i dag mellom 16 og 18.",
    "Kassen står utenfor døra. God middag!",
    "Denne uka: torsk, linsegryte og pannekaker. Svar BYTT for å bytte.",
    "Hei! Vi er litt forsinket i kveld, beklager. Ny tid: 18.30.",
)
ANSWER = "Takk for svaret! Vi har notert det."
REPLIES = ("BYTT", "Tusen takk!", "Kan dere ringe på? 😊", "Ikke hjemme før 18")


async def watch(viewer: Viewer, channels: tuple[str, ...], lots: random.Random) -> None:
    """Signs in, watches for a while, switches channel now and then, comes back later."""
    while True:
        await viewer.sign_in(give_up_at=viewer.clock.now() + 60)
        channel = lots.choice(channels)
        leave_at = viewer.clock.now() + lots.uniform(0.5, 1.5) * SESSION_SECONDS
        while viewer.clock.now() < leave_at:
            await viewer.watch(channel)
            if lots.random() < 0.05:
                channel = lots.choice(channels)
            await asyncio.sleep(lots.uniform(0.5, 1.5) * WATCH_SECONDS)


async def send_notices(http: aiohttp.ClientSession, url: str, numbers: list[str], lots: random.Random) -> None:
    while True:
        code = lots.random() < 0.3
        sender = "Legevakt" if code else SHORT_CODE
        text = f"Koden din er {lots.randrange(10**6):06d}. Del den ikke." if code else lots.choice(NOTICES)
        account = aiohttp.encode_basic_auth("legevakt" if code else ITS_ACCOUNT, SMPP_PASSWORD)
        message = {"from": sender, "to": lots.choice(numbers), "text": text}
        with contextlib.suppress(*TROUBLE):
            await http.post(f"{url}/messages", json=message, headers={"Authorization": account})
        await asyncio.sleep(lots.uniform(0.5, 1.5) * MESSAGE_SECONDS)


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
        for number, person in enumerate(persons[1 : VIEWERS + 1]):
            device = device_pseudonym(number, seed=0)
            viewer = Viewer(person, device, PASSWORD, http, addresses, SystemClock())
            may_watch = tuple(channel for channel, package in channels.items() if package in person.packages)
            tasks.create_task(watch(viewer, may_watch, lots))
        tasks.create_task(send_notices(http, roles.sms.url, numbers, lots))
        tasks.create_task(answer_replies(roles.sms.smpp_port))
        tasks.create_task(reply(http, f"http://localhost:{config.phones_port}", numbers, lots))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m prikkfri.simulation.life")
    parser.add_argument("--home", type=Path, required=True)
    config = load(parser.parse_args().home, file=None, environment=os.environ, demo=True)
    asyncio.run(run_until_stopped(lambda: live(config)))

"""The evening of the misdelivery, staged against real roles: who writes to whom, what goes wrong, what arrived where.

Theory of operation. Three partner operators, each a network of phones behind an SMSC of its own, are linked to the
message centre. People write to each other, a food-box company sends notices and takes replies, a clinic sends log-in
codes. At a moment one partner begins to hand 5 % of the messages to wrong phones and says "delivered" all the same;
another loses receipts, which harms nobody's privacy and must be told apart. After the route has been stopped (by the
product's own rule) the partners are mended; once the canaries have proven the way, a person opens it again.

The world writes a token of its own into every text, and the partners keep what they really did. That is the truth,
with which the product's own report is compared afterwards. All three leave the book a little all the time, as real
ones do: ids without zeros, words in small letters, answers without NUL, receipts before their answers.
"""

import asyncio
import contextlib
import random
import re
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from typing import Any, Literal, TypeVar

import aiohttp

from prikkfri.clock import Clock
from prikkfri.config import Sms
from prikkfri.errors import PrikkfriError
from prikkfri.simulation.canary_phones import CanaryPhones
from prikkfri.simulation.company import keep_company, usage
from prikkfri.simulation.demo import PARTNER_CANARIES, PARTNER_PEOPLE
from prikkfri.simulation.esme import Esme
from prikkfri.simulation.installation import BorrowedInstallation, Installation, ports_section
from prikkfri.simulation.kickoff import Say
from prikkfri.simulation.lateness import keep_time
from prikkfri.simulation.partners.network import Delivery, Fault
from prikkfri.simulation.partners.operators import (
    FOOD_BOX,
    LOSES_RECEIPTS,
    MISDELIVERS,
    PARTNERS,
    SHORT_CODE,
    Partner,
    food_box,
    links,
)
from prikkfri.simulation.partners.operators import PASSWORD as PARTNER_PASSWORD
from prikkfri.simulation.people import TROUBLE, until_green
from prikkfri.storage.keys import command_key

T = TypeVar("T")

ROLES_NEEDED = ("sms", "assurance", "status")
"""Text messages need no other."""
POLL_SECONDS = 0.25
EVENINGS_APART = 10_000_000
"""For so many seconds no two evenings have a mark in common."""
DRAIN_SECONDS = 2.0
"""How long what is on its way at the end gets to arrive."""
PERSON = "Kari"
"""Who is on duty."""
CLINIC = "legevakt"

Kind = Literal["conversation", "notice", "code", "reply"]
KINDS: Mapping[Kind, float] = {"conversation": 0.4, "notice": 0.3, "code": 0.2, "reply": 0.1}
TEXTS: Mapping[Kind, tuple[str, ...]] = {
    "conversation": ("Kommer du i kveld?", "På vei nå 😊", "Kan du kjøpe melk?", "Ring meg når du kan"),
    "notice": ("Middagskassen din kommer i dag mellom 16 og 18.", "Kassen står utenfor døra. God middag!"),
    "code": ("Koden din til Legevaktens timebok er 483 201. Del den ikke.",),
    "reply": ("BYTT", "STOPP til mandag, takk"),
}
_TOKEN = re.compile(r"\(m(\d+)\)$")


@dataclass(frozen=True)
class Plan:
    people: int = 14
    """Phones in each partner's network ..."""
    canaries: int = 8
    """... and canary phones beside them."""
    population: int = 1_000_000
    """How many phones a partner's network stands for: so seldom does what goes astray land on a canary phone."""
    messages_per_second: float = 12.0
    canary_seconds: float = 0.06
    canary_grace_seconds: float = 2.0
    canary_rule: Literal["stop", "watch"] = "stop"
    """`watch`: a person stops the route when the product says that it is not to be trusted."""
    fault: bool = True
    misdeliver: float = 0.05
    lose_receipts: float = 0.3
    receipts_lost_seconds: float = 0.0
    """At least, and until the other partner has mended its fault."""
    calm_seconds: float = 15.0
    """Before anything goes wrong."""
    stopped_seconds: float = 3.0
    """From the stop until the partners have mended what was wrong."""
    tail_seconds: float = 12.0
    """After the route was opened again."""
    detect_seconds_max: float = 45.0
    prove_seconds_max: float = 60.0
    """A route that was stopped for 1 or 2 % takes more good canaries than one for 5 %."""
    seed: int = 1


SMALL = Plan(people=8, calm_seconds=9.0, stopped_seconds=2.0, tail_seconds=9.0, canary_seconds=0.05)
"""For the tests: under a minute."""


def in_demo(plan: Plan, sms: Sms) -> Plan:
    """The evening in a demo: canaries fly at the demo's own pace, so more goes wrong, and they prove longer.

    What waits behind a proof of more than four minutes would not be delivered in the five that are promised.

    So few write that it is no fall of the ordinary traffic when they stop.
    """
    return replace(
        plan,
        people=PARTNER_PEOPLE,
        canaries=PARTNER_CANARIES,
        canary_seconds=sms.canary_seconds,
        canary_grace_seconds=sms.canary_grace_seconds,
        canary_rule=sms.canary_rule,
        messages_per_second=1.5,
        misdeliver=0.3,
        lose_receipts=0.6,
        receipts_lost_seconds=60.0,
        prove_seconds_max=240.0,
    )


def faults_of(plan: Plan) -> tuple[tuple[Partner, Fault], ...]:
    """What goes wrong, and where. Receipts come in the end: else their promises run out in the next evening."""
    return (
        (MISDELIVERS, Fault(misdeliver=plan.misdeliver, population=plan.population)),
        (LOSES_RECEIPTS, Fault(lose_receipts=plan.lose_receipts, until_mended=True)),
    )


@dataclass
class SentMessage:
    """A message that somebody handed in."""

    token: str
    kind: Kind
    recipient: str
    """Digits, or the short code."""
    at: float
    id: str = ""
    """What the message centre gave its sender; empty: it was not taken on."""


@dataclass
class Truth:
    """What really happened, told by senders, phones and partners, and by whoever broke things; times since 1970 UTC."""

    plan: Plan
    began_at: float
    sent: list[SentMessage] = field(default_factory=list)
    deliveries: dict[str, list[Delivery]] = field(default_factory=dict)
    """By link."""
    others_write: bool = False
    """Others than these people use the installation, too: of their messages the truth knows nothing."""
    replies: list[tuple[str, str]] = field(default_factory=list)
    """(token, the short code at which it came in)."""
    receipts: int = 0
    """That the food-box company got."""
    fault_at: float = 0.0
    mended_at: float = 0.0
    opened_at: float = 0.0
    """When the person opened the route again."""
    status_at: list[tuple[float, str]] = field(default_factory=list)
    green_at: float | None = None
    """When the status page was green afterwards, 0: never; None: nobody has looked."""
    late: list[float] = field(default_factory=list)
    """By how much each tick of the rehearsal's own clock was late."""
    others: list[float] = field(default_factory=list)
    """What part of the machine others took, by stretch."""

    def accepted(self) -> dict[str, SentMessage]:
        """By token."""
        return {each.token: each for each in self.sent if each.id}

    def misdelivered_by_us(self) -> int:
        """Handed to a number, or an account, that it was not meant for."""
        meant = {each.token: each.recipient for each in self.sent}
        handed = [(token_of(each.text), each.destination) for each in self._delivered()]
        return sum(token in meant and meant[token] != to for token, to in [*handed, *self.replies])

    def misdelivered_by_partner(self) -> list[Delivery]:
        """People's messages on the wrong phone."""
        return [each for each in self._delivered() if token_of(each.text) and each.phone not in ("", each.destination)]

    def lost(self) -> set[str]:
        """Taken on, and neither on a phone nor at an account."""
        arrived = {token_of(each.text) for each in self._delivered() if each.phone} | {
            token for token, _ in self.replies
        }
        return set(self.accepted()) - arrived

    def twice(self) -> int:
        """Messages that came more than once."""
        came = [token_of(each.text) for each in self._delivered() if each.phone] + [token for token, _ in self.replies]
        return len([token for token in came if token]) - len({token for token in came if token})

    def exposed(self) -> set[str]:
        """The ids of the messages that went to the partner while it handed messages to wrong phones."""
        accepted = self.accepted()
        gone = {token_of(each.text) for each in self.deliveries.get(MISDELIVERS.link, ()) if each.misdelivering}
        return {accepted[token].id for token in gone & set(accepted)}

    def went_there(self) -> set[str]:
        """The ids of all that ever went to that partner."""
        accepted = self.accepted()
        gone = {token_of(each.text) for each in self.deliveries.get(MISDELIVERS.link, ())}
        return {accepted[token].id for token in gone & set(accepted)}

    def unanswered_there(self) -> tuple[int, int]:
        """Of those whose senders had no answer in time: how many went to that partner, and while it misdelivered.

        They were taken on, and nobody knows their ids: a list of ids can name as many, and no more.
        """
        unanswered = {each.token for each in self.sent if not each.id}
        gone = {
            token_of(each.text): each.misdelivering
            for each in self.deliveries.get(MISDELIVERS.link, ())
            if token_of(each.text) in unanswered
        }
        return len(gone), sum(gone.values())

    def _delivered(self) -> Iterable[Delivery]:
        return (each for theirs in self.deliveries.values() for each in theirs)


@dataclass
class RouteView:
    """What the product says of its routes, asked where a person on duty asks."""

    ways: dict[str, dict[str, Any]] = field(default_factory=dict)
    """By link, as it was last; canaries are counted from the beginning of the evening."""
    stops: list[tuple[float, str, str]] = field(default_factory=list)
    """(time, link, by whom) of each stop that was seen."""
    proven_at: float = 0.0
    exposed: list[dict[str, Any]] = field(default_factory=list)
    """The list of the messages that went the stopped way."""


def compressed(plan: Plan) -> str:
    """What is quicker here than it is by default, so that an evening fits into a minute and a half."""
    usual = Sms()
    times = usual.canary_seconds / plan.canary_seconds
    return (
        f"compressed: a canary every {plan.canary_seconds:g} s where it is {usual.canary_seconds:g} s by default"
        f" ({times:.0f} times as many), and {plan.canary_grace_seconds:g} s for it where it is"
        f" {usual.canary_receipted_seconds:g} s; `prikkfri simulate sms --misdelivering-partner` keeps to the defaults"
    )


def token_of(text: str) -> str:
    """The world's own mark in a text; empty in what is not the world's."""
    found = _TOKEN.search(text)
    return found[1] if found else ""


def configuration(plan: Plan, ports: Sequence[int], smpp_ports: Sequence[int]) -> str:
    """Accounts, partners and canaries, with times as compressed as the evening is."""
    return f"""\
operator = "Fjordnett"

[sms]
canary_seconds = {plan.canary_seconds}
canary_grace_seconds = {plan.canary_grace_seconds}
canary_rule = "{plan.canary_rule}"

[[sms.accounts]]
system_id = "{CLINIC}"
password = "{PARTNER_PASSWORD}"
senders = ["Legevakt"]
message_class = "log-in-code"
{food_box()}
[assurance]
hold_seconds = 6

{ports_section(ports)}{links(PARTNERS, smpp_ports, people=plan.people, canaries=plan.canaries)}"""


def people_numbers(plan: Plan, partner: Partner) -> list[str]:
    return partner.numbers(0, plan.people)


def canary_numbers(plan: Plan, partner: Partner) -> list[str]:
    return partner.numbers(plan.people, plan.canaries)


async def start_partners(
    installation: Installation, plan: Plan, smpp_ports: Sequence[int], http_ports: Sequence[int]
) -> dict[str, str]:
    """Starts the three; returns their addresses by link."""
    for partner, smpp_port, http_port in zip(PARTNERS, smpp_ports, http_ports, strict=True):
        program = partner.program(
            seed=plan.seed, people=plan.people, canaries=plan.canaries, smpp_port=smpp_port, http_port=http_port
        )
        await installation.start_program(partner.link, program)
    return {partner.link: f"http://127.0.0.1:{port}" for partner, port in zip(PARTNERS, http_ports, strict=True)}


@dataclass
class Evening:
    """The people, accounts and partners of one evening at the edge of an installation."""

    installation: Installation | BorrowedInstallation
    plan: Plan
    partners: Mapping[str, str]
    """Each partner's address by link."""
    http: aiohttp.ClientSession
    clock: Clock
    say: Say

    def __post_init__(self) -> None:
        config = self.installation.configuration()
        self._centre, self._stored_at = config.roles.sms.url, config.storage.url
        self._status = f"{config.roles.status.url}/api/v2/summary.json"
        self._duty = {"Authorization": f"Bearer {command_key(config.home, 'sms')}"}
        self._canary_key = command_key(config.home, "canaries")
        self._lots = random.Random(self.plan.seed)
        self._food_box = Esme(config.roles.sms.smpp_port, FOOD_BOX, PARTNER_PASSWORD, self.clock)
        self._staged = [partner for partner in PARTNERS if partner.link in self.partners]
        self._home = {number: each for each in self._staged for number in people_numbers(self.plan, each)}
        self._numbers = list(self._home)
        self._before: dict[str, dict[str, Any]] = {}
        """What was said of each route before the evening began."""
        self._borrowed = isinstance(self.installation, BorrowedInstallation)
        self.seen = RouteView()

    async def stage(self, account: Callable[[], Awaitable[T]]) -> tuple[Truth, T]:
        """Lets the evening happen; returns the truth about it, and the account that the product gives towards its end.

        What the product says meanwhile is in `seen`.
        """
        plan = self.plan
        if self._borrowed:
            await self._find_as_it_should_be()
        await self._food_box.bind()
        truth = Truth(plan, began_at=self.clock.now(), others_write=self._borrowed)
        self.say(f"people write to each other over {len(self.partners)} partners; canaries fly")
        if not self._borrowed:
            self.say(compressed(plan))
        enough = asyncio.Event()
        async with asyncio.TaskGroup() as tasks:
            always = [tasks.create_task(self._look_at_the_status_page(truth))]
            if not self._borrowed:  # else they tell all the time
                always += [tasks.create_task(self._canary_phones(partner).run()) for partner in self._staged]
            always.append(tasks.create_task(keep_time(truth.late, self.clock)))
            home = self.installation.home
            always.append(tasks.create_task(keep_company(truth.others, partial(usage, home, self._stored_at))))
            traffic = tasks.create_task(self._write(truth, enough))
            await asyncio.sleep(plan.calm_seconds)
            if plan.fault:
                await self._go_wrong(truth)
            await asyncio.sleep(plan.tail_seconds)
            if self._borrowed:
                self.say("waiting until the status page is green again")
                truth.green_at = await until_green(self.http, self._status, self.clock)
            self.say("the product gives its account")
            told = await account()
            enough.set()
            await traffic
            await asyncio.sleep(DRAIN_SECONDS)
            await self._tell(truth)
            for each in always:
                each.cancel()
        await self._food_box.unbind()
        return truth, told

    async def _find_as_it_should_be(self) -> None:
        """What an earlier evening has left behind is put right: a route that it stopped is opened once it is proven.

        Raises `PrikkfriError` when it is not.
        """
        for partner in (MISDELIVERS, LOSES_RECEIPTS):
            await self._set_fault(partner, Fault())
        if await self._until(lambda way: way["trusted"], self.plan.prove_seconds_max) is None:
            raise PrikkfriError(
                f"the route over {MISDELIVERS.link} is not proven: its canaries go astray, or do not fly"
            )
        if self.seen.ways[MISDELIVERS.link]["state"] != "open":
            self.say(f"{PERSON} opens the route that an earlier evening has left stopped")
            await self._switch("open")
            await self._look_at_the_routes()
        self._before, self.seen.stops = dict(self.seen.ways), []

    def _canary_phones(self, partner: Partner) -> CanaryPhones:
        numbers = canary_numbers(self.plan, partner)
        return CanaryPhones(self.http, self.partners[partner.link], self._centre, self._canary_key, numbers)

    # what goes wrong, and what is done about it

    async def _go_wrong(self, truth: Truth) -> None:
        try:
            await self._go_through(truth)
        finally:
            for partner in (MISDELIVERS, LOSES_RECEIPTS):
                with contextlib.suppress(*TROUBLE):
                    await self._set_fault(partner, Fault())

    async def _go_through(self, truth: Truth) -> None:
        plan = self.plan
        truth.fault_at = self.clock.now()
        for partner, fault in faults_of(plan):
            await self._set_fault(partner, fault)
        self.say(
            f"{MISDELIVERS.name} hands {plan.misdeliver:.0%} to wrong phones;"
            f" {LOSES_RECEIPTS.name} loses {plan.lose_receipts:.0%} of its receipts"
        )
        if plan.canary_rule == "watch" and await self._until(lambda way: not way["trusted"], plan.detect_seconds_max):
            await self._switch("stopped")
        seconds_max = plan.detect_seconds_max if plan.canary_rule == "stop" else POLL_SECONDS
        stopped = await self._until(lambda way: way["state"] == "stopped", seconds_max)
        if stopped:
            self.say(f"the route over {MISDELIVERS.link} is stopped by {stopped['by']}")
        await asyncio.sleep(plan.stopped_seconds)
        truth.mended_at = self.clock.now()
        await self._set_fault(MISDELIVERS, Fault())
        await asyncio.sleep(max(0.0, truth.fault_at + plan.receipts_lost_seconds - self.clock.now()))
        await self._set_fault(LOSES_RECEIPTS, Fault())
        self.say("the partners have restarted their systems")
        if not stopped:
            return
        if await self._until(lambda way: way["trusted"], plan.prove_seconds_max):
            self.seen.proven_at = self.clock.now()
            self.say("the canaries have proven the way again")
        truth.opened_at = self.clock.now()
        await self._switch("open")
        self.say(f"{PERSON} opens the route; {self.seen.ways[MISDELIVERS.link]['waiting']} messages had been kept")

    async def _set_fault(self, partner: Partner, fault: Fault) -> None:
        async with self.http.put(f"{self.partners[partner.link]}/fault", json=asdict(fault)) as response:
            if response.status != 200:
                raise PrikkfriError(f"{partner.name} cannot be told what to do")

    async def _until(self, condition: Any, seconds_max: float) -> dict[str, Any] | None:
        """Looks at the routes until that of the bad partner is so; None when it does not come to that."""
        end = self.clock.now() + seconds_max
        while self.clock.now() < end:
            await self._look_at_the_routes()
            way = self.seen.ways.get(MISDELIVERS.link)
            if way and condition(way):
                return way
            await asyncio.sleep(POLL_SECONDS)
        return None

    async def _look_at_the_routes(self) -> None:
        for way in await self._command("GET", "/routes") or []:
            before = self.seen.ways.get(way["link"])
            if way["state"] == "stopped" and (before is None or before["state"] != "stopped"):
                self.seen.stops.append((way["since"], way["link"], way["by"]))
            since = self._before.get(way["link"], {"judged": 0, "astray": 0})
            counted = {name: way[name] - since[name] for name in ("judged", "astray")}
            self.seen.ways[way["link"]] = way | counted

    async def _switch(self, state: str) -> None:
        await self._command("POST", f"/routes/{MISDELIVERS.link}", json={"state": state, "by": PERSON})

    async def _command(self, method: str, path: str, **sent: Any) -> Any:
        try:
            async with self.http.request(method, self._centre + path, headers=self._duty, **sent) as response:
                return await response.json() if response.status == 200 else None
        except TROUBLE:
            return None

    # who writes to whom

    async def _write(self, truth: Truth, until: asyncio.Event) -> None:
        """Somebody writes every now and then; nobody waits for another's answer."""
        async with asyncio.TaskGroup() as tasks:
            while not until.is_set():
                [kind] = self._lots.choices(list(KINDS), list(KINDS.values()))
                sender, recipient = self._pair()
                if kind == "reply":
                    recipient = SHORT_CODE
                token = f"{int(truth.began_at) % EVENINGS_APART}{len(truth.sent) + 1:05d}"
                message = SentMessage(token, kind, recipient, self.clock.now())
                truth.sent.append(message)
                text = f"{self._lots.choice(TEXTS[kind])} (m{token})"
                tasks.create_task(self._hand_in(message, sender, text))
                await asyncio.sleep(self._lots.expovariate(self.plan.messages_per_second))

    def _pair(self) -> tuple[str, str]:
        """Two people; the one written to is as often with the partner that goes wrong as with the others together."""
        mine = people_numbers(self.plan, MISDELIVERS)
        recipient = self._lots.choice(mine if self._lots.random() < 0.5 else self._numbers)
        # Between two of its own phones no partner needs us: from us it would only come back.
        home = self._home[recipient]
        sender = self._lots.choice([number for number in self._numbers if self._home[number] is not home])
        return sender, recipient

    async def _hand_in(self, message: SentMessage, sender: str, text: str) -> None:
        try:
            if message.kind == "notice":
                message.id = await self._food_box.submit(SHORT_CODE, message.recipient, text)
            elif message.kind == "code":
                body = {"from": "Legevakt", "to": f"+{message.recipient}", "text": text}
                account = {"Authorization": aiohttp.encode_basic_auth(CLINIC, PARTNER_PASSWORD)}
                async with self.http.post(f"{self._centre}/messages", json=body, headers=account) as response:
                    message.id = (await response.json())["id"] if response.status == 202 else ""
            else:  # the id is what the network was answered; see `_tell`
                phone = f"{self.partners[self._home[sender].link]}/phones/{sender}/send"
                await self.http.post(phone, json={"to": message.recipient, "text": text})
        except TROUBLE:
            return

    async def _look_at_the_status_page(self, truth: Truth) -> None:
        while True:
            try:
                async with self.http.get(self._status) as response:
                    indicator = (await response.json())["status"]["indicator"]
            except TROUBLE:
                indicator = "unreachable"
            if not truth.status_at or truth.status_at[-1][1] != indicator:
                truth.status_at.append((self.clock.now(), indicator))
            await asyncio.sleep(POLL_SECONDS)

    # what was seen in the end

    async def _tell(self, truth: Truth) -> None:
        by_token = {each.token: each for each in truth.sent}
        for link, address in self.partners.items():
            since = {"since": str(truth.began_at)}
            async with self.http.get(f"{address}/deliveries", params=since) as response:
                truth.deliveries[link] = [Delivery(**each) for each in await response.json()]
            async with self.http.get(f"{address}/sent") as response:
                for each in await response.json():
                    if (message := by_token.get(token_of(each["text"]))) is not None:
                        message.id = each["id"]
        truth.replies = [(token_of(text), SHORT_CODE) for _, _, text in self._food_box.replies]
        truth.receipts = len(self._food_box.receipts)
        await self._look_at_the_routes()
        way = self.seen.ways[MISDELIVERS.link]
        if way["stopped_at"]:
            asked = {"since": way["exposed_since"], "until": way["stopped_at"]}
            self.seen.exposed = await self._command("GET", f"/routes/{MISDELIVERS.link}/exposed", params=asked) or []

"""The configuration: one TOML file, each setting also an environment variable `PRIKKFRI_SECTION_NAME`.

The dataclasses below are the schema. An unknown or wrong setting is refused with its line and the mend.
"""

import dataclasses
import difflib
import ipaddress
import re
import tomllib
import typing
from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, TypeVar
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, available_timezones

import phonenumbers

from prikkfri import contrast
from prikkfri.errors import ConfigError

ROLES = ("viewer", "signin", "playout", "sms", "assurance", "status", "door")


INSTANCE = re.compile(r"[a-z0-9][a-z0-9-]{0,31}")
SINGLE = ("sms", "assurance")
"""Of whose processes one works at a time, and the others stand by for it."""


@dataclass(frozen=True, kw_only=True)
class Instance:
    """A further process of a role, beside the one that the role's own addresses are for."""

    name: str
    """Its stream is `ROLE/NAME`."""
    port: int = 0
    """0: the role's own, as on another machine."""
    internal_url: str = ""
    """By which the other roles reach this process; empty: `http://localhost:PORT`, on this machine."""


@dataclass(frozen=True, kw_only=True)
class Edge:
    """Where a role listens, and the address by which the world reaches it."""

    port: int
    public_url: str = ""
    """Empty: `http://localhost:PORT`."""
    internal_url: str = ""
    """By which the other roles reach it, at `https://HOST:PORT` with this installation's own certificates.

    Empty: `http://localhost:PORT`, on this machine.
    """
    instances: tuple[Instance, ...] = ()
    """Further processes of the role."""

    @property
    def url(self) -> str:
        return self.public_url.rstrip("/") or f"http://localhost:{self.port}"

    @property
    def internal(self) -> str:
        return self.internal_url.rstrip("/") or f"http://localhost:{self.port}"

    @property
    def tls_port(self) -> int:
        """Where it answers the other machines; 0: nowhere."""
        return urlsplit(self.internal).port or 443 if self.internal.startswith("https:") else 0


@dataclass(frozen=True, kw_only=True)
class SmsEdge(Edge):
    smpp_port: int = 2775


@dataclass(frozen=True, kw_only=True)
class Storage:
    url: str = ""
    """`postgresql://...`; empty: SQLite files in the home folder."""


@dataclass(frozen=True, kw_only=True)
class Journal:
    spool_outcomes_max: int = 1_000_000
    """What a role without a database keeps for a follower that is away; more is counted and dropped."""
    kept_days: float = 30.0
    """How long a journal keeps what every follower has taken."""


@dataclass(frozen=True, kw_only=True)
class Signin:
    hash_threads: int = 0
    """0: as many as there are cores."""
    hash_queue_seconds_max: float = 4.0
    """Work that may wait, in seconds of measured hashing; whoever comes after that is refused at once."""
    session_lifetime_days: float = 30.0
    device_token_lifetime_days: float = 90.0
    code_account: str = ""
    """The account in whose name codes to set a password go out, of a sensitive class; empty: none are sent."""


VIEWER_TEXT_MAX = 400


@dataclass(frozen=True, kw_only=True)
class Text:
    """What the operator says on the viewer's page, in its three languages: all of them, or none."""

    nb: str = ""
    sv: str = ""
    en: str = ""


@dataclass(frozen=True, kw_only=True)
class Viewer:
    colour: str = ""
    """`#rrggbb`, of the button, the mark and the ring on the light page; empty: ours."""
    colour_dark: str = ""
    """The same on the dark page."""
    headline: Text = Text()
    """Above the form and the line; empty: ours."""
    waiting: Text = Text()
    """Told to those who stand in the line; empty: nothing."""


@dataclass(frozen=True, kw_only=True)
class Door:
    waiting_room: Literal["on", "off"] = "on"
    """`on`: whoever asked the door first is signed in first; signin takes others with what is to spare."""
    pass_lifetime_seconds: float = 300.0
    """How long a device that was let in may take to sign in."""
    joins_per_network: int = 200
    """So many devices of one network may join the line at once; 0: as many as like. Homes behind an operator's address
    translation share one address."""
    joins_per_network_per_minute: float = 300.0
    """And then so many a minute; the others are told when to come again."""
    joins_ipv4_prefix: int = 32
    """IPv4 addresses that share so many bits are one network; 32: each by itself. Of IPv6 it is 64 bits."""
    joins_unlimited: tuple[str, ...] = ()
    """Addresses or networks whose devices may join as they like, beside the trusted proxies."""


@dataclass(frozen=True, kw_only=True)
class Programme:
    title: str
    start: str
    """`HH:MM` each day, local time, or an ISO 8601 moment."""
    minutes: float
    description: str = ""


@dataclass(frozen=True, kw_only=True)
class Channel:
    id: str
    name: str
    number: int
    colour: str = "#5b8def"
    package: str = "basic"
    source: str = "test-picture"
    """`test-picture`, a video file, or an address that PyAV can open."""
    open: bool = False
    """Always open: anybody may watch without signing in."""
    programmes: tuple[Programme, ...] = ()
    xmltv: str = ""
    """An XMLTV file with this channel's schedule (its id, or `xmltv_id`)."""
    xmltv_id: str = ""


@dataclass(frozen=True, kw_only=True)
class Streaming:
    token_lifetime_hours: float = 12.0
    expired_token_grace_hours: float = 6.0
    segment_seconds: float = 2.0
    window_seconds: float = 60.0
    channels: tuple[Channel, ...] = ()
    fallback_channels: tuple[str, ...] = ()
    """These open, without sign-in, while people do not get in; the demo opens its sport channel."""
    fallback_after_seconds: float = 3.0
    """Sign-in has not answered for so long, or the line was too long for so long."""
    fallback_wait_seconds: float = 60.0
    """A line in which whoever comes now waits longer than this is too long."""
    fallback_held_seconds: float = 120.0
    """People have got in again for so long before they close."""
    timezone: str = "Europe/Oslo"
    large_programmes: tuple[str, ...] = ()
    """When so many come that playback tokens are renewed ahead of it: `START/END`, ISO 8601 with the zone's offset."""


SHORT_CODE_DIGITS_MAX = 6
SENSITIVE_CLASSES = frozenset({"code", "log-in-code", "sensitive", "health", "otp"})
"""Classes of messages whose bodies harm somebody when a stranger reads them, or when they come twice."""


@dataclass(frozen=True, kw_only=True)
class Account:
    """One who submits messages over SMPP or HTTP."""

    system_id: str
    password: str
    message_class: str = "ordinary"
    short_codes: tuple[str, ...] = ()
    """Short codes, and numbers of phones, that belong to this account: messages to them are delivered to it."""
    senders: tuple[str, ...] = ()
    """Whom its messages may be from, beside its short codes; `*`: anybody, for an aggregator."""
    in_doubt: Literal["resend", "report"] = "resend"
    """A message that may or may not have reached the network: send it again, once, or tell the account and leave it.

    Those of a sensitive class are always left.
    """
    data_coding_1: Literal["gsm", "as-is"] = "gsm"
    """By the book it is ASCII, but node-smpp writes it over GSM 7-bit; `gsm`: pass it on as what it then is."""
    numbers_unmarked: Literal["national-first", "international"] = "national-first"
    """What a number is that neither begins with `+` or `00` nor says its type: first one of the region, where it is
    valid there, or always one with its country code."""
    throughput_per_second_max: float = 500.0
    binds_max: int = 10
    """SMPP sessions that it may have at once; 0: HTTP only."""


@dataclass(frozen=True, kw_only=True)
class Link:
    """A way from us to a network or a partner, to whose SMSC we bind as a transceiver."""

    name: str
    partner: str
    host: str
    port: int
    system_id: str
    password: str
    prefixes: tuple[str, ...]
    """The first digits of numbers, with their country code; the longest match wins."""
    priority: int = 0
    """Of links with one prefix the lowest goes first; the next takes over while it is stopped or not bound."""
    network: Literal["own", "partner"] = "partner"
    """Whose phones are behind it. What our own network hands in goes to anybody; what a partner hands in goes to our
    accounts, our canaries and our own network's numbers."""
    transit: bool = False
    """What this partner hands in may go on to other partners as well."""
    binds: int = 1
    """Sessions that share its messages."""
    throughput_per_second_max: float = 0.0
    """What it may be sent; 0: as much as it takes."""
    refused_for_good: tuple[int, ...] = ()
    """Statuses of its refusals that mean so here, whatever they mean by the book; so do the next two."""
    refused_for_now: tuple[int, ...] = ()
    refused_when_too_fast: tuple[int, ...] = ()
    window: int = 50
    """Messages of a session without an answer: so many a session leave in the time of a round trip."""
    instead: str = ""
    """The link that takes its messages before any other does while its route is stopped or it is not bound."""
    validity: Literal["relative", "absolute"] = "relative"
    """How it is told what is left of a message's time; absolute, its clock and ours have to agree."""
    ucs2_byte_order: Literal["big", "little"] = "big"
    """`little`: in what it hands in the low octet of a UCS-2 letter is first, even where no byte order mark says so.
    What we send goes by the book: the high one is."""
    receipt_ids: Literal["", "same", "decimal", "hexadecimal"] = ""
    """How its receipts write the ids of its answers: the same, to base ten or to base sixteen; empty: it is learnt."""


@dataclass(frozen=True, kw_only=True)
class Canary:
    """A phone of our own in a partner's network, which tells us what it received."""

    msisdn: str
    """E.164."""
    link: str
    """The link whose way it proves."""


@dataclass(frozen=True, kw_only=True)
class Sms:
    accounts: tuple[Account, ...] = ()
    links: tuple[Link, ...] = ()
    region: str = ""
    """Of numbers that accounts and partners write without a country code; empty: the installation's."""
    validity_hours_max: float = 72.0
    life_minutes_sensitive: float = 10.0
    """How long messages of a sensitive class are tried at most, from when they are due."""
    waiting_max: int = 1_000_000
    """Messages that may wait for one link or account; more are refused until some have gone."""
    receipts_kept_max: int = 100_000
    """Receipts of one link that fit no message and wait or are held; more are refused for now, which loses none."""
    kept_days: float = 30.0
    """How long the trail of a message that has ended is kept; its body is erased at once."""
    sealing_folder: str = ""
    """Where the keys of sealed messages are kept; of an SMS centre that takes over on another machine a folder that
    both reach. Empty: in the home."""
    keys_lost: bool = False
    """Whether it starts though keys are missing by which waiting messages are sealed: those are then quarantined."""
    mark_file: str = ""
    """Where the centre notes how far it has come, best on another disk; empty: `marks/sms.mark` in the home."""
    in_doubt_seconds: float = 60.0
    """How long a message in doubt waits, while its link is bound, for a receipt to tell what became of it."""
    canaries: tuple[Canary, ...] = ()
    canary_seconds: float = 2.0
    """How often each link is proven by a message to one of its canary phones, while nothing is suspected."""
    canary_grace_seconds: float = 30.0
    """How long one may take from the network to its phone."""
    canary_receipted_seconds: float = 10.0
    """How long we may take to hear from a phone that it has what the network says is delivered."""
    wrong_number_code: str = ""
    """A short code of no account to which people write `wrong number`; empty: there is none."""
    canary_rule: Literal["stop", "watch"] = "stop"
    """What to do when canaries show that a partner misdelivers: stop its route at once, or leave that to a person."""


@dataclass(frozen=True, kw_only=True)
class Tier:
    from_minutes: float
    amount: int
    """In the currency's smallest unit (øre)."""


@dataclass(frozen=True, kw_only=True)
class Remedy:
    """What a customer who was hit gets, by the time from asking until getting it."""

    name: str
    service: str
    tiers: tuple[Tier, ...]
    currency: str = "NOK"
    products: tuple[str, ...] = ("*",)
    """Which products are credited; `*`: all."""
    cap_per_customer: int = 100_00
    cap_per_customer_and_night: int = 0
    """The most that one customer gets for all incidents of a night, from noon to noon; 0: as for one incident."""
    cap_total: int = 1_000_000_00
    """The most that one incident may cost without a person."""


@dataclass(frozen=True, kw_only=True)
class Assurance:
    outcomes_kept_days: float = 90.0
    """After that an outcome, and with it what a customer did, is erased."""
    counts_kept_days: float = 3.0
    """How long the counts that name no customer are kept."""
    looks_kept_days: float = 730.0
    """How long it can be told which person looked at which customer's data."""
    sign_in_grace_seconds: float = 60.0
    """Who asked to sign in and has waited longer did not get what was promised."""
    line_grace_seconds: float = 300.0
    """The same for those who were told an honest wait."""
    delivery_grace_seconds: float = 300.0
    """The same for a message that was accepted."""
    false_alarms_per_year: float = 1.0
    """That the whole installation may raise; the threshold of detection follows from it."""
    warm_up_seconds: float = 300.0
    """How long a series is watched before a fall of it is believed."""
    hold_seconds: float = 300.0
    """How long all must have been well before an incident is over."""
    remedies: tuple[Remedy, ...] = ()
    """The first one of a service is its policy."""
    tell_account: str = ""
    """The account whose name stands on messages to those who were hit; empty: nobody is told by SMS."""


@dataclass(frozen=True, kw_only=True)
class Roles:
    viewer: Edge = Edge(port=8080)
    signin: Edge = Edge(port=8081)
    playout: Edge = Edge(port=8082)
    sms: SmsEdge = SmsEdge(port=8083)
    assurance: Edge = Edge(port=8084)
    status: Edge = Edge(port=8085)
    door: Edge = Edge(port=8086)

    def edge(self, role: str, instance: str = "") -> Edge:
        """Of the role, or of a further process of it. Raises `KeyError` when no such process is configured."""
        edge: Edge = getattr(self, role)
        return self.processes(role)[process_name(role, instance)] if instance else edge

    def processes(self, role: str) -> dict[str, Edge]:
        """Each process of a role by its name: the role's, or `ROLE/INSTANCE`."""
        edge = self.edge(role)
        return {role: edge} | {
            process_name(role, each.name): dataclasses.replace(
                edge, port=each.port or edge.port, internal_url=each.internal_url, instances=()
            )
            for each in edge.instances
        }

    @property
    def span_machines(self) -> bool:
        """Whether roles reach each other with this installation's own certificates."""
        return any(edge.tls_port for role in ROLES for edge in self.processes(role).values())


def process_name(role: str, instance: str) -> str:
    """What a process of a role is called, and the stream that it writes."""
    return f"{role}/{instance}" if instance else role


@dataclass(frozen=True, kw_only=True)
class Config:
    home: Path = Path("prikkfri-home")
    demo: bool = False
    bind: Literal["loopback", "all"] = "loopback"
    """`loopback`: 127.0.0.1 and ::1; `all`: every address of the machine."""
    trusted_proxies: tuple[str, ...] = ()
    """Addresses or networks whose `X-Forwarded-For` is believed: your own reverse proxies. Empty: nobody's."""
    metrics_from: tuple[str, ...] = ("127.0.0.0/8", "::1")
    """Addresses or networks that may read `/metrics`, on every role."""
    operator: str = "Prikkfri"
    """The name that the public reads on the viewer and on the status page."""
    region: str = "NO"
    """Of numbers that are written without a country code."""
    instance: str = ""
    """Which of a role's processes are started here, by their name; empty: those that the roles' own addresses are for.
    `--instance` says the same."""
    phones_port: int = 8090
    """Where the demo shows its simulated phones."""
    roles: Roles = Roles()
    storage: Storage = Storage()
    journal: Journal = Journal()
    viewer: Viewer = Viewer()
    signin: Signin = Signin()
    door: Door = Door()
    streaming: Streaming = Streaming()
    sms: Sms = Sms()
    assurance: Assurance = Assurance()


_ISO_4217 = """
AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BHD BIF BMD BND BOB BRL BSD BTN BWP BYN BZD CAD CDF CHF CLP
CNY COP CRC CUP CVE CZK DJF DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GNF GTQ GYD HKD HNL HTG HUF IDR
ILS INR IQD IRR ISK JMD JOD JPY KES KGS KHR KMF KPW KRW KWD KYD KZT LAK LBP LKR LRD LSL LYD MAD MDL MGA MKD MMK MNT
MOP MRU MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD OMR PAB PEN PGK PHP PKR PLN PYG QAR RON RSD RUB RWF SAR SBD
SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TND TOP TRY TTD TWD TZS UAH UGX USD UYU UZS VED VES
VND VUV WST XAF XCD XCG XOF XPF YER ZAR ZMW ZWG
"""
CURRENCIES = frozenset(_ISO_4217.split())
"""Those that people are paid in."""
HOME_VARIABLE = "PRIKKFRI_HOME"
_FROM_THE_COMMAND_LINE = {"home", "demo"}
SECRETS = {"password"}
"""Settings whose value no message may repeat."""
T = TypeVar("T")


def load(home: Path, *, file: Path | None, environment: Mapping[str, str], demo: bool = False) -> Config:
    """The configuration in `file` (default: `prikkfri.toml` in `home`, all defaults if missing) and environment.

    Raises `ConfigError` with file, line and mend.
    """
    path = file or home / "prikkfri.toml"
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        if file is not None:
            raise ConfigError(f"{path}: there is no such file; leave out --config to run on defaults") from None
        text = ""
    except OSError as error:
        raise ConfigError(
            f"{path}: cannot be read: {error.strerror}; make it a file that whoever runs Prikkfri may read"
        ) from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: cannot be read as UTF-8 text: {error}; save it as UTF-8") from None
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path}: not TOML: {error}") from None
    source = _Source(str(path), text)
    config = _build(Config, document, (), source)
    config = _with_environment(config, environment)
    lists = (
        (("trusted_proxies",), config.trusted_proxies),
        (("metrics_from",), config.metrics_from),
        (("door", "joins_unlimited"), config.door.joins_unlimited),
    )
    for setting, networks in lists:
        for index, network in enumerate(networks):
            try:
                ipaddress.ip_network(network)
            except ValueError as error:
                name = ".".join(setting)
                raise source.refuse(
                    (*setting, str(index)), f"`{name}` are addresses or networks, not {network!r}: {error}"
                ) from None
    for index, programme in enumerate(config.streaming.large_programmes):
        try:
            moments_of(programme)
        except ValueError:
            raise source.refuse(
                ("streaming", "large_programmes", str(index)),
                f"`streaming.large_programmes` are START/END such as 2026-11-28T20:30+01:00/2026-11-28T22:30+01:00, not"
                f" {programme!r}",
            ) from None
    if config.door.joins_ipv4_prefix > 32:
        raise source.refuse(
            ("door", "joins_ipv4_prefix"), f"`door.joins_ipv4_prefix` is at most 32, is {config.door.joins_ipv4_prefix}"
        )
    if config.storage.url and not re.match(r"postgres(ql)?://|\w+ *=", config.storage.url):
        beginning, scheme, _ = config.storage.url.partition("://")  # what comes after may be a password
        raise source.refuse(
            ("storage", "url"),
            "`storage.url` is where a PostgreSQL is, such as postgresql://HOST/NAME, or left out for SQLite files in"
            f" the home{f', not {beginning}://...' if scheme else ''}",
        )
    _refuse_unknown(config, source)
    config = dataclasses.replace(config, sms=_with_one_writing(config.sms, config.sms.region or config.region, source))
    for index, account in enumerate(config.sms.accounts):
        if not any(account.senders):
            raise source.refuse(
                ("sms", "accounts", str(index), "senders"),
                f"account {account.system_id!r} lacks `senders`: name those whom its messages may be from, such as"
                ' senders = ["Shop"], or say senders = ["*"] if it may send in anybody\'s name',
            )
        if account.system_id == config.assurance.tell_account and not {"*", config.operator[:11]} & {*account.senders}:
            raise source.refuse(
                ("sms", "accounts", str(index), "senders"),
                f"account {account.system_id!r} tells those who were hit in the operator's name: add"
                f" {config.operator[:11]!r} to its `senders`",
            )
    if code_account := config.signin.code_account:
        found = next((each for each in config.sms.accounts if each.system_id == code_account), None)
        if found is None:
            raise source.refuse(
                ("signin", "code_account"),
                f"there is no account {code_account!r}: name one of `sms.accounts`, or leave `code_account` out",
            )
        if found.message_class not in SENSITIVE_CLASSES:
            raise source.refuse(
                ("signin", "code_account"),
                f"account {code_account!r} sends codes to set a password: its `message_class` is one of"
                f" {', '.join(sorted(SENSITIVE_CLASSES))}, so that a code is never sent twice or shown",
            )
        if not {"*", config.operator[:11]} & {*found.senders}:
            raise source.refuse(
                ("signin", "code_account"),
                f"account {code_account!r} sends codes in the operator's name: add {config.operator[:11]!r} to its"
                " `senders`",
            )
    for index, link in enumerate(config.sms.links):
        for name, value in (("binds", link.binds), ("window", link.window)):
            if value < 1:
                raise source.refuse(
                    ("sms", "links", str(index), name),
                    f"link {link.name!r} would carry nothing: `{name}` is at least 1, is {value}",
                )
    _refuse_in_clear(config.roles, source)
    _refuse_two_processes(config, source)
    _refuse_unreadable(config.viewer, source)
    _refuse_two_for_one(config.sms, source)
    _refuse_two_channels(config.streaming.channels, source)
    _refuse_nobodys(config, source)
    return dataclasses.replace(config, home=home, demo=demo)


def moments_of(programme: str) -> tuple[float, float]:
    """Start and end of one of `streaming.large_programmes`, seconds since 1970 UTC. Raises `ValueError`."""
    start, end = (datetime.fromisoformat(moment) for moment in programme.split("/"))
    if start.tzinfo is None or end.tzinfo is None or end <= start:
        raise ValueError("no time, or no offset from UTC")
    return start.timestamp(), end.timestamp()


def _refuse_unknown(config: Config, source: "_Source") -> None:
    """Countries, time zones and currencies are of sets that are known: what is in none would be found out at night."""
    for setting, region in ((("region",), config.region), (("sms", "region"), config.sms.region or config.region)):
        if region not in phonenumbers.SUPPORTED_REGIONS:
            name = ".".join(setting)
            raise source.refuse(setting, f'`{name}` is a country in two capital letters, such as "NO", not {region!r}')
    zone = config.streaming.timezone
    try:
        ZoneInfo(zone)
    except (ValueError, OSError, KeyError):  # a folder of the data is an OSError, an unknown name a KeyError
        near = difflib.get_close_matches(zone, available_timezones(), 1)
        mend = f"did you mean {near[0]!r}?" if near else 'such as "Europe/Oslo"'
        raise source.refuse(
            ("streaming", "timezone"), f"`streaming.timezone`: there is no time zone {zone!r}; {mend}"
        ) from None
    for index, remedy in enumerate(config.assurance.remedies):
        if remedy.currency not in CURRENCIES:
            raise source.refuse(
                ("assurance", "remedies", str(index), "currency"),
                f'`currency` of {remedy.name!r} is one of ISO 4217 in three capital letters, such as "NOK",'
                f" not {remedy.currency!r}",
            )


def _refuse_in_clear(roles: Roles, source: "_Source") -> None:
    """Between machines nothing goes in clear: who listens there would read the keys of commands, and who was hit."""
    owners: dict[tuple[str, int], str] = {}
    for role in ROLES:
        for number, (name, edge) in enumerate(roles.processes(role).items()):
            path: tuple[str, ...] = ("roles", role, "internal_url")
            setting, url = f"`roles.{role}.internal_url`", edge.internal_url
            if number:
                path = ("roles", role, "instances", str(number - 1), "internal_url")
                setting = f"`internal_url` of {name}"
            if not url:
                continue
            try:
                parts = urlsplit(url)
                host, port = parts.hostname or "", parts.port
            except ValueError:
                host, port, parts = "", None, urlsplit("")
            plain = parts.scheme in ("http", "https") and host and "@" not in parts.netloc
            if not plain or parts.path.rstrip("/") or parts.query or parts.fragment:
                raise source.refuse(path, f"{setting} is an address such as https://door-1.internal:9086, not {url!r}")
            if parts.scheme == "http" and not is_loopback(host):
                raise source.refuse(
                    path,
                    f"{setting} is {url}, in clear to another machine: say https://{host}:PORT, with a port of its own,"
                    f" and make certificates with `prikkfri keys authority` and `prikkfri keys machine {host}`",
                )
            if parts.scheme == "http":
                continue
            if (port or 443) == edge.port:
                raise source.refuse(
                    path, f"{setting} has the role's own port {edge.port}, which answers in clear: use another"
                )
            owner = owners.setdefault((host, port or 443), name)
            if owner != name:
                raise source.refuse(path, f"{setting} is that of {owner}, {url}: give each a port of its own")


def _refuse_two_processes(config: Config, source: "_Source") -> None:
    """Processes of a role have names and addresses of their own, or whoever asks one would be answered by another."""
    if config.instance and not INSTANCE.fullmatch(config.instance):
        raise source.refuse(("instance",), f"`instance` is a name such as core-2, not {config.instance!r}")
    for role in ROLES:
        edge, names, ports = config.roles.edge(role), set[str](), {config.roles.edge(role).port}
        for index, each in enumerate(edge.instances):
            path = ("roles", role, "instances", str(index))
            if not INSTANCE.fullmatch(each.name) or each.name in names:
                raise source.refuse(
                    (*path, "name"),
                    f"`name` of a further {role} is one of its own, in small letters, digits and `-`, such as core-2,"
                    f" not {each.name!r}",
                )
            names.add(each.name)
            if each.internal_url or role in SINGLE:
                continue  # it is on another machine, or listens only when the other has ended
            if (each.port or edge.port) in ports:
                raise source.refuse(
                    (*path, "port"),
                    f"{process_name(role, each.name)} needs a `port` of its own on this machine, or the `internal_url`"
                    " of another",
                )
            ports.add(each.port)


def is_loopback(host: str) -> bool:
    """Whether a host's name or address means this very machine."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _refuse_unreadable(viewer: Viewer, source: "_Source") -> None:
    """What people could not see, or not read in their language, is found out before they come."""
    for name, theme, colour in (("colour", "light", viewer.colour), ("colour_dark", "dark", viewer.colour_dark)):
        if not colour:
            continue
        if not contrast.is_colour(colour):
            raise source.refuse(("viewer", name), f'`viewer.{name}` is a colour such as "#1757c2", not {colour!r}')
        if (seen := contrast.least_contrast(colour, theme)) < contrast.SEEN_MIN:
            raise source.refuse(
                ("viewer", name),
                f"`viewer.{name}`: {colour} is hardly seen on the {theme} page (contrast {seen:.2f}, at least"
                f" {contrast.SEEN_MIN:.0f}); the nearest that is: {contrast.nearest_seen(colour, theme)}",
            )
    for name, text in (("headline", viewer.headline), ("waiting", viewer.waiting)):
        said = {language: getattr(text, language) for language in ("nb", "sv", "en")}
        missing = [language for language, words in said.items() if not words.strip()]
        if 0 < len(missing) < len(said):
            raise source.refuse(
                ("viewer", name), f"`viewer.{name}` lacks {', '.join(missing)}: the page speaks three languages"
            )
        for language, words in said.items():
            if len(words) > VIEWER_TEXT_MAX or re.search(r"[\x00-\x09\x0b-\x1f\x7f]", words):
                raise source.refuse(
                    ("viewer", name, language),
                    f"`viewer.{name}.{language}` has at most {VIEWER_TEXT_MAX} characters and no control characters",
                )


def _refuse_nobodys(config: Config, source: "_Source") -> None:
    """What names another part of the configuration has to name one that there is."""
    links = [link.name for link in config.sms.links]
    accounts = [account.system_id for account in config.sms.accounts]
    channels = [channel.id for channel in config.streaming.channels]

    def name(path: tuple[str, ...], what: str, value: str, known: list[str]) -> None:
        if value not in known:
            listed = ", ".join(filter(None, known)) or "none"
            raise source.refuse(path, f"`{path[-1]}` names no {what}: {value!r}; there are: {listed}")

    for index, link in enumerate(config.sms.links):
        others = ["", *(each for each in links if each != link.name)]
        name(("sms", "links", str(index), "instead"), "other link", link.instead, others)
    for index, canary in enumerate(config.sms.canaries):
        name(("sms", "canaries", str(index), "link"), "link", canary.link, links)
    name(("assurance", "tell_account"), "account", config.assurance.tell_account, ["", *accounts])
    if channels:  # else they are the demo's
        for channel in config.streaming.fallback_channels:
            name(("streaming", "fallback_channels"), "channel", channel, channels)


def _with_one_writing(sms: Sms, region: str, source: "_Source") -> Sms:
    """Short codes, numbers and prefixes in the one form that messages are compared with, however they were written.

    Two accounts' `+4746789012` and `46 78 90 12` are one number, and a link's `+47` would match none.
    """
    accounts, links = [], []
    for index, account in enumerate(sms.accounts):
        national = region if account.numbers_unmarked == "national-first" else ""
        codes = []
        for written in account.short_codes:
            code = _number("".join(written.split()), national)
            if not code:
                raise source.refuse(
                    ("sms", "accounts", str(index), "short_codes"),
                    f"account {account.system_id!r} cannot have the number {written!r}: it is neither a short code of"
                    " three to six digits nor a phone's number; write that with `+` and its country code",
                )
            codes.append(code)
        accounts.append(dataclasses.replace(account, short_codes=tuple(codes)))
    for index, link in enumerate(sms.links):
        prefixes = []
        for written in link.prefixes:
            match = re.fullmatch(r"(?:(?:\+|00)(?=[1-9]))?((?!00)[0-9]{0,15})", "".join(written.split()), re.ASCII)
            if not match:
                raise source.refuse(
                    ("sms", "links", str(index), "prefixes"),
                    f"link {link.name!r} cannot have the prefix {written!r}: it is the digits with which numbers begin,"
                    ' with their country code, such as "47"',
                )
            prefixes.append(match[1])
        links.append(dataclasses.replace(link, prefixes=tuple(dict.fromkeys(prefixes))))
    canaries = []
    for index, canary in enumerate(sms.canaries):
        msisdn = "".join(canary.msisdn.split())
        if not msisdn.startswith("+") or not _number(msisdn, ""):
            raise source.refuse(
                ("sms", "canaries", str(index), "msisdn"),
                f"a canary's number is written with `+` and its country code, not {canary.msisdn!r}",
            )
        canaries.append(dataclasses.replace(canary, msisdn=msisdn))
    code = "".join(sms.wrong_number_code.split())
    if code and not re.fullmatch(rf"[0-9]{{3,{SHORT_CODE_DIGITS_MAX}}}", code, re.ASCII):
        raise source.refuse(
            ("sms", "wrong_number_code"),
            f"`wrong_number_code` is a short code of three to six digits, to which anybody may write, not"
            f" {sms.wrong_number_code!r}",
        )
    return dataclasses.replace(
        sms, accounts=tuple(accounts), links=tuple(links), canaries=tuple(canaries), wrong_number_code=code
    )


def _number(written: str, region: str) -> str:
    """A short code, or a phone's number with `+`, as a recipient is read (`sms/addresses.py`); empty: neither."""
    match = re.fullmatch(r"(\+|00)?([0-9]{3,16})", written, re.ASCII)
    if match and len(written) <= SHORT_CODE_DIGITS_MAX and match[1] != "+":
        return written
    digits = match[2] if match else ""
    if match and not match[1] and region:
        try:
            number = phonenumbers.parse(digits, region)
        except phonenumbers.NumberParseException:
            pass
        else:
            if phonenumbers.is_valid_number(number):
                digits = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)[1:]
    return f"+{digits}" if re.fullmatch("[1-9][0-9]{6,14}", digits, re.ASCII) else ""


def _refuse_two_for_one(sms: Sms, source: "_Source") -> None:
    """Whatever two would answer to, only one of them gets, and nobody has said which: that is a message gone astray."""
    owners: dict[tuple[str, str], str] = {}

    def own(path: tuple[str, ...], kind: str, what: str, owner: str) -> None:
        before = owners.setdefault((kind, what), owner)
        if before != owner:
            raise source.refuse(("sms", *path), f"{kind} {what!r} belongs to {before} already, and to {owner}")

    for index, account in enumerate(sms.accounts):
        own(("accounts", str(index), "system_id"), "account", account.system_id, f"account number {index + 1}")
        for code in account.short_codes:
            short_code = code.removeprefix("+")
            own(("accounts", str(index), "short_codes"), "short code", short_code, f"account {account.system_id!r}")
    if sms.wrong_number_code:
        own(("wrong_number_code",), "short code", sms.wrong_number_code, "`wrong_number_code`")
    for index, canary in enumerate(sms.canaries):  # one phone may prove two links, and is one phone of each
        phone = f"canary {canary.msisdn} of link"
        own(("canaries", str(index), "msisdn"), phone, canary.link, f"canary number {index + 1}")
    for index, link in enumerate(sms.links):
        own(("links", str(index), "name"), "link", link.name, f"link number {index + 1}")
        for means in ("refused_for_good", "refused_for_now", "refused_when_too_fast"):
            for status in getattr(link, means):
                refusal = f"refusal of link {link.name!r} with status"
                own(("links", str(index), means), refusal, f"{status:#x}", f"`{means}`")
        for prefix in link.prefixes:
            sharing = [each for each in sms.links if prefix in each.prefixes]
            if link is sharing[-1] and not _in_order(sharing):
                names = " and ".join(repr(each.name) for each in sharing)
                raise source.refuse(
                    ("sms", "links", str(index), "prefixes"),
                    f"links {names} have one prefix, {prefix!r}: say which is first by `priority` (the lowest), or by"
                    " its `instead`, which names the other, or give it to one of them",
                )


def _refuse_two_channels(channels: tuple[Channel, ...], source: "_Source") -> None:
    for setting in ("id", "number"):
        first: dict[object, Channel] = {}
        for index, channel in enumerate(channels):
            value = getattr(channel, setting)
            if (before := first.setdefault(value, channel)) is not channel:
                raise source.refuse(
                    ("streaming", "channels", str(index), setting),
                    f"channels {before.name!r} and {channel.name!r} have one `{setting}`, {value!r}; give each its own",
                )


def _in_order(links: list[Link]) -> bool:
    """Whether it is said which of these comes first, and which next: by `priority`, among equals by `instead`."""
    return all(_lead_on([link for link in links if link.priority == each.priority]) for each in links)


def _lead_on(links: list[Link]) -> bool:
    """Whether one of these comes first, and the `instead` of each before the last leads to the next."""
    by_name = {link.name: link for link in links}
    for link in links:
        found = {link.name}
        while link.instead in by_name.keys() - found:
            link = by_name[link.instead]
            found.add(link.name)
        if found == by_name.keys() and link.instead not in by_name:
            return True
    return False


@dataclass(frozen=True)
class _Source:
    name: str
    text: str

    def refuse(self, path: tuple[str, ...], message: str) -> ConfigError:
        line = self._line(path)
        where = f"{self.name}:{line}" if line else self.name
        return ConfigError(f"{where}: {message}")

    def _line(self, path: tuple[str, ...]) -> int:
        """The line of a setting such as `("sms", "links", "1", "port")`, or of what holds it; 0 when it is not told."""
        tables: dict[tuple[str, ...], int] = {}  # how many of each list have begun
        here: tuple[str, ...] = ()
        best, found = 0, 0
        for number, line in enumerate(self.text.splitlines(), 1):
            if header := re.match(r"\s*\[(\[?)([^\]]+)\]", line):
                names, here = _names(header[2]), ()
                for depth, name in enumerate(names, 1):
                    here = (*here, name)
                    if header[1] and depth == len(names):
                        tables[here] = tables.get(here, 0) + 1
                    if here in tables:
                        here = (*here, str(tables[here] - 1))
                there = here
            elif setting := re.match(r"\s*([\w.\-\"' ]+?)\s*=", line):
                there = here + _names(setting[1])
            else:
                continue
            shared = min(len(there), len(path))
            if shared > best and path[:shared] == there[:shared]:
                best, found = shared, number
        return found


def _names(dotted: str) -> tuple[str, ...]:
    return tuple(name.strip(" \"'") for name in dotted.split("."))


def _build(kind: type[T], table: object, path: tuple[str, ...], source: _Source) -> T:
    name = ".".join(path) or "the file"
    if not isinstance(table, dict):
        raise source.refuse(path, f"{name} must be a table, is {table!r}")
    hints = typing.get_type_hints(kind)
    known = {f.name: f for f in fields(typing.cast(Any, kind)) if path or f.name not in _FROM_THE_COMMAND_LINE}
    values: dict[str, object] = {}
    for key, value in table.items():
        if key not in known:
            near = difflib.get_close_matches(key, known, 1)
            mend = f"did you mean `{near[0]}`?" if near else "known here: " + ", ".join(sorted(known))
            raise source.refuse((*path, key), f"unknown setting `{'.'.join((*path, key))}`; {mend}")
        values[key] = _convert(hints[key], value, (*path, key), source)
    required = {
        f.name for f in known.values() if f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING
    }
    for missing in sorted(required - set(values)):
        if default := _default_of(path, missing):
            values[missing] = default
        else:
            raise source.refuse(path, f"{name} lacks `{missing}`")
    return kind(**values)


def _default_of(path: tuple[str, ...], name: str) -> object:
    """`[roles.door]` may name its public_url and leave its port as it is."""
    if len(path) == 2 and path[0] == "roles" and name == "port":
        return Roles().edge(path[1]).port
    return None


def _convert(hint: Any, value: object, path: tuple[str, ...], source: _Source) -> object:
    name = ".".join(path)
    origin = typing.get_origin(hint)
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        return _build(hint, value, path, source)
    if origin is tuple:
        item = typing.get_args(hint)[0]
        if not isinstance(value, list):
            raise source.refuse(path, f"`{name}` must be a list, is {value!r}")
        return tuple(_convert(item, v, (*path, str(i)), source) for i, v in enumerate(value))
    if origin is Literal:
        allowed = typing.get_args(hint)
        if value not in allowed:
            raise source.refuse(path, f"`{name}` must be one of {', '.join(map(repr, allowed))}, is {value!r}")
        return value
    if hint is float and type(value) is int:
        value = float(value)
    if type(value) is not hint:
        kinds = {str: "text", int: "a whole number", float: "a number", bool: "true or false"}
        shown = "something else" if path[-1] in SECRETS else repr(value)
        raise source.refuse(path, f"`{name}` must be {kinds[hint]}, is {shown}")
    if (isinstance(value, float) and not 0 <= value < 1e12) or (isinstance(value, int) and value < 0):
        raise source.refuse(path, f"`{name}` must not be negative, is {value!r}")
    if path[-1].endswith("port") and not 0 < typing.cast(int, value) < 65536:
        raise source.refuse(path, f"`{name}` must be a port from 1 to 65535, is {value!r}")
    return value


def _with_environment(config: Config, environment: Mapping[str, str]) -> Config:
    settings = dict(_paths(Config, ()))
    for variable, text in sorted(environment.items()):
        if not variable.startswith("PRIKKFRI_") or variable == HOME_VARIABLE:
            continue
        if variable not in settings:
            near = difflib.get_close_matches(variable, settings, 1)
            mend = f"did you mean {near[0]}?" if near else "no setting has that name; unset it"
            raise ConfigError(f"environment: unknown variable {variable}; {mend}")
        path, hint = settings[variable]
        config = _replaced(config, path, _parse(hint, text, variable, path))
    return config


def _paths(kind: Any, path: tuple[str, ...]) -> typing.Iterator[tuple[str, tuple[tuple[str, ...], Any]]]:
    hints = typing.get_type_hints(kind)
    for f in fields(kind):
        hint = hints[f.name]
        if not path and f.name in _FROM_THE_COMMAND_LINE:
            continue
        if dataclasses.is_dataclass(hint):
            yield from _paths(hint, (*path, f.name))
        else:
            yield "_".join(("PRIKKFRI", *path, f.name)).upper(), ((*path, f.name), hint)


def _parse(hint: Any, text: str, variable: str, path: tuple[str, ...]) -> object:
    source = _Source(f"environment {variable}", "")
    if hint is str or typing.get_origin(hint) is Literal:
        value: object = text
    else:
        try:
            value = tomllib.loads(f"value = {text}")["value"]
        except tomllib.TOMLDecodeError:
            value = text
    return _convert(hint, value, path, source)


def _replaced(node: Any, path: tuple[str, ...], value: object) -> Any:
    if len(path) > 1:
        value = _replaced(getattr(node, path[0]), path[1:], value)
    return dataclasses.replace(node, **{path[0]: value})

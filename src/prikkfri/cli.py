"""What an operator types."""

import asyncio
import contextlib
import getpass
import json
import os
import sys
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from datetime import datetime
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Annotated, Any, TypeVar, cast
from urllib.parse import quote
from zoneinfo import ZoneInfo

import httpx
import typer
from rich.console import Console
from rich.progress import Progress
from rich.table import Table
from rich.text import Text

from prikkfri.app import checking
from prikkfri.app.first_account import first_account_file
from prikkfri.app.locks import SUPERVISED, held, out_of_reach, refuse_held
from prikkfri.app.logs import log_file
from prikkfri.app.supervisor import Program, Supervisor
from prikkfri.assurance.answers import Answer
from prikkfri.assurance.impact import Impact
from prikkfri.assurance.incidents import Incident, document, in_order, said
from prikkfri.assurance.response import store as response_store
from prikkfri.assurance.response.tables import credits_csv, hits_csv
from prikkfri.clock import SystemClock
from prikkfri.config import HOME_VARIABLE, ROLES, Config, load
from prikkfri.errors import PrikkfriError, StorageDamaged, StorageUnwritable, UsageError
from prikkfri.simulation import demo as demonstration
from prikkfri.simulation import mechanisms, misdelivery
from prikkfri.simulation.evenings import drawing
from prikkfri.simulation.evenings.judging import Judged, Result, goal_holds
from prikkfri.simulation.evenings.many import simulate
from prikkfri.simulation.kickoff import Fault, Plan
from prikkfri.simulation.lateness import reason_not_judged
from prikkfri.simulation.rehearsing import (
    rehearse_kickoff,
    rehearse_misdelivery,
    report_of_kickoff,
    report_of_misdelivery,
)
from prikkfri.simulation.report import Check
from prikkfri.sms.restored import UNKNOWN, Decision
from prikkfri.sms.trails.service import message_trail
from prikkfri.storage import Database, Location, open_database, open_reader
from prikkfri.storage.keys import CallersKeys
from prikkfri.subscribers.service import ImportReport, import_file, show

application = typer.Typer(
    name="prikkfri",
    help="Television sign-in and text messages that stand when everyone comes at once, and answers.",
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
subscribers_commands = typer.Typer(help="Who the customers are.", rich_markup_mode=None)
application.add_typer(subscribers_commands, name="subscribers")
rehearse_commands = typer.Typer(help="Stage an incident against real roles.", rich_markup_mode=None)
application.add_typer(rehearse_commands, name="rehearse")
simulate_commands = typer.Typer(help="Run what decides over a drawn world, in virtual time.", rich_markup_mode=None)
application.add_typer(simulate_commands, name="simulate")
console = Console(highlight=False)

Home = Annotated[Path, typer.Option(help="Where everything is kept.", envvar=HOME_VARIABLE)]
ConfigFile = Annotated[
    Path | None, typer.Option("--config", help="The TOML file (default: prikkfri.toml in the home).")
]
JsonFile = Annotated[Path | None, typer.Option("--json", help="Write one JSON document there (-: standard output).")]
HOME = Path("prikkfri-home")
SEND_SECONDS_MAX = 10.0
INCIDENTS_SHOWN_MAX = 100
T = TypeVar("T")


class FaultName(StrEnum):
    kill = "kill"
    freeze = "freeze"
    slow = "slow"
    crowd = "crowd"
    none = "none"

    @property
    def fault(self) -> Fault | None:
        return None if self is FaultName.none else cast(Fault, self.value)


def main() -> None:
    """Runs a command; bad usage and bad input are one line and exit code 2."""
    try:
        sys.exit(application(sys.argv[1:] or ["--help"], standalone_mode=False) or 0)
    except typer.Abort:
        sys.exit(130)
    except typer.TyperException as error:
        print(f"prikkfri: {error} See prikkfri --help.", file=sys.stderr)
        sys.exit(2)
    except UsageError as error:
        print(f"prikkfri: {error}", file=sys.stderr)
        sys.exit(2)
    except PrikkfriError as error:
        print(f"prikkfri: {error}", file=sys.stderr)
        sys.exit(1)
    except OSError as error:
        if error.filename is None:
            raise
        print(f"prikkfri: {out_of_reach(error)}", file=sys.stderr)
        sys.exit(2)


@application.callback()
def _commands() -> None:
    """Keeps `serve` a command of its own, however few there are."""


def configuration(home: Path, file: Path | None, *, demo: bool = False) -> Config:
    return load(home, file=file, environment=os.environ, demo=demo)


@application.command()
def serve(
    home: Home = HOME,
    demo: Annotated[bool, typer.Option("--demo", help="Made-up customers, phones and a little life.")] = False,
    only: Annotated[str, typer.Option(help=f"Some roles, with commas between them: {', '.join(ROLES)}.")] = "",
    database: Annotated[str, typer.Option(help="postgresql://... instead of SQLite files in the home.")] = "",
    config: ConfigFile = None,
) -> None:
    """Start the roles on this machine and keep them running."""
    if database:
        os.environ["PRIKKFRI_STORAGE_URL"] = database
    roles = [role.strip() for role in only.split(",") if role.strip()] or list(ROLES)
    if unknown := [role for role in roles if role not in ROLES]:
        raise UsageError(f"there is no role {unknown[0]!r}; the roles are {', '.join(ROLES)}")
    with alone_with(home, roles):
        raise typer.Exit(serve_roles(home, roles, config, demo=demo))


@contextlib.contextmanager
def alone_with(home: Path, roles: Sequence[str]) -> Iterator[None]:
    """Nobody else keeps these roles running on this home meanwhile. Raises `UsageError` when somebody does."""
    with contextlib.ExitStack() as locks:
        for role in roles:
            locks.enter_context(held(home, SUPERVISED + role))
        for role in roles:
            refuse_held(home, role)
        yield


def serve_roles(home: Path, roles: Sequence[str], config: Path | None, *, demo: bool) -> int:
    """Keeps the roles running until it is told to stop; returns the exit code."""
    if demo and config is None:
        demonstration.write_configuration(home)
    settings = configuration(home, config, demo=demo)
    programs = [role_program(role, settings, config) for role in roles]
    if demo and len(roles) == len(ROLES) and settings.sms.links:
        programs += demo_programs(settings)
    say = partial(console.print, "·", soft_wrap=True)
    supervisor = Supervisor(programs, home=home, say=say)
    console.print(f"starting {', '.join(program.name for program in programs)} …")

    async def run() -> int:
        if demo:
            try:
                await demonstration.seed(settings, demonstration.people(demonstration.PEOPLE))
            except (StorageDamaged, StorageUnwritable) as error:
                say(f"nobody is made up: {error}")
        return await supervisor.run(when_ready=lambda: say_ready(settings, roles))

    return asyncio.run(run())


def say_ready(settings: Config, roles: Sequence[str]) -> None:
    """The addresses, how to sign in, and what to try."""
    shown = {"viewer": "watch", "assurance": "console", "status": "status page"}
    table = Table(box=None, show_header=False, pad_edge=False)
    for role, label in shown.items():
        if role in roles:
            table.add_row(label, settings.roles.edge(role).url, _sign_in_with(settings, role))
    if settings.demo:
        table.add_row("phones", f"http://localhost:{settings.phones_port}", "text messages arrive here")
    console.print(table)
    if settings.demo:
        phone = demonstration.people(1)[0].msisdn
        message = f'prikkfri send --from 2010 --to {phone} "Middag kl. 18" --home {settings.home}'
        console.print(f"\ntry    .venv/bin/{message}", soft_wrap=True)
        console.print(
            f"       or an SMPP client of your own on localhost:{settings.roles.sms.smpp_port}", soft_wrap=True
        )
        rehearsal = f"prikkfri rehearse kickoff --home {settings.home}"
        console.print(
            f"       or an evening that goes wrong, while you watch the console: .venv/bin/{rehearsal}", soft_wrap=True
        )
    console.print("Ctrl-C stops everything.", style="dim")


def _sign_in_with(settings: Config, role: str) -> str:
    if role == "viewer" and settings.demo:
        return f"{demonstration.people(1)[0].email} / {demonstration.PASSWORD}"
    file = first_account_file(settings.home)
    if role == "assurance" and file.exists():
        return file.read_text(encoding="utf-8").strip() if settings.demo else f"name and first password: {file}"
    return ""


def demo_programs(settings: Config) -> list[Program]:
    """The world around the demo: phones behind an SMSC, and a little life."""
    phones = demonstration.phones(demonstration.people(demonstration.PEOPLE))
    handsets = ["-m", "prikkfri.simulation.handsets", "--name", demonstration.NETWORK]
    handsets += [f"--http-port={settings.phones_port}", f"--smpp-port={settings.sms.links[0].port}", *phones]
    life = ["-m", "prikkfri.simulation.life", "--home", str(settings.home)]
    return [
        Program("handsets", handsets, log_file(settings.home, "handsets"), helper=True),
        Program("life", life, log_file(settings.home, "life"), helper=True),
    ]


@application.command()
def check(home: Home = HOME, config: ConfigFile = None) -> None:
    """Look at configuration, keys, database, clock, ports and disk."""
    settings = configuration(home, config)
    home.mkdir(parents=True, exist_ok=True, mode=0o700)
    findings = asyncio.run(checking.check(settings, SystemClock()))
    table = Table("", "what", "found", box=None, header_style="dim")
    table.add_row("✓", "configuration", str(config or home / "prikkfri.toml"))
    for finding in findings:
        table.add_row("✓" if finding.holds else "[red]✗[/red]", finding.subject, finding.detail)
    console.print(table)
    raise typer.Exit(0 if all(finding.holds for finding in findings) else 1)


@application.command()
def send(
    text: Annotated[str, typer.Argument(help="What the message says.")],
    sender: Annotated[str, typer.Option("--from", help="A number, a short code or up to eleven letters.")],
    recipient: Annotated[str, typer.Option("--to", help="The recipient's number, with its country code.")],
    account: Annotated[str, typer.Option(help="The account that sends (default: the first one configured).")] = "",
    json_file: JsonFile = None,
    home: Home = HOME,
    config: ConfigFile = None,
) -> None:
    """Hand a text message to the SMS centre, and print its id."""
    settings = configuration(home, config)
    accounts = {known.system_id: known for known in settings.sms.accounts}
    chosen = accounts.get(account) if account else next(iter(accounts.values()), None)
    if chosen is None:
        raise UsageError(
            f"there is no account {account!r}" if account else "no account: add one under [[sms.accounts]]"
        )
    url = f"http://localhost:{settings.roles.sms.port}/messages"
    try:
        answer = httpx.post(
            url,
            json={"from": sender, "to": recipient, "text": text},
            auth=(chosen.system_id, chosen.password),
            timeout=SEND_SECONDS_MAX,
        )
        document = answer.json()
    except (httpx.HTTPError, ValueError) as error:
        raise PrikkfriError(f"the SMS centre does not answer on {url}: {type(error).__name__}") from None
    if answer.status_code != httpx.codes.ACCEPTED:
        kind = UsageError if answer.is_client_error else PrikkfriError
        raise kind(f"not accepted: {document.get('message', answer.status_code)}")
    if json_file is not None:
        write_json(document, json_file)
    else:
        follow = f"prikkfri message {document['id']} --home {settings.home}"
        console.print(f"accepted as {document['id']}; follow it with: {follow}", soft_wrap=True)


@application.command()
def message(
    message_id: Annotated[str, typer.Argument(metavar="ID", help="As given when it was accepted.")],
    json_file: JsonFile = None,
    home: Home = HOME,
    config: ConfigFile = None,
) -> None:
    """Show the trail of one message, step by step; never its body."""
    settings = configuration(home, config)
    trail = asyncio.run(reading(settings, "sms", lambda database: message_trail(database, message_id)))
    if trail is None:
        raise PrikkfriError(f"there is no message {message_id}")
    if json_file is not None:
        write_json(asdict(trail), json_file)
        return
    console.print(f"{trail.id}  {trail.sender} → {trail.recipient}  [bold]{trail.state}[/bold]")
    table = Table(box=None, show_header=False)
    zone = ZoneInfo(settings.streaming.timezone)
    for step in trail.steps:
        table.add_row(moment(step.time, zone), step.event, step.detail, style="" if step.event else "dim")
    console.print(table)


@application.command()
def links(json_file: JsonFile = None, home: Home = HOME, config: ConfigFile = None) -> None:
    """How each link's partner speaks, from its own traffic, and what waits; exit code 1 while a link is not bound."""
    settings = configuration(home, config)
    found = asked_of_sms(settings, "GET", "/links")
    if json_file is not None:
        write_json(found, json_file)
    else:
        zone = ZoneInfo(settings.streaming.timezone)
        table = Table("", *(link["link"] for link in found["links"]), box=None, header_style="dim")
        described = [[(name, Text(value)) for name, value in link_lines(link, zone)] for link in found["links"]]
        for cells in zip(*described, strict=True):
            table.add_row(cells[0][0], *(value for _, value in cells))
        console.print(table)
        for account in found["accounts"]:
            waiting = f"{account['waiting']:,} messages wait"
            console.print(Text(f"account {account['account']}: {account['binds']} binds, {waiting}"))
        console.print(f"counted since {moment(found['since'], zone)}", style="dim")
    raise typer.Exit(0 if all(link["binds"] for link in found["links"]) else 1)


def link_lines(link: dict[str, Any], zone: ZoneInfo) -> list[tuple[str, str]]:
    """What is said of a link, line by line."""

    def part(value: float | None) -> str:
        return "–" if value is None else f"{value:.2%}"

    def took(spread: dict[str, float | None]) -> str:
        if spread["half"] is None:
            return "–"
        return ", ".join(f"{name} {spread[key]:.3g} s" for name, key in LINK_SPREAD)

    def counted(words: dict[str, int]) -> str:
        return ", ".join(f"{word} {times:,}" for word, times in words.items()) or "–"

    since = f", since {moment(link['bound_since'], zone)}" if link["binds"] else ""
    return [
        ("partner", link["partner"]),
        ("binds", f"{link['binds']}{since}"),
        ("waiting", f"{link['waiting']:,}"),
        ("taken", f"{link['taken']:,}, {link['rate']:.1f} a second"),
        ("refused", counted(link["refused"])),
        ("round trip", took(link["round_trip"])),
        ("without answer", f"{part(link['without_answer'])} ({link['answered_late']:,} came late)"),
        ("answers not readable", f"{link['unreadable']:,}"),
        ("ids of receipts", link["complaint"] or link["ids"]),
        ("receipts", f"{link['receipts']:,}, {link['repeated']:,} repeated, {link['unnamed']:,} naming no message"),
        ("states told", counted(link["states"])),
        ("unknown states", counted(link["unknown"])),
        ("receipt after", took(link["receipt_after"])),
        ("without receipt", part(link["without_receipt"])),
        ("receipts late", part(link["late"])),
        ("receipts out of order", part(link["out_of_order"])),
        ("receipts unmatched", part(link["unmatched"])),
        ("in waiting, in quarantine", f"{link['receipts_waiting']:,}, {link['receipts_held']:,}"),
    ]


LINK_SPREAD = (("half", "half"), ("95 %", "most"), ("longest", "longest"))


quarantine_commands = typer.Typer(help="What the SMS centre holds for a person.", rich_markup_mode=None)
application.add_typer(quarantine_commands, name="quarantine", invoke_without_command=True)
By = Annotated[str, typer.Option(help="Your name, for the record (default: that of your account on this machine).")]


@quarantine_commands.callback()
def quarantine(
    context: typer.Context,
    link: Annotated[str, typer.Option(help="Only what is held of this link.")] = "",
    json_file: JsonFile = None,
    home: Home = HOME,
    config: ConfigFile = None,
) -> None:
    """List messages and receipts in quarantine, the newest first; exit code 1 while there are any."""
    if context.invoked_subcommand is not None:
        sources = [context.get_parameter_source(name) for name in ("home", "config", "json_file", "link")]
        if any(source is not None and source.name == "COMMANDLINE" for source in sources):
            raise UsageError(f"options come last: prikkfri quarantine {context.invoked_subcommand} ID --home ...")
        return
    settings = configuration(home, config)
    found = asked_of_sms(settings, "GET", f"/quarantine?link={quote(link, safe='')}")
    zone = ZoneInfo(settings.streaming.timezone)
    if json_file is not None:
        write_json(found, json_file)
    elif not found:
        console.print("nothing is in quarantine")
    else:
        table = Table("since", "id", "what", "link", "why", "from", "to", "particulars", box=None, header_style="dim")
        for entry in found:
            cells = [entry[name] for name in ("id", "kind", "link", "reason", "sender", "recipient", "detail")]
            table.add_row(moment(entry["held_at"], zone), *map(Text, cells))
        console.print(table)
    raise typer.Exit(1 if found else 0)


@quarantine_commands.command("show")
def show_quarantined(
    identifier: Annotated[str, typer.Argument(metavar="ID")],
    json_file: JsonFile = None,
    home: Home = HOME,
    config: ConfigFile = None,
) -> None:
    """Show one entry, masked, what has happened to it, and whether it can be released."""
    settings = configuration(home, config)
    found = asked_of_sms(settings, "GET", f"/quarantine/{quote(identifier, safe='')}")
    if json_file is not None:
        write_json(found, json_file)
        return
    entry, zone = found["entry"], ZoneInfo(settings.streaming.timezone)
    console.print(Text(f"{entry['kind']} {entry['id']}  {entry['sender']} → {entry['recipient']}  {entry['reason']}"))
    console.print(Text(f"link {entry['link']}; {entry['detail']}"))
    if found["hindrance"]:
        console.print(Text(f"cannot be released: {found['hindrance']}"))
    elif found["goes_to"]:
        console.print(Text(f"released, it goes to {found['goes_to']}"))
    table = Table(box=None, show_header=False)
    for step in found["steps"]:
        table.add_row(moment(step["time"], zone), step["event"], Text(step["detail"]))
    console.print(table)


@quarantine_commands.command("release")
def release_quarantined(
    identifier: Annotated[str, typer.Argument(metavar="ID")], by: By = "", home: Home = HOME, config: ConfigFile = None
) -> None:
    """Let a message go out by the routes of now, or a receipt end the message that it fits by now."""
    say_of_quarantine(configuration(home, config), identifier, "release", by)
    console.print(f"{identifier} is released")


@quarantine_commands.command("discard")
def discard_quarantined(
    identifier: Annotated[str, typer.Argument(metavar="ID", help="Leave it out with --receipts-of.")] = "",
    receipts_of: Annotated[str, typer.Option(help="A link: all of its receipts that fit nothing.")] = "",
    by: By = "",
    home: Home = HOME,
    config: ConfigFile = None,
) -> None:
    """Discard an entry for good; the body of a message is erased."""
    settings = configuration(home, config)
    if bool(identifier) == bool(receipts_of):
        raise UsageError("say which: prikkfri quarantine discard ID, or --receipts-of LINK")
    if identifier:
        say_of_quarantine(settings, identifier, "discard", by)
        console.print(f"{identifier} is discarded")
        return
    found, more = 0, True
    while more:
        wanted = {"link": receipts_of, "action": "discard", "by": by or getpass.getuser()}
        more = asked_of_sms(settings, "POST", "/quarantine", wanted)["discarded"]
        found += more
    console.print(f"{found:,} receipts are discarded")


def say_of_quarantine(settings: Config, identifier: str, action: str, by: str) -> None:
    wanted = {"action": action, "by": by or getpass.getuser()}
    asked_of_sms(settings, "POST", f"/quarantine/{quote(identifier, safe='')}", wanted)


sms_commands = typer.Typer(help="The SMS centre.", rich_markup_mode=None)
application.add_typer(sms_commands, name="sms")


@sms_commands.command()
def restored(
    then: Annotated[
        Decision | None,
        typer.Option(
            help="What becomes of what waited in the snapshot: discard it, or send it all the same, where ordinary"
            " messages may come twice and sensitive ones are reported and never sent."
        ),
    ] = None,
    by: By = "",
    json_file: JsonFile = None,
    home: Home = HOME,
    config: ConfigFile = None,
) -> None:
    """Show what a restored snapshot lacks, and say what becomes of what waited in it; exit code 1 while it is held."""
    settings = configuration(home, config)
    if then is None:
        found = asked_of_sms(settings, "GET", "/restored")
    else:
        found = asked_of_sms(settings, "POST", "/restored", {"action": then, "by": by or getpass.getuser()})
    if json_file is not None:
        write_json(found, json_file)
    elif found["restore"] is None:
        console.print("no restored snapshot was ever noticed")
    else:
        for line in restored_lines(found["restore"], ZoneInfo(settings.streaming.timezone)):
            console.print(Text(line), soft_wrap=True)
    raise typer.Exit(1 if found["holds"] and then is None else 0)


def restored_lines(found: dict[str, Any], zone: ZoneInfo) -> list[str]:
    """What is said of a restored snapshot, line by line."""
    if found["commits_missing"] == UNKNOWN:
        lacks = "it is another database: all that the last one knew is missing"
    else:
        since = found["seconds_missing"]
        lacks = f"it is {found['commits_missing']:,} commits and {found['outcomes_missing']:,} outcomes behind"
        lacks += "" if since is None else f", from {since:,.0f} s before the last mark"
    lines = [
        f"noticed {moment(found['noticed_at'], zone)}, by the mark of {moment(found['marked_at'], zone)}: {lacks}",
        f"{found['waiting']:,} messages waited in it and may have been sent since, {found['sensitive']:,} of them"
        " sensitive",
        f"{found['accepted']:,} messages were accepted after it was noticed, until somebody decided",
    ]
    if not found["decision"]:
        return [*lines, "nothing is sent until somebody decides: --then discard, or --then send"]
    said = f"{found['decision']}, by {found['decided_by']}, {moment(found['decided_at'], zone)}"
    done = f"done {moment(found['done_at'], zone)}" if found["done_at"] else "under way, and nothing is sent yet"
    return [*lines, f"{said}: {found['given_up']:,} given up, {found['let_go']:,} kept; {done}"]


def asked_of_sms(settings: Config, method: str, path: str, wanted: object = None) -> Any:
    """What the sms role answers whoever has its command key, which stands in the home."""
    url = f"http://localhost:{settings.roles.sms.port}{path}"
    key = CallersKeys(settings.home, ("sms",))["sms"]
    try:
        answer = httpx.request(
            method, url, json=wanted, headers={"Authorization": f"Bearer {key}"}, timeout=SEND_SECONDS_MAX
        )
        document = answer.json()
    except (httpx.HTTPError, ValueError) as error:
        raise PrikkfriError(f"the SMS centre does not answer on {url}: {type(error).__name__}") from None
    if answer.is_success:
        return document
    kind = UsageError if answer.status_code == httpx.codes.NOT_FOUND else PrikkfriError
    raise kind(f"not done: {document.get('message', answer.status_code)}")


@subscribers_commands.command("import")
def import_subscribers(
    file: Annotated[Path, typer.Argument(metavar="FILE.csv", help="Its columns: docs/subscribers.md.")],
    json_file: JsonFile = None,
    home: Home = HOME,
    config: ConfigFile = None,
) -> None:
    """Import customers and what they subscribe to; safe to break off and to repeat."""
    settings = configuration(home, config)

    async def work(progress: Callable[[int, int], None]) -> ImportReport:
        database = await open_database(Location(settings.home, settings.storage.url), "subscribers")
        try:
            return await import_file(
                database,
                file,
                region=settings.region,
                timezone=ZoneInfo(settings.streaming.timezone),
                clock=SystemClock(),
                progress=progress,
            )
        finally:
            await database.close()

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(file.name, total=None)
        report = asyncio.run(work(lambda done, size: bar.update(task, completed=done, total=size)))
    if json_file is not None:
        write_json({**asdict(report), "rejected_file": str(report.rejected_file or "")}, json_file)
    else:
        console.print(
            f"{report.rows:,} rows in {report.seconds:.1f} s: {report.added:,} added, {report.changed:,} changed, "
            f"{report.unchanged:,} as they were, {report.rejected:,} rejected"
        )
        if report.rejected_file:
            console.print(f"what was rejected, with line and reason: {report.rejected_file}")
    raise typer.Exit(1 if report.rejected else 0)


@subscribers_commands.command("show")
def show_subscriber(
    key: Annotated[str, typer.Argument(metavar="MSISDN|ID")],
    unmasked: Annotated[bool, typer.Option("--unmasked", help="Names and numbers in full.")] = False,
    json_file: JsonFile = None,
    home: Home = HOME,
    config: ConfigFile = None,
) -> None:
    """Show one customer, masked: what is held, from when to when, and who held a number before."""
    settings = configuration(home, config)
    profile = asyncio.run(
        reading(
            settings,
            "subscribers",
            lambda database: show(
                database,
                key,
                region=settings.region,
                timezone=ZoneInfo(settings.streaming.timezone),
                now=SystemClock().now(),
                unmasked=unmasked,
            ),
        )
    )
    if profile is None:
        raise PrikkfriError(f"nobody is or holds {key!r}")
    if json_file is not None:
        write_json(asdict(profile), json_file)
        return
    console.print(f"{profile.id}  {profile.name}  {profile.email}")
    for title, rows in (("", profile.subscriptions), ("who has held this number", profile.holders)):
        table = Table(box=None, show_header=False, title=title or None, title_justify="left")
        for item in rows:
            period = f"{item.since} – {item.until}"
            table.add_row(
                item.subscriber_id if title else item.kind, item.product, item.number, period, "now" if item.now else ""
            )
        if rows:
            console.print(table)


incidents_commands = typer.Typer(help="What has been broken, and the answers.", rich_markup_mode=None)
application.add_typer(incidents_commands, name="incidents", invoke_without_command=True)


@incidents_commands.callback()
def incidents(context: typer.Context, json_file: JsonFile = None, home: Home = HOME, config: ConfigFile = None) -> None:
    """List incidents, the newest first; exit code 1 while one is open."""
    if context.invoked_subcommand is not None:
        sources = [context.get_parameter_source(name) for name in ("home", "config", "json_file")]
        if any(source is not None and source.name == "COMMANDLINE" for source in sources):
            raise UsageError(f"options come last: prikkfri incidents {context.invoked_subcommand} ID --home ...")
        return
    settings = configuration(home, config)
    found = asyncio.run(
        reading(
            settings,
            "assurance",
            lambda database: database.read(lambda q: response_store.incidents(q, most=INCIDENTS_SHOWN_MAX)),
        )
    )
    zone = ZoneInfo(settings.streaming.timezone)
    if json_file is not None:
        write_json([document(incident) for incident in found], json_file)
    elif not found:
        console.print("no incident")
    else:
        table = Table("id", "state", "since", "where", box=None, header_style="dim")
        for incident in found:
            where = "; ".join(str(segment) for segment in incident.segments)
            table.add_row(incident.id, said(incident), moment(incident.since, zone), where)
        console.print(table)
    raise typer.Exit(1 if any(incident.open for incident in found) else 0)


@incidents_commands.command("show")
def show_incident(
    identifier: Annotated[str, typer.Argument(metavar="ID")],
    json_file: JsonFile = None,
    home: Home = HOME,
    config: ConfigFile = None,
) -> None:
    """The answer sheet of one incident, and its timeline."""

    async def work(database: Database) -> tuple[Incident | None, list[Answer]]:
        incident = await database.read(lambda q: response_store.incident(q, identifier))
        return incident, await database.read(lambda q: response_store.answers(q, identifier))

    settings = configuration(home, config)
    zone = ZoneInfo(settings.streaming.timezone)
    incident, answers = asyncio.run(reading(settings, "assurance", work))
    if incident is None:
        raise UsageError(f"there is no incident {identifier}; list them with: prikkfri incidents")
    if json_file is not None:
        write_json({"incident": document(incident), "answers": [asdict(answer) for answer in answers]}, json_file)
        return
    console.print(f"{incident.id}  [bold]{said(incident)}[/bold]  since {moment(incident.since, zone)}\n")
    for answer in answers:
        console.print(f"{answer.number:2}. [bold]{answer.question}[/bold]", soft_wrap=True)
        console.print(f"    {answer.text}", style="" if answer.known else "dim", soft_wrap=True)
        for line in answer.evidence:
            console.print(f"      · {line}", style="dim", soft_wrap=True)
    table = Table(box=None, show_header=False, title="timeline", title_justify="left")
    for entry, stood in in_order(incident):
        table.add_row(moment(entry.at, zone), entry.who, entry.kind, stood, entry.text)
    console.print("", table)


@application.command()
def affected(
    identifier: Annotated[str, typer.Argument(metavar="INCIDENT")],
    csv_file: Annotated[Path | None, typer.Option("--csv", help="Write the list there, with the evidence.")] = None,
    json_file: JsonFile = None,
    home: Home = HOME,
    config: ConfigFile = None,
) -> None:
    """Who was hit by an incident: how many, and the list."""

    async def work(database: Database) -> tuple[Impact, str] | None:
        incident = await database.read(lambda q: response_store.incident(q, identifier))
        if incident is None:
            raise UsageError(f"there is no incident {identifier}; list them with: prikkfri incidents")
        found = await database.read(lambda q: response_store.impact_of(q, incident))
        return found and found[:2]

    settings = configuration(home, config)
    found = asyncio.run(reading(settings, "assurance", work))
    if found is None:
        raise PrikkfriError("the list has not been made yet; it is a few seconds after an incident is opened")
    impact, incomplete = found
    if csv_file is not None:
        with csv_file.open("w", encoding="utf-8", newline="") as file:
            file.write(hits_csv(impact.hits, ZoneInfo(settings.streaming.timezone)))
    if json_file is not None:
        write_json({**asdict(impact), "incomplete": incomplete}, json_file)
        return
    console.print(f"{impact.seen:,} of {impact.asked:,} who asked were hit; digest {impact.digest}")
    if reported := len(impact.hits) - impact.seen:
        console.print(f"{reported:,} more are known only from what their device reported")
    if impact.unconfirmed:
        console.print(f"{impact.unconfirmed:,} devices may be made up (never came back) and are on no list")
    if impact.unsettled:
        console.print(f"{impact.unsettled:,} more still wait within the grace time")
    if incomplete:
        console.print(f"the list may lack somebody: {incomplete}")


@application.command()
def credits(
    identifier: Annotated[str, typer.Argument(metavar="INCIDENT")],
    csv_file: Annotated[Path | None, typer.Option("--csv", help="Write them there, for billing.")] = None,
    json_file: JsonFile = None,
    home: Home = HOME,
    config: ConfigFile = None,
) -> None:
    """The service credits given for an incident: one for each customer hit."""
    settings = configuration(home, config)
    given = asyncio.run(
        reading(
            settings,
            "assurance",
            lambda database: database.read(lambda q: response_store.credits_of(q, identifier)),
        )
    )
    if csv_file is not None:
        with csv_file.open("w", encoding="utf-8", newline="") as file:
            file.write(credits_csv(given, ZoneInfo(settings.streaming.timezone)))
    if json_file is not None:
        rows = [{**asdict(each.credit), "given_by": each.given_by, "given_at": each.given_at} for each in given]
        write_json(rows, json_file)
        return
    total = sum(each.credit.amount for each in given) / 100
    told = sum(bool(each.told_at) for each in given)
    console.print(f"{len(given):,} credits, {total:,.2f} together; {told:,} customers have been told")


@rehearse_commands.command("kickoff")
def rehearse_kickoff_command(
    fault: Annotated[
        FaultName,
        typer.Option(help="What happens to sign-in and the interface; crowd: more come at once than they can take."),
    ] = FaultName.kill,
    inside: Annotated[int, typer.Option(min=1, help="Viewers who came before the crowd.")] = Plan.inside,
    outside: Annotated[int, typer.Option(min=1, help="People in the crowd.")] = Plan.outside,
    rush: Annotated[int, typer.Option(min=1, help="With --fault crowd: people more, at once.")] = Plan.rush,
    seconds: Annotated[float, typer.Option(min=20, help="How long the 75 minutes take.")] = Plan.evening_seconds,
    seed: Annotated[int, typer.Option(help="Of everything that is drawn by lot.")] = Plan.seed,
    json_file: JsonFile = None,
    report_file: Annotated[Path | None, typer.Option("--report", help="Write the evening as one HTML page.")] = None,
    home: Annotated[Path | None, typer.Option(help="A demo that runs (default: an installation of its own).")] = None,
    without: Annotated[str, typer.Option(help=f"Switch a mechanism off: {', '.join(mechanisms.KICKOFF)}.")] = "",
) -> None:
    """Stage a kick-off whose sign-in fails, against real roles, and hold the account against the truth."""
    plan = Plan(
        inside=inside,
        outside=outside,
        evening_seconds=seconds,
        fault=fault.fault,
        rush=rush,
        seed=seed,
    )
    if home is not None and without:
        raise UsageError("nothing is switched off in a demo that runs; leave out --home or --without")
    mechanism = mechanism_of(mechanisms.KICKOFF, without)
    staging = rehearse_kickoff(plan, say=progress_since_now(), home=home, without=mechanism)
    result, checks, truth, told = asyncio.run(staging)
    again = f"prikkfri rehearse kickoff --fault {fault.value} --inside {inside} --outside {outside}"
    again += f" --rush {rush}" if fault is FaultName.crowd else ""
    again += f" --seconds {seconds:g} --seed {seed}"
    again += (f" --home {home}" if home else "") + (f" --without {without}" if without else "")
    if report_file is not None:
        zone = ZoneInfo((configuration(home, None) if home else Config()).streaming.timezone)
        report_file.write_text(report_of_kickoff(truth, told, result, checks, again=again, zone=zone), encoding="utf-8")
    if json_file is not None:
        write_json(asdict(result), json_file)
    say_checks(checks, again)
    raise typer.Exit(0 if result.passed else 1)


@rehearse_commands.command("misdelivery")
def rehearse_misdelivery_command(
    fault: Annotated[bool, typer.Option(help="Let one partner misdeliver and another lose receipts.")] = True,
    seed: Annotated[int, typer.Option(help="Of everything that is drawn by lot.")] = 1,
    small: Annotated[bool, typer.Option("--small", help="Fewer phones, under a minute.")] = False,
    without: Annotated[str, typer.Option(help=f"Switch a mechanism off: {', '.join(mechanisms.MISDELIVERY)}.")] = "",
    json_file: JsonFile = None,
    report_file: Annotated[Path | None, typer.Option("--report", help="Write the evening as one HTML page.")] = None,
) -> None:
    """Stage a partner that hands messages to strangers, and hold the account against the truth."""
    plan = replace(misdelivery.SMALL if small else misdelivery.Plan(), fault=fault, seed=seed)
    mechanism = mechanism_of(mechanisms.MISDELIVERY, without)
    staging = rehearse_misdelivery(plan, say=progress_since_now(), without=mechanism)
    result, checks, truth, told, seen = asyncio.run(staging)
    again = f"prikkfri rehearse misdelivery{' --small' if small else ''}{'' if fault else ' --no-fault'} --seed {seed}"
    again += f" --without {without}" if without else ""
    if report_file is not None:
        zone = ZoneInfo(Config().streaming.timezone)
        page = report_of_misdelivery(truth, told, seen, result, checks, again=again, zone=zone)
        report_file.write_text(page, encoding="utf-8")
    if json_file is not None:
        write_json(asdict(result), json_file)
    say_checks(checks, again)
    raise typer.Exit(0 if result.passed else 1)


@simulate_commands.callback()
def _simulations() -> None:
    """Keeps `evenings` a command of its own, however few there are."""


@simulate_commands.command("evenings")
def simulate_evenings(
    seed: Annotated[int, typer.Option(min=0, help="Of the first evening; the next one has the next seed.")] = 1,
    evenings: Annotated[int, typer.Option(min=1, help="How many.")] = 60,
    json_file: JsonFile = None,
) -> None:
    """Judge assurance over evenings drawn by lot: alarms, places, lists and credits against the truth."""
    progress = Console(stderr=True, highlight=False)
    with Progress(console=progress, transient=True) as bar:
        task = bar.add_task("evenings", total=evenings)

        def say(judged: Judged) -> None:
            bar.advance(task)
            say_evening(progress, judged)

        found, every = simulate(seed, evenings, clock=SystemClock(), say=say)
    say_draws(progress)
    say_evenings(progress, found, every)
    if json_file is not None:
        write_json(asdict(found), json_file)
    raise typer.Exit(0 if goal_holds(found, every) else 1)


def say_evening(progress: Console, judged: Judged) -> None:
    """An evening on which something was wrong, as its seed, and how to see it again."""
    if not judged.findings:
        return
    progress.print(f"[red]✗[/red] seed {judged.seed}: {judged.drawn}", soft_wrap=True)
    for finding in judged.findings:
        progress.print(f"    {finding}", soft_wrap=True)
    progress.print(f"    again: prikkfri simulate evenings --seed {judged.seed} --evenings 1", style="dim")


def say_draws(progress: Console) -> None:
    """What evenings are drawn from."""
    table = Table("drawn", "from", box=None, header_style="dim")
    for what, of in drawing.rows():
        table.add_row(what, of)
    progress.print(table)


def say_evenings(progress: Console, found: Result, every: Sequence[Judged]) -> None:
    table = Table(box=None, show_header=False)
    for name, value in asdict(found).items():
        table.add_row(name, f"{value:,}" if isinstance(value, int) else str(value))
    progress.print(table)
    failing = [str(each.seed) for each in every if each.findings]
    if failing:
        progress.print(f"seeds with findings: {', '.join(failing)}", soft_wrap=True)
    progress.print("the goal holds" if goal_holds(found, every) else "the goal does not hold")


def mechanism_of(known: Mapping[str, mechanisms.Mechanism], name: str) -> mechanisms.Mechanism | None:
    if name and name not in known:
        raise UsageError(f"there is no mechanism {name!r} to switch off; there are {', '.join(known)}")
    return known.get(name)


def progress_since_now() -> Callable[[str], None]:
    """Says lines on standard error, each with the seconds that have passed."""
    progress, began = Console(stderr=True, highlight=False), SystemClock().monotonic()
    return lambda line: progress.print(f"{SystemClock().monotonic() - began:6.1f} s  {line}", soft_wrap=True)


def say_checks(checks: Sequence[Check], again: str) -> None:
    """The checks of a rehearsal, on standard error, so that `--json -` stays one document."""
    progress = Console(stderr=True, highlight=False)
    table = Table(box=None, show_header=False)
    marks = {True: "[green]✓[/green]", False: "[red]✗[/red]", None: "[yellow]?[/yellow]"}
    for check_ in checks:
        table.add_row(marks[check_.holds], check_.name, check_.figure)
    progress.print(table)
    if reason := reason_not_judged(checks):
        progress.print(f"not judged: {reason}", style="yellow", soft_wrap=True)
    progress.print(f"again: {again}", style="dim", soft_wrap=True)


async def reading(settings: Config, area: str, work: Callable[[Database], Awaitable[T]]) -> T:
    """What `work` reads in an area that another process writes."""
    database = open_reader(Location(settings.home, settings.storage.url), area)
    try:
        return await work(database)
    finally:
        await database.close()


def write_json(document: object, file: Path) -> None:
    """Writes one JSON document and nothing else; `-` is standard output."""
    text = json.dumps(document, ensure_ascii=False, indent=2) + "\n"
    if str(file) == "-":
        sys.stdout.write(text)
    else:
        file.write_text(text, encoding="utf-8")


def moment(time: float, zone: ZoneInfo) -> str:
    """A moment as people read it, in the installation's zone."""
    return f"{datetime.fromtimestamp(time, zone):%Y-%m-%d %H:%M:%S}.{int(time % 1 * 1000):03d}"


def role_program(role: str, settings: Config, config: Path | None) -> Program:
    arguments = ["-m", "prikkfri.app", role, "--home", str(settings.home)]
    if config is not None:
        arguments += ["--config", str(config)]
    if settings.demo:
        arguments.append("--demo")
    return Program(role, arguments, log_file(settings.home, role))

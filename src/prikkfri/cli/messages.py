"""Text messages: sent, followed, and how links speak."""

import base64
import getpass
from dataclasses import asdict
from http import HTTPStatus
from typing import Annotated, Any
from urllib.parse import quote
from zoneinfo import ZoneInfo

import typer
from rich.table import Table
from rich.text import Text

from prikkfri.cli.installation import ask_sms_as, asked_of_sms, configuration, read
from prikkfri.cli.options import HOME, By, ConfigFile, Home, JsonFile
from prikkfri.cli.printing import console, moment, write_json
from prikkfri.errors import PrikkfriError, UsageError


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
            f"--account: there is no account {account!r}; there are {', '.join(accounts) or 'none'}"
            if account and accounts
            else f"no account may send: add one under [[sms.accounts]] in {config or settings.home / 'prikkfri.toml'},"
            " or name another home with --home"
        )
    basic = base64.b64encode(f"{chosen.system_id}:{chosen.password}".encode()).decode("ascii")
    wanted = {"from": sender, "to": recipient, "text": text}
    status, document = ask_sms_as(settings, "POST", "/messages", wanted, f"Basic {basic}")
    if status != HTTPStatus.ACCEPTED:
        if identity := document.get("id"):
            follow = f"prikkfri message {identity} --home {settings.home}"
            raise PrikkfriError(f"nobody can tell whether it was accepted; before you send it again, look: {follow}")
        kind = UsageError if 400 <= status < 500 else PrikkfriError
        raise kind(f"not accepted: {document.get('message', status)}")
    if json_file is not None:
        write_json(document, json_file)
    else:
        follow = f"prikkfri message {document['id']} --home {settings.home}"
        console.print(f"accepted as {document['id']}; follow it with: {follow}", soft_wrap=True)


def message(
    message_id: Annotated[str, typer.Argument(metavar="ID", help="As given when it was accepted.")],
    json_file: JsonFile = None,
    home: Home = HOME,
    config: ConfigFile = None,
) -> None:
    """Show the trail of one message, step by step; never its body."""
    from prikkfri.sms.trails.service import message_trail

    settings = configuration(home, config)
    trail = read(settings, "sms", lambda database: message_trail(database, message_id))
    if trail is None:
        raise UsageError(
            f"there is no message {message_id} in {settings.home}; take the id that send told, or name another home"
            " with --home"
        )
    if json_file is not None:
        write_json(asdict(trail), json_file)
        return
    console.print(Text.assemble(f"{trail.id}  {trail.sender} → {trail.recipient}  ", (trail.state, "bold")))
    table = Table(box=None, show_header=False)
    zone = ZoneInfo(settings.streaming.timezone)
    for step in trail.steps:
        table.add_row(moment(step.time, zone), step.event, step.detail, style="" if step.event else "dim")
    console.print(table)


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


def complaint(
    link: Annotated[str, typer.Argument(metavar="LINK", help="Over which its messages come.")],
    by: By = "",
    home: Home = HOME,
    config: ConfigFile = None,
) -> None:
    """Say that a partner complains of misdelivery: its route is looked at closely, and the complaint counts."""
    settings = configuration(home, config)
    asked_of_sms(settings, "POST", f"/routes/{quote(link, safe='')}/complaints", {"by": by or getpass.getuser()})
    console.print(Text(f"noted; how the route of {link} does: prikkfri links --home {settings.home}"), soft_wrap=True)


def link_lines(link: dict[str, Any], zone: ZoneInfo) -> list[tuple[str, str]]:
    """What is said of a link, line by line."""

    def part(value: float | None) -> str:
        return "–" if value is None else f"{value:.2%}"

    def took(spread: dict[str, float | None]) -> str:
        if spread["half"] is None:
            return "–"
        return ", ".join(f"{name} {spread[key]:.3g} s" for name, key in LINK_SPREAD)

    def noticed(shares: list[dict[str, Any]]) -> str:
        if all(each["share"] is None for each in shares):
            return "none, however large"
        return ", ".join(f"{part(each['share'])} in {each['minutes']} min" for each in shares)

    def counted(words: dict[str, int]) -> str:
        return ", ".join(f"{word} {times:,}" for word, times in words.items()) or "–"

    since = f", since {moment(link['bound_since'], zone)}" if link["binds"] else ""
    return [
        ("partner", link["partner"]),
        ("binds", f"{link['binds']}{since}"),
        ("waiting", f"{link['waiting']:,}"),
        ("taken", f"{link['taken']:,}, {link['rate']:.1f} a second"),
        ("refused", counted(link["refused"])),
        ("handed in", f"{link['handed_in']:,}"),
        ("turned back", counted(link["turned_back"])),
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
        ("share astray noticed", noticed(link["noticed"])),
        ("canaries a minute", f"{link['canaries_per_minute']:.1f}"),
    ]


LINK_SPREAD = (("half", "half"), ("95 %", "most"), ("longest", "longest"))

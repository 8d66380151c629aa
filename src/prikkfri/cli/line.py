"""The line before sign-in: how it stands, and what is ordered of it."""

import getpass
from datetime import datetime
from typing import Annotated, Any
from zoneinfo import ZoneInfo

import typer
from rich.table import Table
from rich.text import Text

from prikkfri.cli.installation import asked_of, configuration
from prikkfri.cli.options import HOME, By, ConfigFile, Home, JsonFile
from prikkfri.cli.printing import console, moment, write_json
from prikkfri.config import Config
from prikkfri.errors import UsageError

commands = typer.Typer(help="The line before sign-in, and what is ordered of it.", rich_markup_mode=None)
PATH = "/steering"
Sure = Annotated[bool, typer.Option("--sure", help="Also when more get in than sign-in says it can take.")]


@commands.command("show")
def show_line(json_file: JsonFile = None, home: Home = HOME, config: ConfigFile = None) -> None:
    """Show the line, what is ordered of it, since when and by whom; exit code 1 while it stands still."""
    settings = configuration(home, config)
    found = asked_of("door", settings, "GET", PATH)
    seen, kind = found["line"], found["order"]["kind"]
    if json_file is not None:
        write_json(found, json_file)
    else:
        table = Table(box=None, show_header=False)
        for name, value in describe_line(found, ZoneInfo(settings.streaming.timezone)):
            table.add_row(name, Text(value))
        console.print(table)
    stands = kind == "pause" or (kind != "open" and seen["silent_since"] is not None)
    raise typer.Exit(1 if stands else 0)


@commands.command("rate")
def order_rate(
    per_second: Annotated[float, typer.Argument(metavar="PEOPLE", help="That get in in a second.")],
    sure: Sure = False,
    by: By = "",
    home: Home = HOME,
    config: ConfigFile = None,
) -> None:
    """Let so many people in in a second, whatever sign-in can take, until something else is ordered."""
    from prikkfri.door.steering import RATE_MAX, RATE_MIN

    if not RATE_MIN <= per_second <= RATE_MAX:
        least, most = f"{RATE_MIN:g}", f"{RATE_MAX:g}"
        raise UsageError(
            f"PEOPLE is {least} to {most} a second, not {per_second:g}; to let nobody in: prikkfri line pause"
        )
    give_order(configuration(home, config), by, order="rate", per_second=per_second, sure=sure)


@commands.command("pause")
def order_pause(
    reason: Annotated[str, typer.Option(help="Told to those who wait: fault, maintenance or other.")] = "other",
    by: By = "",
    home: Home = HOME,
    config: ConfigFile = None,
) -> None:
    """Let nobody in; everybody keeps their place."""
    from prikkfri.door.steering import REASONS

    if reason not in REASONS:
        raise UsageError(f"--reason: there is no reason {reason!r}; the reasons are {', '.join(REASONS)}")
    give_order(configuration(home, config), by, order="pause", reason=reason)


@commands.command("drain")
def order_drain(by: By = "", home: Home = HOME, config: ConfigFile = None) -> None:
    """Let nobody new join; those who stand are let in."""
    give_order(configuration(home, config), by, order="drain")


@commands.command("open")
def order_open(sure: Sure = False, by: By = "", home: Home = HOME, config: ConfigFile = None) -> None:
    """Let everybody in at once, until something else is ordered."""
    give_order(configuration(home, config), by, order="open", sure=sure)


@commands.command("auto")
def order_auto(by: By = "", home: Home = HOME, config: ConfigFile = None) -> None:
    """Let the line move by itself again, as fast as sign-in can."""
    give_order(configuration(home, config), by, order="auto")


@commands.command("schedule")
def order_schedule(
    opens: Annotated[str, typer.Option(metavar="TIME", help="When it opens: 2026-12-24T20:00.")] = "",
    room_from: Annotated[
        str, typer.Option("--from", metavar="TIME", help="From when on people gather (default: now).")
    ] = "",
    withdraw: Annotated[bool, typer.Option("--withdraw", help="Instead: those who have come get in now.")] = False,
    by: By = "",
    home: Home = HOME,
    config: ConfigFile = None,
) -> None:
    """Open the line at a moment: whoever comes before it gets a place by lot then, others stand behind."""
    settings = configuration(home, config)
    if withdraw == bool(opens):
        raise UsageError("say which: --opens TIME, or --withdraw")
    if withdraw:
        give_order(settings, by, order="withdraw")
        return
    zone = ZoneInfo(settings.streaming.timezone)
    wanted: dict[str, Any] = {"opens_at": parse_moment(opens, "--opens", zone)}
    if room_from:
        wanted["room_from"] = parse_moment(room_from, "--from", zone)
    give_order(settings, by, order="schedule", **wanted)


def give_order(settings: Config, by: str, **wanted: object) -> None:
    """Orders it after what is ordered now, and says how the line stands then."""
    after = asked_of("door", settings, "GET", PATH)["number"]
    found = asked_of("door", settings, "POST", PATH, {**wanted, "by": by or getpass.getuser(), "after": after})
    zone = ZoneInfo(settings.streaming.timezone)
    for name, value in describe_line(found, zone)[:2]:
        console.print(Text(f"{name}: {value}"), soft_wrap=True)


def parse_moment(text: str, option: str, zone: ZoneInfo) -> float:
    """A moment on the installation's clocks, unless its offset is said."""
    try:
        found = datetime.fromisoformat(text)
        return (found if found.tzinfo else found.replace(tzinfo=zone)).timestamp()
    except (ValueError, OverflowError):
        raise UsageError(f"{option} {text}: that is no moment; say it as 2026-12-24T20:00") from None


def describe_line(found: dict[str, Any], zone: ZoneInfo) -> list[tuple[str, str]]:
    """What is said of the line, line by line."""
    order, room, seen = found["order"], found["room"], found["line"]
    told = {
        "auto": "nothing: it moves by itself",
        "rate": f"{order['per_second']:g} people a second",
        "pause": f"pause ({order['reason']})",
        "drain": "nobody new joins",
        "open": "everybody is let in at once",
    }[order["kind"]]
    if order["at"]:
        told += f", since {moment(order['at'], zone)} by {order['by']}"
    scheduled = "none"
    if room is not None and room["opened_at"] is None:
        scheduled = f"opens {moment(room['opens_at'], zone)}, people gather from {moment(room['room_from'], zone)}"
        scheduled += f", by {room['by']}"
    silent = f"; silent since {moment(seen['silent_since'], zone)}" if seen["silent_since"] is not None else ""
    return [
        ("ordered", told),
        ("scheduled room", scheduled),
        ("waiting", f"{seen['waiting']:,}"),
        ("wait of whoever comes", "not known" if seen["wait_s"] is None else f"{seen['wait_s']:.0f} s"),
        ("let in, signed in", f"{seen['given_per_second']:.1f}, {seen['spent_per_second']:.1f} a second of late"),
        ("sign-in can take", f"{seen['machine_per_second']:.1f} a second{silent}"),
        ("passes out", f"{seen['passes_out']:,}"),
        ("called and absent", f"{seen['absent_share']:.0%}"),
        ("let in and never signed in", f"{seen['unspent_share']:.0%}"),
    ]

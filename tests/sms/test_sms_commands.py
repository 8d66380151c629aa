"""What an operator types about the SMS centre, against a centre that answers as told over a real socket."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from typer.testing import CliRunner

from prikkfri.cli import application
from prikkfri.errors import PrikkfriError, UsageError
from prikkfri.storage.keys import command_key

ENTRY = {
    "id": "m1", "kind": "message", "link": "nord", "held_at": 1_700_000_000.0, "reason": "misdirected",
    "sender": "Shop", "recipient": "+47 ••• •• 001", "detail": "class [red]ordinary[/red], from account shop",
}  # fmt: skip
EXAMINED = {
    "entry": ENTRY, "hindrance": "", "goes_to": "link syd",
    "steps": [{"time": 1_700_000_000.0, "event": "accepted", "detail": "from account shop"}],
}  # fmt: skip


@dataclass
class Centre:
    home: Path
    answers: dict[str, list[tuple[int, Any]]] = field(default_factory=dict)
    """What is answered to method and path, one after the other; the last one for ever."""
    asked: list[tuple[str, Any]] = field(default_factory=list)

    def ran(self, *arguments: str) -> Any:
        environment = {"COLUMNS": "200", "LOGNAME": "kari"}
        return CliRunner(env=environment).invoke(application, [*arguments, "--home", str(self.home)])


@pytest.fixture
def centre(tmp_path: Path) -> Iterator[Centre]:
    found = Centre(tmp_path)
    key = command_key(tmp_path, "sms")

    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            asked = f"{self.command} {self.path}"
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            found.asked.append((asked, json.loads(body) if body.strip() not in (b"", b"null") else None))
            answers = found.answers[asked]
            status, document = answers.pop(0) if len(answers) > 1 else answers[0]
            if not self.path.startswith("/messages") and self.headers["authorization"] != f"Bearer {key}":
                status, document = 401, {"message": "no"}
            octets = json.dumps(document).encode()
            self.send_response(status)
            self.send_header("content-length", str(len(octets)))
            self.end_headers()
            self.wfile.write(octets)

        do_GET = do_POST = answer

        def log_message(self, *_: object) -> None:
            """Nobody reads it."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    account = '[[sms.accounts]]\nsystem_id = "shop"\npassword = "secret"\nsenders = ["Shop"]\n'
    account += (
        '[[sms.links]]\nname = "syd/1"\npartner = "Syd"\nhost = "h"\nport = 1\nsystem_id = "u"\npassword = "s"\n'
        'prefixes = ["47"]\n'
    )
    (tmp_path / "prikkfri.toml").write_text(f"{account}[roles.sms]\nport = {server.server_address[1]}\n")
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield found
    server.shutdown()
    thread.join()
    server.server_close()


def test_who_sends_is_told_whether_it_was_accepted_or_where_to_look_since_nobody_can_tell(centre: Centre) -> None:
    refused = {"error": "bad-recipient", "message": "`to` is no number"}
    later = {"error": "storage", "message": "not now", "retry_after_s": 1}
    centre.answers = {
        "POST /messages": [(202, {"id": "m1"}), (500, {"error": "in-doubt", "message": "?", "id": "m2"}),
                           (400, refused), (503, later)]
    }  # fmt: skip
    sent = [centre.ran("send", "--from", "Shop", "--to", "+4790000001", "hei") for _ in range(4)]
    assert sent[0].exit_code == 0 and "accepted as m1; follow it with: prikkfri message m1" in sent[0].stdout
    look = f"prikkfri message m2 --home {centre.home}"
    told = [
        (PrikkfriError, f"nobody can tell whether it was accepted; before you send it again, look: {look}"),
        (UsageError, "not accepted: `to` is no number"),
        (PrikkfriError, "not accepted: not now"),
    ]
    assert [(type(each.exception), str(each.exception)) for each in sent[1:]] == told


def test_a_centre_of_another_home_is_said_to_be_one(centre: Centre) -> None:
    (centre.home / "keys" / "sms-command.key").unlink()
    command_key(centre.home, "sms")
    centre.answers = {"GET /links": [(200, {})]}
    error = centre.ran("links").exception
    assert isinstance(error, UsageError)
    assert str(error).startswith(f"--home {centre.home}: the SMS centre on http://localhost:")
    assert "runs on another; name the folder on which `prikkfri serve` runs" in str(error)


def test_what_is_in_quarantine_is_listed_and_the_exit_code_says_whether_there_is_any(centre: Centre) -> None:
    centre.answers = {"GET /quarantine?link=": [(200, [ENTRY])], "GET /quarantine?link=syd%2F1": [(200, [])]}
    listed = centre.ran("quarantine")
    assert listed.exit_code == 1
    for word in ("m1", "misdirected", "+47 ••• •• 001", "[red]ordinary[/red]"):
        assert word in listed.stdout
    none = centre.ran("quarantine", "--link", "syd/1")
    assert (none.exit_code, none.stdout) == (0, "nothing is in quarantine\n")
    assert json.loads(centre.ran("quarantine", "--json", "-").stdout) == [ENTRY]
    centre.answers |= {"GET /quarantine?link=nope": [(200, [])], "POST /quarantine": [(200, {"discarded": 0})]}
    for option, typed in (("--link", ("--link", "nope")), ("--receipts-of", ("discard", "--receipts-of", "nope"))):
        told = centre.ran("quarantine", *typed)
        assert isinstance(told.exception, UsageError) and told.stdout == ""
        assert str(told.exception) == f"{option}: there is no link 'nope'; there are syd/1"
    assert isinstance(centre.ran("quarantine", "--link", "nord", "show", "m1").exception, UsageError)


def test_one_is_shown_with_what_would_come_of_its_release(centre: Centre) -> None:
    centre.answers = {
        "GET /quarantine/m1": [(200, EXAMINED)],
        "GET /quarantine/m2": [(200, {**EXAMINED, "hindrance": "the seal"})],
        "GET /quarantine/m3": [(404, {"message": "there is nothing of that id in quarantine"})],
    }
    shown = centre.ran("quarantine", "show", "m1")
    assert shown.exit_code == 0
    assert "released, it goes to link syd" in shown.stdout and "accepted" in shown.stdout
    assert "cannot be released: the seal" in centre.ran("quarantine", "show", "m2").stdout
    assert json.loads(centre.ran("quarantine", "show", "m1", "--json", "-").stdout) == EXAMINED
    missing = centre.ran("quarantine", "show", "m3").exception
    assert isinstance(missing, UsageError)
    assert "nothing of that id" in str(missing)


def test_it_is_released_or_discarded_by_somebody(centre: Centre) -> None:
    centre.answers = {
        "POST /quarantine/m1": [(200, {})],
        "POST /quarantine/m2": [(409, {"message": "the seal does not open"})],
        "POST /quarantine": [(200, {"discarded": 1_000}), (200, {"discarded": 7}), (200, {"discarded": 0})],
    }
    assert centre.ran("quarantine", "release", "m1", "--by", "Ola").stdout == "m1 is released\n"
    assert centre.ran("quarantine", "discard", "m1").stdout == "m1 is discarded\n"
    refused = centre.ran("quarantine", "release", "m2").exception
    assert isinstance(refused, PrikkfriError) and not isinstance(refused, UsageError)
    assert str(refused) == "not done: the seal does not open"
    assert centre.ran("quarantine", "discard", "--receipts-of", "nord").stdout == "1,007 receipts are discarded\n"
    assert centre.asked == [
        ("POST /quarantine/m1", {"action": "release", "by": "Ola"}),
        ("POST /quarantine/m1", {"action": "discard", "by": "kari"}),
        ("POST /quarantine/m2", {"action": "release", "by": "kari"}),
        *[("POST /quarantine", {"link": "nord", "action": "discard", "by": "kari"})] * 3,
    ]
    for wrong in (("discard",), ("discard", "m1", "--receipts-of", "nord")):
        assert isinstance(centre.ran("quarantine", *wrong).exception, UsageError)


def test_a_centre_that_is_dead_is_said_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "prikkfri.toml").write_text("[roles.sms]\nport = 1\n")
    command_key(tmp_path, "sms")
    found = Centre(tmp_path).ran("quarantine").exception
    assert isinstance(found, PrikkfriError)
    assert str(found).startswith("the SMS centre does not answer on http://localhost:1/quarantine")


SPREAD = {"half": 0.05, "most": 0.25, "longest": 3.0}
NONE = {"half": None, "most": None, "longest": None}
LINK = {
    "link": "nord", "partner": "Fjordmobil", "binds": 2, "bound_since": 1_700_000_000.0, "waiting": 10_000,
    "rate": 1.25, "ids": "as they were given, as was learnt", "complaint": "", "taken": 1_204_331,
    "handed_in": 5_432, "turned_back": {"no-transit": 21},
    "refused": {"smpp-58": 6_650}, "round_trip": SPREAD, "unanswered": 12, "without_answer": 0.0125, "unreadable": 3,
    "answered_late": 4, "states": {"DELIVERED": 5}, "unknown": {"[GONE]": 7}, "unnamed": 1, "receipts": 6,
    "receipt_after": NONE, "without_receipt": None, "late": 0.5, "out_of_order": 0.25, "repeated": 90,
    "unmatched": 0.75, "receipts_waiting": 17, "receipts_held": 12, "canaries_per_minute": 30.0,
    "noticed": [{"minutes": 1, "share": None}, {"minutes": 10, "share": 0.012}, {"minutes": 60, "share": 0.0055}],
}  # fmt: skip
DOWN = {**LINK, "link": "syd", "binds": 0, "waiting": 9_999, "complaint": "link syd: the last 20 receipts fit nothing"}


def links_of(*links: dict[str, Any]) -> dict[str, Any]:
    accounts = [{"account": "shop", "binds": 1, "waiting": 3}]
    return {"since": 1_700_000_000.0, "links": list(links), "accounts": accounts}


def test_a_complaint_of_a_partner_is_passed_on_with_who_says_so(centre: Centre) -> None:
    centre.answers = {"POST /routes/no%20rd/complaints": [(200, []), (404, {"message": "there is no link"})]}
    told = centre.ran("complaint", "no rd", "--by", "Kari")
    assert (told.exit_code, centre.asked[-1][1]) == (0, {"by": "Kari"})
    assert "noted" in told.stdout
    assert isinstance(centre.ran("complaint", "no rd").exception, PrikkfriError)


def test_links_are_told_of_and_the_exit_code_says_whether_all_are_bound(centre: Centre) -> None:
    centre.answers = {"GET /links": [(200, links_of(LINK)), (200, links_of(LINK, DOWN)), (200, links_of(LINK, DOWN))]}
    told = centre.ran("links")
    assert told.exit_code == 0
    for line in ("10,000", "1,204,331, 1.2 a second", "half 0.05 s, 95 % 0.25 s, longest 3 s", "smpp-58 6,650",
                 "1.25% (4 came late)", "[GONE] 7", "50.00%", "25.00%", "75.00%", "17, 12", "as was learnt",
                 "account shop: 1 binds, 3 messages wait", "6, 90 repeated, 1 naming no message",
                 "5,432", "no-transit 21", "– in 1 min, 1.20% in 10 min, 0.55% in 60 min", "30.0"):  # fmt: skip
        assert line in told.stdout, line
    both = centre.ran("links")
    assert both.exit_code == 1
    assert "link syd: the last 20 receipts fit nothing" in both.stdout and "9,999" in both.stdout
    assert json.loads(centre.ran("links", "--json", "-").stdout) == links_of(LINK, DOWN)


RESTORE = {
    "number": 1, "line": "new", "mark_line": "old", "mark_commits": 9, "noticed_at": 1_700_000_000.0,
    "snapshot_at": 1_699_990_000.0, "marked_at": 1_699_999_000.0, "commits_missing": 1_234, "outcomes_missing": 5_678,
    "found": 1, "waiting": 42, "sensitive": 7, "accepted": 3, "decision": "", "decided_by": "", "decided_at": 0.0,
    "given_up": 0, "let_go": 0, "done_at": 0.0, "seconds_missing": 9_000.0,
}  # fmt: skip
DECIDED = {**RESTORE, "decision": "discard", "decided_by": "Ola", "decided_at": 1_700_000_100.0, "given_up": 40}


def test_a_restored_snapshot_is_shown_and_the_exit_code_says_whether_anything_is_held(centre: Centre) -> None:
    centre.answers = {
        "GET /restored": [
            (200, {"holds": False, "restore": None}),
            (200, {"holds": True, "restore": RESTORE}),
            (200, {"holds": True, "restore": {**RESTORE, "commits_missing": -1, "seconds_missing": None}}),
            (200, {"holds": True, "restore": {**RESTORE, "seconds_missing": None}}),
            (200, {"holds": True, "restore": DECIDED}),
            (200, {"holds": False, "restore": {**DECIDED, "let_go": 2, "done_at": 1_700_000_101.0}}),
            (200, {"holds": True, "restore": RESTORE}),
        ]
    }
    none = centre.ran("sms", "restored")
    assert (none.exit_code, none.stdout) == (0, "no restored snapshot was ever noticed\n")
    held = centre.ran("sms", "restored")
    assert held.exit_code == 1
    for words in (
        "1,234 commits and 5,678 outcomes behind, from 9,000 s before the last mark",
        "42 messages waited in it and may have been sent since, 7 of them sensitive",
        "3 messages were accepted after it was noticed",
        "nothing is sent until somebody decides",
    ):
        assert words in held.stdout
    assert "it is another database" in centre.ran("sms", "restored").stdout
    assert "5,678 outcomes behind\n" in centre.ran("sms", "restored").stdout
    under_way, done = centre.ran("sms", "restored"), centre.ran("sms", "restored")
    assert under_way.exit_code == 1 and "40 given up, 0 kept; under way, and nothing is sent yet" in under_way.stdout
    assert done.exit_code == 0 and "discard, by Ola" in done.stdout and "40 given up, 2 kept; done" in done.stdout
    assert json.loads(centre.ran("sms", "restored", "--json", "-").stdout) == {"holds": True, "restore": RESTORE}


def test_somebody_decides_what_becomes_of_what_waited_in_a_restored_snapshot(centre: Centre) -> None:
    centre.answers = {
        "POST /restored": [
            (200, {"holds": True, "restore": DECIDED}),
            (200, {"holds": True, "restore": DECIDED}),
            (409, {"message": "it is decided already"}),
        ]
    }
    said = centre.ran("sms", "restored", "--then", "discard", "--by", "Ola")
    assert said.exit_code == 0 and "discard, by Ola" in said.stdout
    assert centre.ran("sms", "restored", "--then", "send").exit_code == 0
    refused = centre.ran("sms", "restored", "--then", "send").exception
    assert isinstance(refused, PrikkfriError) and "decided already" in str(refused)
    assert centre.ran("sms", "restored", "--then", "keep").exit_code == 2
    wanted = [{"action": "discard", "by": "Ola"}, *[{"action": "send", "by": "kari"}] * 2]
    assert centre.asked == [("POST /restored", each) for each in wanted]

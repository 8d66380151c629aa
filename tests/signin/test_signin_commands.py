"""What an operator types about how a customer comes in, against a signin that answers as told over a real socket."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import bcrypt
import pytest
from typer.testing import CliRunner

from prikkfri.cli import application
from prikkfri.errors import PrikkfriError, UsageError
from prikkfri.storage.keys import command_key

LINK = "http://localhost:8080/#password=" + "k" * 43
HASH = bcrypt.hashpw(b"hest", bcrypt.gensalt(4)).decode()


@dataclass
class Signin:
    home: Path
    asked: list[tuple[str, Any]] = field(default_factory=list)

    def ran(self, *arguments: str) -> Any:
        environment = {"COLUMNS": "60", "LOGNAME": "kari"}
        return CliRunner(env=environment).invoke(application, [*arguments, "--home", str(self.home)])


@pytest.fixture
def signin(tmp_path: Path) -> Iterator[Signin]:
    found = Signin(tmp_path)
    key = command_key(tmp_path, "signin")

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            right = self.headers["authorization"] == f"Bearer {key}"
            found.asked.append((self.path, body if right else None))
            answer = {"link": LINK, "expires_at": 1_700_000_000.0, "ended": 3}
            octets = json.dumps(answer).encode()
            self.send_response(200)
            self.send_header("content-length", str(len(octets)))
            self.end_headers()
            self.wfile.write(octets)

        def log_message(self, *_: object) -> None:
            """Nobody reads it."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    (tmp_path / "prikkfri.toml").write_text(f"[roles.signin]\nport = {server.server_address[1]}\n")
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield found
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_customer_comes_with_a_hash_gets_a_link_and_is_signed_out(signin: Signin) -> None:
    file = signin.home / "customers.csv"
    file.write_text(
        "subscriber_id,name,email,kind,product,msisdn,from,to,password_hash\n"
        f"S/1,Kari,kari@example.no,mobile,Fri,+4791234567,2020-01-01,,{HASH}\n"
    )
    assert signin.ran("subscribers", "import", str(file)).exit_code == 0  # signin has no database yet
    made = signin.ran("subscribers", "password-link", "912 34 567")
    assert made.exit_code == 0 and made.stdout.splitlines()[0] == LINK  # whole, on however narrow a screen
    assert "S/1" in made.stdout and "once, until" in made.stdout
    ended = signin.ran("subscribers", "end-sessions", "S/1", "--by", "Eva")
    assert ended.stdout == "customer S/1 is signed out on 3 devices\n"
    assert signin.asked == [
        ("/customers/password-link", {"customer": "S/1", "by": "kari"}),
        ("/customers/devices/end", {"customer": "S/1", "by": "Eva"}),
    ]
    assert json.loads(signin.ran("subscribers", "password-link", "S/1", "--json", "-").stdout)["link"] == LINK
    assert json.loads(signin.ran("subscribers", "end-sessions", "S/1", "--json", "-").stdout)["ended"] == 3


def test_nobody_is_told_so_and_a_sign_in_that_is_down_is_named(signin: Signin) -> None:
    file = signin.home / "customers.csv"
    file.write_text(
        "subscriber_id,name,email,kind,product,msisdn,from,to\n"
        "S1,Kari,,mobile,Fri,+4791234567,2020-01-01,\n"
        "S2,Ola,,mobile,Fri,+4791234568,2020-01-01,2021-01-01\n"
    )
    signin.ran("subscribers", "import", str(file))
    for command in ("password-link", "end-sessions"):
        for nobody, why in (("+4799999999", "is or holds"), ("+4791234568", "nobody holds '+4791234568' now")):
            refused = signin.ran("subscribers", command, nobody)
            assert isinstance(refused.exception, UsageError) and why in str(refused.exception)
    assert signin.asked == []
    assert signin.ran("subscribers", "end-sessions", "S2").exit_code == 0
    (signin.home / "prikkfri.toml").write_text("[roles.signin]\nport = 1\n")
    down = signin.ran("subscribers", "password-link", "S1")
    assert isinstance(down.exception, PrikkfriError)
    assert "the sign-in role does not answer on http://localhost:1/customers/password-link" in str(down.exception)

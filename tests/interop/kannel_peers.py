"""Kannel's boxes as real processes on loopback: bearerbox speaks SMPP, smsbox and what belongs to it speak HTTP."""

import re
import signal
import subprocess
import threading
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from enum import IntEnum
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from smpp_peers import PASSWORD
from waiting import WAIT_SECONDS_MAX, until

from prikkfri.simulation.installation import free_ports

BOXES = Path("/usr/sbin")  # which is not on the path of whoever is not root
TOOLS = Path("/usr/lib/kannel/test")
_DUMPED = re.compile(r"\[(\d+)\] DEBUG: +(\w+): (?:(\d+) = 0x[0-9a-f]+|(.*))$")


class Told(IntEnum):
    """What Kannel tells an application of a message, by its own numbers."""

    DELIVERED = 1
    FAILED = 2
    TAKEN = 8
    """By the message centre, which answered with an id."""
    REFUSED = 16


SETTINGS = """
group = core
admin-port = {admin}
admin-interface = 127.0.0.1
admin-password = {password}
smsbox-port = {boxes}
smsbox-interface = 127.0.0.1
log-file = {folder}/bearerbox.log
log-level = 0
sms-resend-freq = 1

group = smsbox
bearerbox-host = 127.0.0.1
bearerbox-port = {boxes}
sendsms-port = {sendsms}
sendsms-interface = 127.0.0.1
log-file = {folder}/smsbox.log
log-level = 0

group = sendsms-user
username = app
password = {password}
concatenation = true
max-messages = 20

group = sms-service
keyword = default
catch-all = true
max-messages = 0
get-url = "{application}/message?smsc=%i&from=%p&to=%P&coding=%c&charset=%C&text=%b"
"""
SMSC = """
group = smsc
smsc = smpp
smsc-id = {name}
allowed-smsc-id = {name}
host = 127.0.0.1
{kind} = {port}
smsc-username = {name}
smsc-password = {password}
system-type = ""
enquire-link-interval = 1
reconnect-delay = 1
"""


def need_kannel() -> None:
    if not all((BOXES / name).exists() for name in ("bearerbox", "smsbox")):
        pytest.skip("Kannel's bearerbox and smsbox are not here (Debian: kannel)")


def need_kannel_tool(name: str) -> str:
    if not (TOOLS / name).exists():
        pytest.skip(f"Kannel's {name} is not here (Debian: kannel-extras)")
    return str(TOOLS / name)


def way(name: str, port: int, *more: str, kind: str = "port", password: str = PASSWORD) -> str:
    """A bearerbox's way to us, bound as the account of that name: a transmitter, or a receiver by `receive-port`."""
    return SMSC.format(name=name, port=port, kind=kind, password=password) + "\n".join(more) + "\n"


class Application:
    """Whom smsbox tells by HTTP: each request's path and fields, the fields as the octets that they were."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, dict[str, bytes]]] = []
        application = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                path, _, query = self.path.partition("?")
                pairs = (each.partition("=") for each in query.split("&"))
                fields = {name: urllib.parse.unquote_to_bytes(value.replace("+", " ")) for name, _, value in pairs}
                application.heard.append((path, fields))
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *arguments: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever)

    def __enter__(self) -> "Application":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def of(self, path: str) -> list[dict[str, bytes]]:
        return [fields for heard, fields in self.heard if heard == path]


class Kannel:
    """A bearerbox with the ways that it is given, and a smsbox that tells an application."""

    def __init__(self, folder: Path, ways: str, application: Application) -> None:
        self._admin, boxes, self._sendsms = free_ports(3)
        self.application = application
        self._folder = folder
        self._running: list[subprocess.Popen[bytes]] = []
        self._answers = 0
        self._ways = ways.count(f"smsc-password = {PASSWORD}\n")
        configuration = SETTINGS.format(
            admin=self._admin,
            boxes=boxes,
            sendsms=self._sendsms,
            folder=folder,
            application=application.url,
            password=PASSWORD,
        )
        (folder / "kannel.conf").write_text(configuration + ways)

    def start(self) -> None:
        """Until each way that has the right password is bound, and the boxes know each other."""
        for program in ("bearerbox", "smsbox"):
            with (self._folder / f"{program}.out").open("ab") as out:
                command = [str(BOXES / program), "-v", "4", str(self._folder / "kannel.conf")]
                process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=out)
                self._running.append(process)
            until(self._status, what=f"{program} to be there")  # where nobody is there yet, smsbox gives up
        until(self._is_up, what=f"{self._folder} to be bound")

    def pause(self) -> None:
        """The bearerbox is there and does nothing."""
        self._running[0].send_signal(signal.SIGSTOP)

    def kill(self) -> None:
        """As a power cut would: no goodbye."""
        while self._running:
            process = self._running.pop()
            process.kill()
            process.wait(WAIT_SECONDS_MAX)

    def send(self, way: str, to: str, text: str, **fields: str | int) -> int:
        """Hands a message in; what becomes of it is `told` of the number that it returns."""
        self._answers += 1
        told = f"{self.application.url}/told?number={self._answers}&kind=%d&answer=%A&id=%F"
        whole = {"username": "app", "password": PASSWORD, "smsc": way, "from": "Kannel", "to": to, "text": text}
        whole |= {"charset": "UTF-8", "dlr-mask": 31, "dlr-url": told} | fields
        answer = _get(f"http://127.0.0.1:{self._sendsms}/cgi-bin/sendsms?{urllib.parse.urlencode(whole)}")
        assert answer in ("0: Accepted for delivery", "3: Queued for later delivery"), answer
        return self._answers

    def told(self, number: int) -> list[tuple[Told, bytes]]:
        """What the application was told of a message, its kind and what we said; first that it was taken.

        Kannel tells it over several connections at once, in any order.
        """
        ours = [fields for fields in self.application.of("/told") if int(fields["number"]) == number]
        return sorted(((Told(int(fields["kind"])), fields["answer"]) for fields in ours), reverse=True)

    def pdus(self, name: str) -> list[dict[str, str]]:
        """What Kannel's own codec wrote and read, of one command: numbers and strings; the last maybe in part."""
        found: list[dict[str, str]] = []
        open_by_thread: dict[str, dict[str, str]] = {}
        for line in (self._folder / "bearerbox.log").read_text(errors="replace").splitlines():
            if match := _DUMPED.search(line):
                thread, field, number, text = match.groups()
                if field == "type_name":
                    open_by_thread[thread] = {}
                    if text == name:
                        found.append(open_by_thread[thread])
                elif thread in open_by_thread:
                    open_by_thread[thread][field] = number or (text or "").strip('"')
            elif line.endswith("SMPP PDU dump ends."):
                open_by_thread.pop(line.split("[")[2].partition("]")[0], None)
        return found

    def log(self) -> str:
        return (self._folder / "bearerbox.log").read_text(errors="replace")

    def _is_up(self) -> bool:
        assert all(process.poll() is None for process in self._running), (self._folder / "bearerbox.out").read_text()
        status = self._status()
        bound = [line for line in status.splitlines() if " SMPP:" in line and "(online " in line]
        return "smsbox:" in status and len(bound) == self._ways

    def _status(self) -> str:
        try:
            return _get(f"http://127.0.0.1:{self._admin}/status.txt?password={PASSWORD}")
        except OSError:
            return ""


def _get(url: str) -> str:
    try:
        with urllib.request.urlopen(url, timeout=WAIT_SECONDS_MAX) as answer:
            text: str = answer.read().decode()
            return text
    except urllib.error.HTTPError as refused:
        with refused:
            return refused.read().decode()


@contextmanager
def started_kannel(folder: Path, ways: str) -> Iterator[Kannel]:
    need_kannel()
    with Application() as application:
        kannel = Kannel(folder, ways, application)
        try:
            kannel.start()
            yield kannel
        finally:
            kannel.kill()

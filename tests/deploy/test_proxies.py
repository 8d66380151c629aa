"""The configurations of nginx and Caddy in `deploy/`, in programs that really run, before roles on loopback."""

import datetime
import http.client
import itertools
import json
import re
import shutil
import socket
import ssl
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from behind import STREAM, Roles
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from waiting import until

from prikkfri.config import ROLES, Config, load
from prikkfri.simulation.installation import free_ports

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
ARCHITECTURE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
DEPLOY = ROOT / "deploy"
TV = "https://tv.fjordnett.example"
HOSTS = {role: ("tv" if role == "viewer" else role) + ".fjordnett.example" for role in ROLES}
JOINS = 3
BURST = 5
"""How many more than one may come at once from an address, here; more than may join."""
NUMBERS = itertools.count()
PROGRAMS = {"nginx": "/usr/sbin/nginx", "caddy": "/usr/bin/caddy"}


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def document(self) -> dict[str, Any]:
        told: dict[str, Any] = json.loads(self.body)
        return told


@dataclass
class Proxy:
    name: str
    port: int
    plain_port: int
    folder: Path
    trust: ssl.SSLContext
    roles: Roles
    process: subprocess.Popen[bytes]
    log: Path

    def stranger(self) -> str:
        """An address from which nobody has asked yet."""
        number = next(NUMBERS)
        return f"127.1.{number // 250}.{number % 250 + 1}"

    def connected(self, host: str, source: str = "") -> http.client.HTTPConnection:
        connection = http.client.HTTPConnection(host, timeout=60)
        plain = socket.create_connection(("127.0.0.1", self.port), 60, (source or self.stranger(), 0))
        connection.sock = self.trust.wrap_socket(plain, server_hostname=host)
        return connection

    def asked(
        self,
        role: str,
        path: str,
        *,
        method: str = "GET",
        source: str = "",
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
    ) -> Answer:
        connection = self.connected(HOSTS[role], source)
        try:
            connection.request(method, path, body, dict(headers or {}))
            answer = connection.getresponse()
            return Answer(answer.status, {n.lower(): v for n, v in answer.getheaders()}, answer.read())
        finally:
            connection.close()

    def enter(self, source: str, forged: str = "") -> Answer:
        """Joins the line, as a new device at an address would."""
        headers = {"Origin": TV, "Content-Type": "application/json"} | ({"X-Forwarded-For": forged} if forged else {})
        device = json.dumps({"device": f"d-{next(NUMBERS):022}", "holder": "s-" + "A" * 43}).encode()
        return self.asked("door", "/enter", method="POST", source=source, headers=headers, body=device)

    def logged(self) -> bytes:
        return b"".join(file.read_bytes() for file in self.folder.rglob("*.log"))


def certificate(folder: Path) -> tuple[Path, Path]:
    """Of our own making, for a day, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "fjordnett.example")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("*.fjordnett.example")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    chain, private = folder / "fullchain.pem", folder / "privkey.pem"
    chain.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    form = serialization.PrivateFormat.PKCS8
    private.write_bytes(key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()))
    return chain, private


def settings_of_the_document() -> str:
    """What docs/operating.md says that a home behind a proxy needs."""
    text = (ROOT / "docs" / "operating.md").read_text(encoding="utf-8")
    [block] = re.findall(r"^```toml\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    return str(block)


def changed(text: str, changes: Mapping[str, str]) -> str:
    """What an operator sets, set for the test: each place has to be there."""
    for was, becomes in changes.items():
        assert was in text, was
        text = text.replace(was, becomes)
    return text


def ports_changed(config: Config) -> dict[str, str]:
    return {
        f"127.0.0.1:{port}": f"127.0.0.1:{config.roles.edge(role).port}"
        for role, port in zip(ROLES, range(8080, 8087), strict=True)
    }


def nginx(folder: Path, config: Config, port: int, plain_port: int, chain: Path, key: Path) -> list[str]:
    shipped = (DEPLOY / "nginx" / "prikkfri.conf").read_text(encoding="utf-8")
    shipped = re.sub(r"^ +listen \[::\].*\n", "", shipped, flags=re.MULTILINE)
    (folder / "prikkfri.conf").write_text(
        changed(
            shipped,
            ports_changed(config)
            | {
                "listen 443 ": f"listen 127.0.0.1:{port} ",
                "listen 80;": f"listen 127.0.0.1:{plain_port};",
                "/var/lib/nginx/prikkfri": str(folder / "line"),
                "rate=100r/s": "rate=1r/m",
                "burst=400": f"burst={BURST}",
                "allow 10.0.0.0/8": "allow 127.0.2.0/24",
            },
        )
    )
    (folder / "snippets").mkdir()
    (folder / "snippets" / "prikkfri-role.conf").write_text(
        changed(
            (DEPLOY / "nginx" / "prikkfri-role.conf").read_text(encoding="utf-8"),
            {
                "/etc/prikkfri/tls/fullchain.pem": str(chain),
                "/etc/prikkfri/tls/privkey.pem": str(key),
                "/var/log/nginx/prikkfri.log": str(folder / "prikkfri.log"),
            },
        )
    )
    places = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    temporary = "".join(f"{each}_temp_path {folder}/{each};\n" for each in places)
    (folder / "nginx.conf").write_text(
        f"daemon off; master_process off; pid {folder}/nginx.pid; error_log {folder}/nginx.log;\n"
        f"events {{ }}\nhttp {{\n{temporary}access_log {folder}/access.log;\ninclude {folder}/prikkfri.conf;\n}}\n"
    )
    return [PROGRAMS["nginx"], "-e", f"{folder}/nginx.log", "-p", str(folder), "-c", f"{folder}/nginx.conf"]


def caddy(folder: Path, config: Config, port: int, plain_port: int, chain: Path, key: Path) -> list[str]:
    shipped = (DEPLOY / "caddy" / "Caddyfile").read_text(encoding="utf-8")
    for_the_test = f"\tadmin off\n\tdefault_bind 127.0.0.1\n\thttp_port {plain_port}\n\thttps_port {port}\n"
    own = "# With a certificate of your own: tls /etc/prikkfri/tls/fullchain.pem /etc/prikkfri/tls/privkey.pem"
    (folder / "Caddyfile").write_text(
        changed(
            shipped,
            ports_changed(config)
            | {
                "remote_ip 10.0.0.0/8": "remote_ip 127.0.2.0/24",
                own: f"tls {chain} {key}",
                "{\n\t# Tokens": f"{{\n{for_the_test}\t# Tokens",
            },
        )
    )
    return [PROGRAMS["caddy"], "run", "--config", f"{folder}/Caddyfile", "--adapter", "caddyfile"]


def listens(process: subprocess.Popen[bytes], port: int, log: Path) -> bool:
    assert process.poll() is None, log.read_text()
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture(scope="module")
def roles(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Roles, Config]]:
    home = tmp_path_factory.mktemp("home")
    (home / "prikkfri.toml").write_text(settings_of_the_document())
    ports = free_ports(len(ROLES))
    variables = {f"PRIKKFRI_ROLES_{role.upper()}_PORT": str(port) for role, port in zip(ROLES, ports, strict=True)}
    variables |= {"PRIKKFRI_DOOR_JOINS_PER_NETWORK": str(JOINS), "PRIKKFRI_DOOR_JOINS_PER_NETWORK_PER_MINUTE": "1"}
    config = load(home, file=None, environment=variables)
    roles = Roles(config)
    roles.start()
    yield roles, config
    roles.stop()


@pytest.fixture(scope="module", params=PROGRAMS)
def proxy(
    request: pytest.FixtureRequest, roles: tuple[Roles, Config], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Proxy]:
    name, folder = str(request.param), tmp_path_factory.mktemp(str(request.param))
    if shutil.which(PROGRAMS[name]) is None:
        pytest.skip(f"{name} is not on this machine; .ci/machine installs it")
    behind, config = roles
    port, plain_port = free_ports(2)
    chain, key = certificate(folder)
    command = {"nginx": nginx, "caddy": caddy}[name](folder, config, port, plain_port, chain, key)
    environment = {"HOME": str(folder), "XDG_DATA_HOME": str(folder), "XDG_CONFIG_HOME": str(folder), "GOMAXPROCS": "1"}
    log = folder / "standard.log"
    with log.open("wb") as errors:
        process = subprocess.Popen(command, env=environment, cwd=folder, stdout=errors, stderr=errors)
    try:
        until(lambda: listens(process, port, log), what=name)
        yield Proxy(name, port, plain_port, folder, ssl.create_default_context(cafile=str(chain)), behind, process, log)
    finally:
        process.terminate()
        process.wait(30)


def asked_by_people() -> list[tuple[str, str, str]]:
    """Role, method and path of what docs/architecture.md says that people and their devices ask."""
    found = []
    for role, asked in re.findall(r"^\| (\w+) \| (`(?:GET|POST) .*?) \|", ARCHITECTURE, re.MULTILINE):
        found += [(role, *each) for each in re.findall(r"`(GET|POST) (/[\w./-]*)", asked)]
        found += [(role, "POST", path) for path in re.findall(r", `(/[\w/-]+)`", asked)]
    return [each for each in found if each[0] in ROLES]


def commanded_by_roles() -> list[tuple[str, str, str]]:
    """The same of what only roles and commands of this machine ask."""
    found = re.findall(r"`(GET|POST|PUT) (\w+):(/[\w./-]*)", ARCHITECTURE)
    return [(role, method, path) for method, role, path in found if (role, method, path) not in asked_by_people()]


def test_what_people_ask_reaches_its_role_over_tls(proxy: Proxy) -> None:
    asked = [each for each in asked_by_people() if each[0] != "door"]
    assert {role for role, _, _ in asked} == {*ROLES} - {"door"} and len(asked) >= 15
    for role, method, path in asked:
        answer = proxy.asked(role, path, method=method)
        assert answer.status == 200, (role, method, path, answer)
        assert answer.headers["strict-transport-security"] == "max-age=31536000"
        told = answer.document
        assert (told["role"], told["method"], told["path"], told["scheme"]) == (role, method, path, "https")
    line = proxy.asked("door", "/line")
    assert line.status == 200 and "wait_s" in line.document


def test_most_who_look_where_the_front_is_are_answered_before_the_door(proxy: Proxy) -> None:
    if proxy.name != "nginx":
        pytest.skip("Caddy keeps nothing")

    def one_was_kept() -> bool:
        before = proxy.roles.line_asked
        answers = [
            proxy.asked("door", f"/line?{number}", headers={"Origin": f"https://{number}"}) for number in range(2)
        ]
        assert {answer.status for answer in answers} == {200}
        assert all(answer.headers["cache-control"] == "public, max-age=1" for answer in answers)
        assert all(answer.headers["access-control-allow-origin"] == TV for answer in answers)
        assert all(answer.headers["strict-transport-security"] == "max-age=31536000" for answer in answers)
        return proxy.roles.line_asked < before + len(answers)

    until(one_was_kept, what="an answer that did not come from the door")
    before = proxy.roles.line_asked
    until(
        lambda: proxy.asked("door", "/line").status == 200 and proxy.roles.line_asked > before, what="news of the door"
    )


def test_what_roles_say_to_each_other_does_not_pass(proxy: Proxy) -> None:
    commands = [each for each in commanded_by_roles() if each[2] != "/health"]
    assert len(commands) >= 12
    inner = [(role, "GET", path) for role in ROLES for path in ("/metrics", "/health")]
    for role, method, path in [*commands, *inner, ("signin", "GET", "/"), ("door", "GET", "/index.html")]:
        answer = proxy.asked(role, path, method=method)
        assert (answer.status, answer.document.get("error")) == (404, "not-found"), (role, method, path, answer)


@pytest.mark.parametrize(
    "path",
    ["/", "/customers", "/was-i-hit/", "/was-i-hit/../customers", "/was-i-hit/..%2fcustomers", "/was-i-hit%2f../live",
     "//customers", "/%63ustomers", "/customers?/was-i-hit", "/was-i-hit;/customers"],
)  # fmt: skip
def test_of_assurance_only_was_i_hit_passes_from_outside(proxy: Proxy, path: str) -> None:
    passed = proxy.asked("assurance", "/was-i-hit", headers={"Authorization": "Bearer abc"})
    assert passed.status == 200 and passed.document["headers"]["authorization"] == "Bearer abc"
    assert proxy.asked("assurance", path, headers={"X-Forwarded-For": "127.0.2.1"}).status in (400, 404)


def test_the_house_has_the_console_without_its_figures(proxy: Proxy) -> None:
    for path in ("/", "/customers", "/static/console.js"):
        assert proxy.asked("assurance", path, source="127.0.2.7").document["path"] == path
    assert proxy.asked("assurance", "/metrics", source="127.0.2.7").status == 404


def test_the_live_view_is_told_as_it_happens(proxy: Proxy) -> None:
    proxy.roles.held.clear()
    connection = proxy.connected(HOSTS["assurance"], "127.0.2.8")
    connection.request("GET", STREAM)
    answer = connection.getresponse()
    assert answer.read1() == b"data: first\n\n"
    proxy.roles.held.set()
    assert answer.read() == b"data: second\n\n"
    connection.close()


@pytest.mark.parametrize("forged", ["", "203.0.113.9", "127.0.0.1", "203.0.113.9, 127.0.0.1"])
def test_a_role_is_told_who_asks_whatever_the_client_says_of_itself(proxy: Proxy, forged: str) -> None:
    source = proxy.stranger()
    headers = {"X-Forwarded-For": forged, "X-Real-IP": forged, "Forwarded": f"for={forged}"} if forged else {}
    assert proxy.asked("viewer", "/settings.json", source=source, headers=headers).document["client"] == source


def test_who_is_no_proxy_of_ours_is_not_believed(roles: tuple[Roles, Config]) -> None:
    """Straight at a role's port, past the proxy."""
    for source, client in (("127.0.0.5", "127.0.0.5"), ("127.0.0.1", "203.0.113.9")):
        connection = http.client.HTTPConnection("127.0.0.1", roles[1].roles.viewer.port, 60, (source, 0))
        connection.request("GET", "/", headers={"X-Forwarded-For": "203.0.113.9"})
        assert json.loads(connection.getresponse().read())["client"] == client
        connection.close()


def test_the_doors_limit_by_network_holds_behind_it_and_a_forged_address_does_not_lift_it(proxy: Proxy) -> None:
    crowd = proxy.stranger()
    assert [proxy.enter(crowd).status for _ in range(JOINS)] == [200] * JOINS
    refused = proxy.enter(crowd, forged="203.0.113.77")
    assert (refused.status, refused.document["error"]) == (503, "too-many-joins")
    assert proxy.enter(proxy.stranger()).status == 200


def test_a_body_is_refused_by_its_size(proxy: Proxy) -> None:
    """By the role to its route's limit, by nginx before it to the longest of them."""
    headers = {"Origin": TV, "Content-Type": "application/json"}
    for size in (2_000, 100_000):
        answer = proxy.asked("door", "/enter", method="POST", headers=headers, body=b" " * size)
        assert (answer.status, answer.document["error"]) == (413, "too-large"), (size, answer)
        assert answer.headers["access-control-allow-origin"] == TV


def test_a_flood_of_one_address_ends_at_nginx_as_a_role_would_end_it(proxy: Proxy) -> None:
    if proxy.name == "caddy":
        pytest.skip("Caddy has no limit of requests of its own")
    flood = proxy.stranger()
    answers = [proxy.asked("viewer", "/", source=flood) for _ in range(BURST + 2)]
    assert [answer.status for answer in answers] == [200] * (BURST + 1) + [503]
    told = answers[-1].document
    assert (told["error"], told["retry_after_s"], told["message"][:9]) == ("overloaded", 1, "Very many")
    assert answers[-1].headers["retry-after"] == "1"
    assert answers[-1].headers["access-control-allow-origin"] == TV
    assert proxy.asked("viewer", "/").status == 200


def test_a_role_that_is_away_is_no_refusal_and_no_log_takes_a_token(proxy: Proxy) -> None:
    """503 would say that nothing was done."""
    path = "/live/a-secret-token/sport/index.m3u8"
    assert proxy.asked("playout", path).status == 200
    with proxy.roles.without("playout"):
        answer = proxy.asked("playout", path, headers={"Authorization": "Bearer another-secret"})
    assert (answer.status, answer.document["error"]) == (502, "no-answer")
    assert answer.headers["access-control-allow-origin"] == TV
    assert "retry-after" not in answer.headers
    until(lambda: proxy.asked("playout", path).status == 200, what="playout is back")
    assert b"secret" not in proxy.logged()


def test_who_comes_without_tls_is_led_to_it(proxy: Proxy) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", proxy.plain_port, timeout=60)
    connection.request("GET", "/", headers={"Host": HOSTS["viewer"]})
    answer = connection.getresponse()
    answer.read()
    assert answer.status in (301, 308) and str(answer.headers["location"]).startswith(f"https://{HOSTS['viewer']}")
    connection.close()


def test_a_name_that_is_none_of_ours_gets_nothing(proxy: Proxy) -> None:
    connection = http.client.HTTPConnection("stranger.fjordnett.example", timeout=60)
    connection.sock = socket.create_connection(("127.0.0.1", proxy.port), 60)
    try:
        connection.sock = proxy.trust.wrap_socket(connection.sock, server_hostname="stranger.fjordnett.example")
        connection.request("GET", "/")
        assert connection.getresponse().read() == b""
    except ssl.SSLError as error:
        assert "unrecognized" in str(error).lower()
    finally:
        connection.close()

"""What Prometheus and Grafana are given in `deploy/`, held against what the roles really answer."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from prikkfri.app.connections import Connections, Limits
from prikkfri.app.roles import build
from prikkfri.app.serving import with_health
from prikkfri.clock import SystemClock
from prikkfri.config import ROLES, Account, Config, Link, Sms, SmsEdge
from prikkfri.simulation.installation import free_ports

DEPLOY = Path(__file__).parents[2] / "deploy"
PROMETHEUS = DEPLOY / "prometheus"
SHOP = Account(system_id="shop", password="secret12", senders=("2010",))
NORD = Link(name="nord", partner="Nordtel", host="127.0.0.1", port=1, system_id="p", password="p", prefixes=("47",))
FIGURE = re.compile(r"\b(?:prikkfri|process)_[a-z_]+\b")


async def answered(config: Config, name: str) -> set[str]:
    """The names on a role's /metrics, before anything has happened."""
    role = await build(name, config, SystemClock())
    shared = Connections(Limits())
    try:
        application = with_health(role.application, name, lambda: {**role.counters(), **shared.counters()})
        async with httpx.AsyncClient(transport=httpx.ASGITransport(application), base_url="http://role") as client:
            text = (await client.get("/metrics")).text
        return {re.split(r"[{ ]", line)[0] for line in text.splitlines() if not line.startswith("#")}
    finally:
        await role.close()


def expressions() -> Iterator[tuple[str, str]]:
    """Where a question to Prometheus stands, and the question."""
    for file in ("rules.yml", "rules_test.yml"):
        yield file, (PROMETHEUS / file).read_text(encoding="utf-8")
    dashboard = json.loads((DEPLOY / "grafana" / "prikkfri.json").read_text(encoding="utf-8"))
    for panel in dashboard["panels"]:
        for target in panel["targets"]:
            yield panel["title"], target["expr"]


async def test_every_figure_that_is_watched_is_one_that_a_role_answers(tmp_path: Path) -> None:
    [port] = free_ports(1)
    config = Config(home=tmp_path, sms=Sms(accounts=(SHOP,), links=(NORD,)))
    config = replace(config, roles=replace(config.roles, sms=SmsEdge(port=8083, smpp_port=port)))
    found: set[str] = set()
    for name in ROLES:
        found |= await answered(config, name)
    watched = {(place, name) for place, text in expressions() for name in FIGURE.findall(text)}
    assert len(watched) >= 40
    assert not {(place, name) for place, name in watched if name not in found}
    of_role = {role for role in ROLES for _, name in watched if name.startswith(f"prikkfri_{role}_")}
    assert of_role == {*ROLES}, "somebody is not watched"


def test_a_counter_is_watched_by_how_it_moves_and_nothing_else_is() -> None:
    for place, text in expressions():
        if place == "rules_test.yml":
            continue
        for function, name in re.findall(r"(\w+)?\(?\b((?:prikkfri|process)_[a-z_]+)\b", text):
            assert name.endswith("_total") == (function in ("rate", "increase")), (place, name)


def test_the_dashboard_is_one_that_grafana_takes() -> None:
    """Panels with an id each that do not lie over each other, and the data source asked from whoever imports it."""
    dashboard = json.loads((DEPLOY / "grafana" / "prikkfri.json").read_text(encoding="utf-8"))
    panels = dashboard["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels) >= 12
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert max(x for x, _ in cells) < 24 and not cells & taken
        taken |= cells
        assert all(target["datasource"]["uid"] == "${datasource}" for target in panel["targets"])
    assert [variable["name"] for variable in dashboard["templating"]["list"]] == ["datasource"]


def test_each_role_is_asked_on_its_own_port() -> None:
    asked = re.findall(r'"127\.0\.0\.1:(\d+)"\], labels: \{role: (\w+)\}', (PROMETHEUS / "prometheus.yml").read_text())
    assert asked == [(str(Config().roles.edge(role).port), role) for role in ROLES]


@pytest.mark.slow
@pytest.mark.parametrize(
    "words",
    [["check", "rules", "rules.yml"], ["check", "config", "prometheus.yml"], ["test", "rules", "rules_test.yml"]],
)
def test_prometheus_itself_takes_them(words: list[str]) -> None:
    if shutil.which("promtool") is None:
        pytest.skip("promtool is not on this machine; .ci/machine installs it")
    done = subprocess.run(["promtool", *words], cwd=PROMETHEUS, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr

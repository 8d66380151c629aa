"""The key of a browser, in a real one and before a real door: whose place in the line it is."""

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import Browser, expect
from starlette.types import ASGIApp, Receive, Scope, Send
from viewer_browser import NEEDS_CHROMIUM, Viewer, chromium
from viewer_double import LOGIN, PASSWORD, Double, television

from prikkfri.clock import SystemClock
from prikkfri.config import Config
from prikkfri.door.http import application
from prikkfri.door.service import Door, load_keys
from prikkfri.door.waiting_room import Capacity
from prikkfri.protocols import admission_pass, jwt, possession
from prikkfri.protocols.admission_pass import Pass
from prikkfri.storage.device_tokens import DeviceTokens
from prikkfri.storage.keys import read_public_keys

pytestmark = [pytest.mark.browser, NEEDS_CHROMIUM]
KEPT_PAIR = """() => new Promise((resolve) => {
    const opening = indexedDB.open("prikkfri", 1);
    opening.onsuccess = () => {
        const asking = opening.result.transaction("keys").objectStore("keys").get("device");
        asking.onsuccess = async () => {
            const { privateKey } = asking.result;
            const taken = (format) => crypto.subtle.exportKey(format, privateKey).then(() => "taken", (e) => e.name);
            resolve([privateKey.extractable, await taken("jwk"), await taken("pkcs8"), Object.keys(localStorage)]);
        };
    };
})"""
NO_WEBCRYPTO = "Object.defineProperty(Crypto.prototype, 'subtle', { get: () => undefined })"


class Place:
    """A real door before doubles of the rest, which lets somebody in when it is told to."""

    def __init__(self, home: Path, clips: Path, browser: Browser) -> None:
        self.home = home
        self.browser = browser
        self.per_second = 0.01
        self.clips = clips
        self.double = Double()
        self.url = ""
        self.viewers: list[Viewer] = []

    def door(self, viewer_origin: str) -> ASGIApp:
        clock = SystemClock()

        async def ask() -> Capacity:
            return Capacity(self.per_second, 0.0)

        door = Door(
            record=lambda outcome: None,
            config=Config(home=self.home),
            keys=load_keys(self.home),
            clock=clock,
            tokens=DeviceTokens(self.home, clock),
            ask_capacity=ask,
        )
        edge = application(door, viewer_origin=viewer_origin, open_channels_url="http://localhost/open")

        async def heard_first(scope: Scope, receive: Receive, send: Send) -> None:
            await door.ask_signin()
            await edge(scope, receive, send)  # type: ignore[arg-type]

        return heard_first

    def viewer(self, prepared: str = "") -> Viewer:
        viewer = Viewer(self.browser, self.url)
        if prepared:
            viewer.context.add_init_script(prepared)
        self.viewers.append(viewer)
        viewer.open()
        return viewer

    def spent(self) -> list[tuple[Pass, str, str]]:
        """The passes that sign-in was shown, as they stand, and the proofs with them."""
        keys = jwt.read_jwks(read_public_keys(self.home, "pass"))
        passes = [admission_pass.verified(body["pass"], keys) for body in self.double.sign_ins]
        return [(p, b["pass"], b["proof"]) for p, b in zip(passes, self.double.sign_ins, strict=True) if p]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture
def place(browser: Browser, tmp_path: Path) -> Iterator[Place]:
    place = Place(tmp_path, tmp_path, browser)
    with television(tmp_path, place.door) as (double, roles):
        place.double, place.url = double, roles["viewer"].url
        yield place
        for viewer in place.viewers:
            viewer.close()


def refusals(viewer: Viewer) -> list[tuple[str, str]]:
    """Tickets that the door has refused to a browser, and why."""
    found: list[tuple[str, str]] = []
    viewer.page.on(
        "response",
        lambda answer: (
            found.append((parse_qs(urlsplit(answer.url).query)["ticket"][0], str(answer.status)))
            if "/waiting?" in answer.url and answer.status >= 400
            else None
        ),
    )
    return found


def test_a_key_cannot_be_taken_out_and_a_stolen_place_gets_nobody_in(place: Place) -> None:
    owner = place.viewer()  # stands in the line before anything is asked
    expect(owner.page.locator("#wait-title")).to_have_text("Many are on their way in")
    ticket = owner.page.evaluate("JSON.parse(localStorage['prikkfri.ticket'])")
    extractable, *taken, kept = owner.page.evaluate(KEPT_PAIR)
    assert not extractable and taken == ["InvalidAccessError"] * 2
    assert "prikkfri.secret" not in kept

    stolen = owner.page.evaluate("JSON.stringify({ ...localStorage })")
    thief = place.viewer(f"if (!localStorage.length) Object.assign(localStorage, {stolen})")
    refused = refusals(thief)
    owner.page.close()  # the thief comes alone
    place.per_second = 50.0
    thief.sign_in(LOGIN, PASSWORD)
    thief.waits_until(lambda: place.double.sign_ins, "the thief's own turn")
    assert [status for _, status in refused] == ["403"] and refused[0][0][:20] == ticket[:20]
    [(theirs, text, proof)] = place.spent()
    assert possession.proven(theirs.holder, proof, "sign-in", text), "with a place of their own, behind the others"

    back = owner.context.new_page()
    back.goto(place.url)
    owner.page = back
    owner.sign_in(LOGIN, PASSWORD)
    owner.waits_until(lambda: len(place.double.sign_ins) == 2, "the owner's pass")
    own, text, proof = place.spent()[1]
    assert own.device == theirs.device and own.pass_id != theirs.pass_id and own.holder != theirs.holder
    assert possession.proven(own.holder, proof, "sign-in", text) and own.holder.startswith("k-")


def test_without_webcrypto_it_is_a_secret_which_no_address_shows(place: Place) -> None:
    place.per_second = 50.0
    television_set = place.viewer(NO_WEBCRYPTO)
    addresses: list[str] = []
    television_set.page.on("request", lambda request: addresses.append(request.url))
    television_set.sign_in(LOGIN, PASSWORD)
    television_set.waits_until(lambda: place.double.sign_ins, "a sign-in")
    [(admitted, _, secret)] = place.spent()
    assert admitted.holder == possession.holder_of_secret(secret) and len(secret) == 43
    assert not [address for address in addresses if secret in address]
    kept = television_set.page.evaluate("JSON.parse(localStorage['prikkfri.secret'])")
    assert kept == secret

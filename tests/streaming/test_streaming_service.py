"""Who may watch, what becomes of it, and which channels stand open: hour by hour, by a clock that the test moves."""

import asyncio
import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from still_playout import (
    COMMAND_KEY,
    DEVICE,
    HOUR,
    INDEX,
    MEDIA,
    NEWS,
    QUICK,
    SEGMENT,
    SPORT,
    SQUARE,
    VIEWER,
    StillPlayout,
    bearer,
)
from waiting import eventually

from prikkfri.assurance.http import RoleClient
from prikkfri.config import Channel, Programme, Streaming
from prikkfri.protocols.device_token import DeviceToken, issue
from prikkfri.storage.keys import publish_public_key, signing_key
from prikkfri.streaming.fallback import LONG_LINE, NOT_ANSWERING, RULE
from prikkfri.streaming.http import application
from prikkfri.streaming.service import GUIDE_AHEAD_SECONDS_MAX, GUIDE_PAST_SECONDS_MAX, LIMITS

OTHER_DEVICE = b"another-device-t"
BASIC = "basic"
ADMITTED, EXPIRED, REVOKED = (200, ""), (403, "expired"), (403, "revoked")
NOT_ENTITLED, BAD_TOKEN, NOT_FOUND = (403, "not-entitled"), (403, "bad-token"), (404, "not-found")
GRACE = Streaming().expired_token_grace_hours * HOUR


async def test_a_token_is_honoured_until_the_end_of_its_grace_and_not_a_second_longer(tmp_path: Path) -> None:
    async with StillPlayout(tmp_path).running() as at:
        token = at.token(BASIC, lifetime_s=HOUR)
        said = []
        for seconds in (0.0, HOUR - 1, 2.0, GRACE - 2, 1.0):
            at.clock.advance(seconds)
            said.append(await at.watch(token))
        assert said == [ADMITTED] * 4 + [EXPIRED]
        # One that nobody has shown before is worth the same.
        assert await at.watch(at.token(BASIC, age_s=HOUR + GRACE - 1)) == ADMITTED
        assert await at.watch(at.token(BASIC, age_s=HOUR + GRACE)) == EXPIRED
        assert await at.watch(at.token(BASIC, lifetime_s=12 * HOUR)) == ADMITTED


async def test_a_package_opens_its_channels_and_no_other_to_playlists_and_segments_alike(tmp_path: Path) -> None:
    async with StillPlayout(tmp_path).running() as at:
        for name in (INDEX, MEDIA, SEGMENT, "init-7.mp4"):
            told = {
                packages: [await at.watch(at.token(*packages), channel, name) for channel in ("news", "sport")]
                for packages in ((BASIC,), ("sport",), (BASIC, "sport"), ("film",))
            }
            assert told == {
                (BASIC,): [ADMITTED, NOT_ENTITLED],
                ("sport",): [NOT_ENTITLED, ADMITTED],
                (BASIC, "sport"): [ADMITTED, ADMITTED],
                ("film",): [NOT_ENTITLED, NOT_ENTITLED],
            }
        assert await at.watch(at.token(BASIC), "news", "8.m4s") == NOT_FOUND
        assert await at.watch(at.token(BASIC), "nowhere", MEDIA) == NOT_FOUND
        assert not [outcome for outcome in at.outcomes if outcome.dimensions["channel"] == "nowhere"]


async def test_the_signed_out_are_out_at_once_and_for_good_and_nobody_else_is(tmp_path: Path) -> None:
    async with StillPlayout(tmp_path).running() as at:
        tokens = {device: at.token(BASIC, device=device, lifetime_s=12 * HOUR) for device in (DEVICE, OTHER_DEVICE)}
        assert [await at.watch(token) for token in tokens.values()] == [ADMITTED, ADMITTED]
        at.revoke(OTHER_DEVICE)
        await at.until_revocations_of(at.clock.now())
        for name in (INDEX, MEDIA, SEGMENT):
            assert await at.watch(tokens[OTHER_DEVICE], name=name) == REVOKED
            assert await at.watch(tokens[DEVICE], name=name) == ADMITTED
        # A list that is old, broken or gone stays in force, and refuses nobody anew.
        written_at = at.clock.now()
        for damage in (lambda: at.revocations.write_text("{"), at.revocations.unlink):
            at.clock.advance(2 * HOUR)
            damage()
            await eventually(lambda: at.playout.metrics()["prikkfri_playout_revocation_list_broken"])
            assert [await at.watch(token) for token in tokens.values()] == [ADMITTED, REVOKED]
        assert any("revocation list is 14400 s old" in trouble for trouble in at.playout.troubles())
        assert at.playout.metrics()["prikkfri_playout_revocation_list_age_seconds"] == at.clock.now() - written_at
        at.revoke()
        await at.until_revocations_of(at.clock.now())
        assert not at.playout.troubles()
        assert [await at.watch(token) for token in tokens.values()] == [ADMITTED, ADMITTED]


async def test_before_the_first_list_has_come_nobody_is_refused_and_nothing_is_stale(tmp_path: Path) -> None:
    async with StillPlayout(tmp_path).running() as at:
        assert await at.watch(at.token(BASIC)) == ADMITTED
        assert at.playout.troubles() == []
        assert "prikkfri_playout_revocation_list_age_seconds" not in at.playout.metrics()


async def test_a_list_that_is_old_is_an_alarm_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with StillPlayout(tmp_path).running() as at:
        at.revoke()
        await at.until_revocations_of(at.clock.now())
        at.clock.advance(300)
        assert at.playout.troubles() == []
        at.clock.advance(1)
        await eventually(lambda: "stale" in caplog.text)
        at.revoke()
        await at.until_revocations_of(at.clock.now())
    assert caplog.text.count("stale") == 1


async def test_a_key_that_is_withdrawn_lets_in_nobody_it_let_in_before(tmp_path: Path) -> None:
    async with StillPlayout(tmp_path).running() as at:
        before = at.token(BASIC)
        assert await at.watch(before) == ADMITTED
        at.new_key("door")
        at.clock.advance(1)
        await eventually(lambda: at.playout.metrics()["prikkfri_playout_verified_tokens"] == 0)
        assert await at.watch(before) == BAD_TOKEN
        assert await at.watch(at.token(BASIC)) == ADMITTED


async def test_the_first_token_of_a_new_issuer_is_no_strangers(tmp_path: Path) -> None:
    """It is not kept waiting for the next round of the house; and unknown keys in plenty cost no look each."""
    at = StillPlayout(tmp_path)
    async with at.running():
        at.clock.advance(1)
        at.new_key("signin")
        assert await at.watch(at.token(BASIC, issuer="signin")) == ADMITTED
        assert await at.watch(at.token(BASIC)) == ADMITTED, "the other issuer's key is still known"


async def test_broken_keys_are_told_and_leave_the_last_good_in_force(tmp_path: Path) -> None:
    async with StillPlayout(tmp_path).running() as at:
        (at.keys_folder / "door.json").write_text("{")
        at.clock.advance(1)
        await eventually(lambda: at.playout.metrics()["prikkfri_playout_public_keys_broken"])
        assert await at.watch(at.token(BASIC)) == ADMITTED
        assert await at.watch(at.token(BASIC, subscriber="never seen")) == ADMITTED
        assert ["keys" in trouble for trouble in at.playout.troubles()] == [True]


@pytest.mark.parametrize("gone", ["the file", "the folder"])
async def test_keys_that_are_gone_altogether_put_out_nobody(tmp_path: Path, gone: str) -> None:
    async with StillPlayout(tmp_path).running() as at:
        token = at.token(BASIC)
        assert await at.watch(token) == ADMITTED
        (at.keys_folder / "door.json").unlink()
        if gone == "the folder":
            at.keys_folder.rmdir()
        at.clock.advance(1)
        await eventually(lambda: at.playout.metrics()["prikkfri_playout_public_keys_broken"])
        assert await at.watch(token) == ADMITTED
        assert await at.watch(at.token(BASIC, subscriber="never seen")) == ADMITTED


async def test_without_any_key_it_says_that_nobody_can_start(tmp_path: Path) -> None:
    at = StillPlayout(tmp_path)
    (at.keys_folder / "door.json").unlink()
    async with at.running():
        assert await at.watch(at.token(BASIC)) == BAD_TOKEN
        assert at.playout.troubles() == ["no key for playback tokens is known, so nobody can start to watch"]


async def test_what_is_kept_of_tokens_and_read_of_lists_has_a_limit_and_costs_nobody_their_right(
    tmp_path: Path,
) -> None:
    limits = replace(QUICK, verified_tokens_max=2, revocations_bytes_max=200)
    async with StillPlayout(tmp_path, limits=limits).running() as at:
        tokens = [at.token(BASIC, subscriber=f"s-{number}") for number in range(5)]
        for token in [*tokens, *tokens]:
            assert await at.watch(token) == ADMITTED
            assert at.playout.metrics()["prikkfri_playout_verified_tokens"] <= 2
        at.revoke(OTHER_DEVICE)
        await at.until_revocations_of(at.clock.now())
        at.clock.advance(10)
        at.revoke(*(b"%016d" % number for number in range(20)))
        await eventually(lambda: at.playout.metrics()["prikkfri_playout_revocation_list_broken"])
        assert await at.watch(at.token(BASIC, device=OTHER_DEVICE)) == REVOKED


# what is recorded


async def test_coming_and_switching_are_promises_and_staying_is_not_another(tmp_path: Path) -> None:
    async with StillPlayout(tmp_path).running() as at:
        token = at.token(BASIC, "sport")
        asked = [(2, "news"), (2, "news"), (2, "sport"), (2, "sport"), (300, "sport"), (301, "sport"), (2, "news")]
        for seconds, channel in asked:
            at.clock.advance(seconds)
            assert await at.watch(token, channel) == ADMITTED
        assert at.steps("s-1") == [
            ("start-playback", "kept", "", "news"),
            ("switch-channel", "kept", "", "sport"),
            ("start-playback", "kept", "", "sport"),
            ("switch-channel", "kept", "", "news"),
        ]
        first = at.outcomes[0]
        assert (first.service, first.layer, first.observed) == ("television", "streams", True)
        assert at.outcomes[-1].time == at.clock.now()


async def test_only_the_media_playlist_is_a_sign_of_watching(tmp_path: Path) -> None:
    async with StillPlayout(tmp_path).running() as at:
        for name in (INDEX, SEGMENT, "init-7.mp4"):
            await at.watch(at.token(BASIC), name=name)
        assert at.steps("s-1") == []


async def test_each_viewer_counts_for_themselves(tmp_path: Path) -> None:
    async with StillPlayout(tmp_path).running() as at:
        for subscriber, device in (("s-1", DEVICE), ("s-2", DEVICE), ("s-1", OTHER_DEVICE)):
            await at.watch(at.token(BASIC, subscriber=subscriber, device=device))
        assert [outcome.customer for outcome in at.outcomes] == ["s-1", "s-2", "s-1"]


async def test_a_refusal_is_recorded_once_a_minute_for_each_customer_channel_and_reason(tmp_path: Path) -> None:
    async with StillPlayout(tmp_path).running() as at:
        for seconds in (0, 30, 29):
            at.clock.advance(seconds)
            for subscriber in ("s-1", "s-2"):
                assert await at.watch(at.token(BASIC, subscriber=subscriber), "sport") == NOT_ENTITLED
                expired = at.token("sport", subscriber=subscriber, age_s=9 * HOUR)
                assert await at.watch(expired, "sport", INDEX) == EXPIRED
        told = [("start-playback", "broken", reason, "sport") for reason in ("not-entitled", "expired")]
        assert at.steps("s-1") == at.steps("s-2") == told
        assert at.playout.metrics()['prikkfri_playout_refusals_total{reason="not-entitled"}'] == 6
        at.clock.advance(1)
        await at.watch(at.token(BASIC), "sport")
        assert at.steps("s-1") == [*told, told[0]]


async def test_strangers_are_recorded_without_a_customer_and_take_no_customers_place(tmp_path: Path) -> None:
    async with StillPlayout(tmp_path).running() as at:
        for number in range(3):
            for _ in range(3):
                assert await at.watch(f"no-token-of-ours-{number}") == BAD_TOKEN
        assert at.steps() == [("start-playback", "broken", "token-malformed", "news")] * 3
        assert await at.watch(at.token(BASIC), "sport") == NOT_ENTITLED
        assert len(at.steps("s-1")) == 1


async def test_a_channel_without_a_picture_breaks_the_watching_or_the_start(tmp_path: Path) -> None:
    async with StillPlayout(tmp_path).running() as at:
        stays, comes = (at.token(BASIC, "sport", subscriber=name) for name in ("s-stays", "s-comes"))
        assert await at.watch(stays) == ADMITTED
        channel = at.playout.on_air["news"]
        channel.stalls()  # type: ignore[attr-defined]
        at.clock.advance(10)
        assert await at.watch(stays) == ADMITTED, "a late segment is no missing picture"
        assert at.playout.troubles() == []
        at.clock.advance(0.5)
        for token in (stays, comes, stays, comes):
            answer = await at.http.get(f"/live/{token}/news/{MEDIA}")
            assert (answer.status_code, answer.json()["error"]) == (503, "no-picture")
            assert int(answer.headers["retry-after"]) == answer.json()["retry_after_s"] == 2
        assert await at.watch(stays, name=INDEX) == (503, "no-picture")
        assert at.playout.troubles() == ["channel news has no picture"]
        assert at.playout.metrics()['prikkfri_playout_segment_age_seconds{channel="news"}'] == 10.5
        assert at.steps("s-stays") == [("start-playback", "kept", "", "news")], "a picture that flickers is no news"
        await eventually(lambda: at.told_gone("news") or at.clock.advance(0.5))
        for _ in range(3):
            assert await at.watch(stays) == (503, "no-picture")
        assert await at.watch(stays, "sport") == ADMITTED
        assert at.steps("s-comes") == [("start-playback", "broken", "no-picture", "news")]
        assert at.steps("s-stays") == [
            ("start-playback", "kept", "", "news"),
            ("watch", "broken", "no-picture", "news"),
            ("switch-channel", "kept", "", "sport"),
        ]
        channel.goes_on()  # type: ignore[attr-defined]
        assert await at.watch(comes) == ADMITTED
        assert at.steps("s-comes")[-1] == ("start-playback", "kept", "", "news")


async def test_a_slate_is_told_and_is_shown_to_whoever_may_watch(tmp_path: Path) -> None:
    async with StillPlayout(tmp_path).running() as at:
        at.playout.on_air["sport"].feed.on_air = "slate"  # type: ignore[misc]
        assert at.playout.troubles() == ["channel sport shows the slate: its source is away"]
        slates = [name for name, value in at.playout.metrics().items() if "_slate{" in name and value]
        assert slates == ['prikkfri_playout_slate{channel="sport"}']
        assert at.playout.metrics()["prikkfri_playout_troubles"] == 1
        assert await at.watch(at.token("sport"), "sport") == ADMITTED


async def test_reports_are_thinned_out_for_each_device_and_never_move_a_customer(tmp_path: Path) -> None:
    report = {"device": "d-" + "A" * 22, "step": "watch", "kept": False, "reason": "stalled", "channel": "sport"}
    async with StillPlayout(tmp_path).running() as at:

        async def told(**change: object) -> int:
            answer = await at.http.post("/report", json=report | change, headers={"origin": VIEWER})
            return answer.status_code

        changes = ({}, {"device": "d-" + "B" * 22}, {"reason": "late"}, {"step": "enter"}, {"channel": "news"})
        changes += ({"kept": True},)  # type: ignore[assignment]
        for _ in range(3):
            assert {await told(**change) for change in changes} == {204}
        assert len(at.outcomes) == len(changes)
        assert not any(outcome.observed or outcome.customer for outcome in at.outcomes)
        assert at.playout.metrics()["prikkfri_playout_reports_dropped_total"] == 2 * len(changes)
        at.clock.advance(9.9)
        await told()
        assert len(at.outcomes) == len(changes)
        at.clock.advance(0.1)
        await told()
        assert len(at.outcomes) == len(changes) + 1
        assert await told(channel="nowhere") == 204
        assert at.outcomes[-1].dimensions == {"proof": "none"}


# open to everybody


async def test_only_what_is_open_is_had_without_a_token(tmp_path: Path) -> None:
    async with StillPlayout(tmp_path).running() as at:
        assert await at.open_to_all() == {"square"}
        assert await at.say("sport", "open") == 204
        assert await at.open_to_all() == {"sport", "square"}
        assert await at.say("square", "closed") == 204
        assert await at.open_to_all() == {"sport"}
        assert await at.say("sport", "rule") == 204
        assert await at.open_to_all() == set()
        standing = {each.channel.id: (each.open, each.by) for each in at.playout.channel_statuses()}
        assert standing == {"news": (False, ""), "sport": (False, ""), "square": (False, "Kari")}
        # Whoever has a token watches as before, whatever is open or closed.
        assert await at.watch(at.token(BASIC), "square") == ADMITTED
        assert await at.watch(at.token(BASIC), "sport") == NOT_ENTITLED


async def test_nobody_opens_a_channel_without_the_key(tmp_path: Path) -> None:
    async with StillPlayout(tmp_path).running() as at:
        for key in ("", "wrong", COMMAND_KEY[:-1], COMMAND_KEY + "x"):
            assert await at.say("sport", "open", key=key) == 401
        wrong = {"authorization": f"Basic {COMMAND_KEY}"}
        assert (await at.http.put("/open/sport", json={"state": "open", "by": "x"}, headers=wrong)).status_code == 401
        assert (await at.http.get("/standings")).status_code == 401
        for path in ("/live/sport", "/sport", "/open/sport/x", "/open", "/open/sport/", "/standings"):
            asked = {"state": "open", "by": "Kari"}
            answer = await at.http.put(path, json=asked, headers=bearer(COMMAND_KEY))
            only_looked_at = path in ("/open/sport/x", "/open", "/standings")
            assert answer.status_code == (405 if only_looked_at else 404), path
        assert await at.say("nowhere", "open") == 404
        for body in ({"state": "open"}, {"state": "ajar", "by": "Kari"}, {"state": "open", "by": "x" * 65}, [], "x"):
            answer = await at.http.put("/open/sport", json=body, headers=bearer(COMMAND_KEY))
            assert answer.status_code == 400, body
        long = {"state": "open", "by": "Kari", "more": "x" * 3000}
        assert (await at.http.put("/open/sport", json=long, headers=bearer(COMMAND_KEY))).status_code == 413
        assert await at.open_to_all() == {"square"}
        assert at.outcomes == []


async def test_a_playout_without_a_command_key_takes_no_command(tmp_path: Path) -> None:
    at = StillPlayout(tmp_path)
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(application(at.playout, VIEWER)), base_url="http://p"
    ) as http:
        for headers in ({}, {"authorization": "Bearer "}, {"authorization": "Bearer"}):
            asked = {"state": "open", "by": "Kari"}
            assert (await http.put("/open/sport", json=asked, headers=headers)).status_code == 401


async def test_what_may_be_kept_by_others_is_said_and_no_refusal_is(tmp_path: Path) -> None:
    """A playlist for a second, a segment for ever, who is open for a second: and a refusal, or a command, never."""
    async with StillPlayout(tmp_path).running() as at:
        token = at.token(BASIC)
        kept = {
            path: (await at.http.get(path)).headers["cache-control"]
            for path in (
                f"/live/{token}/news/{INDEX}",
                f"/live/{token}/news/{MEDIA}",
                f"/live/{token}/news/{SEGMENT}",
                f"/live/{token}/sport/{MEDIA}",
                f"/open/square/{MEDIA}",
                f"/open/sport/{MEDIA}",
                "/open",
                "/channels",
                "/guide",
                "/guide?from=x",
                "/nothing",
            )
        }
        second = "max-age=1"
        assert list(kept.values()) == [
            *(second, second, "public, max-age=31536000, immutable", "no-store", second, "no-store"),
            *(second, second, "max-age=30", "no-store", "no-store"),
        ]
        told = await at.http.get("/standings", headers=bearer(COMMAND_KEY))
        assert (told.status_code, told.headers["cache-control"]) == (200, "no-store")


async def test_a_look_at_the_head_has_no_body(tmp_path: Path) -> None:
    async with StillPlayout(tmp_path).running() as at:
        head, whole = await at.http.head("/channels"), await at.http.get("/channels")
        assert (head.content, head.headers["content-length"]) == (b"", str(len(whole.content)))


REPORT: dict[str, Any] = {"device": "d-" + "A" * 22, "step": "watch", "kept": False, "reason": "stalled"}


async def test_a_report_says_whose_it_is_by_its_token_and_without_a_good_one_proves_nothing(tmp_path: Path) -> None:
    key = signing_key(tmp_path, "signin-device")
    publish_public_key(tmp_path, "device", "signin", key)
    async with StillPlayout(tmp_path).running() as at:

        async def whose(token: str, *, header: bool = False) -> tuple[str, str]:
            at.clock.advance(10)
            sent: dict[str, Any] = {"json": REPORT, "headers": {"origin": VIEWER}}
            if header:
                sent["headers"] |= bearer(token)
            else:
                sent["json"] = REPORT | {"token": token}
            assert (await at.http.post("/report", **sent)).status_code == 204
            assert not at.outcomes[-1].observed
            return at.outcomes[-1].customer, at.outcomes[-1].dimensions.get("proof", "")

        def device_token(lifetime_s: float) -> str:
            now = at.clock.now()
            told = DeviceToken("s-2", REPORT["device"], ("basic",), now, now + lifetime_s, b"fedcba9876543210")
            return issue(key.private, key.kid, told)

        assert await whose(at.token("basic")) == await whose(at.token("basic"), header=True) == ("s-1", "")
        assert await whose(device_token(HOUR)) == await whose(device_token(HOUR), header=True) == ("s-2", "")
        nothing = ("", "none")
        for token in ("", "nonsense", at.token("basic", age_s=20 * HOUR), device_token(5), at.token("basic") + "A"):
            assert await whose(token) == nothing, token
        at.revoke(DEVICE)
        await at.until_revocations_of(at.clock.now())
        assert await whose(at.token("basic")) == nothing
        metrics = at.playout.metrics()
        assert metrics["prikkfri_playout_reports_total"] == 4
        assert metrics["prikkfri_playout_reports_unproven_total"] == 6


async def test_reports_are_limited_by_network_and_what_is_too_much_leaves_no_trace(tmp_path: Path) -> None:
    async with StillPlayout(tmp_path, trusted_proxies=("10.0.0.1",)).running() as at:

        async def answers(address: str, count: int) -> list[int]:
            transport = httpx.ASGITransport(at.application, client=(address, 1))  # type: ignore[arg-type]
            async with httpx.AsyncClient(transport=transport, base_url="http://playout") as client:
                reports = [{**REPORT, "device": f"d-{n:022}"} for n in range(count)]
                sent = [await client.post("/report", json=each, headers={"origin": VIEWER}) for each in reports]
            assert all(each.headers["retry-after"] == "1" for each in sent if each.status_code == 429)
            return [each.status_code for each in sent]

        taken = LIMITS.reports_per_network
        assert await answers("192.0.2.1", taken + 30) == [204] * taken + [429] * 30
        assert len(at.outcomes) == taken
        assert at.playout.metrics()["prikkfri_playout_reports_refused_total"] == 30
        assert await answers("192.0.2.2", 1) == [204]
        assert 429 not in await answers("10.0.0.1", taken + 1)


async def test_one_who_leaves_in_the_middle_of_a_report_is_no_failure(tmp_path: Path) -> None:
    at, answered = StillPlayout(tmp_path), []

    async def receive() -> dict[str, str]:
        return {"type": "http.disconnect"}

    async def send(event: object) -> None:
        answered.append(event)

    scope = {"type": "http", "method": "POST", "path": "/report", "headers": [(b"origin", VIEWER.encode())]}
    await application(at.playout, VIEWER)(scope, receive, send)  # type: ignore[arg-type]
    assert answered == []
    assert at.outcomes == []


async def test_each_opening_and_closing_is_recorded_once_with_who_wanted_it(tmp_path: Path) -> None:
    async with StillPlayout(tmp_path).running() as at:
        for channel, state, by in (
            ("sport", "open", "Kari"),
            ("sport", "open", "Kari"),
            ("sport", "open", "Ola"),
            ("sport", "closed", "Ola"),
            ("sport", "rule", "Eva"),
            ("square", "open", "Eva"),
            ("square", "closed", "Eva"),
        ):
            assert await at.say(channel, state, by) == 204
        assert [(o.step, dict(o.dimensions), o.customer, o.reason) for o in at.outcomes] == [
            ("open-channel", {"channel": "sport", "by": "Kari"}, "", ""),
            ("close-channel", {"channel": "sport", "by": "Ola"}, "", ""),
            ("close-channel", {"channel": "square", "by": "Eva"}, "", ""),
        ]


class SignIn:
    """Sign-in as playout sees it: why people do not get in."""

    def __init__(self) -> None:
        self.trouble = ""
        self.asked = 0
        self.fault: Exception | None = None

    async def __call__(self) -> str:
        self.asked += 1
        if self.fault:
            raise self.fault
        return self.trouble

    async def is_seen(self) -> None:
        """Returns when playout has seen how it is now, and has acted on it."""
        enough = self.asked + 2
        await eventually(lambda: self.asked >= enough)


SETTINGS = Streaming(fallback_channels=("sport",), fallback_after_seconds=3.0, fallback_held_seconds=60.0)


async def test_the_match_opens_by_itself_when_people_do_not_get_in_and_closes_when_that_has_held(
    tmp_path: Path,
) -> None:
    signin = SignIn()
    async with StillPlayout(tmp_path, settings=SETTINGS, sign_in_trouble=signin).running() as at:

        async def after(seconds: float, trouble: str) -> set[str]:
            at.clock.advance(seconds)
            signin.trouble = trouble
            await signin.is_seen()
            return await at.open_to_all()

        assert await after(0, NOT_ANSWERING) == {"square"}
        assert await after(2.9, NOT_ANSWERING) == {"square"}
        assert await after(0.1, LONG_LINE) == {"square", "sport"}
        assert await after(0, "") == {"square", "sport"}
        assert await after(59, "") == {"square", "sport"}
        assert await after(0, NOT_ANSWERING) == {"square", "sport"}
        assert await after(0, "") == {"square", "sport"}
        assert await after(59.9, "") == {"square", "sport"}
        assert await after(0.1, "") == {"square"}
        assert [(o.step, o.reason, dict(o.dimensions)) for o in at.outcomes] == [
            ("open-channel", LONG_LINE, {"channel": "sport", "by": RULE}),
            ("close-channel", "people get in again", {"channel": "sport", "by": RULE}),
        ]


async def test_a_question_that_fails_does_not_end_the_asking(tmp_path: Path) -> None:
    signin = SignIn()
    async with StillPlayout(tmp_path, settings=SETTINGS, sign_in_trouble=signin).running() as at:
        signin.fault = RuntimeError("the resolver is broken")
        await signin.is_seen()
        signin.fault, signin.trouble = None, NOT_ANSWERING
        await signin.is_seen()
        at.clock.advance(3)
        await signin.is_seen()
        assert await at.open_to_all() == {"square", "sport"}


async def test_a_restart_closes_nothing_and_forgets_no_word(tmp_path: Path) -> None:
    signin = SignIn()
    signin.trouble = NOT_ANSWERING
    async with StillPlayout(tmp_path, settings=SETTINGS, sign_in_trouble=signin).running() as at:
        await signin.is_seen()
        at.clock.advance(3)
        await signin.is_seen()
        await at.say("news", "open", "Kari")
        await at.say("square", "closed", "Ola")
        assert await at.open_to_all() == {"news", "sport"}
    assert (tmp_path / "playout" / "fallback.json").stat().st_mode & 0o777 == 0o600
    signin.trouble = ""
    async with StillPlayout(tmp_path, settings=SETTINGS, sign_in_trouble=signin).running() as at:
        assert await at.open_to_all() == {"news", "sport"}
        assert at.outcomes == []
        standings = (await at.http.get("/standings", headers=bearer(COMMAND_KEY))).json()
        assert standings == [
            {"id": "news", "name": "News", "open": True, "by": "Kari"},
            {"id": "sport", "name": "Sport", "open": True, "by": RULE},
            {"id": "square", "name": "Square", "open": False, "by": "Ola"},
        ]
        await signin.is_seen()
        at.clock.advance(60)
        await signin.is_seen()
        assert await at.open_to_all() == {"news"}


async def test_what_cannot_be_kept_over_a_restart_is_done_all_the_same(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "playout").write_text("a file where a folder should be")
    async with StillPlayout(tmp_path).running() as at:
        assert await at.say("sport", "open") == 204
        assert await at.open_to_all() == {"sport", "square"}
    assert "cannot be kept over a restart" in caplog.text


@pytest.mark.parametrize("kept", ["", "{", '{"by_person": 7}', "[]"])
def test_a_record_of_the_fallback_that_cannot_be_read_opens_nothing(tmp_path: Path, kept: str) -> None:
    (tmp_path / "playout").mkdir()
    (tmp_path / "playout" / "fallback.json").write_text(kept)
    assert [channel.id for channel in StillPlayout(tmp_path).playout.open_channels()] == ["square"]


async def test_channels_are_started_once_and_stopped_with_the_role_and_nothing_is_asked_any_more(
    tmp_path: Path,
) -> None:
    signin = SignIn()
    at = StillPlayout(tmp_path, sign_in_trouble=signin)
    async with at.running():
        pass
    assert {(each.started, each.stopped, each.joined) for each in at.playout.on_air.values()} == {(1, 1, 1)}  # type: ignore[attr-defined]

    asked = signin.asked
    await asyncio.sleep(5 * QUICK.sign_in_asked_seconds)
    assert signin.asked == asked


# what is on


ROUND_THE_CLOCK = tuple(
    Programme(title=f"At {hour}", description="told", start=f"{hour:02d}:00", minutes=60) for hour in range(24)
)


async def test_the_list_of_channels_tells_what_is_on_now_as_time_goes(tmp_path: Path) -> None:
    channel = Channel(id="clock", name="Clock", number=1, programmes=ROUND_THE_CLOCK)
    async with StillPlayout(tmp_path, channel, SPORT, settings=Streaming(timezone="UTC")).running() as at:

        async def on() -> tuple[str, str]:
            [clock, other] = (await at.http.get("/channels")).json()
            assert other["now"] is None and other["next"] is None
            assert [(each["package"], each["number"], each["colour"]) for each in (clock, other)] == [
                ("basic", 1, channel.colour),
                ("sport", 2, SPORT.colour),
            ]
            assert clock["now"]["start"] <= at.clock.now() < clock["now"]["stop"] == clock["next"]["start"]
            return clock["now"]["title"], clock["next"]["title"]

        # 2023-11-14 22:13:20 UTC
        assert await on() == ("At 22", "At 23")
        at.clock.advance(46 * 60 + 39)
        assert await on() == ("At 22", "At 23")
        at.clock.advance(1)
        assert await on() == ("At 23", "At 0")
        # Days later the schedule has been drawn up anew, with no word from anybody.
        at.clock.advance(20 * 86400)
        await eventually(lambda: json.loads(at.playout.channels_document())[0]["now"])
        assert await on() == ("At 23", "At 0")


async def test_the_guide_holds_two_days_back_and_eight_ahead(tmp_path: Path) -> None:
    channel = Channel(id="clock", name="Clock", number=1, programmes=ROUND_THE_CLOCK)
    async with StillPlayout(tmp_path, channel, settings=Streaming(timezone="UTC")).running() as at:
        now = at.clock.now()

        async def titles(**asked: float) -> list[str] | int:
            answer = await at.http.get("/guide", params={"from" if k == "start" else "to": v for k, v in asked.items()})
            if answer.status_code != 200:
                return answer.status_code
            [clock] = answer.json()
            return [programme["title"] for programme in clock["programmes"]]

        assert await titles(start=now, stop=now + HOUR) == ["At 22", "At 23"]
        assert await titles(start=now - 3 * HOUR, stop=now - 2 * HOUR) == ["At 19", "At 20"]
        assert len(await titles()) == 25  # type: ignore[arg-type]  # from an hour ago, for a day
        assert len(await titles(start=now - GUIDE_PAST_SECONDS_MAX, stop=now + GUIDE_AHEAD_SECONDS_MAX)) == 241  # type: ignore[arg-type]
        for start, stop in (
            (now - GUIDE_PAST_SECONDS_MAX - 121, now),
            (now, now + GUIDE_AHEAD_SECONDS_MAX + 61),
            (now, now),
            (now + HOUR, now),
            (math.nan, now),
            (now, math.inf),
        ):
            assert await titles(start=start, stop=stop) == 400, (start, stop)


async def test_a_guide_from_elsewhere_is_laid_over_what_is_configured(tmp_path: Path) -> None:
    listed = '<programme start="20231114220000" stop="20231114230000" channel="{}"><title>{}</title></programme>'
    (tmp_path / "guide.xml").write_text(f"<tv>{listed.format('far', 'Match')}{listed.format('own', 'Own')}</tv>")
    channels = (
        Channel(id="own", name="Own", number=1, xmltv="guide.xml"),
        Channel(id="named", name="Named", number=2, xmltv="guide.xml", xmltv_id="far", programmes=ROUND_THE_CLOCK),
        Channel(id="without", name="Without", number=3, programmes=ROUND_THE_CLOCK),
    )
    async with StillPlayout(tmp_path, *channels, settings=Streaming(timezone="UTC")).running() as at:
        document = (await at.http.get("/channels")).json()
        assert [each["now"]["title"] for each in document] == ["Own", "Match", "At 22"]
        assert [each["next"] and each["next"]["title"] for each in document] == [None, "At 23", "At 23"]
        # Whoever asked for the guide before it changed is not told of the old one afterwards.
        first = (await at.http.get("/guide")).json()
        (tmp_path / "guide.xml").write_text(f"<tv>{listed.format('far', 'Extra time')}</tv>")
        await eventually(lambda: b"Extra time" in (at.playout.guide_document(None, None) or b""))
        assert "Match" in json.dumps(first)
        assert "Own" not in json.dumps((await at.http.get("/guide")).json())


async def test_what_a_guide_leaves_out_is_told_and_one_that_loses_most_replaces_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    listed = '<programme start="20231114220000" channel="{}"><title>{}</title></programme>'
    good, bad = listed.format("news", "Match"), listed.format("news", "")
    channels = (
        Channel(id="news", name="News", number=1, xmltv="guide.xml"),
        Channel(id="sport", name="Sport", number=2, xmltv="guide.xml", xmltv_id="bane", programmes=ROUND_THE_CLOCK),
        Channel(id="square", name="Square", number=3, xmltv="other.xml"),
        Channel(id="without", name="Without", number=4),
    )
    path = tmp_path / "guide.xml"
    path.write_text(f"<tv>\n{good}\n{bad}\n</tv>")
    lost = "of the guide guide.xml: 1 of 2 programmes are left out: 1 without a title (first on line 3)"
    missing = "nothing is listed for channel sport (bane)"
    absent = "the guide other.xml is not there; its channels have what is configured"
    async with StillPlayout(tmp_path, *channels, settings=Streaming(timezone="UTC")).running() as at:

        async def on_and_told() -> tuple[list[str | None], list[str]]:
            on = [each["now"] and each["now"]["title"] for each in (await at.http.get("/channels")).json()]
            told = (await at.http.get("/standings", headers=bearer(COMMAND_KEY))).json()
            return on[:2], [each.get("guide", "") for each in told]

        assert await on_and_told() == (["Match", "At 22"], [lost, f"{lost}; {missing}", absent, ""])
        assert [each for each in at.playout.troubles() if "guide" in each] == [f"{lost}; {missing}", absent]
        assert f"{lost}; {missing}" in caplog.messages
        path.write_text(f"<tv>{listed.format('news', 'Repeat')}{bad}{bad}</tv>")
        unfit = "2 of 3 programmes are left out: 2 without a title (first on line 1)"
        told = f"the guide guide.xml cannot be used; the last good one is in force: {unfit}"
        await eventually(lambda: told in at.playout.troubles())
        assert await on_and_told() == (["Match", "At 22"], [told, told, absent, ""])
        path.unlink()
        await eventually(lambda: any("in force: it is gone" in each for each in at.playout.troubles()))
        path.write_text(f"<tv>{good}{listed.format('bane', 'Game')}</tv>")
        await eventually(lambda: [each for each in at.playout.troubles() if "guide" in each] == [absent])
        (tmp_path / "other.xml").write_text("<tv/>")
        unlisted = "its channels have what is configured: no programme is listed"
        await eventually(lambda: any(unlisted in each for each in at.playout.troubles()))
        now = ["Match", "Game"], ["", "", f"the guide other.xml cannot be used; {unlisted}", ""]

        async def both_in_force() -> bool:  # what is on follows when each guide has been read
            return await on_and_told() == now

        await eventually(both_in_force)


def test_the_channels_of_the_still_playout_are_what_the_tests_take_them_for() -> None:
    assert [(each.package, each.open) for each in (NEWS, SPORT, SQUARE)] == [
        (BASIC, False),
        ("sport", False),
        (BASIC, True),
    ]


async def test_assurance_reads_what_is_on_from_the_guide(tmp_path: Path) -> None:
    """Whatever becomes of playout, what it told before stands."""
    match = Programme(title="Match", start="2023-11-14T22:00:00Z", minutes=30)
    async with StillPlayout(tmp_path, replace(NEWS, programmes=(match,))).running() as at:
        urls = {"playout": "http://playout"}
        neighbours = RoleClient(at.http, urls=urls, command_keys=dict.fromkeys(urls, COMMAND_KEY))
        found = await neighbours.programmes(at.clock.now())
        assert found is not None
        assert [(each.title, each.start, each.stop) for each in found["news"]] == [
            ("Match", 1_699_999_200.0, 1_700_001_000.0)
        ]
        assert await RoleClient(at.http, urls={}, command_keys={}).programmes(at.clock.now()) is None

"""Playout through its front door: real HTTP, real tokens."""

import base64
import json
import logging
import time
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from served_playout import COMMAND_KEY, DEVICE_TOKEN_ID, VIEWER, Serve, ServedPlayout
from waiting import until

from prikkfri.config import Channel

DEVICE = "d-" + "A" * 22


def test_index_leads_to_segments(served: ServedPlayout) -> None:
    base = f"/live/{served.token('sport')}/sport/"
    index = served.get(base + "index.m3u8")
    assert index.headers["content-type"] == "application/vnd.apple.mpegurl"
    media = served.get(base + index.text.splitlines()[-1])
    assert media.headers["cache-control"] == "max-age=1"
    name = media.text.splitlines()[-1]
    segment = served.get(base + name)
    assert segment.content[4:8] == b"moof"
    assert segment.headers["content-type"] == "video/iso.segment"
    assert "immutable" in segment.headers["cache-control"]
    initialisation = next(line for line in media.text.splitlines() if "EXT-X-MAP" in line).split('"')[1]
    assert served.get(base + initialisation).content[4:8] == b"ftyp"


def test_a_token_without_the_package_is_refused_and_recorded_once(served: ServedPlayout) -> None:
    token = served.token("basic", subscriber="s-basic")
    for _ in range(5):
        answer = served.get(f"/live/{token}/sport/index.m3u8")
        assert answer.status_code == 403
        assert answer.json()["error"] == "not-entitled"
    assert served.recorded("s-basic") == [("broken", "not-entitled", "sport")]


def test_segments_need_the_token_too(served: ServedPlayout) -> None:
    name = served.get("/open/torget/media.m3u8").text.splitlines()[-1]
    assert served.get(f"/live/{served.token('sport')}/torget/{name}").status_code == 403
    assert served.get(f"/live/{served.token('basic')}/torget/{name}").status_code == 200


def test_an_expired_token_is_honoured_for_hours_and_then_refused(served: ServedPlayout) -> None:
    hour = 3600.0
    assert served.get(f"/live/{served.token('sport', age_s=6 * hour)}/sport/index.m3u8").status_code == 200
    answer = served.get(f"/live/{served.token('sport', age_s=7.1 * hour, subscriber='s-late')}/sport/index.m3u8")
    assert (answer.status_code, answer.json()["error"]) == (403, "expired")
    assert served.recorded("s-late") == [("broken", "expired", "sport")]


def test_a_hammering_stranger_does_not_flood(served: ServedPlayout) -> None:
    before = len(served.outcomes)
    for _ in range(20):
        answer = served.get("/live/not-a-token/sport/index.m3u8")
        assert (answer.status_code, answer.json()["error"]) == (403, "bad-token")
    assert [(o.verdict, o.reason, o.customer) for o in served.outcomes[before:]] == [("broken", "token-malformed", "")]


def test_a_new_issuers_key_is_found_with_its_first_token(served: ServedPlayout) -> None:
    served.private_key, old = ec.generate_private_key(ec.SECP256R1()), served.private_key
    try:
        token = served.token("sport")
        assert served.get(f"/live/{token}/sport/index.m3u8").json()["error"] == "bad-token"
        served.publish_key("door", served.private_key)
        until(lambda: served.get(f"/live/{token}/sport/index.m3u8").status_code == 200)
    finally:
        served.private_key = old
        served.publish_key("door", old)
        until(lambda: served.get(f"/live/{served.token('sport')}/sport/index.m3u8").status_code == 200)


def test_broken_keys_leave_the_last_good_ones_in_force(served: ServedPlayout) -> None:
    path = served.keys_folder / "door.json"
    good = path.read_text()
    path.write_text("{")
    until(lambda: served.playout.metrics()["prikkfri_playout_public_keys_broken"])
    assert served.get(f"/live/{served.token('sport')}/sport/index.m3u8").status_code == 200
    assert any("keys" in trouble for trouble in served.playout.troubles())
    path.write_text(good)
    until(lambda: not served.playout.troubles())


def test_a_revoked_token_is_refused_and_a_stale_or_broken_list_refuses_nobody_else(served: ServedPlayout) -> None:
    revoked = base64.urlsafe_b64encode(b"another-device-t").rstrip(b"=").decode()
    out = f"/live/{served.token('sport', subscriber='s-out', token_id=b'another-device-t' + b'9')}/sport/index.m3u8"
    others = f"/live/{served.token('sport')}/sport/index.m3u8"
    assert served.get(out).status_code == 200

    served.revocations_path.write_text(json.dumps({"as_of": time.time(), "device_tokens": [revoked]}))
    until(lambda: served.get(out).status_code == 403)
    assert served.get(out).json()["error"] == "revoked"
    assert served.recorded("s-out") == [("broken", "revoked", "sport")]
    assert served.get(others).status_code == 200

    served.revocations_path.write_text("{")
    until(lambda: served.playout.metrics()["prikkfri_playout_revocation_list_broken"])
    assert served.get(out).status_code == 403
    assert served.get(others).status_code == 200

    served.revocations_path.write_text(json.dumps({"as_of": time.time() - 3600, "device_tokens": []}))
    until(lambda: served.playout.metrics()["prikkfri_playout_revocation_list_age_seconds"] > 3000)
    assert any("revocation list is 36" in trouble for trouble in served.playout.troubles())
    assert served.get(others).status_code == 200
    assert served.get(out).status_code == 200
    served.revocations_path.unlink()
    assert DEVICE_TOKEN_ID  # the others' device was never named


def test_open_channels_need_no_token(served: ServedPlayout) -> None:
    assert [channel["id"] for channel in served.get("/open").json()] == ["torget"]
    assert served.get("/open/torget/index.m3u8").status_code == 200
    assert served.get("/open/sport/index.m3u8").status_code == 404
    assert served.get("/open/sport/media.m3u8").status_code == 404


def test_channels_and_guide(served: ServedPlayout) -> None:
    now = time.time()
    channels = served.get("/channels").json()
    assert [channel["id"] for channel in channels] == ["sport", "torget"]
    for channel in channels:
        assert channel.keys() == {"id", "name", "number", "colour", "package", "now", "next"}
        assert channel["now"].keys() == {"title", "description", "start", "stop"}
        assert channel["now"]["start"] <= now + 1
        assert channel["now"]["stop"] == channel["next"]["start"]
    guide = served.get(f"/guide?from={now}&to={now + 7200}").json()
    assert [channel["id"] for channel in guide] == ["sport", "torget"]
    for channel in guide:
        assert channel["programmes"][0]["start"] <= now
        assert all(now - 60 < one["stop"] and one["start"] < now + 7200 for one in channel["programmes"])
    assert sum(len(channel["programmes"]) for channel in served.get("/guide").json()) > 15
    for query in (f"from={now}&to={now - 1}", "from=x", f"from={now}&to={now + 30 * 86400}", "from=nan", "to=inf"):
        assert served.get(f"/guide?{query}").status_code == 400, query


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/live",
        "/live/token",
        "/live/token/sport",
        "/live/TOKEN/nowhere/index.m3u8",
        "/live/TOKEN/sport/0.m4s",
        "/live/TOKEN/sport/../index.m3u8/",
        "/live/TOKEN/sport/init-0.mp4",
        "/open/",
        "/open/torget/",
        "/open/torget/%2e%2e%2fdoor.json",
    ],
)
def test_what_is_not_there(served: ServedPlayout, path: str) -> None:
    answer = served.get(path.replace("TOKEN", served.token("sport")))
    assert answer.status_code == 404
    assert answer.json()["error"] == "not-found"
    assert answer.headers["cache-control"] == "no-store"


def test_only_the_viewers_pages_may_read(served: ServedPlayout) -> None:
    for path in ("/channels", "/open/torget/media.m3u8", "/live/x/sport/index.m3u8", "/nothing"):
        answer = served.get(path, headers={"origin": VIEWER})
        assert answer.headers["access-control-allow-origin"] == VIEWER
        assert answer.headers["vary"] == "Origin"
        for origin in ("http://localhost:8081", "http://localhost:80800", "null", "http://evil.example"):
            answer = served.get(path, headers={"origin": origin})
            assert answer.headers["access-control-allow-origin"] == VIEWER != origin
            assert answer.headers["vary"] == "Origin"
    preflight = served.client.options(
        f"{served.url}/report", headers={"origin": VIEWER, "access-control-request-method": "POST"}
    )
    assert preflight.status_code == 204
    assert preflight.headers["access-control-allow-origin"] == VIEWER
    assert "POST" in preflight.headers["access-control-allow-methods"]
    assert preflight.headers["access-control-allow-headers"] == "Authorization, Content-Type"


def test_head_is_get_without_the_body(served: ServedPlayout) -> None:
    for path in ("/channels", "/open/torget/index.m3u8"):
        head = served.client.head(served.url + path)
        assert head.status_code == 200
        assert not head.content
        assert int(head.headers["content-length"]) > 100
    answer = served.client.post(f"{served.url}/channels")
    assert answer.status_code == 405
    assert "GET" in answer.headers["allow"]


def test_a_report_is_recorded_as_reported(served: ServedPlayout) -> None:
    report = {"device": DEVICE, "step": "watch", "kept": False, "reason": "stalled", "channel": "sport"}

    def post(body: object, origin: str = VIEWER) -> int:
        return served.client.post(f"{served.url}/report", json=body, headers={"origin": origin}).status_code

    before = len(served.outcomes)
    assert post(report) == 204
    assert post(report) == 204  # said again within seconds: counted, not recorded
    assert post(report | {"channel": "unknown"}) == 204
    assert [(o.device, o.reason, o.observed, dict(o.dimensions)) for o in served.outcomes[before:]] == [
        (DEVICE, "stalled", False, {"channel": "sport", "proof": "none"}),
        (DEVICE, "stalled", False, {"proof": "none"}),
    ]
    assert served.playout.metrics()["prikkfri_playout_reports_dropped_total"] >= 1
    assert post(report, "http://evil.example") == 403
    assert post(report | {"step": "x"}) == 400
    assert post(report | {"reason": "x" * 5000}) == 413
    assert served.client.get(f"{served.url}/report").status_code == 405
    assert len(served.outcomes) == before + 2


def test_no_token_is_logged(served: ServedPlayout, caplog: pytest.LogCaptureFixture) -> None:
    good, expired = served.token("sport", subscriber="s-log"), served.token("sport", age_s=99_999, subscriber="s-log")
    with caplog.at_level(logging.DEBUG, "prikkfri"):
        for token in (good, expired, good[:-8] + "A" * 8):
            served.get(f"/live/{token}/sport/media.m3u8")
            served.get(f"/live/{token}/sport/0.m4s")
    ours = [record.getMessage() for record in caplog.records if record.name.startswith("prikkfri")]
    assert not any(token[:40] in message for token in (good, expired) for message in ours)


def xmltv(title: str) -> str:
    start = time.strftime("%Y%m%d%H%M%S +0000", time.gmtime(time.time() - 600))
    return f'<tv><programme start="{start}" channel="bane.example"><title>{title}</title></programme></tv>'


def test_a_guide_is_imported_and_read_again_when_it_changes(
    serve: Serve, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "guide.xml"
    path.write_text(xmltv("Match"))
    channel = Channel(id="bane", name="Bane", number=1, xmltv=str(path), xmltv_id="bane.example")
    playout = serve(channel, Channel(id="other", name="Other", number=2, xmltv=str(path)))

    def titles() -> list[str | None]:
        return [one["now"] and one["now"]["title"] for one in playout.get("/channels").json()]

    until(lambda: titles() == ["Match", None])
    path.write_text("<tv>")
    until(lambda: "guide.xml cannot be used" in caplog.text)
    assert titles() == ["Match", None]  # a broken guide leaves the last good one in force
    path.write_text(xmltv("Extra time"))
    until(lambda: titles() == ["Extra time", None])
    assert playout.get("/guide").json()[0]["programmes"][0]["title"] == "Extra time"


def test_a_person_opens_a_channel_to_everybody_and_takes_it_back(serve: Serve) -> None:
    playout = serve(Channel(id="sport", name="Sport", number=1))
    until(lambda: playout.get(f"/live/{playout.token('basic')}/sport/index.m3u8").status_code == 200)
    assert playout.get("/open/sport/index.m3u8").status_code == 404
    assert command(playout, state="open", by="Kari") == 204
    assert playout.get("/open/sport/index.m3u8").status_code == 200
    assert standings(playout) == [{"id": "sport", "name": "Sport", "open": True, "by": "Kari"}]
    assert command(playout, state="open", by="Kari") == 204  # said twice, done once
    assert command(playout, state="rule", by="Ola") == 204
    assert playout.get("/open/sport/index.m3u8").status_code == 404
    acts = [(o.step, o.dimensions) for o in playout.outcomes if o.step.endswith("-channel")]
    assert acts == [
        ("open-channel", {"channel": "sport", "by": "Kari"}),
        ("close-channel", {"channel": "sport", "by": "Ola"}),
    ]


def test_commands_need_the_key_and_their_form(served: ServedPlayout) -> None:
    assert command(served, key="wrong", state="open", by="Kari") == 401
    assert served.get("/standings").status_code == 401
    assert command(served, state="ajar", by="Kari") == 400
    assert command(served, state="open") == 400
    assert command(served, state="open", by="") == 400
    assert command(served, channel="nowhere", state="open", by="Kari") == 404
    assert (
        served.client.put(f"{served.url}/open/sport", content=b"\xff", headers=key_of(COMMAND_KEY)).status_code == 400
    )
    assert served.get("/open/sport/index.m3u8").status_code == 404


def command(playout: ServedPlayout, *, channel: str = "sport", key: str = COMMAND_KEY, **document: str) -> int:
    return playout.client.put(f"{playout.url}/open/{channel}", json=document, headers=key_of(key)).status_code


def standings(playout: ServedPlayout) -> object:
    return playout.get("/standings", headers=key_of(COMMAND_KEY)).json()


def key_of(secret: str) -> dict[str, str]:
    return {"authorization": f"Bearer {secret}"}

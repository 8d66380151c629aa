"""Each role falls alone: what the neighbours are doing goes on (K2, K3)."""

import functools
import re
import subprocess
import sys

import httpx
import pytest
from running_house import House
from waiting import until

from prikkfri.simulation.installation import Harm

pytestmark = pytest.mark.slow

DEVICE = "d-AAAAAAAAAAAAAAAAAAAAAA"


http = functools.partial(httpx.request, timeout=60.0)
get, post = functools.partial(http, "GET"), functools.partial(http, "POST")


def prikkfri(house: House, *arguments: str) -> str:
    command = [sys.executable, "-m", "prikkfri", *arguments, "--home", str(house.config.home)]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=180).stdout


def state_of(house: House, message: str) -> str:
    account = house.config.sms.accounts[0]
    trail = get(f"{house.url('sms')}/messages/{message}", auth=(account.system_id, account.password)).json()
    return str(trail["state"])


def sign_in(house: House) -> httpx.Response:
    return post(
        f"{house.url('signin')}/sign-in",
        json={"login": house.people[0].email, "password": "prikkfri-demo", "device": DEVICE},
        headers={"Origin": house.url("viewer")},
    )


def taken(house: House) -> float:
    """How many outcomes assurance has taken in since it started."""
    metrics = get(f"{house.url('assurance')}/metrics").text
    return float(re.findall(r"^prikkfri_assurance_outcomes_taken_total (\S+)", metrics, re.MULTILINE)[0])


def test_a_message_and_a_sign_in_leave_their_outcomes(house: House) -> None:
    signed_in = sign_in(house)
    assert signed_in.status_code == 200
    playlist = f"{house.url('playout')}/live/{signed_in.json()['playback_token']}/havn/index.m3u8"
    until(lambda: get(playlist).status_code == 200)  # the first segment takes two seconds
    variant = next(line for line in get(playlist).text.splitlines() if not line.startswith("#"))
    assert get(playlist.replace("index.m3u8", variant)).status_code == 200

    said = prikkfri(house, "send", "--from", "2010", "--to", house.people[1].msisdn, "Kassen kommer kl. 17 🥕")
    message = re.findall(r"accepted as (\w+)", said)[0]
    until(lambda: state_of(house, message) == "delivered")
    assert "delivered" in prikkfri(house, "message", message)
    inbox = get(f"{house.handsets_url}/phones/{house.people[1].msisdn}/inbox").json()
    assert inbox[-1]["text"] == "Kassen kommer kl. 17 🥕"
    # sign-in, start of playback, submit, asked and kept delivery
    until(lambda: taken(house) >= 5)


def test_the_body_of_a_message_is_in_no_file_of_the_home(house: House) -> None:
    secret = "hemmelig-7391-ordene"
    said = prikkfri(house, "send", "--from", "Legevakt", "--to", house.people[2].msisdn, secret)
    message = re.findall(r"accepted as (\w+)", said)[0]
    until(lambda: state_of(house, message) == "delivered")
    for file in house.config.home.rglob("*"):
        if file.is_file():
            assert secret.encode() not in file.read_bytes(), file


def test_what_the_status_page_knows_is_shown_with_its_age_when_all_others_are_dead(house: House) -> None:
    until(lambda: get(f"{house.url('status')}/api/v2/summary.json").status_code == 200)
    others = ("viewer", "signin", "playout", "sms", "assurance", "door")
    house.harm_all(others, "freeze")
    try:
        summary = get(f"{house.url('status')}/api/v2/summary.json")
        assert summary.status_code == 200
        page = get(house.url("status"), headers={"Accept-Language": "en"})
        assert page.status_code == 200
        assert 'class="age"' in page.text
    finally:
        house.give_back_all(others)


@pytest.mark.parametrize("how", ["kill", "freeze"])
def test_the_door_renews_while_signin_is_gone(house: House, how: Harm) -> None:
    device_token = sign_in(house).json()["device_token"]
    house.harm("signin", how)
    try:
        renewed = post(f"{house.url('door')}/playback-token", headers={"Authorization": f"Bearer {device_token}"})
        assert renewed.status_code == 200
        playlist = f"{house.url('playout')}/live/{renewed.json()['playback_token']}/sport/index.m3u8"
        assert get(playlist).status_code == 200
    finally:
        house.give_back("signin")


def test_outcomes_of_the_time_when_assurance_was_dead_come_in_afterwards(house: House) -> None:
    house.harm("assurance", "kill")
    for _ in range(5):
        assert sign_in(house).status_code == 200
    house.give_back("assurance")
    until(lambda: taken(house) >= 5)

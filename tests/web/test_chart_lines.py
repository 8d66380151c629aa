"""Lines of the console's chart: each step has a colour of its own, and no two look alike by pattern either."""

import json
import shutil
import subprocess

import pytest

import prikkfri.web.console.server

LINES = prikkfri.web.console.server.STATIC["lines.js"]
USUAL = ["enter", "sign-in", "start-playback", "switch-channel", "watch", "submit", "deliver", "playback-token"]


@pytest.mark.skipif(shutil.which("node") is None, reason="the browser's own language, by node")
def test_no_two_steps_look_alike() -> None:
    steps = [*USUAL, "receipt", "canary", "route", "send-code", "set-password", "picture"]
    program = (
        f"import {{ lineOf, swatchOf }} from {json.dumps(LINES.as_uri())};"
        f"const steps = {json.dumps([*steps, 'unheard-of', 'sign-in (reported)'])};"
        "const told = (step) => ({...lineOf(step), swatch: swatchOf('red', lineOf(step).dash)});"
        "console.log(JSON.stringify(steps.map(told)));"
    )
    ran = subprocess.run(
        ["node", "--input-type=module", "-e", program], capture_output=True, text=True, check=True, timeout=60
    )
    *known, unheard, reported = json.loads(ran.stdout)
    assert len({line["token"] for line in known[: len(USUAL)]}) == len(USUAL)
    assert len({(line["token"], tuple(line["dash"])) for line in known}) == len(steps)
    assert len({tuple(line["dash"]) for line in known[: len(USUAL)]}) == 4  # and not by colour alone
    assert len({line["swatch"] for line in known}) == 4
    assert unheard["token"].startswith("--series-") and not unheard["reported"]
    assert reported == known[1] | {"reported": True}

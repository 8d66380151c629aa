import contextlib
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prikkfri.errors import RemoteProtocolError
from prikkfri.protocols.xmltv import LIMITS, Limits, Listing, read_time, read_xmltv

GUIDE = """<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE tv SYSTEM "xmltv.dtd">
<tv generator-info-name="test">
  <channel id="bane.example">
    <display-name lang="nb">Bane Sport</display-name>
    <display-name>Bane</display-name>
    <icon src="logo.png"/>
  </channel>
  <programme start="20180820210000 +0200" stop="20180820225500 +0200" channel="bane.example">
    <title lang="nb">Fotball: Fjordvik &amp; Skogheim</title>
    <title lang="en">Football</title>
    <desc>Direkte
       fra <i>stadion</i>.</desc>
    <credits><presenter>Ingen</presenter></credits>
  </programme>
  <programme start="201808202100" channel="bane.example"><title>Uten slutt</title></programme>
  <programme start="20180820210000" channel="bane.example"/>
  <programme start="20180820210000" stop="20180820210000" channel="bane.example"><title>Uten tid</title></programme>
  <programme start="tomorrow" channel="bane.example"><title>Uten tid</title></programme>
  <programme start="20180820210000" stop="20180820200000" channel="bane.example"><title>Baklengs</title></programme>
</tv>
"""


def test_a_guide() -> None:
    guide = read_xmltv(GUIDE.encode())
    assert guide.channel_names == {"bane.example": "Bane Sport"}
    assert guide.listings == (
        Listing("bane.example", 1534791600.0, 1534798500.0, "Fotball: Fjordvik & Skogheim", "Direkte fra stadion."),
        Listing("bane.example", 1534798800.0, None, "Uten slutt", ""),
    )
    assert guide.left_out == 4


@pytest.mark.parametrize(
    ("text", "time"),
    [
        ("20180820210000 +0200", 1534791600.0),
        ("20180820210000 +02:00", 1534791600.0),
        ("20180820210000+0200", 1534791600.0),
        ("20180821003000 +0530", 1534791600.0),
        ("20180820153000 -0330", 1534791600.0),
        ("19700101000000", 0.0),
        ("19691231235959", None),
        ("20180820190000", 1534791600.0),
        ("201808201900 UTC", 1534791600.0),
        ("20180820140000 -0500", 1534791600.0),
        ("20181320190000", None),
        ("20180820250000", None),
        ("20180820", None),
        ("20180820190000 +2400", None),
        ("00000101000000", None),
        ("00010101000000 +1200", None),
        ("", None),
    ],
)
def test_times(text: str, time: float | None) -> None:
    assert read_time(text) == time


def test_an_entity_bomb_is_defused() -> None:
    bomb = '<!DOCTYPE tv [<!ENTITY a "ha">' + "".join(
        f'<!ENTITY {chr(98 + n)} "{("&" + chr(97 + n) + ";") * 10}">' for n in range(9)
    )
    with pytest.raises(RemoteProtocolError, match="entities"):
        read_xmltv(f"{bomb}]><tv><channel id='x'><display-name>&j;</display-name></channel></tv>".encode())


def test_an_entity_cannot_read_a_file() -> None:
    for declaration in ('<!ENTITY a SYSTEM "file:///etc/passwd">', '<!ENTITY % a SYSTEM "file:///etc/passwd"> %a;'):
        with pytest.raises(RemoteProtocolError, match="entities"):
            read_xmltv(f"<!DOCTYPE tv [{declaration}]><tv/>".encode())


@pytest.mark.parametrize("document", [b"", b"<tv>", b"<rss/>", b"\xff\xfe", b"{}", b"<tv>" * 20 + b"</tv>" * 20])
def test_what_is_no_guide_is_refused(document: bytes) -> None:
    with pytest.raises(RemoteProtocolError):
        read_xmltv(document)


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        (Limits(document_bytes_max=len(GUIDE.encode())), ""),
        (Limits(document_bytes_max=len(GUIDE.encode()) - 1), "bytes"),
        (Limits(programmes_max=2), ""),
        (Limits(programmes_max=1), "more than 1 programmes"),
        (Limits(channels_max=1), ""),
        (Limits(channels_max=0), "more than 0 channels"),
        (Limits(depth_max=4), ""),
        (Limits(depth_max=3), "nested deeper"),
    ],
)
def test_limits_hold_to_the_last_one(limits: Limits, message: str) -> None:
    with pytest.raises(RemoteProtocolError, match=message) if message else contextlib.nullcontext():
        read_xmltv(GUIDE.encode(), limits)


def test_a_long_text_is_cut() -> None:
    document = f"<tv><programme start='20180820190000' channel='c'><title>{'å' * 9000}</title></programme></tv>"
    assert len(read_xmltv(document.encode()).listings[0].title) == LIMITS.text_length_max


@given(st.binary(max_size=300) | st.text(max_size=300).map(lambda text: f"<tv>{text}</tv>".encode(errors="replace")))
def test_any_bytes_are_read_or_refused(document: bytes) -> None:
    with contextlib.suppress(RemoteProtocolError):
        read_xmltv(document)


@pytest.mark.skipif(shutil.which("tv_sort") is None, reason="tv_sort is not here: apt install xmltv-util")
def test_we_read_what_the_xmltv_project_writes(tmp_path: Path) -> None:
    path = tmp_path / "guide.xml"
    path.write_text(
        '<?xml version="1.0" encoding="UTF-8"?><!DOCTYPE tv SYSTEM "xmltv.dtd"><tv>'
        '<channel id="bane.example"><display-name>Bane</display-name></channel>'
        '<programme start="20180820230000 +0200" stop="20180821003000 +0200" channel="bane.example">'
        "<title>Øl &amp; ærlighet</title></programme>"
        '<programme start="20180820210000 +0200" channel="bane.example"><title>Kampen</title></programme></tv>',
        encoding="utf-8",
    )
    done = subprocess.run(["tv_sort", str(path)], capture_output=True, check=True, timeout=60)
    assert read_xmltv(done.stdout).listings == (
        Listing("bane.example", 1534791600.0, 1534798800.0, "Kampen", ""),
        Listing("bane.example", 1534798800.0, 1534804200.0, "Øl & ærlighet", ""),
    )

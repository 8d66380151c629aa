import contextlib
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prikkfri.errors import RemoteProtocolError
from prikkfri.protocols.xmltv import LIMITS, Limits, Listing, Omission, read_time, read_xmltv

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
  <programme start="20180820210000" stop="20180820210000" channel="bane.example">
    <title>Slutt som begynnelse</title></programme>
  <programme start="tomorrow" channel="bane.example"><title>Uten tid</title></programme>
  <programme start="20180820210000" stop="20180820200000" channel="bane.example"><title>Baklengs</title></programme>
  <programme start="20180820210000"><title>Uten kanal</title></programme>
  <programme start="20180820210000" channel=""><title>Uten kanal</title></programme>
</tv>
"""


def test_a_guide() -> None:
    guide = read_xmltv(GUIDE.encode())
    assert guide.channel_names == {"bane.example": "Bane Sport"}
    assert guide.listings == (
        Listing("bane.example", 1534791600.0, 1534798500.0, "Fotball: Fjordvik & Skogheim", "Direkte fra stadion."),
        Listing("bane.example", 1534798800.0, None, "Uten slutt", ""),
        Listing("bane.example", 1534798800.0, None, "Slutt som begynnelse", ""),
    )
    assert guide.left_out == (
        Omission("without a title", 1, 17),
        Omission("whose start is no time", 1, 20),
        Omission("that stop before they start", 1, 21),
        Omission("without a channel", 2, 22),
    )


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
        ("20180820190000 +00", 1534791600.0),
        ("20180820210000 +02", 1534791600.0),
        ("20180820150000 -04", 1534791600.0),
        ("201808202100 +0200", 1534791600.0),
        ("2018082021 +0200", 1534791600.0),
        ("2018082019", 1534791600.0),
        ("20180820", 1534723200.0),
        ("20180820 CEST", 1534716000.0),
        ("201808", 1533081600.0),
        ("2018", 1514764800.0),
        ("2018 +0100", 1514761200.0),
        ("201", None),
        ("201808201", None),
        ("2018082019000", None),
        ("201808201900000", None),
        ("20180820190000 +2", None),
        ("20180820190000 +020", None),
        ("20180820190000 +02:0", None),
        ("20180820190000 GMT", 1534791600.0),
        ("20180820190000Z", 1534791600.0),
        ("20180820200000 BST", 1534791600.0),
        ("200007281733 BST", 964801980.0),
        ("20180820200000 CET", 1534791600.0),
        ("20180820210000 CEST", 1534791600.0),
        ("20180820210000CEST", 1534791600.0),
        ("20180820210000 cest", 1534791600.0),
        ("20180820220000 EEST", 1534791600.0),
        ("20180820150000 EDT", 1534791600.0),
        ("20180821043000 ACST", 1534791600.0),
        ("20180820200000 IST", None),
        ("20180820200000 Oslo", None),
        ("20180820200000 +0100 CET", None),
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
        (Limits(programmes_max=3), ""),
        (Limits(programmes_max=2), "more than 2 programmes"),
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


def titled(text: str, *, before: str = "") -> str:
    programme = f"<programme start='20180820190000' channel='c'>{text}</programme>"
    (listing,) = read_xmltv(f"{before}<tv>{programme}</tv>".encode()).listings
    return f"{listing.title}|{listing.description}" if listing.description else listing.title


def test_the_first_title_and_description_that_say_anything_are_taken() -> None:
    assert titled("<title/><title> \n </title><title>To</title><title>Tre</title>") == "To"
    assert titled("<title>T</title><desc lang='nb'></desc><desc>D</desc><desc>E</desc>") == "T|D"
    names = "<channel id='c'><display-name/><display-name>C</display-name></channel><channel id='d'/>"
    assert read_xmltv(f"<tv>{names}</tv>".encode()).channel_names == {"c": "C", "d": "d"}


@pytest.mark.parametrize("before", ["", "<!DOCTYPE tv SYSTEM 'xmltv.dtd'>", "<?xml version='1.0' standalone='yes'?>"])
@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("Caf&eacute; &aring;pent", "Café åpent"),
        ("Tom &amp; Jerry", "Tom & Jerry"),
        ("Tom &amp;amp; Jerry", "Tom & Jerry"),
        ("&#8220;Ja&#x201d;", "“Ja”"),
        ("&amp;quot;Ja&amp;#39;", "\"Ja'"),
        ("a&nbsp;b&hellip;", "a b…"),
        ("&lt;b&gt;", "<b>"),
        ("AT&amp;T; &amp;copy &nothing; &amp;#;", "AT&T; &copy &nothing; &#;"),
        ("a&amp;#7;b&shy;c&amp;#x202e;d", "abcd"),
        ("a<![CDATA[&eacute;]]>b", "aéb"),
    ],
)
def test_entities_are_what_they_stand_for(before: str, written: str, meant: str) -> None:
    assert titled(f"<title>{written}</title>", before=before) == meant


@pytest.mark.parametrize("encoding", ["UTF-8", "utf-16", "us-ascii", "ISO-8859-1", "iso-8859-15", "Windows-1252"])
def test_a_guide_in_an_encoding_of_text_is_read(encoding: str) -> None:
    title = "O" if encoding == "us-ascii" else "Ø"
    text = f"<?xml version='1.0' encoding='{encoding}'?><tv><programme start='2018' channel='c'><title>{title}</title>"
    assert read_xmltv(f"{text}</programme></tv>".encode(encoding)).listings[0].title == title


ENCODINGS = ("foo", "utf-7", "utf-32", "idna", "punycode", "rot13", "unicode_escape", "undefined", "shift_jis",
             "iso-8859-99", "x" * 300)  # fmt: skip


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_an_encoding_that_is_none_is_refused(encoding: str) -> None:
    with pytest.raises(RemoteProtocolError, match="encoding"):
        read_xmltv(f"<?xml version='1.0' encoding='{encoding}'?><tv/>".encode())


PIECES = st.sampled_from([
    "<tv>", "</tv>", "<tv/>", "<programme start='20180820190000 +02' channel='c'>", "</programme>",
    "<programme start='2018 CEST' stop='2018' channel=''/>", "<title>", "</title>", "&eacute;", "&#0;", "&#xD800;",
    "&amp;#xFFFFFF;", "&foo;", "<!DOCTYPE tv SYSTEM 'x'>", "<!DOCTYPE tv [", "%x;", "]>", "<!ENTITY a 'b'>",
    "<![CDATA[", "]]>", "<!--", "-->", "<?x?>", "æ", "\0", "<channel id='c'>", "</channel>", "<desc>", "</desc>", " ",
    "9" * 20,
])  # fmt: skip
DECLARED = st.builds(
    "<?xml version='1.0' encoding='{}'{}?>".format,
    st.sampled_from([*ENCODINGS, "utf-8", "utf-16", "utf-16le", "iso-8859-1", "cp1252"]),
    st.sampled_from(["", " standalone='yes'", " standalone='no'"]),
)
DOCUMENTS = st.builds(
    lambda declared, pieces, encoding: (declared + "".join(pieces)).encode(encoding, errors="replace"),
    st.just("") | DECLARED,
    st.lists(PIECES, max_size=12),
    st.sampled_from(["utf-8", "latin-1", "utf-16", "utf-16le"]),
)


@given(
    st.binary(max_size=300) | st.text(max_size=300).map(lambda t: f"<tv>{t}</tv>".encode(errors="replace")) | DOCUMENTS
)
def test_any_bytes_are_read_or_refused(document: bytes) -> None:
    with contextlib.suppress(RemoteProtocolError):
        read_xmltv(document)


@given(st.text(max_size=30) | st.from_regex(r"\A[0-9]{4,14} ?([+-][0-9:]{2,5}|[A-Z]{1,4})?\Z"))
def test_any_time_is_read_or_none(text: str) -> None:
    time = read_time(text)
    assert time is None or time >= 0


def test_the_guides_that_people_use_are_read(shared_data: Path) -> None:
    """Of real guides no more than one programme in a hundred is left out."""
    paths = sorted((shared_data / "guides").glob("*.xml"))
    if not paths:
        pytest.skip(f"there are no guides (*.xml) in {shared_data / 'guides'}")
    used = left_out = 0
    for path in paths:
        guide = read_xmltv(path.read_bytes())
        used, left_out = used + len(guide.listings), left_out + sum(each.count for each in guide.left_out)
    assert used and left_out <= used / 100, f"{left_out} of {used + left_out} programmes are left out"


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

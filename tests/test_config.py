"""The configuration: what is wrong is refused with its line and the mend."""

import dataclasses
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prikkfri.config import ROLES, Config, load, moments_of
from prikkfri.errors import ConfigError
from prikkfri.sms.addresses import Numbering, read_recipient
from prikkfri.sms.routing import Routes

GOOD = """
operator = "Fjordnett"

[roles.door]
public_url = "https://door.example.no/"

[storage]
url = "postgresql:///prikkfri"

[[sms.links]]
name = "north"
partner = "Nordtel"
host = "127.0.0.1"
port = 2776
system_id = "us"
password = "secret"
prefixes = ["47"]

[[sms.links]]
name = "south"
partner = "Sydtel"
host = "127.0.0.1"
port = 2777
system_id = "us"
password = "secret"
prefixes = ["46"]
"""


def read(home: Path, text: str, **environment: str) -> Config:
    (home / "prikkfri.toml").write_text(text, encoding="utf-8")
    return load(home, file=None, environment=environment)


def test_without_a_file_everything_has_a_default(tmp_path: Path) -> None:
    config = load(tmp_path, file=None, environment={})
    assert config.roles.viewer.url == "http://localhost:8080"
    assert (config.home, config.demo) == (tmp_path, False)
    assert load(tmp_path, file=None, environment={}, demo=True).demo
    assert {role: config.roles.edge(role).port for role in ROLES} == dict(zip(ROLES, range(8080, 8087), strict=True))


def test_a_file_is_read_and_the_environment_goes_over_it(tmp_path: Path) -> None:
    config = read(tmp_path, GOOD, PRIKKFRI_OPERATOR="Other", PRIKKFRI_ROLES_SMS_SMPP_PORT="2999")
    assert config.operator == "Other"
    assert config.roles.sms.smpp_port == 2999
    assert config.roles.door.url == "https://door.example.no"
    assert config.roles.door.port == 8086
    assert [link.name for link in config.sms.links] == ["north", "south"]
    assert [(link.port, link.prefixes, link.window) for link in config.sms.links] == [
        (2776, ("47",), 50), (2777, ("46",), 50),
    ]  # fmt: skip
    assert config.storage.url == "postgresql:///prikkfri"
    (tmp_path / "other.toml").write_text('operator = "Third"')
    named = load(tmp_path, file=tmp_path / "other.toml", environment={})
    assert named.operator == "Third" and named.sms.links == ()


@pytest.mark.parametrize(
    ("variable", "text", "value"),
    [
        ("OPERATOR", "12", "12"),
        ("OPERATOR", 'Say "hi"', 'Say "hi"'),
        ("BIND", "all", "all"),
        ("PHONES_PORT", "1", 1),
        ("PHONES_PORT", "65535", 65_535),
        ("JOURNAL_KEPT_DAYS", "3", 3.0),
        ("JOURNAL_KEPT_DAYS", "0.5", 0.5),
        ("JOURNAL_KEPT_DAYS", "0", 0.0),
        ("JOURNAL_KEPT_DAYS", "999999999999", 999999999999.0),
        ("STREAMING_FALLBACK_CHANNELS", '["a", "b"]', ("a", "b")),
        ("STREAMING_FALLBACK_CHANNELS", "[]", ()),
        ("SIGNIN_HASH_THREADS", "0", 0),
        ("ASSURANCE_TELL_ACCOUNT", "", ""),
    ],
)
def test_a_variable_is_written_as_in_the_file_but_text_needs_no_quotes(
    tmp_path: Path, variable: str, text: str, value: object
) -> None:
    config: Any = load(
        tmp_path, file=None, environment={f"PRIKKFRI_{variable}": text, "HOME": "/x", "PRIKKFRI_HOME": "y"}
    )
    section, _, name = variable.lower().partition("_")
    held = getattr(config, section, None)
    found = getattr(held, name) if dataclasses.is_dataclass(held) else getattr(config, variable.lower())
    assert (found, type(found)) == (value, type(value))
    changed = {
        field.name
        for field in dataclasses.fields(config)
        if getattr(config, field.name) != getattr(Config(home=tmp_path), field.name)
    }
    assert changed <= {section, variable.lower()}


FROM, TO = "2026-11-28T20:30+01:00", "2026-11-28T22:30+01:00"


def test_a_large_programme_is_two_moments(tmp_path: Path) -> None:
    [programme] = read(tmp_path, f'streaming.large_programmes = ["{FROM}/{TO}"]').streaming.large_programmes
    assert moments_of(programme) == (1_795_894_200.0, 1_795_901_400.0)


@pytest.mark.parametrize(
    ("setting", "says"),
    [
        ("journal.kept_days = -1", "`journal.kept_days` must not be negative, is -1.0"),
        ("journal.kept_days = nan", "must not be negative, is nan"),
        ("journal.kept_days = inf", "must not be negative"),
        ("journal.kept_days = 1e12", "must not be negative"),
        ("journal.kept_days = true", "must be a number, is True"),
        ("signin.hash_threads = -1", "must not be negative, is -1"),
        ("signin.hash_threads = 1.0", "a whole number"),
        ("signin.hash_threads = false", "a whole number, is False"),
        ("phones_port = 0", "a port from 1 to 65535, is 0"),
        ("phones_port = 65536", "a port from 1 to 65535"),
        ("roles.sms.smpp_port = 0", "a port from 1 to 65535"),
        ("streaming.fallback_channels = [1]", "`streaming.fallback_channels.0` must be text, is 1"),
        ("storage = 3", "storage must be a table, is 3"),
        (
            'storage.url = "mysql://us:secret@db/x"',
            "`storage.url` is where a PostgreSQL is, such as postgresql://HOST/NAME, or left out for SQLite files in"
            " the home, not mysql://...",
        ),
        ('storage.url = "prikkfri"', "`storage.url` is where a PostgreSQL is, such as postgresql://HOST/NAME"),
        ('bind = "ALL"', "one of 'loopback', 'all', is 'ALL'"),
        ("demo = true", "unknown setting `demo`"),
        ('home = "x"', "unknown setting `home`"),
        ("zzz = 1", "known here: assurance, bind, door, instance"),
        ("[door]\nzzz = 1", "known here: joins_ipv4_prefix, joins_per_network"),
        ("door.joins_ipv4_prefix = 33", "`door.joins_ipv4_prefix` is at most 32, is 33"),
        ('door.joins_unlimited = ["::1/64"]', "`door.joins_unlimited` are addresses or networks, not '::1/64'"),
        ('viewer.colour = "green"', "`viewer.colour` is a colour such as \"#1757c2\", not 'green'"),
        (
            'viewer.colour = "#ffee00"',
            "`viewer.colour`: #ffee00 is hardly seen on the light page (contrast 1.10, at least 3); the nearest",
        ),
        (
            'viewer.colour_dark = "#0a1030"',
            "`viewer.colour_dark`: #0a1030 is hardly seen on the dark page (contrast 1.",
        ),
        ('viewer.waiting.nb = "Hei"', "`viewer.waiting` lacks sv, en: the page speaks three languages"),
        ('[viewer.headline]\nnb = "Hei"\nsv = " "\nen = "Hello"', "`viewer.headline` lacks sv"),
        (
            '[viewer.waiting]\nnb = "Hei"\nsv = "Hej"\nen = "%s"' % ("x" * 401),
            "`viewer.waiting.en` has at most 400 characters",
        ),
        ('[viewer.waiting]\nnb = "Hei"\nsv = "H\\u0007j"\nen = "x"', "`viewer.waiting.sv` has at most 400 characters"),
        (
            'streaming.large_programmes = ["20:30/22:30"]',
            "are START/END such as 2026-11-28T20:30+01:00/2026-11-28T22:30",
        ),
        (f'streaming.large_programmes = ["{TO}/{FROM}"]', "not '2026-11-28T22:30+01:00/2026-11-28T20:30+01:00'"),
        (f'streaming.large_programmes = ["{FROM}/{FROM}"]', "`streaming.large_programmes` are START/END"),
        (f'streaming.large_programmes = ["{FROM}/2026-11-28T22:30"]', "`streaming.large_programmes` are START/END"),
        (f'streaming.large_programmes = ["2026-11-28T20:30/{TO}"]', "`streaming.large_programmes` are START/END"),
        (f'streaming.large_programmes = ["{FROM}"]', "`streaming.large_programmes` are START/END"),
        ('[[sms.accounts]]\nsystem_id = "a"', "sms.accounts.0 lacks `password`"),
        ("[[streaming.channels]]\nid = 'a'\nname = 'b'\nnumber = 1\nopen = 1", "must be true or false, is 1"),
    ],
)
def test_a_value_that_cannot_be_is_refused(tmp_path: Path, setting: str, says: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(says)) as refusal:
        read(tmp_path, setting)
    assert str(refusal.value).startswith(f"{tmp_path / 'prikkfri.toml'}")
    assert "secret" not in str(refusal.value)


@pytest.mark.parametrize("url", ["", "postgresql:///x", "postgres://u:p@h/x", "host=db dbname=x", "dbname = x"])
def test_a_postgresql_is_named_as_its_library_takes_it(tmp_path: Path, url: str) -> None:
    assert read(tmp_path, f"storage.url = '{url}'").storage.url == url


def test_the_page_wears_what_is_seen_and_says_what_is_said_in_three_languages(tmp_path: Path) -> None:
    text = 'nb = "%s"\nsv = "a\\nb"\nen = "c"\n' % ("æ" * 400)
    viewer = read(tmp_path, f'[viewer]\ncolour = "#767676"\ncolour_dark = "#666c79"\n[viewer.waiting]\n{text}').viewer
    assert (viewer.colour, viewer.colour_dark, viewer.waiting.sv, viewer.headline.nb) == (
        "#767676",
        "#666c79",
        "a\nb",
        "",
    )


def test_what_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "prikkfri.toml").write_bytes(b"operator = '\xff'")
    with pytest.raises(ConfigError, match=r"cannot be read as UTF-8 text.*; save it as UTF-8"):
        load(tmp_path, file=None, environment={})
    (tmp_path / "folder").mkdir()
    with pytest.raises(ConfigError, match="cannot be read: Is a directory; make it a file that whoever runs Prikkfri"):
        load(tmp_path, file=tmp_path / "folder", environment={})


@pytest.mark.parametrize(("setting", "value"), [("id", "'c'"), ("number", "7")])
def test_two_channels_with_one_id_or_number_are_refused_by_line(tmp_path: Path, setting: str, value: str) -> None:
    rows = [{"id": f"'c{n}'", "name": f"'C{n}'", "number": str(n)} for n in range(3)]
    rows[0][setting] = rows[2][setting] = value
    text = "".join("[[streaming.channels]]\n" + "".join(f"{k} = {v}\n" for k, v in row.items()) for row in rows)
    line = 10 if setting == "id" else 12
    with pytest.raises(ConfigError) as refused:
        read(tmp_path, text)
    assert str(refused.value) == (
        f"{tmp_path / 'prikkfri.toml'}:{line}: channels 'C0' and 'C2' have one `{setting}`, {value}; give each its own"
    )


CHANNEL = "[[streaming.channels]]\nid='a'\nname='b'\nnumber=1\n"
PROGRAMME = "[[streaming.channels.programmes]]\ntitle = 'a'\nstart = '21:00'\n"


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a.b = 1", 1),
        ("\n\nstorage.url = 3", 3),
        ("[storage]\n\nurl = 3", 3),
        ("[ storage ]\n'url' = 3\n\"url\" = 3", 0),
        ("[roles.door]\nport = 'x'\n[roles.sms]\nport = 1", 2),
        ("[roles.door]\nport = 1\n[roles.sms]\nport = 'x'", 4),
        ("[roles]\ndoor.port = 1\nsms.port = 'x'", 3),
        ("port = 1", 1),
        (f"{GOOD[1:]}\n[[sms.links]]\nname = 'third'", 27),
        ("[[sms.links]]\nname = 3\n[[sms.links]]\nname = 4", 2),
        ("[[sms.links]]\nname = 'a'\n[[sms.links]]\nname = 'b'", 1),
        (f"{CHANNEL}{PROGRAMME}minutes = 1\n{CHANNEL}{PROGRAMME}minutes = 'x'", 16),
        (f"{CHANNEL}{PROGRAMME}minutes = 1\n{PROGRAMME}minutes = 'x'", 12),
        (f"{CHANNEL}[[streaming.channels.programmes]]\ntitle = 'a'\n{CHANNEL}{PROGRAMME}", 5),
        ("[sms]\nwaiting_max = 1\nlinks = 3", 3),
        ("operator = 'port'\nphones_port = 'x'", 2),
        ('"phones_port" = 0', 1),
        ("[[streaming.channels]]\nid='a'\nname='b'\nnumber=1\n[[streaming.channels.programmes]]\ntitle = 3", 6),
    ],
)
def test_the_line_that_is_told_is_the_one_that_is_wrong(tmp_path: Path, text: str, line: int) -> None:
    with pytest.raises(ConfigError) as refusal:
        read(tmp_path, text)
    told = str(refusal.value).removeprefix(str(tmp_path / "prikkfri.toml"))
    assert told.startswith(f":{line}: ") if line else ": not TOML" in told, told


@pytest.mark.parametrize(
    ("old", "new", "line", "says"),
    [
        ('name = "south"', 'nmae = "south"', 20, "did you mean `name`?"),
        ("port = 2777", 'port = "2777"', 23, "must be a whole number"),
        ("port = 2776", "port = 70000", 14, "a port from 1 to 65535"),
        ('operator = "Fjordnett"', "operator = 3", 2, "must be text"),
        ("[storage]", "[storagr]", 7, "did you mean `storage`?"),
        ('prefixes = ["46"]', "", 19, "lacks `prefixes`"),
        ('prefixes = ["46"]', 'prefixes = "46"', 26, "must be a list"),
        ("\nurl = ", "\nurl ", 8, "not TOML"),
    ],
)
def test_a_wrong_setting_is_refused_with_its_line(tmp_path: Path, old: str, new: str, line: int, says: str) -> None:
    with pytest.raises(ConfigError) as refusal:
        read(tmp_path, GOOD.replace(old, new))
    text = str(refusal.value)
    assert says in text
    assert "\n" not in text
    assert f":{line}:" in text or f"line {line}" in text


@pytest.mark.parametrize(
    ("variable", "value", "says"),
    [
        ("PRIKKFRI_ROLES_DOR_PORT", "1", "did you mean PRIKKFRI_ROLES_DOOR_PORT?"),
        ("PRIKKFRI_ROLES_DOOR_PORT", "http", "whole number"),
        ("PRIKKFRI_ROLES_DOOR_PORT", "0", "a port from 1 to 65535"),
        ("PRIKKFRI_DEMO", "true", "unknown variable"),
        ("PRIKKFRI_XXXXXXXXXXXXXXXXX", "", "no setting has that name; unset it"),
        ("PRIKKFRI_SMS_LINKS", "[{}]", "lacks"),
        ("PRIKKFRI_BIND", "everywhere", "one of 'loopback', 'all'"),
    ],
)
def test_a_wrong_variable_is_refused_by_name(tmp_path: Path, variable: str, value: str, says: str) -> None:
    with pytest.raises(ConfigError) as refusal:
        load(tmp_path, file=None, environment={variable: value})
    assert variable in str(refusal.value)
    assert says in str(refusal.value)


def test_a_wrong_secret_is_not_repeated(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as refusal:
        read(tmp_path, GOOD.replace('password = "secret"', "password = 73951", 1))
    assert "73951" not in str(refusal.value) and "must be text, is something else" in str(refusal.value)
    with pytest.raises(ConfigError) as refusal:
        load(tmp_path, file=None, environment={"PRIKKFRI_SMS_ACCOUNTS": '[{system_id = "a", password = 73951}]'})
    assert "73951" not in str(refusal.value)


def test_a_config_that_is_named_must_exist(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such file"):
        load(tmp_path, file=tmp_path / "missing.toml", environment={})


@given(st.text(alphabet='[]=."\n abcdefsmlink123{}', max_size=200))
def test_any_text_is_a_config_or_one_line_of_refusal(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    file = tmp_path_factory.getbasetemp() / "any.toml"
    file.write_text(text, encoding="utf-8")
    try:
        load(file.parent, file=file, environment={})
    except ConfigError as refusal:
        assert "\n" not in str(refusal)


@pytest.mark.parametrize("setting", ["trusted_proxies", "metrics_from"])
def test_what_is_no_network_is_refused_with_its_line(tmp_path: Path, setting: str) -> None:
    assert getattr(read(tmp_path, f'{setting} = ["192.0.2.0/24", "::1"]'), setting) == ("192.0.2.0/24", "::1")
    with pytest.raises(ConfigError, match=f":2: `{setting}` are addresses or networks, not '192.0.2.7/24'"):
        read(tmp_path, f'operator = "X"\n{setting} = ["192.0.2.7/24"]')


ACCOUNT = """
[[sms.accounts]]
system_id = "first"
password = "secret"
senders = ["First"]

[[sms.accounts]]
system_id = "shop"
password = "secret"
short_codes = ["2010"]
"""


@pytest.mark.parametrize("senders", ["", "senders = []\n", 'senders = [""]\n'])
def test_an_account_that_names_no_senders_is_refused_with_the_line_and_the_mend(tmp_path: Path, senders: str) -> None:
    with pytest.raises(ConfigError, match=re.escape('or say senders = ["*"]')) as refusal:
        read(tmp_path, ACCOUNT + senders)
    line = 11 if senders else 7
    assert str(refusal.value).startswith(f"{tmp_path / 'prikkfri.toml'}:{line}: account 'shop' lacks `senders`")


@pytest.mark.parametrize("region", ["", "Norge", "no", "N", "N0", "NO\\n", "XX", "UK", "001"])
def test_a_region_is_a_country_that_has_numbers(tmp_path: Path, region: str) -> None:
    with pytest.raises(ConfigError, match=r":2: `region` is a country in two capital letters"):
        read(tmp_path, f'operator = "x"\nregion = "{region}"')
    if region:
        with pytest.raises(ConfigError, match=r":3: `sms.region` is a country in two capital letters"):
            read(tmp_path, f'region = "SE"\n[sms]\nregion = "{region}"')
    found = read(tmp_path, 'region = "SE"\n[sms]\nregion = "DK"')
    assert (found.region, found.sms.region) == ("SE", "DK")
    assert read(tmp_path, 'region = "SE"').sms.region == ""


@pytest.mark.parametrize(
    ("zone", "mend"),
    [
        ("Europe/Olso", "did you mean 'Europe/Oslo'?"),
        ("Europe", ""),
        ("", 'such as "Europe/Oslo"'),
        ("../../etc/passwd", 'such as "Europe/Oslo"'),
        ("/etc/localtime", ""),
        ("Mars/Olympus", ""),
    ],
)
def test_a_time_zone_is_one_that_there_is(tmp_path: Path, zone: str, mend: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(f":2: `streaming.timezone`: there is no time zone {zone!r}")) as no:
        read(tmp_path, f'[streaming]\ntimezone = "{zone}"')
    assert mend in str(no.value)
    assert read(tmp_path, '[streaming]\ntimezone = "America/Nuuk"').streaming.timezone == "America/Nuuk"


REMEDY = '[[assurance.remedies]]\nname = "r"\nservice = "television"\ntiers = []\ncurrency = "{}"'


@pytest.mark.parametrize("currency", ["", "nok", "kr", "NKR", "XXX", "NO", "NOK ", "N-K"])
def test_a_currency_is_one_that_people_are_paid_in(tmp_path: Path, currency: str) -> None:
    with pytest.raises(ConfigError, match=r":5: `currency` of 'r' is one of ISO 4217 in three capital letters"):
        read(tmp_path, REMEDY.format(currency))
    for known in ("NOK", "SEK", "DKK", "EUR"):
        assert read(tmp_path, REMEDY.format(known)).assurance.remedies[0].currency == known


CANARY = '[[sms.canaries]]\nmsisdn = "+4790000001"\nlink = "{}"\n'
CHANNEL = '[[streaming.channels]]\nid = "sport"\nname = "Sport"\nnumber = 1\n'


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        (GOOD + 'instead = "east"', 27, "`instead` names no other link: 'east'; there are: north"),
        (GOOD + CANARY.format("east"), 29, "`link` names no link: 'east'; there are: north, south"),
        (GOOD + CANARY.format(""), 29, "`link` names no link: ''; there are: north, south"),
        ('[assurance]\ntell_account = "shop"', 2, "`tell_account` names no account: 'shop'; there are: none"),
        (f'{CHANNEL}[streaming]\nfallback_channels = ["sport", "news"]', 6,
         "`fallback_channels` names no channel: 'news'; there are: sport"),
    ],
)  # fmt: skip
def test_what_names_another_part_of_the_configuration_names_one_that_there_is(
    tmp_path: Path, text: str, line: int, says: str
) -> None:
    with pytest.raises(ConfigError) as refusal:
        read(tmp_path, text)
    assert str(refusal.value) == f"{tmp_path / 'prikkfri.toml'}:{line}: {says}"


@pytest.mark.parametrize("written", ["4790000001", "004790000001", "+12345", "+0790000001", "+47x", ""])
def test_the_number_of_a_canary_has_its_country_code(tmp_path: Path, written: str) -> None:
    with pytest.raises(
        ConfigError, match=r":28: a canary's number is written with `\+` and its country code, not"
    ) as no:
        read(tmp_path, GOOD + CANARY.replace("+4790000001", written).format("south"))
    assert str(no.value).endswith(f"not {written!r}")
    spaced = GOOD + CANARY.replace("+4790000001", "+47 90 00 00 01").format("south")
    assert read(tmp_path, spaced).sms.canaries[0].msisdn == "+4790000001"


def test_a_phone_is_one_canary_of_each_link_however_it_is_written(tmp_path: Path) -> None:
    twice = CANARY.format("south") + CANARY.replace("+4790000001", "+47 90000001").format("south")
    says = r":31: canary \+4790000001 of link 'south' belongs to canary number 1 already, and to canary number 2"
    with pytest.raises(ConfigError, match=says):
        read(tmp_path, GOOD + twice)
    both = CANARY.format("south") + CANARY.format("north")
    assert [each.link for each in read(tmp_path, GOOD + both).sms.canaries] == ["south", "north"]


@pytest.mark.parametrize("written", ["+2090", "20", "2090000", "FEIL", "4790000001", "²090", "002090x"])
def test_where_people_write_of_a_wrong_number_is_a_short_code(tmp_path: Path, written: str) -> None:
    text = f'[sms]\nwrong_number_code = "{written}"\n'
    with pytest.raises(ConfigError, match=r":2: `wrong_number_code` is a short code of three to six digits") as no:
        read(tmp_path, text)
    assert str(no.value).endswith(f"not {written!r}")


def test_a_short_code_to_which_people_write_is_read_without_spaces_and_is_nobody_elses(tmp_path: Path) -> None:
    assert read(tmp_path, '[sms]\nwrong_number_code = "20 90"\n').sms.wrong_number_code == "2090"
    for code in ("209", "020900"):
        assert read(tmp_path, f'[sms]\nwrong_number_code = "{code}"\n').sms.wrong_number_code == code
    with pytest.raises(ConfigError, match="short code '2021' belongs to account 'other' already"):
        read(tmp_path, f'[sms]\nwrong_number_code = "20 21"\n{TWO}')


def test_what_names_another_part_that_there_is_is_read(tmp_path: Path) -> None:
    found = read(tmp_path, GOOD + 'instead = "north"\n' + CANARY.format("south"))
    assert (found.sms.links[1].instead, found.sms.canaries[0].link) == ("north", "south")
    whole = f'{CHANNEL}[streaming]\nfallback_channels = ["sport"]'
    assert read(tmp_path, whole).streaming.fallback_channels == ("sport",)
    assert read(tmp_path, "[streaming]\nfallback_channels = ['sport']").streaming.channels == ()  # the demo's


TWO = """
[[sms.accounts]]
system_id = "first"
password = "secret"
senders = ["First"]
short_codes = ["2010", "+4759440000"]

[[sms.accounts]]
system_id = "other"
password = "secret"
senders = ["Other"]
short_codes = ["2020", "2021"]
"""


@pytest.mark.parametrize(
    ("old", "new", "line", "says"),
    [
        ('"2021"', '"2010"', 12, "short code '2010' belongs to account 'first' already, and to account 'other'"),
        ('"2021"', '"4759440000"', 12, "short code '4759440000' belongs to account 'first' already"),
        ('"other"', '"first"', 9, "account 'first' belongs to account number 1 already, and to account number 2"),
        ('"2021"', '"4759440000"', 12, "short code '4759440000' belongs to account 'first' already"),
        ('"2021"', '"004759440000"', 12, "short code '4759440000' belongs to account 'first' already"),
        ('"2021"', '" +47 59 44 00 00"', 12, "short code '4759440000' belongs to account 'first' already"),
        ('"2021"', '"20 10"', 12, "short code '2010' belongs to account 'first' already"),
        ('"2021"', '"20"', 12, "account 'other' cannot have the number '20': it is neither a short code of three"),
        ('"2021"', '"+2021"', 12, "account 'other' cannot have the number '+2021': it is neither"),
        ('"2021"', '"Shop"', 12, "account 'other' cannot have the number 'Shop': it is neither"),
        ('"2021"', '"47-59440000"', 12, "account 'other' cannot have the number '47-59440000'"),
        ('"2021"', '"+0759440000"', 12, "account 'other' cannot have the number '+0759440000'"),
        ('"2021"', '"²0101"', 12, "account 'other' cannot have the number '²0101'"),
        ('"2021"', '"2020"', 0, ""),
        ('"2021"', '"4659440000"', 0, ""),
        ('"2021"', '"59440001"', 0, ""),
    ],
)
def test_two_accounts_with_one_name_or_short_code_are_refused_by_line(
    tmp_path: Path, old: str, new: str, line: int, says: str
) -> None:
    text = TWO.replace(old, new)
    if not line:
        assert len(read(tmp_path, text).sms.accounts) == 2
        return
    with pytest.raises(ConfigError) as refusal:
        read(tmp_path, text)
    assert str(refusal.value).startswith(f"{tmp_path / 'prikkfri.toml'}:{line}: {says}")


WRITINGS = ("+4746789012", "4746789012", "46789012", "004746789012", "46 78 90 12", "+47 467 89 012", "0047 46789012")


@pytest.mark.parametrize("first", WRITINGS)
@pytest.mark.parametrize("other", WRITINGS)
def test_one_number_in_two_writings_at_two_accounts_is_refused_by_line(tmp_path: Path, first: str, other: str) -> None:
    text = TWO.replace("+4759440000", first).replace("2021", other)
    with pytest.raises(ConfigError) as refusal:
        read(tmp_path, text)
    says = "short code '4746789012' belongs to account 'first' already, and to account 'other'"
    assert str(refusal.value) == f"{tmp_path / 'prikkfri.toml'}:12: {says}"


def test_a_number_is_one_of_the_region_where_accounts_do_not_say_otherwise(tmp_path: Path) -> None:
    text = TWO.replace("+4759440000", "+4746789012").replace("2021", "46789012")
    assert read(tmp_path, f'region = "GB"\n{text}').sms.accounts[1].short_codes == ("2020", "+46789012")
    theirs = f'{text}numbers_unmarked = "international"'
    assert read(tmp_path, theirs).sms.accounts[1].short_codes == ("2020", "+46789012")
    with pytest.raises(ConfigError, match="short code '4746789012' belongs to account 'first' already"):
        read(tmp_path, f'region = "GB"\n[sms]\nregion = "NO"\n{text}')


@pytest.mark.parametrize("unmarked", ["national-first", "international"])
@pytest.mark.parametrize("region", ["NO", "SE", "US"])
@pytest.mark.parametrize(
    "written",
    ["2010", "02800", "020100", "46789012", "4746789012", "+4746789012", "004746789012", "0046701234567",
     "+460701234567", "0701234567", "46701234567", "701234567", "2125550123", "12125550123", "00123", "+999123456"],
)  # fmt: skip
def test_a_number_of_an_account_is_read_as_a_message_to_it_is(
    tmp_path: Path, written: str, region: str, unmarked: str
) -> None:
    text = f'region = "{region}"\n{ACCOUNT}senders = ["*"]\nnumbers_unmarked = "{unmarked}"'
    text = text.replace('"2010"', f'"{written}"')
    read_as = read_recipient(written, 0, Numbering(region, unmarked == "national-first"))
    if read_as is None:
        with pytest.raises(ConfigError, match=f"account 'shop' cannot have the number '{written}'"):
            read(tmp_path, text)
        return
    kept = dataclasses.replace(read(tmp_path, text).sms, region=region)
    as_written = dataclasses.replace(kept.accounts[1], short_codes=(written,))
    [number] = Routes.of(kept).short_codes
    assert [*Routes.of(dataclasses.replace(kept, accounts=(as_written,))).short_codes] == [number]
    # Of few digits it is the account's, though a phone of the region could have it.
    assert number == (read_as.text if len(written) > 6 else written)


def prefixed(*given: str) -> str:
    """A link for each prefix, 8 lines a link."""
    return "".join(
        f'[[sms.links]]\nname = "{number}"\npartner = "P"\nhost = "h"\nport = 1\nsystem_id = "s"\npassword = "p"\n'
        f'prefixes = ["{prefix}"]\n'
        for number, prefix in enumerate(given)
    )


@pytest.mark.parametrize("written", ["47", "+47", "0047", " 47", "+ 47", "00 47"])
def test_a_prefix_is_one_however_it_is_written(tmp_path: Path, written: str) -> None:
    with pytest.raises(ConfigError) as refusal:
        read(tmp_path, prefixed("47", written))
    says = "links '0' and '1' have one prefix, '47': say which is first"
    assert str(refusal.value).startswith(f"{tmp_path / 'prikkfri.toml'}:16: {says}")
    assert [link.prefixes for link in read(tmp_path, prefixed("46", written)).sms.links] == [("46",), ("47",)]


def test_a_link_may_have_one_prefix_in_two_writings(tmp_path: Path) -> None:
    assert read(tmp_path, prefixed('47", "+47", "0046')).sms.links[0].prefixes == ("47", "46")


@pytest.mark.parametrize("written", ["", "02800", "0", "4", "1" * 15])
def test_a_prefix_may_be_of_short_codes_or_of_every_number(tmp_path: Path, written: str) -> None:
    assert read(tmp_path, prefixed(written)).sms.links[0].prefixes == (written,)


@pytest.mark.parametrize("written", ["+", "00", "000", "+0", "0004", "+047", "47x", "47-5", "Norge", "²", "1" * 16])
def test_a_prefix_that_no_number_has_is_refused_by_line(tmp_path: Path, written: str) -> None:
    with pytest.raises(ConfigError) as refusal:
        read(tmp_path, prefixed(written))
    says = f"link '0' cannot have the prefix {written!r}: it is the digits with which numbers begin"
    assert str(refusal.value).startswith(f"{tmp_path / 'prikkfri.toml'}:8: {says}")


def links(*given: str) -> str:
    """`name:instead` of each, all with one prefix, 7 lines a link."""
    return "".join(
        f'[[sms.links]]\nname = "{name}"\npartner = "P"\nhost = "h"\nport = 1\nsystem_id = "s"\npassword = "p"\n'
        f'prefixes = ["45", "47"]\ninstead = "{instead}"\n'
        for name, instead in (each.split(":") for each in given)
    )


@pytest.mark.parametrize("given_links", [("a:b", "b:"), ("b:", "a:b"), ("a:",), ("b:c", "a:b", "c:")])
def test_links_with_one_prefix_have_an_order(tmp_path: Path, given_links: tuple[str, ...]) -> None:
    assert len(read(tmp_path, links(*given_links)).sms.links) == len(given_links)


@pytest.mark.parametrize(
    "given_links",
    [("a:", "b:"), ("a:b", "b:a"), ("a:c", "b:c"), ("a:b", "b:", "c:"), ("a:c", "b:c", "c:"), ("a:b", "b:a", "c:")],
)
def test_links_with_one_prefix_and_no_order_are_refused_by_line(tmp_path: Path, given_links: tuple[str, ...]) -> None:
    names = " and ".join(repr(each[0]) for each in given_links)
    with pytest.raises(ConfigError) as refusal:
        read(tmp_path, links(*given_links))
    line = 9 * len(given_links) - 1
    assert str(refusal.value).startswith(f"{tmp_path / 'prikkfri.toml'}:{line}: links {names} have one prefix, '45'")


@pytest.mark.parametrize(
    ("priorities", "given_links", "in_order"),
    [
        ((0, 1), ("a:", "b:"), True),
        ((2, 0, 1), ("a:", "b:", "c:"), True),
        ((1, 0), ("a:b", "b:a"), True),
        ((0, 1, 1), ("a:", "b:c", "c:"), True),
        ((0, 1, 1), ("a:", "b:", "c:"), False),
        ((0, 0, 1), ("a:c", "b:", "c:"), False),
        ((1, 1), ("a:", "b:"), False),
    ],
)
def test_links_with_one_prefix_are_in_order_by_priority_and_among_equals_by_who_stands_in(
    tmp_path: Path, priorities: tuple[int, ...], given_links: tuple[str, ...], in_order: bool
) -> None:
    tables = [links(each) + f"priority = {number}\n" for each, number in zip(given_links, priorities, strict=True)]
    if in_order:
        assert tuple(link.priority for link in read(tmp_path, "".join(tables)).sms.links) == priorities
        return
    with pytest.raises(ConfigError, match="have one prefix, '45': say which is first by `priority`"):
        read(tmp_path, "".join(tables))


@pytest.mark.parametrize("setting", ["binds", "window"])
def test_a_link_that_would_carry_nothing_is_refused_by_line(tmp_path: Path, setting: str) -> None:
    text = GOOD.replace('prefixes = ["46"]', f'prefixes = ["46"]\n{setting} = 0')
    with pytest.raises(ConfigError, match=rf":27: link 'south' would carry nothing: `{setting}` is at least 1, is 0"):
        read(tmp_path, text)
    assert getattr(read(tmp_path, text.replace("= 0", "= 1")).sms.links[1], setting) == 1


def test_what_a_links_refusals_mean_is_said_once_for_each_status(tmp_path: Path) -> None:
    table = "refused_for_good = [0x14]\nrefused_for_now = [0x45, 0x400]\nrefused_when_too_fast = [{}]\n"
    [link] = read(tmp_path, links("a:") + table.format("0x401")).sms.links
    told = (link.refused_for_good, link.refused_for_now, link.refused_when_too_fast)
    assert told == ((0x14,), (0x45, 0x400), (0x401,))
    assert link.throughput_per_second_max == 0.0
    with pytest.raises(ConfigError) as refusal:
        read(tmp_path, links("a:") + table.format("0x400"))
    says = (
        "refusal of link 'a' with status '0x400' belongs to `refused_for_now` already, and to `refused_when_too_fast`"
    )
    assert str(refusal.value) == f"{tmp_path / 'prikkfri.toml'}:12: {says}"


def test_two_links_with_one_name_are_refused_by_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r":20: link 'north' belongs to link number 1 already, and to link number 2"):
        read(tmp_path, GOOD.replace("south", "north"))


@pytest.mark.parametrize("senders", [("Shop",), ("*",)])
def test_an_account_names_its_senders_or_says_that_they_are_anybody(tmp_path: Path, senders: tuple[str, ...]) -> None:
    config = read(tmp_path, f"{ACCOUNT}senders = {list(senders)}")
    assert config.sms.accounts[1].senders == senders


def test_who_tells_those_hit_may_do_so_in_the_operators_name(tmp_path: Path) -> None:
    text = ACCOUNT + 'senders = ["%s"]\n[assurance]\ntell_account = "shop"\n'
    with pytest.raises(ConfigError, match=r":11: .* add 'Langt navn ' to its `senders`"):
        read(tmp_path, 'operator = "Langt navn AS"' + text % "Shop")
    for sender in ("Langt navn ", "*"):
        assert read(tmp_path, 'operator = "Langt navn AS"' + text % sender).assurance.tell_account == "shop"


CODE_ACCOUNT = """
[signin]
code_account = "codes"

[[sms.accounts]]
system_id = "codes"
password = "secret12"
"""


@pytest.mark.parametrize(
    ("account", "why"),
    [
        (CODE_ACCOUNT + 'message_class = "code"\nsenders = ["Prikkfri"]\n', ""),
        (CODE_ACCOUNT + 'message_class = "otp"\nsenders = ["*"]\n', ""),
        ('[signin]\ncode_account = "codes"\n', "there is no account 'codes'"),
        (CODE_ACCOUNT + 'senders = ["*"]\n', "sends codes to set a password: its `message_class` is one of code,"),
        (CODE_ACCOUNT + 'message_class = "code"\nsenders = ["Shop"]\n', "add 'Prikkfri' to its `senders`"),
    ],
)
def test_codes_go_out_by_an_account_that_is_fit_for_them(tmp_path: Path, account: str, why: str) -> None:
    if not why:
        assert read(tmp_path, account).signin.code_account == "codes"
        return
    with pytest.raises(ConfigError, match=re.escape(why)) as refusal:
        read(tmp_path, account)
    assert str(refusal.value).startswith(f"{tmp_path / 'prikkfri.toml'}:")


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("http://door-1.internal:8086", "in clear to another machine: say https://door-1.internal:PORT"),
        ("http://10.0.0.7:8086", "in clear to another machine"),
        ("https://door-1.internal:8086", "the role's own port 8086"),
        ("https://signin-1.internal:9081", "that of signin"),
        ("door-1.internal:9086", "is an address such as"),
        ("https://door-1.internal:9086/x", "is an address such as"),
        ("https://us:secret@door-1.internal:9086", "is an address such as"),
        ("https://door-1.internal:port", "is an address such as"),
        ("https://[door", "is an address such as"),
    ],
)
def test_between_machines_nothing_goes_in_clear(tmp_path: Path, url: str, said: str) -> None:
    signin = '[roles.signin]\ninternal_url = "https://signin-1.internal:9081"\n'
    with pytest.raises(ConfigError, match=re.escape(said)) as refused:
        read(tmp_path, f'{signin}[roles.door]\ninternal_url = "{url}"\n')
    assert "prikkfri.toml:4: `roles.door.internal_url`" in str(refused.value)


def test_an_internal_address_is_this_machine_unless_it_is_said(tmp_path: Path) -> None:
    text = '[roles.door]\ninternal_url = "https://10.0.0.7:9086/"\n[roles.signin]\ninternal_url = "{}"\n'
    sidecar = "http://[::1]:15001"  # a proxy of one's own that speaks TLS
    config = read(tmp_path, text.format(sidecar))
    assert (config.roles.door.internal, config.roles.door.tls_port) == ("https://10.0.0.7:9086", 9086)
    assert (config.roles.signin.internal, config.roles.signin.tls_port) == (sidecar, 0)
    assert (config.roles.sms.internal, config.roles.sms.tls_port) == ("http://localhost:8083", 0)
    assert config.roles.span_machines and not Config().roles.span_machines

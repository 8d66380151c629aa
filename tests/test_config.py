"""The configuration: what is wrong is refused with its line and the mend."""

import dataclasses
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prikkfri.config import ROLES, Config, load
from prikkfri.errors import ConfigError

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
        ('bind = "ALL"', "one of 'loopback', 'all', is 'ALL'"),
        ("demo = true", "unknown setting `demo`"),
        ('home = "x"', "unknown setting `home`"),
        ("zzz = 1", "known here: assurance, bind, door, journal"),
        ("[door]\nzzz = 1", "known here: joins_ipv4_prefix, joins_per_network"),
        ("door.joins_ipv4_prefix = 33", "`door.joins_ipv4_prefix` is at most 32, is 33"),
        ('door.joins_unlimited = ["::1/64"]', "`door.joins_unlimited` are addresses or networks, not '::1/64'"),
        ('[[sms.accounts]]\nsystem_id = "a"', "sms.accounts.0 lacks `password`"),
        ("[[streaming.channels]]\nid = 'a'\nname = 'b'\nnumber = 1\nopen = 1", "must be true or false, is 1"),
    ],
)
def test_a_value_that_cannot_be_is_refused(tmp_path: Path, setting: str, says: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(says)) as refusal:
        read(tmp_path, setting)
    assert str(refusal.value).startswith(f"{tmp_path / 'prikkfri.toml'}")


def test_what_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "prikkfri.toml").write_bytes(b"operator = '\xff'")
    with pytest.raises(ConfigError, match="cannot be read as UTF-8 text"):
        load(tmp_path, file=None, environment={})
    (tmp_path / "folder").mkdir()
    with pytest.raises(ConfigError, match="cannot be read"):
        load(tmp_path, file=tmp_path / "folder", environment={})


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


@pytest.mark.parametrize("region", ["", "Norge", "no", "N", "N0", "NO\\n"])
def test_a_region_is_two_letters(tmp_path: Path, region: str) -> None:
    with pytest.raises(ConfigError, match=r":2: `region` is a country in two capital letters"):
        read(tmp_path, f'operator = "x"\nregion = "{region}"')
    if region:
        with pytest.raises(ConfigError, match=r":3: `sms.region` is a country in two capital letters"):
            read(tmp_path, f'region = "SE"\n[sms]\nregion = "{region}"')
    found = read(tmp_path, 'region = "SE"\n[sms]\nregion = "DK"')
    assert (found.region, found.sms.region) == ("SE", "DK")
    assert read(tmp_path, 'region = "SE"').sms.region == ""


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
        ('"2021"', '"2020"', 0, ""),
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


def links(*given: str) -> str:
    """`name:instead` of each, all with one prefix, 7 lines a link."""
    return "".join(
        f'[[sms.links]]\nname = "{name}"\npartner = "P"\nhost = "h"\nport = 1\nsystem_id = "s"\npassword = "p"\n'
        f'prefixes = ["45", "47"]\ninstead = "{instead}"\n'
        for name, instead in (each.split(":") for each in given)
    )


@pytest.mark.parametrize("given_links", [("a:b", "b:"), ("b:", "a:b"), ("a:",), ("b:c", "a:b", "c:"), ("a:b", "b:c")])
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

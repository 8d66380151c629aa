"""The configuration: what is wrong is refused with its line and the mend."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prikkfri.config import Config, load
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
    assert config.home == tmp_path


def test_a_file_is_read_and_the_environment_goes_over_it(tmp_path: Path) -> None:
    config = read(tmp_path, GOOD, PRIKKFRI_OPERATOR="Other", PRIKKFRI_ROLES_SMS_SMPP_PORT="2999")
    assert config.operator == "Other"
    assert config.roles.sms.smpp_port == 2999
    assert config.roles.door.url == "https://door.example.no"
    assert config.roles.door.port == 8086
    assert [link.name for link in config.sms.links] == ["north", "south"]


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
        ('url = "postgresql:///prikkfri"', "url = ", 8, "not TOML"),
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

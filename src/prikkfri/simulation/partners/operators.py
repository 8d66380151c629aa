"""The partner operators of the misdelivery: their numbers, how each leaves the book, and what a home has of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import cycle

import msgspec

from prikkfri.simulation.partners.quirks import BY_THE_BOOK, IdStyle, Quirks

PASSWORD = "demo1234"  # noqa: S105  # SMPP 3.4 has room for 8 characters
FOOD_BOX, SHORT_CODE = "frukt", "2020"
"""A firm that sends notices and takes replies, and is nobody else's: what comes in for it comes to the evening."""
CANARY = "canary"
"""The name of a phone of the message centre's own."""
NAMES = ("Kari", "Ola", "Ingrid", "Lars", "Sigrid", "Nils", "Astrid", "Erik", "Maja", "Oskar", "Elin", "Jonas")


@dataclass(frozen=True)
class Partner:
    link: str
    name: str
    prefix: str
    """Digits with country code."""
    quirks: Quirks = BY_THE_BOOK
    """Where it leaves the book; nothing of it does harm."""

    def numbers(self, first: int, count: int) -> list[str]:
        """So many of its numbers, digits with country code."""
        return [f"{self.prefix}{100_000 + phone:06d}" for phone in range(first, first + count)]

    def program(self, *, seed: int, people: int, canaries: int, smpp_port: int, http_port: int) -> list[str]:
        """What follows `python` to start it, with so many phones of people and of the message centre's own."""
        phones = [f"{number}={name}" for number, name in zip(self.numbers(0, people), cycle(NAMES))]
        phones += [f"{number}={CANARY}" for number in self.numbers(people, canaries)]
        quirks = msgspec.json.encode(self.quirks).decode()
        return [
            "-m", "prikkfri.simulation.partners", f"--name={self.name}", f"--seed={seed}", f"--quirks={quirks}",
            f"--smpp-port={smpp_port}", f"--http-port={http_port}", *phones,
        ]  # fmt: skip


_SHORT = IdStyle(digits=0)
_TEXT = "id:7 stat:UNDELIV err:1"
"""Of a customer's message, in the receipt that tells of it: nothing is to be read out of that."""
PARTNERS = (
    Partner(
        "fjordmobil",
        "Fjordmobil",
        "4790",
        Quirks(
            answer_id=_SHORT, text_id=_SHORT, id_in="text", state_in="text", wide=True, wide_order="little-marked",
            answer_seconds=0.05, behind_id=",", carrier="data_sm", marked=False, stray=0.02,
        ),
    ),
    Partner(
        "nordtel",
        "Nordtel",
        "4791",
        Quirks(
            words={"DELIVERED": "delivrd", "UNDELIVERABLE": "undeliv"}, state_in="text", answer_form="without-nul",
            empty_parameter=True, addresses="national", carrier="message_payload", text=_TEXT,
        ),
    ),
    Partner(
        "sydtel",
        "Sydtel",
        "4792",
        Quirks(
            text_id=IdStyle(10, 0), parameter_id=IdStyle(16, 0, upper=True), error="00000", receipt_first=True,
            answer_form="cut-parameter", addresses="swapped", brings_reference=False,
            network_error=5,
        ),
    ),
)  # fmt: skip
MISDELIVERS, LOSES_RECEIPTS = PARTNERS[1], PARTNERS[2]


def food_box() -> str:
    """The firm's account, for a configuration file."""
    return f"""
[[sms.accounts]]
system_id = "{FOOD_BOX}"
password = "{PASSWORD}"
message_class = "notice"
short_codes = ["{SHORT_CODE}"]
senders = ["{SHORT_CODE}"]
"""


def links(partners: Sequence[Partner], smpp_ports: Sequence[int], *, people: int, canaries: int) -> str:
    """A link to each, with canary phones, for a configuration file. `people`: phones before the canaries'."""
    text = ""
    for partner, port in zip(partners, smpp_ports, strict=True):
        text += f"""
[[sms.links]]
name = "{partner.link}"
partner = "{partner.name}"
host = "127.0.0.1"
port = {port}
system_id = "prikkfri"
password = "{PASSWORD}"
prefixes = ["{partner.prefix}"]
transit = true
"""
        for phone in partner.numbers(people, canaries):
            text += f'\n[[sms.canaries]]\nmsisdn = "+{phone}"\nlink = "{partner.link}"\n'
    return text

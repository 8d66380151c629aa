"""What the SMPP codec costs a message, beside smpp34 (Rust) and smpplib (Python), in one run.

    python benchmarks/smpp_codecs.py

Each encodes and decodes the same submit_sm. What a message costs the whole centre, `prikkfri bench sms` tells.
"""

import platform
import timeit
from datetime import UTC, datetime
from typing import Any

from prikkfri.protocols.smpp.pdu import Command, Pdu, ShortMessage, decode, encode

TEXT = b"Your parcel is at the shop. Bring identification and the code 483 201. Open until 22 today."
MESSAGE = ShortMessage(
    source="Shop",
    destination="4790000001",
    octets=TEXT,
    registered_delivery=1,
    source_ton=5,
    destination_ton=1,
    destination_npi=1,
)


def us(work: Any) -> float:
    """The best of five: microseconds of one call."""
    return round(min(timeit.repeat(work, number=5_000, repeat=5)) / 5_000 * 1e6, 2)


def codecs() -> dict[str, dict[str, float]]:
    import smpp34
    import smpplib.client
    import smpplib.smpp

    pdu = Pdu(Command.SUBMIT_SM, 0, 7, MESSAGE)
    octets = encode(pdu)
    fields = {"source_addr_ton": 5, "dest_addr_ton": 1, "dest_addr_npi": 1, "registered_delivery": 1}
    rust = smpp34.SubmitSm("Shop", MESSAGE.destination, TEXT, sequence_number=7, **fields)
    assert rust.encode() == octets, "smpp34 writes the same octets"
    peer = smpplib.client.Client("127.0.0.1", 1, allow_unknown_opt_params=True)

    def make() -> bytes:
        return bytes(
            smpplib.smpp.make_pdu(
                "submit_sm",
                client=peer,
                source_addr="Shop",
                destination_addr=MESSAGE.destination,
                short_message=TEXT,
                **fields,
            ).generate()
        )

    return {
        "prikkfri": {"encode_us": us(lambda: encode(pdu)), "decode_us": us(lambda: decode(octets))},
        "smpp34": {"encode_us": us(rust.encode), "decode_us": us(lambda: smpp34.decode(octets))},
        "smpplib": {
            "encode_us": us(make),
            "decode_us": us(lambda: smpplib.smpp.parse_pdu(octets, client=peer, allow_unknown_opt_params=True)),
        },
    }


def main() -> None:
    print(f"{platform.platform()}, Python {platform.python_version()}, {datetime.now(UTC):%Y-%m-%d %H:%M} UTC")
    for name, costs in codecs().items():
        print(f"  {name:<10} encode {costs['encode_us']:>6} us   decode {costs['decode_us']:>6} us   a submit_sm")


if __name__ == "__main__":
    main()

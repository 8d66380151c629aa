"""Packets of IPv4 as a network of ours passes them on: from whom to whom, and how a TCP connection is torn.

RFC 791 for the header of IP, RFC 9293 for that of TCP. What is no packet of IPv4 is nobody's.
"""

import struct

TCP = 6
FIN, SYN, RST, ACK = 0x01, 0x02, 0x04, 0x10
HEADER = 20
"""Octets of either header without options."""


def ends(packet: bytes) -> tuple[bytes, bytes] | None:
    """Source and destination, 4 octets each; None for what is no packet of IPv4."""
    if len(packet) < HEADER or packet[0] >> 4 != 4:
        return None
    return packet[12:16], packet[16:20]


def resets(packet: bytes) -> tuple[bytes, bytes] | None:
    """What tears a packet's connection, for its sender and for its recipient; None for what is no TCP, or a reset."""
    start = (packet[0] & 0x0F) * 4
    if packet[9] != TCP or len(packet) < start + HEADER:
        return None
    source_port, target_port, sequence, acknowledged, offset, flags = struct.unpack_from("!HHIIBB", packet, start)
    if flags & RST:
        return None
    source, target = packet[12:16], packet[16:20]
    length = max(0, struct.unpack_from("!H", packet, 2)[0] - start - (offset >> 4) * 4)
    after = (sequence + length + bool(flags & SYN) + bool(flags & FIN)) % 2**32
    onward = _reset(source, target, source_port, target_port, sequence, after)
    # In the window of whoever sent it: exactly what it expects next (RFC 5961).
    back = _reset(target, source, target_port, source_port, acknowledged if flags & ACK else 0, after)
    return back, onward


def _reset(source: bytes, target: bytes, source_port: int, target_port: int, sequence: int, after: int) -> bytes:
    segment = struct.pack("!HHIIBBHHH", source_port, target_port, sequence, after, 5 << 4, RST | ACK, 0, 0, 0)
    pseudo = source + target + struct.pack("!BBH", 0, TCP, len(segment))
    segment = segment[:16] + struct.pack("!H", checksum(pseudo + segment)) + segment[18:]
    header = struct.pack("!BBHHHBBH4s4s", 0x45, 0, HEADER + len(segment), 0, 0x4000, 64, TCP, 0, source, target)
    return header[:10] + struct.pack("!H", checksum(header)) + header[12:] + segment


def checksum(octets: bytes) -> int:
    """The Internet checksum (RFC 1071)."""
    octets += b"\0" * (len(octets) % 2)
    total: int = sum(struct.unpack(f"!{len(octets) // 2}H", octets))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF

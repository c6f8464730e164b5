"""Small ICC profiles (ICC.1:2001-04) whose effect is plain to see, since Pillow can make none but sRGB."""

from __future__ import annotations

import itertools
import struct
from collections.abc import Mapping

RED, GREEN, BLUE = (0.4360, 0.2225, 0.0139), (0.3851, 0.7169, 0.0971), (0.1431, 0.0606, 0.7141)
"""Primaries of sRGB as XYZ under D50."""
D50 = (0.9642, 1.0, 0.8249)


def red_and_green_swapped() -> bytes:
    """Of RGB pictures: what is stored as red is green."""
    tags = {b"rXYZ": _xyz(GREEN), b"gXYZ": _xyz(RED), b"bXYZ": _xyz(BLUE)}
    return _profile(b"RGB ", b"XYZ ", tags | {name: _gamma(2.2) for name in (b"rTRC", b"gTRC", b"bTRC")})


def linear_grey() -> bytes:
    """Of grey pictures: values are proportional to light, so that the middle ones are brighter in sRGB."""
    return _profile(b"GRAY", b"XYZ ", {b"kTRC": _gamma(1.0)})


def cyan_is_red() -> bytes:
    """Of CMYK pictures: paper is white, and any ink but cyan alone is black; cyan alone is red."""
    paper, red, black = (255, 128, 128), (136, 209, 198), (0, 128, 128)  # L*, a*, b* in 8 bits
    inks = itertools.product((0, 1), repeat=4)
    colours = {(0, 0, 0, 0): paper, (1, 0, 0, 0): red}
    grid = [colours.get((cyan, magenta, yellow, key), black) for cyan, magenta, yellow, key in inks]
    identity = [65536 if row == column else 0 for row in range(3) for column in range(3)]
    table = struct.pack(">4s4xBBBx9i", b"mft1", 4, 3, 2, *identity) + bytes(range(256)) * 4
    return _profile(b"CMYK", b"Lab ", {b"A2B0": table + bytes(itertools.chain(*grid)) + bytes(range(256)) * 3})


def _profile(space: bytes, connection: bytes, tags: Mapping[bytes, bytes]) -> bytes:
    name = b"made up\0"
    description = b"desc\0\0\0\0" + struct.pack(">I", len(name)) + name + bytes(78)
    tags = {b"desc": description, b"cprt": b"text\0\0\0\0none\0", b"wtpt": _xyz(D50), **tags}
    table, body = struct.pack(">I", len(tags)), b""
    for tag, data in tags.items():
        table += struct.pack(">4sII", tag, 132 + 12 * len(tags) + len(body), len(data))
        body += data + bytes(-len(data) % 4)
    length = 128 + len(table) + len(body)
    kind = b"prtr" if space == b"CMYK" else b"mntr"
    header = struct.pack(">I4xI4s4s4s12x4s28x", length, 0x02100000, kind, space, connection, b"acsp")
    return header + _xyz(D50)[8:] + bytes(48) + table + body


def _xyz(value: tuple[float, float, float]) -> bytes:
    return b"XYZ \0\0\0\0" + struct.pack(">3i", *(round(part * 65536) for part in value))


def _gamma(value: float) -> bytes:
    return b"curv\0\0\0\0" + struct.pack(">IH", 1, round(value * 256))

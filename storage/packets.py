"""What the packets of a video say of themselves before anything is decoded."""

from array import array
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from av.packet import Packet
from av.video.stream import VideoStream
from numpy.typing import NDArray

ABSENT = np.iinfo(np.int64).min
"""Stands for a time that a packet does not tell."""

# Units of H.264 by their type (Rec. ITU-T H.264, table 7-1).
SLICE = 1  # of a picture that is no starting point
SIDE_UNITS = frozenset({6, 9, 12})  # remarks, delimiters, filler: no other picture needs them


@dataclass(frozen=True)
class Headers:
    """Packets in the order of decoding, a column for each fact: 34 bytes a packet. Times are in units of the stream's time base."""

    pts: NDArray[np.int64]
    """When the picture is shown; ABSENT where not told, as `dts`."""
    dts: NDArray[np.int64]
    """When it is decoded."""
    durations: NDArray[np.int64]
    """0 where not told."""
    sizes: NDArray[np.int64]
    """Bytes."""
    is_key: NDArray[np.bool_]
    is_shown: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.pts)


def read_headers(packets: "Iterable[Packet[VideoStream]]") -> Headers:
    """The headers of packets, which are dropped one by one."""
    times, flags = array("q"), bytearray()
    for packet in packets:
        pts, dts = packet.pts, packet.dts
        times.append(ABSENT if pts is None else pts)
        times.append(ABSENT if dts is None else dts)
        times.append(packet.duration or 0)
        times.append(packet.size)
        flags.append(packet.is_keyframe)
        flags.append(not (packet.is_discard or packet.is_corrupt))
    numbers = np.frombuffer(times, np.int64).reshape(-1, 4)
    marks = np.frombuffer(flags, np.bool_).reshape(-1, 2)
    return Headers(*numbers.T, *marks.T)


def length_bytes(extradata: bytes | None) -> int | None:
    """Bytes of the length before each unit of an H.264 packet, from an `avcC` record; None where units are not told apart so."""
    return (extradata[4] & 3) + 1 if extradata and len(extradata) > 6 and extradata[0] == 1 else None


def is_unreferenced(packet: memoryview, length: int) -> bool:
    """Whether an H.264 packet holds a picture that no other one is predicted from, and nothing that others need.

    All its slices have `nal_ref_idc` 0 (Rec. ITU-T H.264, 7.4.1); `length` as from `length_bytes`. False where the
    units do not fill the packet: what is damaged is the decoder's matter.
    """
    place, slices = 0, 0
    while place + length < len(packet):
        size = int.from_bytes(packet[place : place + length], "big")
        place += length
        head = packet[place]
        if head & 0x1F == SLICE and not head & 0x60:
            slices += 1
        elif head & 0x1F not in SIDE_UNITS:
            return False
        place += size
    return slices > 0 and place == len(packet)

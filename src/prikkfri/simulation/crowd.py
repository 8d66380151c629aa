"""When a crowd comes: the shape of a real match, scaled to so many people in so many seconds."""

import csv
import random
from bisect import bisect
from importlib import resources
from itertools import accumulate

MATCH = "worldcup98-1998-06-25.csv"


def match_shape(name: str = MATCH) -> list[int]:
    """Requests per minute around a real kick-off, from half an hour before it (source beside the file)."""
    text = (resources.files("prikkfri.simulation") / "crowds" / name).read_text(encoding="utf-8")
    return [int(row["requests"]) for row in csv.DictReader(text.splitlines())]


def arrivals(shape: list[int], count: int, *, seconds: float, lots: random.Random) -> list[float]:
    """`count` moments in [0, `seconds`), in order, as dense as `shape` is high."""
    mass = [0.0, *accumulate(map(float, shape))]
    moments = []
    for _ in range(count):
        drawn = lots.random() * mass[-1]
        bucket = min(bisect(mass, drawn) - 1, len(shape) - 1)
        within = (drawn - mass[bucket]) / shape[bucket]
        moments.append((bucket + within) / len(shape) * seconds)
    return sorted(moments)

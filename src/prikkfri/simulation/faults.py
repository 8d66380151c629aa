"""What is done to roles on the evening of the kick-off."""

from collections.abc import Mapping
from typing import Literal

Harm = Literal["kill", "freeze", "slow"]
Fault = Harm | Literal["crowd"]
HARMED = ("signin", "viewer")
"""What failed that evening: sign-in and the interface (K2)."""
DONE_TO: Mapping[Harm, str] = {"kill": "are killed", "freeze": "are frozen", "slow": "become slow"}

"""What a probe of `layerscope doctor` finds."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Literal

State = Literal["good", "absent", "poor", "broken"]


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    state: good; absent: something that one may do without; poor: in the way of some work; broken: in everybody's way.
    words: what was found, in a few words. advice: what to do about it, or what it would give. facts: for machines.
    """

    name: str
    state: State
    words: str
    advice: str = ""
    facts: dict[str, Any] = field(default_factory=dict)


Probe = Callable[[], Iterable[Finding]]


def tried(name: str, probe: Probe, failed: State = "poor") -> list[Finding]:
    """What a probe finds; one that fails itself says so in its place, and the others go on."""
    try:
        return list(probe())
    except Exception as error:  # whatever it is: this command is for machines on which something is wrong
        said = " ".join(f"{type(error).__name__}: {error}".split())
        return [Finding(name, failed, f"cannot be told: {said[:300]}", facts={"error": said})]

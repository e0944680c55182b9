"""Which core the families of STM32 have, for people who know their chip by its family alone.

Source:
    st.com, product pages of the STM32 families. Of those with two cores it is the larger one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

CORES: Mapping[str, str] = {
    "c0": "cortex-m0plus",
    "f0": "cortex-m0",
    "f1": "cortex-m3",
    "f2": "cortex-m3",
    "f3": "cortex-m4",
    "f4": "cortex-m4",
    "f7": "cortex-m7",
    "g0": "cortex-m0plus",
    "g4": "cortex-m4",
    "h5": "cortex-m33",
    "h7": "cortex-m7",
    "l0": "cortex-m0plus",
    "l1": "cortex-m3",
    "l4": "cortex-m4",
    "l5": "cortex-m33",
    "n6": "cortex-m55",
    "u0": "cortex-m0plus",
    "u5": "cortex-m33",
}
# One more sign alone makes another name of it: u55 is an Ethos.
_CHIP = re.compile(rf"(?:stm32|nucleo)?({'|'.join(CORES)})(?:[a-z0-9]{{2,}})?")


def family_of(name: str) -> str | None:
    """Return the family that a chip or board such as STM32F446RE is of, as "f4"; else None."""
    found = _CHIP.fullmatch(re.sub("[^a-z0-9]", "", name.lower()))
    return None if found is None else found[1]

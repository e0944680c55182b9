"""Where the numbers of a device come from: predicted, timed, compiled; in the words of a table."""

from __future__ import annotations

from pydantic import Field

from hwkd.core.strict_model import StrictModel


class Basis(StrictModel):
    """What a latency is, and the sizes beside it; said by the device's cost backend.

    Attributes:
        name: of the backend; the word at every latency, so that no two share a column.
        is_timed: the latency is the median time of the student's file on the machine that runs
            hwkd, not a number of the estimate.
        spread: what the ends of a latency are; None where its maker gives no error band.
        has_op_flash: flash is known for each operator, not only for the whole network.
    """

    name: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    is_timed: bool = False
    spread: str | None = "90% interval"
    sizes: str = "estimated"
    rest_of_flash: str = "code and tables"
    has_op_flash: bool = True

    @property
    def size_key(self) -> str:
        """The word at RAM and flash in the name of a column."""
        return self.sizes.replace(" ", "_")


ESTIMATED = Basis(name="estimated")
MEASURED = Basis(name="measured", is_timed=True, spread="quartiles")

"""A student's choices from a file that may be edited or damaged, and the network that they make."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pydantic import ValidationError

from hwkd.core.errors import ConfigError, first_line
from hwkd.core.strict_model import first_problem
from hwkd.core.student import Layers, SearchSpace, StudentSpec
from hwkd.core.trial import SpecRecord
from hwkd.io.paths import require_there
from hwkd.io.text_files import MalformedTextError, read_json

__all__ = ["layers_of_spec", "read_spec_file"]

# No choice of a network for a small chip is near it, and a depth beyond it would take minutes.
_LARGEST_CHOICE = 10_000


def read_spec_file(path: Path, *, option: str) -> StudentSpec:
    """Read the `spec.json` that lies beside every exported student.

    Args:
        path: of the file.
        option: that named it, for messages.

    Raises:
        ConfigError: if it is no such file.
    """
    require_there(path, "a spec.json that `hwkd export --format torch` wrote", option=option)
    try:
        content = read_json(path)
        if not isinstance(content, dict) or "spec" not in content:
            raise ConfigError(f"{option} {path}: is no spec.json (it has no spec)")
        return SpecRecord.model_validate(content["spec"]).to_spec()
    except MalformedTextError as error:
        raise ConfigError(f"{option} {path}: is no spec.json ({error})") from None
    except ValidationError as error:
        problem = first_problem(error, whole="spec", with_input=True)
        raise ConfigError(f"{option} {path}: is no spec.json ({problem})") from None


def layers_of_spec(spaces: Mapping[str, SearchSpace], spec: StudentSpec, *, where: str) -> Layers:
    """Return the network that stored choices describe.

    Args:
        spaces: by name.
        spec: from a file.
        where: option and file, for messages.

    Raises:
        ConfigError: if the space is not among them, or its choices make no network.
    """
    if spec.space not in spaces:
        raise ConfigError(
            f"{where}: is of search space {spec.space!r}, which is not one of the run's "
            f"({', '.join(sorted(spaces))})"
        )
    numbers = [*spec.input_shape, spec.num_outputs, *spec.params.values()]
    too_large = [n for n in numbers if not isinstance(n, str) and not abs(n) <= _LARGEST_CHOICE]
    if too_large or min(*spec.input_shape, spec.num_outputs, 1) < 1:
        worst = too_large[0] if too_large else "a shape below 1"
        raise ConfigError(
            f"{where}: makes no network: {worst} is outside what a choice may be "
            f"(shapes from 1, every number up to {_LARGEST_CHOICE:,})"
        )
    try:
        return spaces[spec.space].layers(spec)
    except KeyError as error:
        raise ConfigError(
            f"{where}: makes no network of space {spec.space}: the choice {error} is missing or "
            "unknown there; was it made by another version?"
        ) from None
    except Exception as error:  # Spaces trust their own choices; these may be anyone's.
        raise ConfigError(
            f"{where}: makes no network of space {spec.space}: {type(error).__name__}: "
            f"{first_line(error)}; was it edited, or made by another version?"
        ) from error

"""`hwkd.config`: the options that a run was asked for, as a file for `--config`."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from hwkd.api.common import RunFolder
from hwkd.api.option import Declared, Here, declared, declares_options
from hwkd.core.errors import RunFolderError


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions:
    """Options by their name on the command line.

    Attributes:
        command: that they are of, "search", "distill" or "finetune".
        options: that were given; every other one has its default.
    """

    command: str
    options: dict[str, Any]

    @property
    def text(self) -> str:
        """The options as TOML, which `--config` reads."""
        import tomli_w

        return tomli_w.dumps(self.options)


@declares_options
def config(
    run: Annotated[RunFolder, Here("Or a student's folder.")],
) -> RunOptions:
    """Show the options that a run was asked for, as `--config FILE.toml` takes them.

    Raises:
        RunFolderError: if the folder is no run, or names options that this version does not have.
    """
    from hwkd.api.distill import distill
    from hwkd.api.finetune import finetune
    from hwkd.api.search import search
    from hwkd.io.student_folder import given_place
    from hwkd.report.read import read_run

    record, _ = read_run(given_place(run))
    functions: dict[str, Callable[..., object]] = {
        "search": search,
        "distill": distill,
        "finetune": finetune,
    }
    words = record.command[2:]
    name = next((word for word in record.command[1:2] if word in functions), record.made_by)
    return RunOptions(command=name, options=_options(words, declared(functions[name]), str(run)))


def _options(words: Sequence[str], known: Sequence[Declared], where: str) -> dict[str, Any]:
    """Return the options of a recorded command, in its order."""
    flags = {f"--{option.word}": option for option in known}
    arguments = iter([option for option in known if option.option.metavar is not None])
    found: dict[str, Any] = {}
    left = iter(words)
    for word in left:
        if not word.startswith("--") and (argument := next(arguments, None)) is not None:
            found[argument.word] = _as_declared(word, argument)
            continue
        option = flags.get(word.replace("--no-", "--", 1)) or flags.get(word)
        value = None
        if option is not None and bool in option.kinds:
            found[option.word] = word in flags
            continue
        value = next(left, None)
        if option is None or value is None:
            raise RunFolderError(
                f"{where}: was made with {word}, which this version of hwkd does not have; "
                f"its command was: {' '.join(words)}"
            )
        if option.is_repeated:
            found.setdefault(option.word, []).append(value)
        else:
            found[option.word] = _as_declared(value, option)
    return found


def _as_declared(value: str, option: Declared) -> Any:
    number = next((kind for kind in (int, float) if kind in option.kinds), None)
    return value if number is None else number(value)

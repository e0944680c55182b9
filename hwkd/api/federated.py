"""`hwkd.federated_serve`, `hwkd.federated_join`: a training whose samples stay where they are."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from hwkd.api.common import DataOption, SeedOption
from hwkd.api.option import Here, Option, declares_options
from hwkd.core.units import Duration, parse_duration_s

if TYPE_CHECKING:
    from hwkd.core.progress import Progress

Description = Annotated[
    str | Path,
    Option(
        "Run folder (its best student) or folder of a finished student: the network and how its "
        "inputs are prepared; server and clients have the same. Its weights are not used.",
        metavar="RUN|STUDENT",
        opens="a finished run or a student's folder",
    ),
]
Wait = Annotated[Duration, Option("Longest wait for the others, as 10min.", amount="10min")]


@dataclass(frozen=True, slots=True, kw_only=True)
class FederatedOutcome:
    """What came of a federated training.

    Attributes:
        path: weights of the mean of all clients, safetensors.
        clients: that took part; None at a client, which does not know.
        received_bytes: weights that arrived here.
        sent_bytes: weights that left.
    """

    path: Path
    clients: int | None
    received_bytes: int
    sent_bytes: int


@declares_options
def federated_serve(
    student: Description,
    *,
    out: Annotated[str | Path, Option("File of weights to write, .safetensors.")],
    clients: Annotated[int, Option("That take part in every round.", minimum=2)] = 2,
    rounds: Annotated[int, Option("Averages of weights.", minimum=1)] = 3,
    epochs: Annotated[
        int, Option("Passes over the data. Of each client, in a round.", minimum=1)
    ] = 5,
    host: Annotated[
        str,
        Option("Address to listen on. The default is this machine alone; nothing is encrypted."),
    ] = "127.0.0.1",
    port: Annotated[int, Option("Port to listen on.", minimum=1, maximum=65535)] = 8766,
    wait: Wait = "10min",
    seed: SeedOption = 0,
    progress: "Progress | None" = None,
) -> FederatedOutcome:
    """Average the weights of clients that train on samples which never leave them.

    Every round, each client trains on its own samples from the mean of all and sends its weights
    back. Weights, and the number of rounds and passes, are all that travels. Needs the extra
    `hwkd[federated]`.

    Args:
        progress: is told about every round; None is silence.

    Raises:
        HwkdError: in one line, if the port is taken or clients do not come.
    """
    from hwkd.core.progress import silent
    from hwkd.engine.arms.evaluation import save_student
    from hwkd.engine.distill.federation import Averages, plan_of
    from hwkd.io.calls import answering
    from hwkd.io.student_folder import read_student
    from hwkd.nn.build import build_module

    layers = read_student(Path(student)).layers
    plan = plan_of(layers, rounds=rounds, epochs=epochs, seed=seed)
    averages = Averages(
        module=build_module(layers, seed=plan.seed),
        clients=clients,
        plan=plan,
        wait_s=parse_duration_s(wait, option="--wait"),
    )
    with answering(averages.answers(), host=host, port=port, callers=clients):
        averages.wait(progress or silent)
    save_student(averages.module, Path(out))
    return FederatedOutcome(
        path=Path(out),
        clients=clients,
        received_bytes=averages.bytes_received,
        sent_bytes=averages.bytes_sent,
    )


@declares_options
def federated_join(
    student: Description,
    *,
    data: Annotated[DataOption, Here("Labelled samples of this client; none of them is sent.")],
    out: Annotated[str | Path, Option("File of weights to write, .safetensors.")],
    server: Annotated[str, Option("HOST:PORT of `hwkd federated serve`.")] = "127.0.0.1:8766",
    wait: Wait = "10min",
    progress: "Progress | None" = None,
) -> FederatedOutcome:
    """Train on samples of one's own in a federated training, and take home the mean of all.

    Args:
        progress: is told about the training; None is silence.

    Raises:
        HwkdError: in one line, if the server cannot be reached or refuses, or the data do not fit.
    """
    from hwkd.api.subject import subject_of
    from hwkd.core.errors import DataError
    from hwkd.core.progress import silent
    from hwkd.engine.arms.evaluation import save_student
    from hwkd.engine.distill.federation import client_data, take_part
    from hwkd.io.calls import asking
    from hwkd.io.stored_arrays import path_of_data
    from hwkd.io.student_folder import read_student

    tell = progress or silent
    layers, subject = read_student(Path(student)).layers, subject_of(Path(student))
    place = Path(path_of_data(data) or "")
    tell("read the data", 0, 2)
    given = subject.task.labelled(place, subject.reading, raw_shape=subject.raw_shape)
    subject.require_like_training(given.inputs, where=str(place))
    prepared = subject.prepare(given.inputs)
    head = subject.head(given.labels, layers.layers[-1].shape[0])
    if not head.kind.of_classes or len(prepared) < 2:
        raise DataError(f"{place}: {len(prepared)} samples; give two or more with classes")
    own = client_data(prepared, head.targets(given.labels, prepared), head)
    tell("train in rounds", 1, 2)
    calls = {"received": 0, "sent": 0}
    with asking(server, timeout_s=parse_duration_s(wait, option="--wait")) as ask:

        def counted(name: str, message: bytes) -> bytes:
            answer = ask(name, message)
            calls["sent"] += len(message)
            calls["received"] += len(answer)
            return answer

        module = take_part(layers, own, counted)
    tell("train in rounds", 2, 2)
    save_student(module, Path(out))
    return FederatedOutcome(
        path=Path(out),
        clients=None,
        received_bytes=calls["received"],
        sent_bytes=calls["sent"],
    )

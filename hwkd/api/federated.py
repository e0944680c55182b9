"""`hwkd.federated_serve`, `hwkd.federated_join`: a training whose samples stay where they are."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from hwkd.api.common import DataOption, SeedOption
from hwkd.api.option import Here, Option, declares_options
from hwkd.core.errors import ConfigError
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
Public = Annotated[
    str | Path | None,
    Option(
        "Samples that everybody may see, as for --data; their labels are not read.",
        opens="a folder or a file as for --data",
    ),
]
Wait = Annotated[Duration, Option("Longest wait for the others, as 10min.", amount="10min")]


@dataclass(frozen=True, slots=True, kw_only=True)
class FederatedOutcome:
    """What came of a federated training.

    Attributes:
        path: weights of the network of all, safetensors; with fedmd at a client its own.
        clients: that took part; None at a client, which does not know.
        received_bytes: weights or logits that arrived here.
        sent_bytes: those that left.
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
    by: Annotated[
        Literal["fedavg", "feddf", "fedmd", "fedgkt"],
        Option(
            "fedavg averages weights; feddf lets the average follow its clients on public "
            "samples; with fedmd logits of public samples travel in place of weights; with fedgkt "
            "clients train the first stages alone, and their maps and the labels travel."
        ),
    ] = "fedavg",
    stage: Annotated[
        int | None, Option("Last stage that clients of fedgkt train; default 1.", minimum=1)
    ] = None,
    public: Annotated[Public, Here("For feddf and fedmd.")] = None,
    wait: Wait = "10min",
    seed: SeedOption = 0,
    progress: "Progress | None" = None,
) -> FederatedOutcome:
    """Bring together clients that train on samples which never leave them.

    Every round, each client trains on its own samples from the mean of all and sends its weights
    back; with fedmd it sends what it says of public samples, nears the mean of that, and a student
    learns from the last mean. Weights or logits, and the number of rounds and passes, are all that
    travels; with fedgkt, what the first stages make of every sample and its label do, too. Needs
    the extra `hwkd[federated]`.

    Args:
        progress: is told about every round; None is silence.

    Raises:
        HwkdError: in one line, if the port is taken or clients do not come.
    """
    from hwkd.api.federated_data import read_samples
    from hwkd.core.progress import silent
    from hwkd.engine.arms.evaluation import save_student
    from hwkd.engine.distill.federation_public import PublicSamples, serving
    from hwkd.io.calls import answering
    from hwkd.io.student_folder import read_student

    layers = read_student(Path(student)).layers
    is_apart = by in ("fedavg", "fedgkt")
    if (public is None) != is_apart:
        raise ConfigError(
            f"--by {by}: {'has no use for' if is_apart else 'needs'} --public, samples that "
            f"{'the server has' if by != 'fedmd' else 'server and clients have'}"
        )
    if stage is not None and by != "fedgkt":
        raise ConfigError(f"--stage {stage}: goes with --by fedgkt; clients of {by} train all")
    shared = None if public is None else read_samples(Path(student), layers, Path(public))
    server = serving(
        layers, by=by,
        public=None if shared is None else PublicSamples.of(shared.inputs),
        head=None if shared is None else shared.head, clients=clients, rounds=rounds, epochs=epochs,
        seed=seed, wait_s=parse_duration_s(wait, option="--wait"), stage=stage or 1,
    )  # fmt: skip
    with answering(server.answers(), host=host, port=port, callers=clients):
        server.wait(progress or silent)
    save_student(server.result(), Path(out))
    return FederatedOutcome(
        path=Path(out),
        clients=clients,
        received_bytes=server.bytes_received,
        sent_bytes=server.bytes_sent,
    )


@declares_options
def federated_join(
    student: Description,
    *,
    data: Annotated[DataOption, Here("Labelled samples of this client; none of them is sent.")],
    out: Annotated[str | Path, Option("File of weights to write, .safetensors.")],
    server: Annotated[str, Option("HOST:PORT of `hwkd federated serve`.")] = "127.0.0.1:8766",
    public: Annotated[Public, Here("Where the server shares logits of them: its file.")] = None,
    wait: Wait = "10min",
    progress: "Progress | None" = None,
) -> FederatedOutcome:
    """Train on samples of one's own in a federated training, and take home the mean of all.

    Args:
        progress: is told about the training; None is silence.

    Raises:
        HwkdError: in one line, if the server cannot be reached or refuses, or the data do not fit.
    """
    from hwkd.api.federated_data import read_samples
    from hwkd.core.progress import silent
    from hwkd.engine.arms.evaluation import save_student
    from hwkd.engine.distill.federation import client_data, joined, take_part
    from hwkd.engine.distill.federation_maps import FEDGKT, take_part_by_maps
    from hwkd.engine.distill.federation_public import FEDMD, PublicSamples, take_part_by_logits
    from hwkd.io.calls import asking
    from hwkd.io.stored_arrays import path_of_data
    from hwkd.io.student_folder import read_student

    tell = progress or silent
    layers, place = read_student(Path(student)).layers, Path(path_of_data(data) or "")
    tell("read the data", 0, 2)
    read = read_samples(Path(student), layers, place)
    own = client_data(read.inputs, read.targets, read.head)
    shared = None
    if public is not None:
        shared = PublicSamples.of(read_samples(Path(student), layers, Path(public)).inputs)
    tell("train in rounds", 1, 2)
    calls = {"received": 0, "sent": 0}
    with asking(server, timeout_s=parse_duration_s(wait, option="--wait")) as ask:

        def counted(name: str, message: bytes) -> bytes:
            answer = ask(name, message)
            calls["sent"] += len(message)
            calls["received"] += len(answer)
            return answer

        plan = joined(layers, counted)
        if plan.by == FEDMD:
            module = take_part_by_logits(layers, own, shared, plan, counted)
        elif shared is not None:
            raise ConfigError(
                f"--public: the server runs {plan.by}, whose clients share none; leave it out"
            )
        elif plan.by == FEDGKT:
            module = take_part_by_maps(layers, own, plan, counted)
        else:
            module = take_part(layers, own, counted, plan=plan)
    tell("train in rounds", 2, 2)
    save_student(module, Path(out))
    return FederatedOutcome(
        path=Path(out),
        clients=None,
        received_bytes=calls["received"],
        sent_bytes=calls["sent"],
    )

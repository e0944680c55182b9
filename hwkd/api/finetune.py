"""`hwkd.finetune`: a finished student goes on with new samples, or new classes."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from hwkd.api.common import (
    AcceleratorOption,
    CalibrationOption,
    DataOption,
    DeviceOption,
    LayerRatesOption,
    OutOption,
    Qat,
    SeedOption,
)
from hwkd.api.option import Here, Option, command_line, declares_options

if TYPE_CHECKING:
    from hwkd.api.outcome import SearchOutcome
    from hwkd.engine.run.listener import SearchListener


StudentToFinetune = Annotated[
    str | Path,
    Option(
        "Run folder (its best student), or folder of a finished student.",
        metavar="RUN|STUDENT",
        opens="a finished run or a student's folder",
    ),
]


@declares_options
def finetune(
    run: StudentToFinetune,
    *,
    data: Annotated[
        DataOption,
        Here("All examples that the student is to learn from; old ones keep old skills."),
    ],
    out: OutOption,
    epochs: Annotated[
        int | None, Option("Passes over the data. Default: a quarter of a training.", minimum=1)
    ] = None,
    layer_rates: LayerRatesOption = None,
    device: Annotated[DeviceOption | None, Here("Default: the run's.")] = None,
    seed: SeedOption = 0,
    calibration: Annotated[CalibrationOption, Here("auto: the best on validation.")] = "auto",
    qat: Qat = "auto",
    accelerator: AcceleratorOption = "auto",
    listener: "SearchListener | None" = None,
) -> "SearchOutcome":
    """Go on training a finished student with new samples, new classes, or both.

    It keeps its network, its weights and its preprocessing, learns at a tenth of the usual rate on
    labels alone, and becomes int8 again. Classes are known by name: new ones get a row of the
    classifier of their own, those without examples are given up. The report has the scores of
    before and after on the test split of the new data.

    A call that was interrupted or killed goes on where it was when it is made again.

    Args:
        listener: is told about every stage; None shows bars in a notebook, elsewhere nothing.

    Raises:
        HwkdError: in one line, if the data has inputs of another shape or no class in common.
    """
    from hwkd.api.listening import heard
    from hwkd.api.outcome import SearchOutcome
    from hwkd.distill.spec import NO_METHOD
    from hwkd.engine.distill.run import DistillRequest, run_distillation
    from hwkd.io.stored_arrays import path_of_data
    from hwkd.report.write import write_report_files

    data = path_of_data(data)
    request = DistillRequest(
        student=str(run),
        finetunes=True,
        methods=(NO_METHOD,),
        data=None if data is None else str(data),
        out=Path(out),
        epochs=epochs,
        layer_rates=layer_rates,
        device=device,
        seeds=(seed,),
        calibration=calibration,
        qat=qat,
        accelerator=accelerator,
        command=command_line("hwkd finetune", finetune, locals()),
    )
    folder = run_distillation(request, listener=heard(listener)).folder
    return SearchOutcome(folder=folder, page=write_report_files(folder))

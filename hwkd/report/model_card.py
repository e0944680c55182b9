"""The model card that travels with an exported student: facts only, each with its basis."""

from __future__ import annotations

from collections.abc import Iterable

from hwkd.core.final_record import FinalRecord
from hwkd.core.markdown import facts_table, inline
from hwkd.core.markdown import row as markdown_row
from hwkd.core.measure import CostEstimate
from hwkd.core.printable import first_of, without_folders
from hwkd.core.run_record import RunRecord
from hwkd.core.trial import TrialRecord
from hwkd.io.discovery import output_kind
from hwkd.io.student_folder import DESCRIPTION_FILE, FLOAT_FILE, INT8_FILE
from hwkd.report import format as fmt
from hwkd.report.analysis import intervals_on_test
from hwkd.report.answer_tables import answer_tables
from hwkd.report.document import Block, Facts, Pictures, Table
from hwkd.report.latency import Latency
from hwkd.report.own_c import own_c_headlines
from hwkd.report.provenance_sections import command_line, device_facts, pipeline_rows
from hwkd.report.quantisation_table import quantisation_table
from hwkd.report.student_section import cost_facts, fit_table, score_table
from hwkd.report.verification_section import NOT_TIMES, verdict, verification_facts

# Of classes, in a sentence.
_SHOWN_NAMES = 20


def model_card(run: RunRecord, record: TrialRecord) -> str:
    """Return MODEL_CARD.md for one trial of a run.

    Args:
        run: facts of the search. Test scores and controls are stated only when `run.final`
            belongs to `record`; of any other trial the card says that it was never tested.
        record: the trial whose student is exported; it has a spec and a cost.

    Raises:
        ValueError: if the trial has no spec or no cost, so that there is nothing to export.
    """
    final = run.final if run.final is not None and run.final.trial == record.number else None
    cost = final.cost if final is not None else record.cost
    if record.spec is None or cost is None:
        raise ValueError(f"trial {record.number} has no student")
    # The card of another trial must not show the final student's test scores.
    own = run if final is not None else run.model_copy(update={"final": None})
    parts = [
        f"# {inline(run.data.task)} student {record.spec.key} for {inline(run.device.name)}",
        _what(run, record, cost),
        _intended_use(run),
        "## Input and preprocessing",
        _input(run, final),
        f"## {fmt.heading(run.data.metric.name)}",
        _score_sentence(final, record),
        *_how_sure(own),
        *(() if final is None else map(inline, final.verdict.sentences)),
        _table(score_table(own, record)),
        *(
            ()
            if final is None
            else filter(None, map(_block, answer_tables(final, run.data, intervals_on_test(run))))
        ),
        "## Cost on the device",
        _cost_sentence(run),
        _facts(cost_facts(cost, run.device, run.data.pipeline)),
        _table(fit_table(cost, run.device)),
        *_own_c(own),
        *_verified(final),
        *_measured(run, record, final),
        "## Quantisation",
        _quantisation(final),
        "## How to repeat it",
        f"```sh\n{command_line(run)}\n```",
        _facts(device_facts(run)),
        _versions(run),
        "## Caveats",
        "\n".join(f"- {inline(line)}" for line in run.all_caveats) or "None was recorded.",
    ]
    return "\n\n".join(parts) + "\n"


def _what(run: RunRecord, record: TrialRecord, cost: CostEstimate) -> str:
    space = record.spec.space if record.spec is not None else "unknown"
    return (
        f"A network of the search space `{space}` with {fmt.integer(cost.params)} parameters and "
        f"{fmt.integer(cost.macs)} multiply-accumulates per inference, {_origin(run, record)} and "
        f"{_training(run, record)}. "
        f"`{FLOAT_FILE}` holds float32 weights, `{INT8_FILE}` the quantised network and "
        f"`{DESCRIPTION_FILE}` everything that is known of it, layer by layer."
    )


def _origin(run: RunRecord, record: TrialRecord) -> str:
    if run.made_by == "distill":
        return f"given to `hwkd distill` {run.hwkd_version}"
    return f"found by trial {record.number} of an hwkd {run.hwkd_version} search"


def _training(run: RunRecord, record: TrialRecord) -> str:
    final = run.final
    if final is None or final.trial != record.number:
        return "trained briefly"
    ships = final.verdict.ships
    if final.verdict.asked_for_ships:
        taught = final.verdict.is_taught
        return "distilled from a teacher" if taught else "trained without a teacher"
    return f"trained with {ships}, a control that was at least as good on validation"


def _intended_use(run: RunRecord) -> str:
    kind = output_kind(run.data.kind)
    names = run.data.class_names[: len(run.data.class_names) - (kind.edges or 0)]
    shown = first_of([inline(name) for name in names], _SHOWN_NAMES)
    use = kind.intended_use(len(names), shown)
    return f"**Intended use:** {use}"


def _input(run: RunRecord, final: FinalRecord | None) -> str:
    data = run.data
    rows = [
        ("data", without_folders(data.source)),
        ("fingerprint, SHA-256", data.fingerprint),
        ("input shape without batch", fmt.shape(data.input_shape)),
        *pipeline_rows(data.pipeline),
    ]
    rows += [
        (f"{split.name} split", f"{fmt.integer(split.samples)} examples") for split in data.splits
    ]
    text = _facts(Facts(title="", rows=tuple(rows)))
    if final is None:
        return text
    scheme = final.quantisation
    formula = (
        f"q = round((raw - mean) / (std * {scheme.input_scale:.8g})) + "
        f"{scheme.input_zero_point}, clipped to [-128, 127]"
    )
    answers = [
        f"{name} = output * {std:.8g} + {mean:.8g}"
        for name, mean, std in zip(
            data.class_names, data.answer_mean, data.answer_std, strict=False
        )
    ]
    answer = f" The answer: `{'; '.join(map(inline, answers))}`." if answers else ""
    return f"{text}\n\nThe int8 input that firmware computes: `{formula}`.{answer}"


def _score_sentence(final: FinalRecord | None, record: TrialRecord) -> str:
    if final is None:
        return (
            f"Trial {record.number} was trained briefly and was never tested. Its scores are "
            "on the validation split, by which the search chose."
        )
    return (
        "The test split was read once, after the search had chosen this student on the validation "
        "split. A control is the same student trained otherwise; a gain smaller than the spread "
        "of a control over its seeds is not a gain."
    )


def _how_sure(run: RunRecord) -> Iterable[str]:
    metric = run.data.metric
    interval = intervals_on_test(run).get(metric.name)
    if interval is None:
        return ()
    return (f"The test score of the int8 file: {interval.text(metric)}.",)


def _cost_sentence(run: RunRecord) -> str:
    latency, sizes = Latency(run.device), run.device.basis.sizes
    if latency.is_timed:
        return f"RAM and flash are {sizes}; the latency is {latency.word}, see below."
    words = sizes if sizes == latency.word else f"{latency.word} (latency) or {sizes}"
    return f"Everything in this part is {words} by the device model; nothing in it was measured."


def _own_c(run: RunRecord) -> Iterable[str]:
    lines = own_c_headlines(run)
    if not lines:
        return ()
    rows = ((f"{line.label}, {line.basis}", f"{line.value} ({line.detail})") for line in lines)
    return ("## As hwkd's own C", facts_table(rows))


def _verified(final: FinalRecord | None) -> Iterable[str]:
    found = final.verification if final is not None else None
    if found is None:
        return ()
    parts = ["## On an emulated core", inline(verdict(found))]
    if found.emulation is not None:
        parts += [_facts(verification_facts(found, found.emulation)), NOT_TIMES]
    return parts


def _measured(run: RunRecord, record: TrialRecord, final: FinalRecord | None) -> Iterable[str]:
    profile = (final.profile if final is not None else None) or record.profile
    if profile is None:
        return ()
    return (
        "## Time on the machine that searched",
        f"Measured: median {fmt.time(profile.median_s)}, 90th percentile "
        f"{fmt.time(profile.p90_s)} of {profile.runs} runs, batch 1, {profile.threads} threads, "
        f"ONNX Runtime {profile.runtime_version} on {inline(profile.host)}."
        + (
            f" It says nothing about {inline(run.device.name)}."
            if not Latency(run.device).is_timed
            else ""
        ),
    )


def _quantisation(final: FinalRecord | None) -> str:
    if final is None:
        return "ONNX Runtime static QDQ, as for every trial of the search."
    scheme = final.quantisation
    rows = [
        ("scheme", scheme.scheme),
        ("calibration", f"{fmt.integer(scheme.calibration_samples)} examples of the train split"),
        ("input", f"scale {scheme.input_scale:.8g}, zero point {scheme.input_zero_point}"),
    ]
    if scheme.output_scale is not None:
        output = f"scale {scheme.output_scale:.8g}, zero point {scheme.output_zero_point}"
        rows.append(("output", output))
    facts = _facts(Facts(title="", rows=tuple(rows)))
    choice = final.quantisation_choice
    if choice is None:
        return facts
    table = quantisation_table(choice, learns_all=final.all_examples is not None)
    return f"{facts}\n\n{_table(table)}"


def _versions(run: RunRecord) -> str:
    packages = {"Python": run.environment.python, **run.environment.packages}
    listed = ", ".join(f"{name} {version}" for name, version in packages.items())
    return f"Seed {run.seed}, {run.workers} workers, {inline(run.environment.cpu)}. {listed}."


def _facts(facts: Facts) -> str:
    return facts_table(facts.rows)


def _block(block: Block) -> str:
    """Return a table or facts under their title."""
    if isinstance(block, Pictures):
        return ""  # they are in the report
    if isinstance(block, Facts):
        return f"{block.title}:\n\n{_facts(block)}"
    assert isinstance(block, Table)
    return f"{block.flat_title}:\n\n{_table(block)}"


def _table(table: Table) -> str:
    head = [
        column.title if column.basis is None or column.under else f"{column.title} ({column.basis})"
        for column in table.columns
    ]
    lines = [
        markdown_row(head),
        "|" + "|".join("--:" if c.is_number else "---" for c in table.columns) + "|",
    ]
    lines += [markdown_row(cell.text for cell in row) for row in table.rows]
    note = f"\n\n{table.note}" if table.note else ""
    return "\n".join(lines) + note

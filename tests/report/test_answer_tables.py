"""What a record says of classes is held against their names before it is shown."""

import pytest

from hwkd.core.class_scores import ClassScores
from hwkd.core.decision_record import ReadTextRecord, SeenPictureRecord
from hwkd.core.errors import RunFolderError
from hwkd.core.final_record import FinalRecord
from hwkd.core.metric import ACCURACY
from hwkd.core.run_record import DataRecord
from hwkd.report.answer_tables import answer_tables
from hwkd.report.document import Section
from hwkd.report.html import render_page

DATA = DataRecord.model_construct(kind="classes", class_names=("a", "b"), metrics=(ACCURACY,))


def shown(confusion=((3, 1), (0, 4)), label=1):
    text = ReadTextRecord(text="words", label=label, named=0, chance=0.25)
    return answer_tables(
        FinalRecord.model_construct(
            decision=None, confusion=confusion, by_class=(), worst_texts=(text,), worst_pictures=()
        ),
        DATA,
        {},
    )


def test_counts_and_texts_are_shown_by_name():
    of_class, of_pairs, of_texts = shown()
    assert [cell.text for cell in of_class.rows[0]] == ["a", "4", "100.0 %", "75.0 %", "85.7 %"]
    assert [row[0].text for row in of_pairs.rows] == ["a", "b"]
    assert [cell.text for cell in of_texts.rows[0]][:3] == ["words", "b", "a"]


@pytest.mark.parametrize(
    "spoilt", [{"confusion": ((3, 1),)}, {"confusion": ((3,), (1,))}, {"label": 2}]
)
def test_counts_of_other_classes_are_a_damaged_record(spoilt):
    with pytest.raises(RunFolderError, match=r"other classes than its 2 \(a, b\)"):
        shown(**spoilt)


def test_maps_are_told_by_intersection_over_union_also_in_older_records():
    counts = ((6, 2), (1, 3))
    final = FinalRecord.model_construct(
        decision=None, confusion=counts, by_class=(), worst_texts=(), worst_pictures=()
    )
    of_class, of_pairs = answer_tables(final, DATA.model_copy(update={"kind": "class maps"}), {})
    assert [column.title for column in of_class.columns] == [
        "class", "test pixels", "IoU", "precision", "recall",
    ]  # fmt: skip
    assert [cell.text for cell in of_class.rows[0]] == ["a", "8", "66.7 %", "85.7 %", "75.0 %"]
    assert of_pairs.note.startswith("Pixels")


def test_what_no_table_of_counts_says_is_shown_as_recorded():
    kept = (
        ClassScores(name="nut", given=12, scores={"AP@50": 0.25, "F1": 0.5}),
        ClassScores(name="bolt", given=0, scores={"AP@50": None, "F1": None}),
    )
    final = FinalRecord.model_construct(
        decision=None, confusion=(), by_class=kept, worst_texts=(), worst_pictures=()
    )
    (table,) = answer_tables(final, DATA.model_copy(update={"kind": "boxes"}), {})
    assert table.columns[1].title == "test things"
    assert [[cell.text for cell in row] for row in table.rows] == [
        ["nut", "12", "25.0 %", "50.0 %"], ["bolt", "0", "none", "none"],
    ]  # fmt: skip


def test_pictures_are_shown_with_what_is_there_and_hold_nothing_but_a_picture():
    seen = SeenPictureRecord(
        given="1 x <cat>", error=0.5, png="iVBORw0KGgo=", colours={"b": "#56b4e9", "a": "#e69f00"}
    )
    final = FinalRecord.model_construct(
        decision=None, confusion=(), by_class=(), worst_texts=(), worst_pictures=(seen,)
    )
    (block,) = answer_tables(final, DATA, {})
    page = render_page("t", [Section(key="s", title="s", blocks=(block,))], kind="run")
    assert 'src="data:image/png;base64,iVBORw0KGgo="' in page
    assert "1 x &lt;cat&gt;; error 0.5" in page
    assert block.legend == (("#e69f00", "a"), ("#56b4e9", "b"))  # in the order of the classes
    assert '<li><i style="background:#e69f00"></i>a</li>' in page
    with pytest.raises(ValueError, match="colours"):
        SeenPictureRecord(given="", error=0.0, png="iVBO", colours={"a": 'red" onload="'})
    with pytest.raises(ValueError, match="png"):
        SeenPictureRecord(given="", error=0.0, png='x" onload="')


def test_what_every_column_shares_is_said_once_above_them():
    _, of_pairs, _ = shown()
    page = render_page("t", [Section(key="s", title="s", blocks=(of_pairs,))], kind="run")
    assert page.count('badge measured">measured<') == 1
    assert '<th rowspan="2">is</th><th class="span" colspan="2" scope="colgroup">named' in page
    assert '<th class="number">a</th><th class="number">b</th>' in page
    assert of_pairs.flat_title == "Which class was taken for which (named, measured)"

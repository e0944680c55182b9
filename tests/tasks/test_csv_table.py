"""Tables as spreadsheets and pandas save them: what is read of them, and what is said about it."""

import numpy as np
import pytest

from hwkd.core.errors import DataError
from hwkd.tasks.csv_table import read_csv
from hwkd.tasks.sources import read_source


def write(tmp_path, text, **options):
    path = tmp_path / "table.csv"
    path.write_text(text, **options)
    return path


def rows_of(table):
    return table.train.inputs[:, :, 0].tolist(), table.train.labels[:, 0].tolist()


@pytest.mark.parametrize(
    ("text", "notes"),
    [
        ("a,b,c\n1.5,2,3\n4,5.25,6\n", []),
        ("a;b;c\n1.5;2;3\n4;5.25;6\n", ["cells are separated by semicolons"]),
        ("a\tb\tc\n1.5\t2\t3\n4\t5.25\t6\n", ["cells are separated by tabs"]),
        (
            "a;b;c\n1,5;2;3\n4;5,25;6\n",
            ["cells are separated by semicolons", "a comma in a number is the decimal point"],
        ),
        ("\ufeffa,b,c\r\n1.5,2,3\r\n\r\n4,5.25,6\r\n", []),
        (
            ",a,b,c\n0,1.5,2,3\n1,4,5.25,6\n",
            ["the first column, '', numbers the rows and is left out"],
        ),
        (
            "Id,a,b,c\n1,1.5,2,3\n2,4,5.25,6\n",
            ["the first column, 'Id', numbers the rows and is left out"],
        ),
        (
            "Id,a,b,c\n93,1.5,2,3\n7,4,5.25,6\n",  # shuffled, and a part of a larger table
            ["the first column, 'Id', numbers the rows and is left out"],
        ),
        ('a, "b", "c"\n"1.5", "2", "3"\n"4", "5.25", "6"\n', []),
    ],
)
def test_the_same_table_is_read_of_every_form(text, notes, tmp_path):
    table = read_csv(write(tmp_path, text, encoding="utf-8", newline=""), of_classes=False)
    assert rows_of(table) == ([[1.5, 2.0], [4.0, 5.25]], [3.0, 6.0])
    assert table.notes == ("features: a, b; target: c", *notes)


@pytest.mark.parametrize("first", [0, 1, 1900])
@pytest.mark.parametrize("at", [0, 1])
@pytest.mark.parametrize("shuffled", [False, True])
def test_a_column_that_numbers_the_rows_under_another_name_is_learned_from_and_said(
    first, at, shuffled, tmp_path
):
    numbers = np.arange(first, first + 12)
    if shuffled:
        numbers = np.random.default_rng(0).permutation(numbers)
    rows = [f"{n},{k / 8},{k % 2}" if at == 0 else f"{k / 8},{n},{k % 2}"
            for k, n in enumerate(numbers)]  # fmt: skip
    heading = "sample_no,a,c" if at == 0 else "a,sample_no,c"
    table = read_csv(write(tmp_path, "\n".join([heading, *rows]) + "\n"), of_classes=True)
    assert table.train.inputs[:, at, 0].tolist() == numbers.tolist()
    assert table.notes[1:] == (
        "the column 'sample_no' numbers the rows and is learned from; if it is no feature, "
        "remove it, or put it first and call it id",
    )


@pytest.mark.parametrize("change", [{3: 4}, {11: 12}, {5: 5.5}])
def test_a_column_with_a_gap_or_a_value_twice_numbers_no_rows(change, tmp_path):
    rows = [f"{change.get(n, n)},{n / 8},{n % 2}" for n in range(12)]
    table = read_csv(write(tmp_path, "\n".join(["sample_no,a,c", *rows]) + "\n"), of_classes=True)
    assert len(table.notes) == 1


def test_a_heading_with_a_name_twice_is_refused(tmp_path):
    with pytest.raises(DataError, match="the heading has 'a' more than once"):
        read_csv(write(tmp_path, "a,b, a,c\n1,2,3,4\n5,6,7,8\n"), of_classes=False)


@pytest.mark.parametrize("values", [(7, 7), (7, 2.5)])
def test_an_unnamed_column_that_numbers_no_rows_is_a_feature(values, tmp_path):
    rows = f"{values[0]},1,3\n{values[1]},4,6\n"
    table = read_csv(write(tmp_path, f",a,c\n{rows}"), of_classes=False)
    assert table.train.inputs.shape == (2, 2, 1)


@pytest.mark.parametrize("name", ["label", "class", "Target", "y"])
def test_what_is_learned_is_found_by_its_name(name, tmp_path):
    table = read_csv(write(tmp_path, f"{name},a,b\n0,1,2\n1,3,4\n"), of_classes=True)
    assert rows_of(table) == ([[1.0, 2.0], [3.0, 4.0]], [0.0, 1.0])
    assert table.notes == (f"features: a, b; class: {name}",)


def test_a_column_of_splits_is_no_feature_and_no_target(tmp_path):
    table = read_csv(write(tmp_path, "a,is_test,kind,split\n1,0,0,7\n2,1,1,8\n"), of_classes=True)
    assert (table.features, table.target) == (("a",), "kind")
    assert "left out: is_test, split: splits are made anew" in table.notes


@pytest.mark.parametrize(
    ("heading", "target"),
    [
        ("x,y,z,label", "label"), ("label,x,y,z", "label"), ("x,y,z,activity", "activity"),
        ("x,y,activity", "activity"), ("y,x,z", "y"), ("x,y", "y"), ("a,y,b", "y"),
    ],
)  # fmt: skip
def test_an_axis_called_y_is_no_target(heading, target, tmp_path):
    names = heading.split(",")
    rows = [",".join(str(n % 2 if name == target else n / 3) for name in names) for n in range(4)]
    table = read_csv(write(tmp_path, "\n".join([heading, *rows]) + "\n"), of_classes=True)
    assert table.target == target
    assert list(table.features) == [name for name in names if name != target]


def test_text_between_numbers_with_decimal_commas_keeps_its_commas_and_lines(tmp_path):
    rows = ['0,5;"off, cold"', "1,5;not\u2028off", '2,5;"off, cold"', "3,5;not\u2028off"]
    table = read_csv(write(tmp_path, "a;label\n" + "\n".join(rows) + "\n"), of_classes=True)
    assert table.train.inputs[:, 0, 0].tolist() == [0.5, 1.5, 2.5, 3.5]
    assert len(set(table.train.labels[:, 0].tolist())) == 2
    assert table.train.labels[0, 0] == "off, cold"


def test_a_table_of_tabs_may_be_called_tsv(tmp_path):
    path = tmp_path / "table.tsv"
    path.write_text("a\tlabel\n" + "".join(f"{n}\t{n % 2}\n" for n in range(12)))
    assert read_source(path).class_names == ("0", "1")


def test_classes_may_be_names(tmp_path):
    rows = [f"{n},{n / 2},{'setosa' if n % 3 else 'versicolor'}" for n in range(30)]
    data = read_source(write(tmp_path, "a,b,species\n" + "\n".join(rows) + "\n"))
    assert data.class_names == ("setosa", "versicolor")
    assert data.train.labels.tolist() == [0 if n % 3 else 1 for n in range(30)]
    assert data.train.inputs[:, :, 0] == pytest.approx(
        np.stack([np.arange(30), np.arange(30) / 2], axis=1)
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("5.1,3.5,setosa\n4.9,3.0,virginica\n", "the first row is a row of numbers"),
        ("a,b,c\n1,,x\n", r"row 2, column 'b': '' is no finite number"),
        ("a,city,c\n1,Bonn,x\n", r"row 2, column 'city': 'Bonn' .* or the column if it is text"),
        ("a,b,c\n1,2,x\n1,2,\n", r"row 3, column 'c': no class"),
        ("a;b;c\n1,5;2.5;x\n", r"row 2, column 'a': '1,5' is no finite number"),
        ("a|b|c\n1|2|3\n", "cells separated by commas, semicolons, tabs"),
        ("a,class,label\n1,x,0\n2,y,1\n", "class and label are called as a target.*--label label"),
        ("a,b,c\n1,2,.5\n1,2,.7\n", "not whole numbers.*--task regression"),
    ],
)
def test_a_table_of_classes_that_is_wrong_is_refused_with_its_row(text, message, tmp_path):
    with pytest.raises(DataError, match=message):
        read_source(write(tmp_path, text))


def test_text_in_another_encoding_is_refused_with_what_to_do(tmp_path):
    path = write(tmp_path, "größe,b\n1,2\n", encoding="latin-1")
    with pytest.raises(DataError, match=r"no text in UTF-8 .*save it again"):
        read_source(path)


_JUDGED = "a,b,anna,ben,carla\n1,2,cat,cat,dog\n3,4,dog,,cat\n5,6,dog,dog,bird\n7,8,,bird,bird\n"


def test_of_several_columns_the_class_is_what_most_say_and_of_a_tie_what_the_first_says(tmp_path):
    path = tmp_path / "judged.csv"
    path.write_text(_JUDGED)
    found = read_csv(path, of_classes=True, label="anna, ben ,carla")
    assert found.train.labels.ravel().tolist() == ["cat", "dog", "dog", "bird"]
    assert found.votes is not None
    assert found.votes.names == ("bird", "cat", "dog")
    assert found.votes.counts.tolist() == [[0, 2, 1], [0, 1, 1], [1, 0, 2], [2, 0, 0]]
    assert found.features == ("a", "b")
    assert "of 1 ties what the first says" in " ".join(found.notes)


def test_votes_that_are_numbers_are_classes_of_numbers(tmp_path):
    path = tmp_path / "judged.csv"
    path.write_text("a,p,q\n1,0,0\n2,1.0,1\n3,10,\n4,2,10\n")
    found = read_csv(path, of_classes=True, label="p,q")
    assert found.train.labels.ravel().tolist() == [0, 1, 10, 2]
    assert found.votes is not None and found.votes.names == ("0", "1", "2", "10")


def test_a_column_whose_name_has_a_comma_is_one_column(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text('a,"kind, name"\n1,x\n2,y\n')
    found = read_csv(path, of_classes=True, label="kind, name")
    assert found.votes is None and found.train.labels.ravel().tolist() == ["x", "y"]


@pytest.mark.parametrize(
    ("label", "of_classes", "said"),
    [
        ("anna,bem", True, "--label bem: no such column; did you mean ben"),
        ("anna,anna", True, "names a column twice"),
        ("ben,carla", False, "which classes have; name one column with the target"),
        ("a,b,anna,ben,carla", True, "no column is left to learn from"),
        ("anna,ben,carla", True, "row 6: nobody labelled it in anna, ben, carla"),
    ],
)
def test_columns_that_cannot_be_labels_of_people_are_refused(label, of_classes, said, tmp_path):
    path = tmp_path / "judged.csv"
    path.write_text(_JUDGED + "9,9,,,\n")
    with pytest.raises(DataError, match=said):
        read_csv(path, of_classes=of_classes, label=label)

import pytest

from hwkd.tasks.split_names import one_per_split, split_meaning


@pytest.mark.parametrize(
    ("names", "role"),
    [
        ("train Training seg_train training_set TrainImages train2017 trainset x_train", "train"),
        ("val valid Validation dev x_valid val2017 my-val-images development", "validation"),
        ("test Testing test1 TEST_SET testset t10k seg_test holdout eval", "test"),
        ("unlabeled unlabelled unlabeled_train seg_pred predictions unsup", "unlabelled"),
    ],
)
def test_usual_names_of_splits_are_known(names, role):
    for name in names.split():
        meaning = split_meaning(name)
        assert meaning is not None, name
        assert meaning.role == role, name


@pytest.mark.parametrize("name", ["cat", "trained", "contest", "values", "images", "7", "", "東京"])
def test_other_names_are_no_splits(name):
    assert split_meaning(name) is None


@pytest.mark.parametrize("name", ["bullet_train", "test_tube", "asl_alphabet_train"])
def test_names_with_other_words_may_be_classes_as_well(name):
    meaning = split_meaning(name)
    assert meaning is not None
    assert not meaning.is_plain


def test_two_names_of_one_split_are_found_and_eval_gives_way_to_test():
    roles, doubled = one_per_split(["train", "val", "dev", "unlabeled", "seg_pred"])
    assert doubled == [["val", "dev"]]
    assert roles["seg_pred"] == "unlabelled"
    assert one_per_split(["train", "eval"])[0]["eval"] == "test"
    assert one_per_split(["train", "eval", "test"])[0]["eval"] == "validation"

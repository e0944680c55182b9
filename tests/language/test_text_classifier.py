"""A transformer on disk teaches texts: read by its own tokenizer, its classes by their names."""

import json

import numpy as np
import pytest
import torch
from support.decoders import edit_config
from support.texts import topic_texts, write_texts

import hwkd
from hwkd.core.errors import HwkdError
from hwkd.core.progress import silent
from hwkd.engine.setup.config import SearchConfig
from hwkd.engine.setup.prepare import prepare_data
from hwkd.engine.setup.teacher import open_teachers

pytest.importorskip("transformers")

NAMES = ("trade", "grain", "ship")  # in another order than the data has them


@pytest.fixture(scope="module")
def classifier(tmp_path_factory):
    """Return the folder of a small BERT that was trained to tell the three topics apart."""
    import transformers
    from tokenizers import Tokenizer, models, pre_tokenizers

    folder = tmp_path_factory.mktemp("bert") / "topics"
    texts, labels = zip(*topic_texts(90, seed=5), strict=True)
    words = sorted({word for text in texts for word in text.lower().strip(".").split()})
    vocabulary = {word: number for number, word in enumerate(("[PAD]", "[UNK]", *words))}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    config = transformers.BertConfig(
        vocab_size=len(vocabulary), hidden_size=16, num_hidden_layers=1, num_attention_heads=2,
        intermediate_size=16, max_position_embeddings=24, hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0, initializer_range=0.2, id2label=dict(enumerate(NAMES)),
        label2id={name: number for number, name in enumerate(NAMES)},
    )  # fmt: skip
    torch.manual_seed(0)
    model = transformers.BertForSequenceClassification(config)
    folder.mkdir()
    tokenizer.save(str(folder / "tokenizer.json"))
    tokenizer.enable_padding()
    coded = tokenizer.encode_batch(list(texts))
    ids = torch.tensor([one.ids for one in coded])
    mask = torch.tensor([one.attention_mask for one in coded])
    wanted = torch.tensor([NAMES.index(label) for label in labels])
    optimiser = torch.optim.Adam(model.parameters(), lr=0.01)
    for _ in range(60):
        loss = model(input_ids=ids, attention_mask=mask, labels=wanted).loss
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    model.save_pretrained(folder)
    return folder


def opened(folder, data):
    config = SearchConfig.model_validate(
        {"task": "text", "data": str(data), "device": "cortex-m7",
         "teacher": {"sources": [str(folder / "config.json")]}}
    )  # fmt: skip
    prepared = prepare_data(config, progress=silent)
    teacher = open_teachers(
        prepared.config, prepared.data, device=torch.device("cpu"), progress=silent
    )
    return prepared.data, teacher


@pytest.fixture
def data(tmp_path):
    return write_texts(tmp_path / "texts.csv")


def test_its_answers_are_those_of_the_model_for_the_text_itself(classifier, data):
    import transformers
    from tokenizers import Tokenizer

    task_data, teacher = opened(classifier, data)
    split = task_data.validation
    logits = teacher.logits(split.inputs)
    assert (logits.argmax(1) == split.labels).mean() > 0.9  # though its classes lie otherwise
    model = transformers.BertForSequenceClassification.from_pretrained(classifier).eval()
    tokenizer = Tokenizer.from_file(str(classifier / "tokenizer.json"))
    names = task_data.head.names
    for row in (0, 7):
        text = bytes(task_data.texts["validation"][row][0]).split(b"\0")[0].decode()
        with torch.no_grad():
            said = model(torch.tensor([tokenizer.encode(text).ids])).logits[0].numpy()
        found = {name: said[NAMES.index(name)] for name in names}
        np.testing.assert_allclose(logits[row], [found[name] for name in names], atol=1e-5)


@pytest.mark.slow
def test_a_search_learns_from_it_and_says_who_it_is(classifier, data, tmp_path):
    found = hwkd.search(
        "cortex-m7", task="text", data=data, teachers=[str(classifier / "config.json")], trials=1,
        brief_epochs=1, full_epochs=1, controls=0, workers=1, out=tmp_path / "run",
    )  # fmt: skip
    (member,) = json.loads((tmp_path / "run" / "run.json").read_text())["teacher"]["members"]
    assert member["kind"] == "transformers" and member["name"] == "topics"
    assert "bert with" in member["description"]
    assert found.best is not None


@pytest.mark.parametrize(
    ("edits", "said"),
    [
        ({"model_type": "llama"}, "is none that hwkd takes as a teacher; known: bert"),
        ({"auto_map": {"AutoConfig": "x.Y"}}, "runs none that a model brings"),
        ({"id2label": {"0": "a", "1": "b"}}, "mismatched keys|tells 2 classes apart"),
        ({"vocab_size": 10**9}, "speaks of"),
    ],
)
def test_one_that_cannot_teach_is_refused_in_one_line(classifier, data, tmp_path, edits, said):
    import shutil

    folder = tmp_path / "other"
    shutil.copytree(classifier, folder)
    edit_config(folder, **edits)
    with pytest.raises(HwkdError, match=said) as caught:
        opened(folder, data)
    assert "\n" not in str(caught.value)


@pytest.mark.slow
def test_of_data_that_are_no_texts_it_is_refused(classifier, tmp_path):
    with pytest.raises(HwkdError, match="reads texts, and the data are none"):
        hwkd.search(
            "cortex-m7", teachers=[str(classifier / "config.json")], trials=1,
            out=tmp_path / "run",
        )  # fmt: skip

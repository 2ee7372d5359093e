"""Masked language modelling: what is asked for, and of which texts."""

import numpy as np
import pytest

from kelbench.base.errors import UserError
from kelbench.config.kepler import MaskedLanguageModelling
from kelbench.encoders.tokens import SpecialTokens, Tokens, single_inputs
from kelbench.methods.kepler.masking import corpus_of, mask
from kelbench.methods.kepler.run import initial_model

SPECIAL = SpecialTokens(start=1, separator=2, padding=0, mask=3)
NUM_IDS = 10_000


@pytest.fixture(scope="module")
def masked():
    rng = np.random.default_rng(1)
    texts = Tokens.of([rng.integers(4, NUM_IDS, size=int(n)).tolist() for n in rng.integers(0, 60, size=5000)])
    inputs = single_inputs(texts, np.arange(5000), SPECIAL, 50)
    return inputs, *mask(inputs, SPECIAL, NUM_IDS, np.random.default_rng(2))


def test_fifteen_percent_of_the_ordinary_tokens_are_asked_for(masked):
    inputs, _, wanted = masked
    ordinary = ~np.isin(inputs.ids, SPECIAL)
    assert np.mean(wanted[ordinary] >= 0) == pytest.approx(0.15, abs=0.005)
    assert (wanted[~ordinary] == -1).all()
    np.testing.assert_array_equal(wanted[wanted >= 0], inputs.ids[wanted >= 0])


def test_of_those_eighty_percent_are_masked_ten_replaced_and_ten_left(masked):
    inputs, changed, wanted = masked
    asked = wanted >= 0
    before, after = inputs.ids[asked], changed.ids[asked]
    assert np.mean(after == SPECIAL.mask) == pytest.approx(0.8, abs=0.01)
    assert np.mean(after == before) == pytest.approx(0.1, abs=0.01)
    replaced = after[(after != before) & (after != SPECIAL.mask)]
    assert len(replaced) / len(after) == pytest.approx(0.1, abs=0.01)
    assert len(np.unique(replaced)) > len(replaced) / 2  # of the whole vocabulary
    assert replaced.max() < NUM_IDS
    np.testing.assert_array_equal(changed.ids[~asked], inputs.ids[~asked])
    np.testing.assert_array_equal(changed.offsets, inputs.offsets)


def test_masks_are_a_function_of_the_generator(masked):
    inputs, changed, wanted = masked
    again = mask(inputs, SPECIAL, NUM_IDS, np.random.default_rng(2))
    np.testing.assert_array_equal(again[0].ids, changed.ids)
    np.testing.assert_array_equal(again[1], wanted)
    assert not np.array_equal(mask(inputs, SPECIAL, NUM_IDS, np.random.default_rng(3))[1], wanted)


def corpus(dataset, make_settings, **values):
    model, texts = initial_model(dataset, make_settings("tiny"), 1)
    modelling = MaskedLanguageModelling(batch_size=4, **values)
    tokenizer = model.encoder.tokenizer
    return corpus_of(modelling, tokenizer, texts, np.arange(20), 12), tokenizer.tokenizer


def decoded(tokenizer, ids):
    return tokenizer.decode(ids, skip_special_tokens=True).replace(" ##", "")


def test_descriptions_are_those_of_the_training_graph_each_once(described, make_settings):
    tokens, tokenizer = corpus(described, make_settings, corpus="descriptions")
    rows = [tokens.ids[begin:end] for begin, end in zip(tokens.offsets[:-1], tokens.offsets[1:], strict=True)]
    found = sorted(decoded(tokenizer, row) for row in rows)
    assert found == sorted(set(described.entity_texts("description")[:20]))
    assert not any("strange" in text for text in found)


def test_a_file_gives_a_text_a_line_empty_ones_left_out(described, make_settings, tmp_path):
    (tmp_path / "corpus.txt").write_text("the red sea\n\n  \nold stone\n")
    tokens, tokenizer = corpus(described, make_settings, corpus="file", file=tmp_path / "corpus.txt")
    assert len(tokens) == 2
    assert decoded(tokenizer, tokens.ids[tokens.offsets[1] :]) == "old stone"
    assert tokens.ids[0] == tokenizer.cls_token_id


def test_a_corpus_that_cannot_be_read_is_named(described, make_settings, tmp_path):
    with pytest.raises(UserError, match=r"absent\.txt: expected a text file"):
        corpus(described, make_settings, corpus="file", file=tmp_path / "absent.txt")
    (tmp_path / "latin.txt").write_bytes(b"r\xe9d")
    with pytest.raises(UserError, match=r"latin\.txt: expected UTF-8, found .* at byte 1"):
        corpus(described, make_settings, corpus="file", file=tmp_path / "latin.txt")
    (tmp_path / "empty.txt").write_text("\n \n")
    with pytest.raises(UserError, match=r"empty\.txt: expected a text a line"):
        corpus(described, make_settings, corpus="file", file=tmp_path / "empty.txt")

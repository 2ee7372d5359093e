"""Vectors of texts, on a small checkpoint made here."""

import numpy as np
import pytest
import torch

from kelbench.base.errors import UserError
from kelbench.encoders import minilm
from kelbench.encoders.text import bow_vectors, minilm_vectors


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """A BERT of two small layers and random weights, saved as transformers saves one."""
    from transformers import BertConfig, BertModel, BertTokenizerFast

    folder = tmp_path_factory.mktemp("checkpoint")
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "river", "city", "in", "the"]
    (folder / "vocab.txt").write_text("\n".join(vocabulary))
    BertTokenizerFast(vocab_file=str(folder / "vocab.txt")).save_pretrained(folder)
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(vocabulary), hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32
    )
    BertModel(config).save_pretrained(folder, safe_serialization=True)
    return folder


def test_the_vocabulary_comes_from_training_texts_alone():
    trained, other = bow_vectors(["a river", "a city", "a city"], ["a river"], ["zebra", "city zebra", "city"])
    assert trained.shape == (1, 3)
    assert other.shape == (3, 3)
    np.testing.assert_allclose(other.toarray()[0], 0)
    np.testing.assert_allclose(other.toarray()[1], other.toarray()[2])
    # ln((1 + n) / (1 + df)) + 1 for a word that stands in one, and in all, of three texts
    weights = np.sort(trained.toarray()[0])[1:]
    expected = np.array([1.0, np.log(4 / 2) + 1])
    np.testing.assert_allclose(weights, expected / np.linalg.norm(expected), rtol=1e-6)


def test_sentence_vectors_are_means_without_padding(checkpoint):
    from transformers import AutoModel, AutoTokenizer

    texts = ["a river in the city", "the city", "a river in the city"]
    vectors = minilm_vectors(texts, checkpoint)
    assert vectors.shape == (3, 16)
    assert torch.equal(vectors[0], vectors[2])
    tokenizer, model = AutoTokenizer.from_pretrained(checkpoint), AutoModel.from_pretrained(checkpoint).eval()
    with torch.no_grad():
        alone = model(**tokenizer(texts[1], return_tensors="pt")).last_hidden_state.mean(1)
    torch.testing.assert_close(vectors[1], torch.nn.functional.normalize(alone, dim=-1)[0], rtol=1e-4, atol=1e-5)


def test_other_weights_than_the_pinned_ones_are_refused(checkpoint, monkeypatch, tmp_path):
    (tmp_path / "model").mkdir()
    (tmp_path / "model/model.safetensors").write_bytes(b"other")
    (tmp_path / "made_up_package.py").write_text("")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(minilm, "MINILM_PACKAGE", "made_up_package")
    with pytest.raises(UserError, match=r"model.safetensors: expected sha256 53aa5117"):
        minilm.minilm_folder()
    monkeypatch.setattr(minilm, "MINILM_PACKAGE", "no_such_package_anywhere")
    with pytest.raises(UserError, match="make minilm"):
        minilm.minilm_folder()

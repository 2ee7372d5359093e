"""GPT-2 as a text encoder, on a small checkpoint made here."""

import numpy as np
import pytest
import torch
from tokenizers import ByteLevelBPETokenizer
from transformers import AutoModel, GPT2Config, GPT2Model, PreTrainedTokenizerFast

from kelbench.base.errors import UserError
from kelbench.base.files import sha256_file
from kelbench.config.text_encoder import TextEncoderSettings
from kelbench.encoders.text_encoder import encode, load_encoder, make_encoder, save_encoder
from kelbench.encoders.tokens import single_inputs

TEXTS = ["the red house by the sea", "a house", "", "sea and sand and sea and sand and sea and more sand", "red"]


@pytest.fixture(scope="module")
def gpt2(tmp_path_factory):
    folder = tmp_path_factory.mktemp("gpt2")
    trained = ByteLevelBPETokenizer()
    trained.train_from_iterator(TEXTS, vocab_size=300, special_tokens=["<|endoftext|>"], show_progress=False)
    PreTrainedTokenizerFast(tokenizer_object=trained._tokenizer, eos_token="<|endoftext|>").save_pretrained(folder)
    torch.manual_seed(4)
    config = GPT2Config(vocab_size=300, n_embd=16, n_layer=3, n_head=2, n_positions=20)
    GPT2Model(config).save_pretrained(folder)
    return folder


def pinned(folder, **changes):
    values = {"kind": f"hf:{folder}@{sha256_file(folder / 'model.safetensors')}", "max_tokens": 12, "pooling": "last"}
    return TextEncoderSettings(**values | changes)


def new(settings):
    return make_encoder(settings, [], torch.Generator()).eval()


def inputs_of(encoder, max_tokens=12):
    return single_inputs(encoder.tokenizer.tokens(TEXTS), np.arange(len(TEXTS)), encoder.tokenizer.special, max_tokens)


def test_a_vector_is_the_last_tokens_state_of_the_text_alone(gpt2):
    encoder, model = new(pinned(gpt2)), AutoModel.from_pretrained(gpt2).eval()
    inputs = inputs_of(encoder)
    assert inputs.lengths.tolist()[2] == 1  # an empty text is the token that ends texts
    assert inputs.ids[inputs.offsets[2]] == encoder.tokenizer.tokenizer.eos_token_id
    assert inputs.lengths.max() == 12
    with torch.no_grad():
        together = encode(encoder, inputs)
        for row in range(len(TEXTS)):
            ids = torch.from_numpy(inputs.take(np.array([row])).ids[None].astype(np.int64))
            torch.testing.assert_close(
                together[row], model(input_ids=ids).last_hidden_state[0, -1], atol=1e-5, rtol=1e-5
            )


def test_what_is_saved_is_loaded_and_read_by_the_transformers_library(gpt2, tmp_path):
    settings = pinned(gpt2)
    encoder = new(settings)
    save_encoder(encoder, tmp_path / "encoder")
    read = load_encoder(tmp_path / "encoder", settings).eval()
    assert torch.equal(encode(read, inputs_of(read)), encode(encoder, inputs_of(encoder)))
    for name, tensor in AutoModel.from_pretrained(tmp_path / "encoder").state_dict().items():
        assert torch.equal(tensor, encoder.model.state_dict()[name])


def test_the_last_blocks_are_trained_with_embeddings_and_norm_and_the_rest_is_frozen(gpt2):
    encoder = new(pinned(gpt2, trained_layers=2))
    encode(encoder, inputs_of(encoder)).sum().backward()
    learning = {
        name.split(".")[0] + (name.split(".")[1] if name.startswith("h.") else "")
        for name, parameter in encoder.model.named_parameters()
        if parameter.grad is not None
    }
    assert learning == {"wte", "wpe", "h1", "h2", "ln_f"}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"max_tokens": 21}, "max_tokens is 21, the model has 20"),
        ({"trained_layers": 4}, "trained_layers is 4, the model has 3"),
        ({"pooling": "cls"}, "gpt2 with pooling: last, found gpt2"),
    ],
)
def test_what_does_not_fit_is_said(gpt2, changes, message):
    with pytest.raises(UserError, match=message):
        new(pinned(gpt2, **changes))


def test_pooling_last_is_refused_for_encoders_that_read_both_ways():
    with pytest.raises(ValueError, match="read from left to right"):
        TextEncoderSettings(kind="minilm", max_tokens=12, pooling="last")

"""Parameters, FLOPs and bytes of encoders against torch's own counts."""

import json

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode
from transformers import BertConfig, BertForMaskedLM, RobertaConfig, RobertaForMaskedLM

from kelbench.base.errors import UserError
from kelbench.config.text_encoder import TextEncoderSettings
from kelbench.encoders import text_encoder
from kelbench.encoders.convolution import Convolution
from kelbench.encoders.tokens import Tokens
from kelbench.encoders.words import WordTokenizer
from kelbench.methods.cost import shapes
from kelbench.methods.cost.shapes import shape_of
from kelbench.methods.kepler import masking

ROBERTA = "hf:roberta-base@e2da8e2f811d1448a5b465c236feacd80ffbac7b"


def encoder(kind="tiny", **changes):
    own = {"width": 64, "layers": 3, "heads": 4, "vocabulary": 500} if kind == "tiny" else {}
    return TextEncoderSettings(kind=kind, **{"max_tokens": 48, **own, **changes})


def bert(settings):
    return BertForMaskedLM(
        BertConfig(
            vocab_size=settings.vocabulary,
            hidden_size=settings.width,
            num_hidden_layers=settings.layers,
            num_attention_heads=settings.heads,
            intermediate_size=4 * settings.width,
            max_position_embeddings=settings.max_tokens,
        )
    )


def parameters(model):
    return sum(parameter.numel() for parameter in model.parameters())


def test_constants_are_those_of_the_code():
    assert shapes.TOKENS_AT_ONCE == text_encoder.TOKENS_AT_ONCE
    assert shapes.ASKED == masking.ASKED


def test_parameters_of_a_small_bert_by_hand_and_by_torch():
    settings = encoder(width=4, layers=1, heads=1, vocabulary=10, max_tokens=6)
    # Embeddings (10 + 6 + 2) x 4 + 8; a layer 4 x (16 + 4) + (64 + 16) + (64 + 4) + 16; output 16 + 4 + 8 + 10.
    assert shape_of(settings).parameters(language=False) == 80 + 244
    assert shape_of(settings).parameters(language=True) == 80 + 244 + 38
    for size in (settings, encoder()):
        model = bert(size)
        assert shape_of(size).parameters(language=True) == parameters(model)
        assert shape_of(size).parameters(language=False) == parameters(model.bert)


def test_parameters_of_roberta_base():
    with torch.device("meta"):
        config = RobertaConfig(vocab_size=50265, max_position_embeddings=514, type_vocab_size=1)
        model = RobertaForMaskedLM(config)
    shape = shape_of(encoder(ROBERTA, max_tokens=512))
    assert shape.parameters(language=True) == parameters(model) == 124_697_433
    assert shape.parameters(language=False) == parameters(model.roberta)
    last = shape_of(encoder(ROBERTA, max_tokens=512, trained_layers=2))
    assert last.trained(language=False) == parameters(model.roberta.encoder.layer[-2:])
    assert last.parameters(language=False) == shape.parameters(language=False)


@pytest.mark.parametrize("length", [16, 48])
def test_flops_agree_with_those_that_torch_counts(length):
    settings = encoder()
    shape, model = shape_of(settings), bert(settings)
    ids = torch.randint(5, 500, (6, length))
    with FlopCounterMode(display=False) as forward:
        states = model.bert(input_ids=ids, attention_mask=torch.ones_like(ids)).last_hidden_state
    assert forward.get_total_flops() == pytest.approx(6 * length * shape.forward_flops(length), rel=0.1)
    with FlopCounterMode(display=False) as backward:
        states.sum().backward()
    assert backward.get_total_flops() == pytest.approx(6 * length * shape.backward_flops(length), rel=0.1)
    with FlopCounterMode(display=False) as output:
        model.cls(states.detach()[:, 0])
    assert output.get_total_flops() == pytest.approx(6 * shape.output_flops(), rel=0.1)


def test_a_transformer_by_hand():
    shape = shape_of(encoder(width=4, layers=2, heads=2, max_tokens=6))
    # A layer: 4 x 16 + 2 x 4 x 16 = 192 weights of matrices; attention 4 x 6 x 4.
    assert shape.forward_flops(6) == 2 * (2 * 192 + 96)
    assert shape.backward_flops(6) == 2 * shape.forward_flops(6)
    assert shape.repeated_flops(6) == 0
    # 32 bits: 66 bytes a number and 9 an entry of each head's table of attention.
    assert shape.kept_bytes(6) == 2 * (4 * 66 + 9 * 2 * 6)
    half = shape_of(encoder(width=4, layers=2, heads=2, max_tokens=6, precision="bfloat16"))
    assert half.kept_bytes(6) == 2 * (4 * 34 + 5 * 2 * 6)
    assert half.bucket_bytes(6) == 0
    again = shape_of(encoder(width=4, layers=2, heads=2, max_tokens=6, gradient_checkpointing=True))
    assert again.repeated_flops(6) == again.forward_flops(6)
    assert again.kept_bytes(6) == 2 * 4 * 4
    assert again.bucket_bytes(6) == 8192 * shape.kept_bytes(6) / 2


def test_flops_of_the_convolutions():
    tokenizer = WordTokenizer([f"w{number}" for number in range(50)], torch.ones(50).numpy())
    model = Convolution(tokenizer, 32)
    shape = shape_of(encoder("cnn", width=32))
    assert shape.parameters(language=False) == parameters(model) - model.words.numel()
    tokens = Tokens.of([list(range(47))] * 4)
    with FlopCounterMode(display=False) as counter:
        model(tokens)
    # The second convolution reads pools of 4 of 48 states.
    assert counter.get_total_flops() == pytest.approx(4 * 47 * shape.forward_flops(47), rel=0.1)


def test_a_bag_of_words_has_nothing_but_words():
    shape = shape_of(encoder("bow", width=8))
    assert (shape.parameters(language=False), shape.kept_bytes(9), shape.forward_flops(9)) == (0, 0, 16)
    assert "a vector a word" in shape.open_ended


def test_a_local_folder_says_its_shape(tmp_path):
    BertConfig(hidden_size=96, num_hidden_layers=5, num_attention_heads=3, intermediate_size=200).save_pretrained(
        tmp_path
    )
    shape = shape_of(encoder(f"hf:{tmp_path}@{'0' * 64}"))
    assert (shape.layers, shape.width, shape.heads, shape.inner, shape.vocabulary) == (5, 96, 3, 200, 30522)
    stored = json.loads((tmp_path / "config.json").read_text())
    del stored["type_vocab_size"]
    (tmp_path / "config.json").write_text(json.dumps(stored))
    with pytest.raises(
        UserError, match=r"config\.json: expected a BERT-like model's numbers, found none for type_vocab_size"
    ):
        shape_of(encoder(f"hf:{tmp_path}@{'0' * 64}"))
    (tmp_path / "config.json").unlink()
    with pytest.raises(UserError, match="found no such file"):
        shape_of(encoder(f"hf:{tmp_path}@{'0' * 64}"))


def test_an_unknown_model_is_an_error_that_says_what_to_do():
    with pytest.raises(
        UserError, match=r"robrta-base is not known without fetching it; did you mean 'roberta-base'\?.*config"
    ):
        shape_of(encoder("hf:robrta-base@0000000000000000000000000000000000000000"))
    assert shape_of(encoder("hf:FacebookAI/roberta-base@0000000000000000000000000000000000000000")) == shape_of(
        encoder("hf:roberta-base@1111111111111111111111111111111111111111")
    )
    assert shape_of(encoder("minilm")).parameters(language=False) == 22_565_376

"""Transformers: checkpoints that the transformers library reads, digests, positions, what is frozen."""

import numpy as np
import pytest
import torch
from transformers import (
    AutoModel,
    AutoModelForMaskedLM,
    AutoTokenizer,
    BertConfig,
    BertForMaskedLM,
    BertModel,
    PreTrainedTokenizerFast,
    RobertaConfig,
    RobertaForMaskedLM,
)

from kelbench.base.errors import UserError
from kelbench.base.files import sha256_file
from kelbench.config.text_encoder import TextEncoderSettings
from kelbench.encoders import text_encoder
from kelbench.encoders.subwords import SubwordTokenizer
from kelbench.encoders.text_encoder import encode, load_encoder, make_encoder, save_encoder
from kelbench.encoders.tokens import Tokens, pair_inputs, single_inputs

TEXTS = ["the red house by the sea", "a house", "", "sea and sand and sea and sand and sea", "red", "the car"] * 2
SIZE = {
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 24,
    "max_position_embeddings": 20,
}


def tiny(**changes):
    values = {"kind": "tiny", "width": 16, "layers": 2, "heads": 2, "vocabulary": 60, "max_tokens": 12}
    return TextEncoderSettings(**values | changes)


def inputs_of(encoder, texts=TEXTS, max_tokens=12):
    return single_inputs(encoder.tokenizer.tokens(texts), np.arange(len(texts)), encoder.tokenizer.special, max_tokens)


def new(settings, seed=1):
    return make_encoder(settings, TEXTS, torch.Generator().manual_seed(seed)).eval()


@pytest.fixture(scope="module")
def bert(tmp_path_factory):
    """A folder with a small BERT and its tokenizer, and one with the same without an output layer."""
    folder = tmp_path_factory.mktemp("bert")
    tokenizer = SubwordTokenizer.trained(TEXTS, 60)
    torch.manual_seed(4)
    config = BertConfig(vocab_size=len(tokenizer), pad_token_id=tokenizer.special.padding, **SIZE)
    model = BertForMaskedLM(config)
    model.save_pretrained(folder / "whole")
    bare = BertModel(config)
    bare.load_state_dict(model.bert.state_dict(), strict=False)
    bare.save_pretrained(folder / "bare")
    for name in ("whole", "bare"):
        tokenizer.save(folder / name)
    return folder


@pytest.fixture(scope="module")
def roberta(tmp_path_factory):
    """A folder with a small RoBERTa of 20 - 2 positions and its byte-level tokenizer."""
    from tokenizers import ByteLevelBPETokenizer

    folder = tmp_path_factory.mktemp("roberta")
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    trained = ByteLevelBPETokenizer()
    trained.train_from_iterator(TEXTS, vocab_size=300, special_tokens=special, show_progress=False)
    names = {"bos": "<s>", "cls": "<s>", "pad": "<pad>", "eos": "</s>", "sep": "</s>", "unk": "<unk>", "mask": "<mask>"}
    PreTrainedTokenizerFast(
        tokenizer_object=trained._tokenizer, **{f"{role}_token": token for role, token in names.items()}
    ).save_pretrained(folder)
    torch.manual_seed(4)
    RobertaForMaskedLM(RobertaConfig(vocab_size=300, pad_token_id=1, **SIZE)).save_pretrained(folder)
    return folder


def pinned(folder, **changes):
    values = {"kind": f"hf:{folder}@{sha256_file(folder / 'model.safetensors')}", "max_tokens": 12}
    return TextEncoderSettings(**values | changes)


@pytest.mark.parametrize("pooling", ["cls", "mean"])
def test_a_written_checkpoint_gives_the_same_vectors_in_the_transformers_library(tmp_path, pooling):
    encoder = new(tiny(pooling=pooling))
    save_encoder(encoder, tmp_path / "encoder")
    model = AutoModel.from_pretrained(tmp_path / "encoder").eval()
    batch = AutoTokenizer.from_pretrained(tmp_path / "encoder")(
        TEXTS, padding=True, truncation=True, max_length=12, return_tensors="pt"
    )
    with torch.no_grad():
        states = model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).last_hidden_state
        found = encode(encoder, inputs_of(encoder))
    mask = batch["attention_mask"][..., None]
    expected = states[:, 0] if pooling == "cls" else (states * mask).sum(1) / mask.sum(1)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
    assert found.std(dim=0).min() > 1e-4


def test_a_written_checkpoint_has_the_output_layer_as_well(tmp_path):
    encoder = new(tiny())
    with torch.no_grad():
        encoder.masked.cls.predictions.bias.normal_()
    save_encoder(encoder, tmp_path / "encoder")
    model, report = AutoModelForMaskedLM.from_pretrained(tmp_path / "encoder", output_loading_info=True)
    assert not report["missing_keys"]
    inputs = inputs_of(encoder)
    padding = encoder.tokenizer.special.padding
    ids = torch.from_numpy(inputs.padded(padding))
    wanted = np.where(np.arange(len(inputs.ids)) % 3 == 1, inputs.ids, -1).astype(np.int32)
    labels = torch.from_numpy(Tokens(wanted, inputs.offsets).padded(-1))
    with torch.no_grad():
        logits = model.eval()(input_ids=ids, attention_mask=(ids != padding).long()).logits
        found = encoder.masked_loss(inputs, wanted)
    expected = torch.nn.functional.cross_entropy(logits[labels >= 0], labels[labels >= 0], reduction="sum")
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("tokens_at_once", [1, 24, 10**6])
def test_the_vectors_do_not_depend_on_the_buckets(monkeypatch, tokens_at_once):
    encoder = new(tiny(pooling="mean"))
    inputs = inputs_of(encoder)
    with torch.no_grad():
        alone = torch.cat([encoder(inputs.take(np.array([row]))) for row in range(len(inputs))])
        monkeypatch.setattr(text_encoder.buckets, "__defaults__", (tokens_at_once,))
        numbers = []
        together = encode(encoder, inputs, numbers.append)
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-5)
    assert numbers == list(range(len(numbers)))
    assert (len(numbers) == 1) == (tokens_at_once == 10**6)


def test_a_saved_encoder_is_read_back_bit_by_bit(tmp_path):
    settings = tiny(dropout=0.1)
    encoder = new(settings)
    save_encoder(encoder, tmp_path / "encoder")
    save_encoder(encoder, tmp_path / "encoder")  # a folder that is there already is replaced
    read = load_encoder(tmp_path / "encoder", settings).eval()
    inputs = inputs_of(encoder)
    assert inputs_of(read).ids.tolist() == inputs.ids.tolist()
    assert torch.equal(read(inputs), encoder(inputs))
    assert [path.name for path in tmp_path.iterdir()] == ["encoder"]
    assert not read.head_is_new


def test_a_new_encoder_is_a_function_of_its_generator():
    one, same, other = (new(tiny(), seed).masked.state_dict() for seed in (1, 1, 2))
    assert all(torch.equal(tensor, same[name]) for name, tensor in one.items())
    assert any(not torch.equal(tensor, other[name]) for name, tensor in one.items())


def test_making_an_encoder_leaves_the_global_random_numbers_alone():
    torch.manual_seed(9)
    expected = torch.rand(3)
    torch.manual_seed(9)
    new(tiny())
    assert torch.equal(torch.rand(3), expected)


def test_a_local_checkpoint_is_loaded_by_its_digest(bert):
    encoder = new(pinned(bert / "whole"))
    model = AutoModel.from_pretrained(bert / "whole").eval()
    inputs = inputs_of(encoder, ["the red sea"])
    expected = model(input_ids=torch.from_numpy(inputs.padded(0))).last_hidden_state[:, 0]
    torch.testing.assert_close(encoder(inputs), expected)


def test_a_local_checkpoint_of_another_digest_is_refused_and_both_are_named(bert):
    found = sha256_file(bert / "whole" / "model.safetensors")
    with pytest.raises(UserError) as error:
        new(TextEncoderSettings(kind=f"hf:{bert / 'whole'}@{'0' * 64}", max_tokens=12))
    assert "0" * 64 in str(error.value)
    assert found in str(error.value)


def test_a_folder_without_weights_is_refused(tmp_path):
    with pytest.raises(UserError, match="no such file"):
        new(TextEncoderSettings(kind=f"hf:{tmp_path}@{'0' * 64}", max_tokens=12))


@pytest.mark.parametrize("kind", ["whole", "bare"])
def test_a_checkpoint_that_lacks_weights_of_the_encoder_is_refused(bert, tmp_path, kind):
    model = (BertForMaskedLM if kind == "whole" else BertModel).from_pretrained(bert / kind)
    weights = {name: value for name, value in model.state_dict().items() if "layer.1.output.dense" not in name}
    model.save_pretrained(tmp_path, state_dict=weights)
    SubwordTokenizer.load(bert / "whole").save(tmp_path)
    with pytest.raises(UserError, match=r"lacks 2 weights of the encoder, bert\.encoder\.layer\.1\.output\.dense"):
        new(pinned(tmp_path))


def test_a_checkpoint_without_an_output_layer_gets_one(bert):
    whole, bare = new(pinned(bert / "whole")), new(pinned(bert / "bare"))
    assert bare.head_is_new
    assert not whole.head_is_new
    inputs = inputs_of(whole)
    torch.testing.assert_close(bare(inputs), whole(inputs))
    assert bare.masked.cls.predictions.decoder.weight is bare.model.embeddings.word_embeddings.weight
    names = {name for name, p in bare.masked.named_parameters() if any(p is head for head in bare.head_parameters())}
    assert names
    assert all(name.startswith("cls.") for name in names)


def test_roberta_frames_its_inputs_and_gives_the_states_of_the_library(roberta):
    encoder = new(pinned(roberta, pooling="mean"))
    tokens = encoder.tokenizer.tokens(["the red house", "sea"])
    pairs = pair_inputs(tokens, np.array([0]), tokens, np.array([1]), encoder.tokenizer.special, 18)
    names = encoder.tokenizer.tokenizer.convert_ids_to_tokens(pairs.ids.tolist())
    assert names[0] == "<s>"
    assert names[-1] == "</s>"
    assert names.count("</s>") == 2
    model = AutoModel.from_pretrained(roberta).eval()
    inputs = inputs_of(encoder)
    ids = torch.from_numpy(inputs.padded(1))
    mask = (ids != 1).long()
    states = model(input_ids=ids, attention_mask=mask).last_hidden_state
    expected = (states * mask[..., None]).sum(1) / mask.sum(1, keepdim=True)
    torch.testing.assert_close(encode(encoder, inputs), expected, atol=1e-5, rtol=1e-5)
    assert encoder.masked_loss(inputs, inputs.ids).isfinite()


@pytest.mark.parametrize(("kind", "positions"), [("bert", 20), ("roberta", 18)])
def test_an_input_may_be_as_long_as_the_model_has_positions_and_no_longer(request, kind, positions):
    folder = request.getfixturevalue(kind)
    folder = folder / "whole" if kind == "bert" else folder
    encoder = new(pinned(folder, max_tokens=positions))
    longest = inputs_of(encoder, ["sea and sand " * 30], positions)
    assert longest.lengths.tolist() == [positions]
    assert encoder(longest).isfinite().all()
    with pytest.raises(UserError, match=f"max_tokens is {positions + 1}, the model has {positions}"):
        new(pinned(folder, max_tokens=positions + 1))


def test_all_but_the_last_layers_are_frozen(bert):
    encoder = new(pinned(bert / "whole", trained_layers=1))
    trained = {name for name, parameter in encoder.model.named_parameters() if parameter.requires_grad}
    assert trained
    assert all(name.startswith("encoder.layer.1.") for name in trained)
    assert len(trained) == len(list(encoder.model.encoder.layer[1].parameters()))
    with pytest.raises(UserError, match="trained_layers is 3, the model has 2"):
        new(pinned(bert / "whole", trained_layers=3))


def test_states_computed_twice_give_the_same_gradients(bert):
    gradients = []
    for twice in (False, True):
        encoder = new(pinned(bert / "whole", gradient_checkpointing=twice)).train()
        encoder(inputs_of(encoder)).square().sum().backward()
        gradients.append({n: p.grad for n, p in encoder.model.named_parameters() if p.grad is not None})
    assert gradients[0].keys() == gradients[1].keys()
    for name, gradient in gradients[0].items():
        torch.testing.assert_close(gradient, gradients[1][name], msg=name)


def test_bfloat16_products_are_near_those_of_float32(bert):
    exact, rounded = (new(pinned(bert / "whole", precision=precision)) for precision in ("float32", "bfloat16"))
    inputs = inputs_of(exact)
    found, expected = rounded(inputs), exact(inputs)
    assert found.dtype == torch.float32
    assert 0 < (found - expected).abs().max() < 0.1


def test_a_written_tokenizer_frames_two_texts_as_a_conditioned_query_has_them(tmp_path):
    encoder = new(tiny())
    encoder.save(tmp_path)
    tokens = encoder.tokenizer.tokens(["the red house", "by the sea"])
    pair = pair_inputs(tokens, np.array([0]), tokens, np.array([1]), encoder.tokenizer.special, 50)
    batch = AutoTokenizer.from_pretrained(tmp_path)("the red house", "by the sea")
    assert batch["input_ids"] == pair.ids.tolist()
    assert not any(batch.get("token_type_ids", []))


@pytest.mark.parametrize(
    ("settings", "gpu", "wanted"),
    [
        ({"precision": "bfloat16"}, False, "eager"),
        ({"precision": "bfloat16", "max_tokens": 129}, False, "sdpa"),
        ({"precision": "bfloat16"}, True, "sdpa"),
        ({}, False, "sdpa"),
    ],
)
def test_short_texts_in_bfloat16_attend_by_plain_products_on_a_cpu(monkeypatch, settings, gpu, wanted):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpu)
    encoder = new(tiny(**settings))
    assert encoder.model.config._attn_implementation == wanted


def test_both_kinds_of_attention_give_the_same_vectors():
    encoder = new(tiny(precision="bfloat16"))
    inputs = inputs_of(encoder)
    with torch.no_grad():
        plain = encoder(inputs)
        encoder.masked.set_attn_implementation("sdpa")
        fused = encoder(inputs)
    torch.testing.assert_close(plain, fused, atol=2e-2, rtol=0)
    assert plain.abs().max() > 0.5

"""Settings of text encoders that do not fit together are refused by name."""

import pytest
from pydantic import ValidationError

from kelbench.config.experiment import load_method
from kelbench.config.kepler import TextKnowledgeEmbeddingSettings
from kelbench.config.methods import TEXT_METHODS

BAG = {"kind": "bow", "width": 8, "max_tokens": 8}


def settings(method="kepler_ke", **changes):
    return TextKnowledgeEmbeddingSettings.model_validate(load_method(method).settings["native"] | changes)


@pytest.mark.parametrize("method", TEXT_METHODS)
def test_the_defaults_of_each_method_make_that_method_and_no_other(method):
    own = settings(method)
    own.check_method(method)
    others = set(TEXT_METHODS) - {method}
    for other in others:
        with pytest.raises(ValueError, match=f"^{other} is defined with"):
            own.check_method(other)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"encoder": BAG | {"width": 7}, "score": "complex"}, "needs an even projection or width, found 7"),
        ({"encoder": BAG | {"pooling": "mean"}}, "pooling: mean goes with transformers"),
        ({"encoder": BAG | {"layers": 2}}, "the key layers goes with kind: tiny"),
        ({"encoder": BAG | {"precision": "bfloat16"}}, "precision: bfloat16 goes with transformers"),
        ({"encoder": {"kind": "hf:roberta-base@main", "max_tokens": 64}}, "String should match pattern"),
        (
            {"encoder": {"kind": "minilm", "width": 384, "max_tokens": 64}},
            "the key width goes with kind: bow, cnn or tiny",
        ),
        ({"negatives": {"mode": "uniform"}}, "the key per_positive goes with mode: uniform"),
        ({"negatives": None}, "the key negatives goes with a loss"),
        ({"loss": None, "negatives": None, "temperature": None}, "loss: null needs the key masked_language_modelling"),
        ({"relation": "none"}, "relation: none needs conditioned: true"),
        ({"halved": True}, "the key halved goes with loss: kepler"),
        (
            {"encoder": BAG, "masked_language_modelling": {"corpus": "descriptions", "batch_size": 4}},
            "masked_language_modelling needs a transformer, not kind: bow",
        ),
        (
            {
                "encoder": {"kind": "hf:gpt2@" + "0" * 40, "pooling": "last", "max_tokens": 8},
                "masked_language_modelling": {"corpus": "descriptions", "batch_size": 4},
            },
            "reads both ways, not pooling: last",
        ),
        ({"masked_language_modelling": {"corpus": "file", "batch_size": 4}}, "the key file goes with corpus: file"),
        ({"negatives": {"mode": "in_batch", "frequency_correction": 1.1}}, "less than or equal to 1"),
    ],
)
def test_keys_that_do_not_fit_together_are_refused(changes, expected):
    with pytest.raises(ValidationError, match=expected):
        settings(**changes)


def test_only_equal_training_makes_a_fair_comparison():
    triples, language = settings().training_setup()
    assert language is None
    assert triples == settings("kepler_rel").training_setup()[0]
    assert triples != settings(negatives={"mode": "uniform", "per_positive": 1}).training_setup()[0]
    assert triples != settings(loss="kepler", temperature=None).training_setup()[0]


def test_the_variants_share_a_corpus_but_the_one_that_is_defined_by_another():
    shared = {settings(f"kepler_{name}").training_setup()[1] for name in ("wiki", "rel", "cond", "mlm_only")}
    assert len(shared) == 1
    assert settings("kepler_only_desc").training_setup()[1] not in shared
    assert settings("kepler_mlm_only").training_setup()[0] is None


def test_the_whole_correction_for_frequency_is_allowed():
    whole = settings(negatives={"mode": "in_batch", "frequency_correction": 1.0})
    assert whole.negatives.frequency_correction == 1.0


@pytest.mark.parametrize("score", ["distmult", "complex", "rotate", "simple"])
def test_language_alone_has_no_relation_to_multiply_with(score):
    with pytest.raises(ValidationError, match=f"loss: null learns no relation, which score: {score} needs"):
        settings("kepler_mlm_only", score=score)

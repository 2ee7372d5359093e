"""Estimates of whole runs: by hand, against the paper's order of magnitude, and as the command prints them."""

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from kelbench.base.errors import UserError
from kelbench.config.datasets import Counts
from kelbench.config.experiment import Experiment
from kelbench.config.kepler import TextKnowledgeEmbeddingSettings
from kelbench.methods.cost.estimate import estimate, texts_of_a_step
from kelbench.methods.cost.shapes import shape_of
from kelbench.methods.cost.table import GPUS, UTILISATION, cost_table

ROOT = Path(__file__).parents[3]
COUNTS = Counts(entities=1000, relations=7, train=95, valid=9, test=9)


def settings(**changes):
    return TextKnowledgeEmbeddingSettings(
        **{
            "encoder": {"kind": "tiny", "width": 4, "layers": 2, "heads": 2, "vocabulary": 50, "max_tokens": 6},
            "relation": "table",
            "score": "transe_l1",
            "loss": "kepler",
            "negatives": {"mode": "uniform", "per_positive": 1},
            "learning_rate": 1e-3,
            "relation_learning_rate": 1e-3,
            "batch_size": 10,
            "epochs": 3,
            "early_stopping": {"every": 2, "patience": 1},
        }
        | changes
    )


def test_a_small_run_by_hand():
    cost = estimate(settings(), COUNTS)
    # 95 triples in batches of 10, 3 epochs; 20 ends and 20 negatives of 6 tokens; 960 FLOPs a token (2 x (2 x 192 + 96)).
    assert (cost.steps, cost.texts, cost.tokens, cost.parts) == (30, 40, 240, 1)
    assert cost.training_flops == cost.busiest_flops == 30 * 240 * 3 * 960
    # Validated after epochs 2 and 3, and encoded once more at the end.
    assert cost.encoded == 3 * 1000 * 6
    assert cost.encoding_flops == 3 * 1000 * 6 * 960
    # Embeddings (50 + 6 + 2 + 2) x 4, two layers of 244, relations 7 x 4.
    assert cost.parameters == 240 + 488 + 28
    assert cost.state_bytes == 16 * 756
    assert cost.pass_bytes == 240 * 2 * (4 * 66 + 9 * 2 * 6) + 8 * 40 * 4
    assert cost.entity_bytes == 4 * 1000 * 4
    assert cost.peak_bytes == cost.state_bytes + cost.pass_bytes


def test_second_readings_of_a_text():
    once = estimate(settings(), COUNTS).training_flops
    twice = estimate(settings(texts_per_pass=39), COUNTS)
    assert twice.training_flops == pytest.approx(once * 4 / 3)
    checkpointing = settings().encoder.model_dump() | {"gradient_checkpointing": True}
    assert estimate(settings(encoder=checkpointing), COUNTS).training_flops == pytest.approx(once * 4 / 3)
    assert estimate(settings(encoder=checkpointing, texts_per_pass=39), COUNTS).training_flops == pytest.approx(
        once * 5 / 3
    )


def test_gpus_share_a_step_a_pass_at_a_time():
    alone = estimate(settings(texts_per_pass=10), COUNTS)
    assert alone.parts == 4
    shares = [estimate(settings(texts_per_pass=10), COUNTS, gpus).busiest_flops for gpus in (1, 2, 3, 4, 8)]
    assert shares == [alone.training_flops * share for share in (1, 0.5, 0.5, 0.25, 0.125)]
    # A pass that would hold all texts is shared as well, and every text is encoded twice.
    assert estimate(settings(), COUNTS, 2).busiest_flops == pytest.approx(
        estimate(settings(), COUNTS).training_flops * 4 / 3 / 2
    )


@pytest.mark.parametrize(
    ("changes", "texts"),
    [
        ({}, 40),
        ({"negatives": {"mode": "uniform", "per_positive": 5}}, 120),
        ({"negatives": {"mode": "uniform", "per_positive": 5, "shared": True}}, 30),
        ({"negatives": {"mode": "uniform", "per_positive": 64}}, 1000),
        ({"negatives": {"mode": "in_batch"}}, 20),
        ({"negatives": {"mode": "in_batch"}, "conditioned": True}, 40),
        ({"relation": "text"}, 47),
    ],
)
def test_texts_of_a_step(changes, texts):
    assert texts_of_a_step(settings(**changes), COUNTS) == texts


def test_language_alone():
    modelling = {"corpus": "descriptions", "batch_size": 8}
    run = settings(loss=None, negatives=None, masked_language_modelling=modelling)
    cost = estimate(run, COUNTS)
    shape = shape_of(run.encoder)
    assert (cost.texts, cost.tokens, cost.parts) == (8, 48, 0)
    assert cost.training_flops == pytest.approx(30 * 48 * 3 * (960 + 0.15 * shape.output_flops()))
    # Beside the triples it adds up.
    both = estimate(settings(masked_language_modelling=modelling), COUNTS)
    assert both.training_flops == pytest.approx(cost.training_flops + estimate(settings(), COUNTS).training_flops)


def test_the_papers_preset_has_the_papers_order_of_magnitude(monkeypatch):
    """64 V100 took about a day for 10 epochs (issue 14 of its repository): 7e20 FLOPs at their peak, at most."""
    monkeypatch.chdir(ROOT)
    experiment = Experiment(Path("config/kepler-wikidata5m.yaml"))
    run = experiment.run("wikidata5m-transductive", "wiki-paper")
    counts = experiment.registered[run.dataset].counts
    plain = run.settings.model_copy(
        update={
            "encoder": run.settings.encoder.model_copy(update={"gradient_checkpointing": False}),
            "texts_per_pass": 10**6,
            "epochs": 10,
        }
    )
    cost = estimate(plain, counts)
    assert cost.steps == 5560
    assert cost.tokens == 5 * 12_288 * 512
    # 6 x 85 million weights and 3 x 4 x 512 x 768 x 12 of attention for each token: 1e20 if all texts had 512.
    assert cost.training_flops == pytest.approx(1.0e20, rel=0.05)
    assert cost.training_flops < 64 * 24 * 3600 * GPUS["V100"].half
    # Training as configured reads the texts of triples three times.
    assert 1.5 < estimate(run.settings.model_copy(update={"epochs": 10}), counts).training_flops / 1.0e20 < 1.7


# ---- the table


def experiment_of(tmp_path, **changes):
    encoder = {
        "kind": "hf:bert-base-cased@0000000000000000000000000000000000000000",
        "max_tokens": 64,
        "precision": "bfloat16",
    }
    base = {"encoder": encoder, "score": "transe_l1", "loss": "kepler", "margin": 9.0, "temperature": None}
    base |= {"negatives": {"mode": "uniform", "per_positive": 1}}
    runs = {
        "big": {"method": "kepler_ke", "datasets": ["wikidata5m-inductive"], "settings": base | changes},
        "random": {"method": "random", "datasets": ["nations"]},
    }
    path = tmp_path / "cost.yaml"
    path.write_text(yaml.safe_dump({"experiment": "cost", "title": "Costs", "seeds": [1], "runs": runs}))
    return Experiment(path)


@pytest.fixture(autouse=True)
def _in_the_checkout(monkeypatch):
    monkeypatch.chdir(ROOT)


def cells(text, run):
    return next(line for line in text.split("\n") if line.startswith(f"{run} ")).split()


def test_hours_are_flops_at_a_share_of_the_peak(tmp_path):
    experiment = experiment_of(tmp_path)
    run = experiment.run("wikidata5m-inductive", "big")
    cost = estimate(run.settings, experiment.registered[run.dataset].counts)
    hours = (cost.training_flops + cost.encoding_flops) / (UTILISATION * 312e12) / 3600
    row = cells(cost_table(experiment, "a100", 1), "big")
    assert row[-1] == f"{hours:.1f}"
    # The entities of all three graphs.
    assert row[-3] == f"{4 * 768 * (4_579_609 + 7_475 + 7_374) / 2**30:.1f}"
    assert float(cells(cost_table(experiment, "H100", 1), "big")[-1]) == pytest.approx(hours * 312 / 989, rel=0.05)
    assert "Not estimated, being no trained text methods" in cost_table(experiment, "A100", 1)


def test_what_does_not_fit_is_named_with_the_key_to_lower(tmp_path):
    text = cost_table(experiment_of(tmp_path, texts_per_pass=4096, batch_size=4096), "V100-16GB", 1)
    assert "hours are for its peak at float16" in text
    (note,) = [line for line in text.split("\n") if "do not fit into 16; lower texts_per_pass to" in line]
    fitting = int(note.split(" to ")[1].split()[0])
    assert "do not fit" not in cost_table(experiment_of(tmp_path, texts_per_pass=fitting), "V100-16GB", 1)
    wide = {"kind": "hf:bert-base-cased@0000000000000000000000000000000000000000", "max_tokens": 64, "projection": 4096}
    assert "lower encoder.projection" in cost_table(experiment_of(tmp_path, encoder=wide), "V100", 1)


def test_an_unknown_gpu_gets_the_nearest_name(tmp_path):
    with pytest.raises(UserError, match=r"GPU 'A10' is not known; did you mean 'A100'\?"):
        cost_table(experiment_of(tmp_path), "A10", 1)


def test_an_experiment_without_a_text_method_is_an_error(tmp_path):
    with pytest.raises(UserError, match="expected a run that trains a text encoder"):
        cost_table(Experiment(Path("config/kinships.yaml")), "A100", 1)


def test_the_command_prints_the_full_scale_without_torch():
    code = (
        "import sys\nfrom kelbench.cli import commands\n"
        "commands(['estimate', '--config', 'config/kepler-wikidata5m.yaml', '--gpus', '8'], standalone_mode=False)\n"
        "sys.exit('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "wikidata5m-transductive, one seed on 8 x A100" in done.stdout
    assert {"wiki-paper", "cond-code", "bi-encoder", "dkrl"} <= {line.split(" ")[0] for line in done.stdout.split("\n")}

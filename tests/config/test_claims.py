from collections import Counter
from pathlib import Path

import pytest
import yaml

from kelbench.base.errors import UserError
from kelbench.config.claims import SAMPLED_METRICS, OrderingClaim, ValueClaim, load_claims
from kelbench.config.datasets import registered_names
from kelbench.config.experiment import Experiment

ROOT = Path(__file__).parents[2]
CLAIMS = ROOT / "config/claims"
GOOD = {
    "source": {"title": "A", "short": "A", "where": "Table 1", "url": "https://example.org"},
    "protocol": {"ties": "realistic", "unseen": "keep"},
    "values": [
        {
            "id": "a",
            "dataset": "wn18rr",
            "method": "ComplEx",
            "setting": "s",
            "preset": "code",
            "decimals": 2,
            "values": {"mrr": 0.47},
        }
    ],
}


def write(folder, name="a", **changes):
    content = yaml.safe_load(yaml.safe_dump(GOOD))
    content["values"][0].update(changes)
    (folder / f"{name}.yaml").write_text(yaml.safe_dump(content, sort_keys=False))


def printed(dataset, method, source):
    found = [
        claim.values
        for file, claim in load_claims(CLAIMS)
        if isinstance(claim, ValueClaim)
        and (claim.dataset, claim.method, file.source.short) == (dataset, method, source)
    ]
    assert found
    return found


def test_shipped_claims_speak_of_registered_datasets_and_known_methods():
    registered = set(registered_names(ROOT / "config/datasets"))
    labels = {"TransE", "DistMult", "ComplEx", "RotatE", "SimplE", "NodePiece"}
    labels |= {"KEPLER-Wiki", "KEPLER-Rel", "KEPLER-Cond", "KEPLER-KE", "MLM only", "DKRL", "Bi-encoder"}
    labels |= {"CLEP", "CLEP fine-tuned ConvE", "R-GCN DistMult"}
    labels |= {"CompGCN TransE", "CompGCN DistMult", "CompGCN ConvE"}
    named_by_no_run = {"TransE-1", "RoBERTa"}
    claims = load_claims(CLAIMS)
    assert {claim.dataset for _, claim in claims} <= registered
    values = [claim for _, claim in claims if isinstance(claim, ValueClaim)]
    assert {claim.method for claim in values} == labels | named_by_no_run
    assert all(claim.not_comparable for claim in values if claim.method in named_by_no_run)


def test_shipped_claims_cover_what_they_should():
    datasets = Counter(claim.dataset for _, claim in load_claims(CLAIMS))
    for name in ("fb15k-237", "wn18rr", "codex-s", "yago3-10", "wikidata5m-transductive", "kinships", "ilpc22-small"):
        assert datasets[name], name
    for version in range(1, 5):
        assert datasets[f"fb15k-237-ind-v{version}"]
        assert datasets[f"wn18rr-ind-v{version}"]


@pytest.mark.parametrize(
    ("dataset", "method", "source", "mrr"),
    [
        ("fb15k-237", "ComplEx", "LibKGE", 0.348),
        ("wn18rr", "TransE", "LibKGE", 0.228),
        ("codex-s", "ComplEx", "ssl-rp", 0.472),
        ("yago3-10", "ComplEx", "kbc", 0.58),
        ("fb15k-237", "RotatE", "RotatE repository", 0.337),
        ("wikidata5m-transductive", "SimplE", "KEPLER", 0.296),
        ("wn18rr", "RotatE", "GraphVite", 0.5),
        ("ilpc22-small", "NodePiece", "ILPC", 0.0381),
        ("fb15k-237", "CLEP", "CLEP", 0.222),
        ("fb15k-237", "R-GCN DistMult", "CLEP", 0.237),
        ("fb15k-237", "R-GCN DistMult", "R-GCN", 0.248),
        ("fb15k-237", "CompGCN DistMult", "CompGCN", 0.338),
        ("wn18rr", "CompGCN ConvE", "DGL", 0.471),
    ],
)
def test_some_shipped_values(dataset, method, source, mrr):
    assert mrr in [values["mrr"] for values in printed(dataset, method, source)]


def test_graph_embeddings_were_measured_on_other_releases_of_wikidata5m():
    labels = {"TransE", "DistMult", "ComplEx", "RotatE", "SimplE"}
    claims = [claim for _, claim in load_claims(CLAIMS) if claim.dataset == "wikidata5m-transductive"]
    values = [claim for claim in claims if isinstance(claim, ValueClaim) and claim.method in labels]
    assert len(values) > 10
    assert all(claim.dataset_version not in (None, "v3") for claim in values)


def test_sampled_metrics_are_never_comparable():
    for _, claim in load_claims(CLAIMS):
        if isinstance(claim, ValueClaim) and set(claim.values) & set(SAMPLED_METRICS):
            assert claim.not_comparable


def test_a_cut_dataset_is_never_comparable():
    cut = [claim for _, claim in load_claims(CLAIMS) if "cut" in (claim.dataset_version or "")]
    assert len(cut) == 3
    assert all(claim.not_comparable for claim in cut)


def test_what_was_read_off_validation_curves_is_judged_on_validation_triples():
    read = [
        (file.protocol.split, claim.method)
        for file, claim in load_claims(CLAIMS)
        if isinstance(claim, ValueClaim) and "decoded from a plot" in (claim.note or "")
    ]
    assert set(read) == {("valid", "CompGCN ConvE"), ("valid", "CLEP fine-tuned ConvE")}


def test_pykeens_own_variants_join_only_pykeen_runs_and_other_sources_only_native_ones():
    for file, claim in load_claims(CLAIMS):
        if isinstance(claim, ValueClaim) and claim.method in ("RotatE", "SimplE"):
            assert claim.engine == ("pykeen" if file.source.short == "PyKEEN study" else "native")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"values": {"mrr": 0.475}}, ["more than 2 decimals", "a.yaml:"]),
        ({"values": {"mrr": 47.0}}, ["expected a share"]),
        ({"values": {}}, ["values"]),
        ({"values": {"sampled_hits@10_of_50": 0.9}}, ["not_comparable"]),
        ({"decimal": 2}, ["unknown key", "decimals"]),
        ({"preset": "ours"}, ["preset"]),
    ],
)
def test_a_claim_that_does_not_fit_is_an_error_with_its_place(tmp_path, changes, words):
    write(tmp_path, **changes)
    with pytest.raises(UserError) as error:
        load_claims(tmp_path)
    assert all(word in str(error.value) for word in words)


def test_an_id_stands_once_over_all_files(tmp_path):
    write(tmp_path, "a")
    write(tmp_path, "b")
    with pytest.raises(UserError, match=r"b\.yaml:\d+: id 'a' stands in .*a\.yaml"):
        load_claims(tmp_path)


def test_no_folder_holds_no_claims(tmp_path):
    assert load_claims(tmp_path / "none") == []


def test_a_file_without_claims_is_an_error(tmp_path):
    (tmp_path / "a.yaml").write_text(yaml.safe_dump({key: GOOD[key] for key in ("source", "protocol")}))
    with pytest.raises(UserError, match="expected values"):
        load_claims(tmp_path)


def test_the_experiment_that_a_claim_names_runs_its_method_with_its_preset():
    named = [claim for _, claim in load_claims() if claim.experiment is not None]
    assert [claim.id for claim in named] == ["clep-fb15k-237", "clep-fb15k-237-r-gcn-distmult"]
    for claim in named:
        runs = Experiment(claim.experiment).runs.values()
        found = {(run.dataset, run.method_label, run.preset) for run in runs}
        assert (claim.dataset, claim.method, claim.preset) in found


def test_each_order_of_clep_has_a_shipped_experiment_with_both_methods_at_one_preset():
    orders = [
        claim for file, claim in load_claims() if isinstance(claim, OrderingClaim) and file.source.short == "CLEP"
    ]
    orders = [claim for claim in orders if claim.not_comparable is None]
    assert len(orders) == 3
    experiments = [Experiment(path) for path in (ROOT / "config/clep-gpt2.yaml", ROOT / "config/clep-fine-tuning.yaml")]
    for claim in orders:
        presets = [
            {
                method: {
                    run.preset
                    for run in one.runs.values()
                    if (run.dataset, run.method_label) == (claim.dataset, method)
                }
                for method in (claim.higher, claim.lower)
            }
            for one in experiments
        ]
        assert any(found[claim.higher] & found[claim.lower] for found in presets), claim.id

import gzip
import json
import os
from pathlib import Path

import numpy as np
import pytest

from kelbench.base.errors import UserError
from kelbench.base.files import sha256_bytes, sha256_file
from kelbench.config.datasets import CustomDataset, load_dataset
from kelbench.data import prepare
from kelbench.data.fetch import fetch_dataset
from kelbench.data.prepare import prepare_custom, prepare_dataset
from kelbench.data.prepared import PreparedDataset

ORIGINAL_MIRROR = os.environ.get("KELBENCH_MIRROR", "")  # before fixtures change it
SMALL = ["kinships", "nations", "umls", "umls-ind"]
MIRRORED = [
    "codex-s",
    "fb15k-237",
    "ilpc22-small",
    "wn18rr",
    "umls-texts",
    "wikidata-disambig",
    *(f"{graph}-{split}" for graph in ("fb15k-237", "wn18rr") for split in ("semi", "full")),
    *(f"fb15k-237-ind-v{number}" for number in range(1, 5)),
    *(f"wn18rr-ind-v{number}" for number in range(1, 5)),
]


@pytest.fixture
def prepare_it(workplace):
    """Fetch and prepare a registry entry; the opened dataset."""

    def run(settings, folder="prepared") -> PreparedDataset:
        fetch_dataset(settings, workplace / "receipt.json")
        prepare_dataset(settings, workplace / folder)
        return PreparedDataset(workplace / folder)

    return run


@pytest.fixture
def family(make_dataset, tsv):
    """A transductive dataset whose test has an entity and a relation that training has not."""

    def build(**changes):
        contents = {
            "train.tsv": tsv("b r a", "a s c", "c r b", "b r a"),
            "valid.tsv": tsv("a r b"),
            "test.tsv": tsv("d r a", "a s b"),
            "texts.tsv": b"a\tthe  first\nd\tthe fourth\nz\tnobody\n",
        }
        texts = {"gloss": {"file": "texts.tsv", "format": "tsv"}}
        parts = {part: f"{part}.tsv" for part in ("train", "valid", "test")}
        return make_dataset("transductive", contents, parts, **{"entity_texts": texts} | changes)

    return build


def snapshot(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): sha256_file(path) for path in folder.rglob("*") if path.is_file()}


def labelled(dataset: PreparedDataset, triples) -> list[str]:
    entities, relations = dataset.entity_labels(), dataset.relation_labels()
    return [f"{entities[h]} {relations[r]} {entities[t]}" for h, r, t in triples]


def filter_of(dataset: PreparedDataset, split, protocol=0) -> set[str]:
    return set(labelled(dataset, dataset.known(dataset.protocols(split)[protocol])))


def candidates_of(dataset: PreparedDataset, split, protocol=0) -> list[str]:
    labels = dataset.entity_labels()
    return [labels[i] for i in dataset.candidates(dataset.protocols(split)[protocol])]


def test_ids_are_places_among_sorted_labels(family, prepare_it):
    dataset = prepare_it(family())
    assert list(dataset.entity_rows("train")) == [
        (0, "a", "the first"),
        (1, "b", ""),
        (2, "c", ""),
        (3, "d", "the fourth"),
    ]
    assert list(dataset.relation_rows()) == [(0, "r", ""), (1, "s", "")]
    assert dataset.triples("train").tolist() == [[1, 0, 0], [0, 1, 2], [2, 0, 1], [1, 0, 0]]  # repeats stay
    assert dataset.triples("train").dtype == np.int32
    assert dataset.seen_in_training().tolist() == [True, True, True, False]
    assert dataset.manifest["texts"] == {"gloss": 2, "relations": 0}
    assert dataset.entity_texts("gloss") == ["the first", "", "", "the fourth"]
    with pytest.raises(UserError, match="no source of texts 'glos'; did you mean 'gloss'"):
        dataset.entity_texts("glos")


def test_labels_that_are_names_become_a_source_of_texts(make_dataset, tsv, prepare_it):
    contents = {"train.tsv": tsv("New_York r a"), "valid.tsv": tsv("a r New_York"), "test.tsv": tsv("d__x r a")}
    parts = {part: f"{part}.tsv" for part in ("train", "valid", "test")}
    dataset = prepare_it(make_dataset("transductive", contents, parts, labels_are_names=True))
    assert dataset.text_sources == ["name"]
    assert dataset.name_source == "name"
    assert dataset.entity_texts("name") == ["New York", "a", "d x"]
    other = {"entity_texts": {"name": {"file": "train.tsv", "format": "tsv"}}}
    with pytest.raises(ValueError, match="itself the source of texts `name`"):
        make_dataset("transductive", contents, parts, labels_are_names=True, **other)


def test_transductive_candidates_and_filters(family, prepare_it):
    dataset = prepare_it(family())
    train = {"b r a", "a s c", "c r b"}
    for split in ("valid", "test"):
        assert candidates_of(dataset, split) == ["a", "b", "c", "d"]
        assert len(dataset.support(split)) == 0
        assert [protocol.candidates for protocol in dataset.protocols(split)] == ["all"]
    assert filter_of(dataset, "valid") == train | {"a r b"}
    assert filter_of(dataset, "test") == train | {"a r b", "d r a", "a s b"}
    assert not dataset.is_inductive
    assert dataset.manifest["selection_split"] == "valid"


def test_the_manifest_names_digests_and_sources(family, prepare_it, workplace):
    dataset = prepare_it(family())
    manifest = dataset.manifest
    assert manifest["files"] == {
        name: digest for name, digest in snapshot(workplace / "prepared").items() if name != "manifest.json"
    }
    assert manifest["input_files"] == {
        path.name: sha256_file(path) for path in sorted((workplace / "mirror").iterdir())
    }
    assert manifest["normalised"]["train.tsv"] == {"bom": 0, "crlf_lines": 0}
    assert manifest["splits"]["test"]["num_triples"] == 2
    assert (manifest["dataset"], manifest["layout"], manifest["licences"]) == ("made-up", "transductive", ["CC0"])


def test_preparing_twice_gives_the_same_bytes_and_touches_nothing(family, prepare_it, workplace):
    prepare_it(family())
    before = snapshot(workplace / "prepared")
    for path in (workplace / "prepared").rglob("*"):
        os.utime(path, (1, 1))
    prepare_it(family())
    assert snapshot(workplace / "prepared") == before
    written = [path for path in (workplace / "prepared").rglob("*") if path.is_file()]
    assert {path.stat().st_mtime for path in written} == {1}
    prepare_it(family(), "elsewhere")
    assert snapshot(workplace / "elsewhere") == before


def test_wrong_counts_are_named_and_nothing_is_written(family, prepare_it, workplace):
    counts = {"entities": 27, "relations": 2, "train": 4, "valid": 1, "test": 3, "unseen_test": 1}
    with pytest.raises(UserError) as caught:
        prepare_it(family(counts=counts))
    assert str(caught.value).split("\n")[1:] == ["  entities: expected 27, found 4", "  test: expected 3, found 2"]
    assert not (workplace / "prepared").exists()


def test_right_counts_pass(family, prepare_it):
    counts = {"entities": 4, "relations": 2, "train": 4, "valid": 1, "test": 2, "unseen_test": 1}
    assert prepare_it(family(counts=counts)).num_entities == 4


def test_an_interrupted_preparation_leaves_no_manifest(family, prepare_it, workplace, monkeypatch):
    prepare_it(family())
    good = snapshot(workplace / "prepared")
    with monkeypatch.context() as patch:

        def killed(*_):
            raise KeyboardInterrupt

        patch.setattr(prepare, "_write_table", killed)
        with pytest.raises(KeyboardInterrupt):
            prepare_it(family())
    assert not (workplace / "prepared/manifest.json").exists()
    with pytest.raises(UserError, match="run the step that makes it first"):
        PreparedDataset(workplace / "prepared")
    prepare_it(family())
    assert {name: good[name] for name in good} == snapshot(workplace / "prepared")


def test_a_malformed_archive_member_is_named_with_its_line(make_dataset, tar_gz, tsv, prepare_it, workplace):
    archive = tar_gz({"train.txt": tsv("a r b"), "valid.txt": tsv("a r b", "a r"), "test.txt": tsv("a r b")})
    parts = {part: ("made.tar.gz", f"{part}.txt") for part in ("train", "valid", "test")}
    with pytest.raises(UserError, match=r"made\.tar\.gz:valid\.txt:2: expected 3 tab-separated columns"):
        prepare_it(make_dataset("transductive", {"made.tar.gz": archive}, parts))
    assert not (workplace / "prepared").exists()


def test_crlf_and_byte_order_mark_change_no_label(make_dataset, tar_gz, prepare_it):
    lines = {"train": "a\tr\tb\r\nb\tr\tc\r\n", "valid": "c\tr\ta\r\n", "test": "c\tr\tb"}
    archive = tar_gz({f"{part}.txt": f"\ufeff{text}".encode() for part, text in lines.items()})
    parts = {part: ("made.tar.gz", f"{part}.txt") for part in lines}
    dataset = prepare_it(make_dataset("transductive", {"made.tar.gz": archive}, parts))
    assert dataset.entity_labels() == ["a", "b", "c"]
    assert dataset.manifest["normalised"] == {
        "made.tar.gz:test.txt": {"bom": 1, "crlf_lines": 0},
        "made.tar.gz:train.txt": {"bom": 1, "crlf_lines": 2},
        "made.tar.gz:valid.txt": {"bom": 1, "crlf_lines": 1},
    }


def test_grail_candidates_and_filters(make_dataset, tsv, prepare_it):
    contents = {
        "train.txt": tsv("a r b", "b s c"),
        "valid.txt": tsv("a s c"),
        "ind-train.txt": tsv("x r y", "y r a"),
        "ind-valid.txt": tsv("x s a"),
        "ind-test.txt": tsv("y s w"),
    }
    parts = dict(zip(("train", "valid", "inference", "inference_valid", "test"), contents, strict=True))
    counts = {"entities": 3, "relations": 2, "train": 2, "valid": 1, "test": 1, "unseen_test": 1}
    counts |= {"inference_entities": 4, "support": 2, "extra_known": 1}
    dataset = prepare_it(make_dataset("grail", contents, parts, counts=counts))
    assert dataset.spaces == {"train": (0, 3), "test": (3, 7)}
    assert dataset.entity_labels() == ["a", "b", "c", "a", "w", "x", "y"]  # `a` stands in both graphs
    assert (dataset.space_of("valid"), dataset.space_of("test"), dataset.is_inductive) == ("train", "test", True)
    assert candidates_of(dataset, "valid") == ["a", "b", "c"]
    assert filter_of(dataset, "valid") == {"a r b", "b s c", "a s c"}
    assert candidates_of(dataset, "test") == ["a", "w", "x", "y"]
    assert filter_of(dataset, "test") == {"x r y", "y r a", "x s a", "y s w"}
    assert labelled(dataset, dataset.support("test")) == ["x r y", "y r a"]
    assert len(dataset.support("valid")) == 0
    assert dataset.seen_in_training().tolist() == [True, True, True, True, False, True, True]
    assert dataset.triples("test").min(axis=0)[0] >= 3


def test_ilpc_candidates_and_filters(make_dataset, tsv, prepare_it):
    contents = {
        "train.txt": tsv("a r b"),
        "inference.txt": tsv("x r y", "y r z"),
        "ind-valid.txt": tsv("x r z"),
        "ind-test.txt": tsv("z r y"),
    }
    parts = dict(zip(("train", "inference", "valid", "test"), contents, strict=True))
    dataset = prepare_it(make_dataset("ilpc", contents, parts))
    assert dataset.space_of("valid") == dataset.space_of("test") == "test"
    for split in ("valid", "test"):
        assert candidates_of(dataset, split) == ["x", "y", "z"]
        assert labelled(dataset, dataset.support(split)) == ["x r y", "y r z"]
    assert filter_of(dataset, "valid") == {"x r y", "y r z", "x r z"}
    assert filter_of(dataset, "test") == {"x r y", "y r z", "x r z", "z r y"}


def wikidata5m(kind: str, tsv) -> dict[str, bytes]:
    parts = {"train": ["Q1 P1 Q2", "Q2 P2 Q10"], "valid": ["Q3 P1 Q4"], "test": ["Q5 P2 Q6", "Q6 P1 Q5"]}
    return {f"wikidata5m_{kind}_{part}.txt": tsv(*lines) for part, lines in parts.items()}


def test_wikidata5m_inductive_layout(registry, make_dataset, tar_gz, tsv, prepare_it):
    entry = load_dataset("wikidata5m-inductive", registry)
    parts = {part: (source.file, source.member) for part, source in entry.triples.items()}
    archive = {"wikidata5m_inductive.tar.gz": tar_gz(wikidata5m("inductive", tsv))}
    counts = {"entities": 3, "relations": 2, "train": 2, "valid": 1, "test": 2, "unseen_valid": 1, "unseen_test": 2}
    counts |= {"validation_entities": 2, "inference_entities": 2}
    dataset = prepare_it(make_dataset(entry.layout, archive, parts, counts=counts))
    assert dataset.spaces == {"train": (0, 3), "valid": (3, 5), "test": (5, 7)}
    assert dataset.entity_labels() == ["Q1", "Q10", "Q2", "Q3", "Q4", "Q5", "Q6"]
    assert [protocol.candidates for protocol in dataset.protocols("test")] == ["split", "all"]
    assert candidates_of(dataset, "valid") == ["Q3", "Q4"]
    assert candidates_of(dataset, "test") == ["Q5", "Q6"]
    assert candidates_of(dataset, "test", 1) == dataset.entity_labels()
    assert filter_of(dataset, "valid") == {"Q3 P1 Q4"}
    assert filter_of(dataset, "test") == {"Q5 P2 Q6", "Q6 P1 Q5"}
    assert filter_of(dataset, "valid", 1) == {"Q1 P1 Q2", "Q2 P2 Q10", "Q3 P1 Q4"}
    assert len(filter_of(dataset, "test", 1)) == 5
    assert len(dataset.support("test")) == 0


def wikidata5m_texts(tar_gz) -> dict[str, bytes]:
    """The two files of texts as they are published: one compressed, one an archive of two; Q6 and P2 have no name."""
    descriptions = [f"Q{number}\tarticle {number},  its first\tsection\n" for number in (10, 6, 5, 4, 3, 1, 99)]
    names = [f"Q{number}\tname {number}\tother name\n" for number in (1, 2, 3, 4, 5, 10)]
    members = {"wikidata5m_entity.txt": "".join(names), "wikidata5m_relation.txt": "P1\tcapital of\tcapital\n"}
    return {
        "wikidata5m_text.txt.gz": gzip.compress("".join(descriptions).encode(), mtime=0),
        "wikidata5m_alias.tar.gz": tar_gz({name: content.encode() for name, content in members.items()}),
    }


@pytest.mark.parametrize("kind", ["transductive", "inductive"])
def test_wikidata5m_with_its_texts(kind, registry, make_dataset, tar_gz, tsv, prepare_it):
    entry = load_dataset(f"wikidata5m-{kind}", registry)
    parts = {part: (source.file, source.member) for part, source in entry.triples.items()}
    contents = {f"wikidata5m_{kind}.tar.gz": tar_gz(wikidata5m(kind, tsv))} | wikidata5m_texts(tar_gz)
    assert list(contents) == [file.name for file in entry.files]
    texts = {key: getattr(entry, key) for key in ("entity_texts", "entity_names", "relation_texts")}
    dataset = prepare_it(make_dataset(entry.layout, contents, parts, **texts))
    assert (dataset.text_sources, dataset.name_source) == (["description", "name"], "name")
    described = dict(zip(dataset.entity_labels(), dataset.texts_or_first(None), strict=True))
    named = dict(zip(dataset.entity_labels(), dataset.entity_texts("name"), strict=True))
    assert (described["Q10"], described["Q2"]) == ("article 10, its first section", "")
    assert (named["Q10"], named["Q6"]) == ("name 10", "")
    assert dataset.relation_texts() == ["capital of", "P2"]
    assert dataset.manifest["texts"] == {"description": 6, "name": 6, "relations": 1}


@pytest.mark.parametrize("name", ["wikidata5m-transductive", "yago3-10"])
def test_large_transductive_layouts(name, registry, make_dataset, tar_gz, tsv, prepare_it):
    entry = load_dataset(name, registry)
    parts = {part: (source.file, source.member) for part, source in entry.triples.items()}
    contents = dict(zip(("train", "valid", "test"), wikidata5m("transductive", tsv).values(), strict=True))
    members = {parts[part][1]: content for part, content in contents.items()}
    archive = {entry.files[0].name: tar_gz(members)}
    dataset = prepare_it(make_dataset(entry.layout, archive, parts))
    assert len(candidates_of(dataset, "test")) == 7
    assert labelled(dataset, dataset.triples("train")) == ["Q1 P1 Q2", "Q2 P2 Q10"]
    assert len(filter_of(dataset, "valid")) == 3


@pytest.mark.parametrize("name", SMALL)
def test_embedded_datasets_have_the_counts_of_the_registry(name, registry, prepare_it):
    settings = load_dataset(name, registry)
    assert settings.counts is not None
    dataset = prepare_it(settings)
    assert len(dataset.triples("train")) == settings.counts.train


@pytest.mark.parametrize("name", MIRRORED)
def test_mirrored_datasets_have_the_counts_of_the_registry(name, registry, prepare_it, monkeypatch):
    if not (mirror := ORIGINAL_MIRROR):
        pytest.skip("KELBENCH_MIRROR is not set")
    monkeypatch.setenv("KELBENCH_MIRROR", mirror)
    settings = load_dataset(name, registry)
    folders = [Path(part) for part in mirror.split(os.pathsep) if part]
    if missing := [
        file.name for file in settings.files if not any((folder / file.name).is_file() for folder in folders)
    ]:
        pytest.skip(f"not in the folders of KELBENCH_MIRROR: {', '.join(missing)}")
    assert settings.counts is not None
    dataset = prepare_it(settings)
    if settings.entity_texts:
        # Some ends of Wikidata-Disambig's triples have no text.
        without = 2_098 if name == "wikidata-disambig" else 0
        assert dataset.manifest["texts"][dataset.text_sources[0]] == dataset.num_entities - without


def test_umls_ind_is_what_it_should_be(registry, prepare_it):
    dataset = prepare_it(load_dataset("umls-ind", registry), "ind")
    umls = prepare_it(load_dataset("umls", registry), "umls")
    parts = {"train": dataset.triples("train"), "support": dataset.support("test")}
    parts |= {split: dataset.triples(split) for split in ("valid", "test")}
    rows = {name: set(labelled(dataset, triples)) for name, triples in parts.items()}
    everything = {row for split in ("train", "valid", "test") for row in labelled(umls, umls.triples(split))}
    labels = dataset.entity_labels()
    assert sorted(labels) == umls.entity_labels()
    inside = set(labels[90:])
    assert len(inside) == 45
    assert {row for row in everything if inside >= set(row.split(" ")[::2])} == rows["support"] | rows["valid"] | rows[
        "test"
    ]
    assert {row for row in everything if not inside & set(row.split(" ")[::2])} == rows["train"]
    assert len(rows["valid"]) == len(rows["test"]) == 100
    assert not rows["valid"] & rows["test"]
    assert not (rows["valid"] | rows["test"]) & rows["support"]
    assert set(np.unique(parts["support"][:, [0, 2]])) == set(range(90, 135))
    assert set(np.unique(parts["train"][:, [0, 2]])) == set(range(90))
    assert set(np.unique(parts["train"][:, 1])) == set(range(dataset.num_relations))
    assert np.array_equal(dataset.support("valid"), dataset.support("test"))


@pytest.fixture
def own(tmp_path):
    """A folder with a user's files, 60 triples among 12 entities."""
    generator = np.random.default_rng(0)
    lines = sorted({f"n{h}\tr{h % 3}\tn{t}" for h, t in generator.integers(0, 12, (90, 2))})
    (tmp_path / "data").mkdir()
    (tmp_path / "data/graph.tsv").write_text("\n".join([*lines, lines[0], lines[5]]) + "\n")
    (tmp_path / "data/texts.tsv").write_text("n1\tnumber one\n")
    return tmp_path, lines


def test_a_single_custom_file_is_split(own):
    base, lines = own
    split = {"valid": 0.1, "test": 0.1, "seed": 1}
    custom = CustomDataset(triples="data/graph.tsv", split=split, entity_texts="data/texts.tsv")
    prepare_custom("mine", custom, base, base / "out")
    dataset = PreparedDataset(base / "out")
    parts = {part: labelled(dataset, dataset.triples(part)) for part in ("train", "valid", "test")}
    assert sorted(row for rows in parts.values() for row in rows) == sorted(line.replace("\t", " ") for line in lines)
    assert len(parts["test"]) == round(0.1 * len(lines))
    assert dataset.seen_in_training().all()
    assert dataset.manifest["notes"] == "2 repeated triples were left out before the split"
    assert dataset.manifest["texts"]["text"] == 1
    assert (dataset.name, dataset.manifest["input_files"]["data/texts.tsv"]) == (
        "mine",
        sha256_bytes(b"n1\tnumber one\n"),
    )
    assert str(base) not in (base / "out/manifest.json").read_text()


def test_a_custom_version_follows_files_and_seed(own):
    base, _ = own
    versions = set()
    for seed in (1, 1, 2):
        custom = CustomDataset(triples="data/graph.tsv", split={"valid": 0.1, "test": 0.1, "seed": seed})
        prepare_custom("mine", custom, base, base / "out")
        versions.add(json.loads((base / "out/manifest.json").read_text())["version"])
    assert len(versions) == 2


def test_three_custom_files_stay_as_they_are(own):
    base, _ = own
    for name, text in {"train": "a\tr\tb\n", "valid": "b\tr\ta\n", "test": "c\ts\ta\n"}.items():
        (base / f"{name}.tsv").write_text(text)
    prepare_custom("mine", CustomDataset(train="train.tsv", valid="valid.tsv", test="test.tsv"), base, base / "out")
    dataset = PreparedDataset(base / "out")
    assert labelled(dataset, dataset.triples("test")) == ["c s a"]
    assert dataset.num_relations == 2


def test_custom_errors_name_key_file_and_line(own):
    base, _ = own
    split = {"valid": 0.1, "test": 0.1, "seed": 1}
    with pytest.raises(UserError, match=r"custom\.mine\.triples: expected a file at .*gone\.tsv, found none"):
        prepare_custom("mine", CustomDataset(triples="gone.tsv", split=split), base, base / "out")
    (base / "bad.tsv").write_text("a\tr\tb\na,r,b\n")
    with pytest.raises(UserError, match=r"bad\.tsv:2: expected 3 tab-separated columns .* found 1"):
        prepare_custom("mine", CustomDataset(triples="bad.tsv", split=split), base, base / "out")
    assert not (base / "out").exists()


@pytest.fixture
def by_entity(make_dataset, prepare_it):
    """A graph of 60 entities in a ring with chords, its parts pooled and split by entity."""

    def build(layout):
        rows = [f"e{i:02} r{k} e{(i + step) % 60:02}" for i in range(60) for k, step in enumerate((1, 2, 7))]
        contents = {
            f"{part}.tsv": "".join("\t".join(row.split()) + "\n" for row in rows[start::3]).encode()
            for start, part in enumerate(("train", "valid", "test"))
        }
        parts = {part: f"{part}.tsv" for part in ("train", "valid", "test")}
        return prepare_it(make_dataset(layout, contents, parts, held_out={"share": 0.1, "seed": 1})), set(rows)

    return build


def ends(dataset, split) -> set[str]:
    return {label for row in labelled(dataset, dataset.triples(split)) for label in row.split(" ")[::2]}


def test_semi_candidates_and_filters(by_entity):
    dataset, rows = by_entity("semi")
    train, valid, test = (set(labelled(dataset, dataset.triples(split))) for split in ("train", "valid", "test"))
    labels = dataset.entity_labels()
    own = {space: set(labels[start:stop]) for space, (start, stop) in dataset.spaces.items()}
    assert own["train"] == ends(dataset, "train")
    assert train | valid | test <= rows
    assert all(own["test"] & set(row.split(" ")[::2]) and not own["valid"] & set(row.split(" ")[::2]) for row in test)
    assert all(own["valid"] & set(row.split(" ")[::2]) and not own["test"] & set(row.split(" ")[::2]) for row in valid)
    inside = {row for row in rows if set(row.split(" ")[::2]) <= set(labels)}
    for split, known in (("valid", train | valid), ("test", inside)):
        assert candidates_of(dataset, split) == labels
        assert filter_of(dataset, split) == known
    assert train | valid | test < inside  # what fell between the parts is true
    assert dataset.is_inductive
    assert not dataset.seen_in_training()[dataset.spaces["test"][0] :].any()


def test_full_candidates_and_filters(by_entity):
    dataset, rows = by_entity("full")
    train, valid, test = (set(labelled(dataset, dataset.triples(split))) for split in ("train", "valid", "test"))
    labels = dataset.entity_labels()
    assert train | valid | test <= rows
    inside = {row for row in rows if set(row.split(" ")[::2]) <= set(labels)}
    assert train | valid | test < inside
    for split, own, everything in (("valid", valid, train | valid), ("test", test, inside)):
        start, stop = dataset.spaces[split]
        assert ends(dataset, split) == set(labels[start:stop])
        assert candidates_of(dataset, split) == labels[start:stop]
        assert filter_of(dataset, split) == own
        assert candidates_of(dataset, split, 1) == labels
        assert filter_of(dataset, split, 1) == everything


def test_a_split_of_another_digest_is_refused(make_dataset, prepare_it, tsv):
    contents = {f"{part}.tsv": tsv("a r b", "b r c") for part in ("train", "valid", "test")}
    parts = {part: f"{part}.tsv" for part in ("train", "valid", "test")}
    with pytest.raises(UserError, match=r"test/triples.npy: expected sha256 0{64}, found"):
        prepare_it(make_dataset("transductive", contents, parts, digests={"test/triples.npy": "0" * 64}))


@pytest.mark.parametrize("name", ["atlas", "atlas-tasks", "atlas-semi", "atlas-full"])
def test_atlas_has_the_counts_and_digests_of_its_entries(name, registry, prepare_it):
    settings = load_dataset(name, registry)
    assert settings.counts is not None
    assert len(settings.digests) == 3
    dataset = prepare_it(settings)
    assert dataset.text_sources == ["name_and_description", "description", "name"]
    assert all(dataset.manifest["texts"][source] == dataset.num_entities for source in dataset.text_sources)
    if name == "atlas":
        assert dataset.seen_in_training().all()
        pairs = [
            {frozenset(pair) for pair in dataset.triples(split)[:, [0, 2]].tolist()}
            for split in ("train", "valid", "test")
        ]
        assert not pairs[0] & (pairs[1] | pairs[2])
        assert len(dataset.manifest["text_tasks"]) == 8
    else:
        assert min(len(dataset.triples(split)) for split in ("valid", "test")) >= 500

import numpy as np
import pytest

from kelbench.data.prepared import PreparedDataset

COUNTS = {"entities": 3000, "relations": 40, "train": 12000, "valid": 60, "test": 50}


@pytest.fixture
def shaped(script):
    return script("wikidata5m_shaped")


def test_a_seed_decides_every_triple(shaped):
    shape = shaped.Shape(**COUNTS)
    first = shaped.draw_triples(shape, seed=3)
    assert np.array_equal(first, shaped.draw_triples(shape, seed=3))
    assert not np.array_equal(first, shaped.draw_triples(shape, seed=4))


def test_counts_are_exact_and_triples_distinct(shaped):
    shape = shaped.Shape(**COUNTS)
    triples = shaped.draw_triples(shape, seed=1)
    assert triples.shape == (12110, 3)
    assert triples.dtype == np.int32
    assert len(np.unique(triples, axis=0)) == len(triples)
    assert np.array_equal(np.unique(triples[:, 0]), np.arange(3000))
    assert triples.min() >= 0
    assert triples[:, 1].max() < 40
    assert triples[:, 2].max() < 3000


def test_degrees_are_skewed_and_ids_are_not_their_order(shaped):
    shape = shaped.Shape(**COUNTS)
    triples = shaped.draw_triples(shape, seed=1)
    heads, relations, tails = (np.bincount(triples[:, column]) for column in range(3))
    largest = [np.sort(counts)[::-1][: max(1, len(counts) // 100)].sum() / len(triples) for counts in (heads, tails)]
    assert largest[1] > 3 * largest[0] > 3 * 0.01
    assert relations.max() > 5 * np.median(relations)
    assert np.argmax(tails) != 0


def test_few_possible_triples_are_still_distinct(shaped):
    shape = shaped.Shape(entities=10, relations=2, train=150, valid=5, test=5)
    triples = shaped.draw_triples(shape, seed=1)
    assert len(np.unique(triples, axis=0)) == 160


def test_more_triples_than_there_can_be_are_refused(shaped):
    with pytest.raises(ValueError, match="201 triples"):
        shaped.draw_triples(shaped.Shape(entities=10, relations=2, train=191, valid=5, test=5), seed=1)
    with pytest.raises(ValueError, match="9 triples"):
        shaped.draw_triples(shaped.Shape(entities=10, relations=2, train=7, valid=1, test=1), seed=1)


def test_it_is_written_as_a_prepared_dataset(shaped, tmp_path):
    shape = shaped.Shape(**COUNTS)
    shaped.write(tmp_path / "graph", shape, seed=1)
    dataset = PreparedDataset(tmp_path / "graph")
    assert (dataset.num_entities, dataset.num_relations) == (3000, 40)
    assert [len(dataset.triples(split)) for split in ("train", "valid", "test")] == [12000, 60, 50]
    assert [len(array) for array in (dataset.support("test"), dataset.entity_labels())] == [0, 3000]
    assert shaped.present(tmp_path / "graph", shape, seed=1)
    assert not shaped.present(tmp_path / "graph", shape, seed=2)
    assert not shaped.present(tmp_path / "elsewhere", shape, seed=1)


def test_the_shape_is_that_of_wikidata5m(shaped):
    shape = shaped.WIKIDATA5M
    assert (shape.entities, shape.relations, shape.test, shape.triples) == (4_594_485, 822, 5_133, 20_624_575)

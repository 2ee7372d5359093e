"""The shipped registry entries, as far as they can be checked without their files."""

import pytest

from kelbench.config.datasets import check_file_names, load_dataset, registered_names


def test_every_entry_loads_and_names_are_unique(registry):
    names = registered_names(registry)
    assert len(names) == 29
    check_file_names(load_dataset(name, registry) for name in names)


@pytest.mark.parametrize(
    ("name", "entities", "relations", "train", "valid", "test", "unseen"),
    [
        ("fb15k-237", 14_541, 237, 272_115, 17_535, 20_466, 28),
        ("wn18rr", 40_943, 11, 86_835, 3_034, 3_134, 210),
        ("codex-s", 2_034, 42, 32_888, 1_827, 1_828, 0),
        ("kinships", 104, 25, 8_544, 1_068, 1_074, 0),
        ("nations", 14, 55, 1_592, 199, 201, 0),
        ("umls", 135, 46, 5_216, 652, 661, 0),
        ("wikidata5m-transductive", 4_594_485, 822, 20_614_279, 5_163, 5_133, 156),
        ("yago3-10", 123_182, 37, 1_079_040, 5_000, 5_000, 18),
    ],
)
def test_official_counts(registry, name, entities, relations, train, valid, test, unseen):
    counts = load_dataset(name, registry).counts
    found = (counts.entities, counts.relations, counts.train, counts.valid, counts.test, counts.unseen_test)
    assert found == (entities, relations, train, valid, test, unseen)


@pytest.mark.parametrize(
    ("name", "train", "inference"),
    [
        ("fb15k-237-ind-v1", (1_594, 180, 4_245), (1_093, 1_993, 206, 205)),
        ("fb15k-237-ind-v2", (2_608, 200, 9_739), (1_660, 4_145, 469, 478)),
        ("fb15k-237-ind-v3", (3_668, 215, 17_986), (2_501, 7_406, 866, 865)),
        ("fb15k-237-ind-v4", (4_707, 219, 27_203), (3_051, 11_714, 1_416, 1_424)),
        ("wn18rr-ind-v1", (2_746, 9, 5_410), (922, 1_618, 185, 188)),
        ("wn18rr-ind-v2", (6_954, 10, 15_262), (2_757, 4_011, 411, 441)),
        ("wn18rr-ind-v3", (12_078, 11, 25_901), (5_084, 6_327, 538, 605)),
        ("wn18rr-ind-v4", (3_861, 9, 7_940), (7_084, 12_334, 1_394, 1_429)),
    ],
)
def test_grail_counts(registry, name, train, inference):
    counts = load_dataset(name, registry).counts
    assert (counts.entities, counts.relations, counts.train) == train
    assert (counts.inference_entities, counts.support, counts.extra_known, counts.test) == inference


def test_every_address_is_pinned(registry):
    """A branch moves; a commit or a numbered record does not."""
    for name in registered_names(registry):
        for file in load_dataset(name, registry).files:
            for url in file.urls:
                assert "/master/" not in url
                assert "/main/" not in url

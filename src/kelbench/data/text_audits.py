"""What the texts of a dataset can and cannot tell: coverage, duplicates, the oracle's ceiling, names that answers give.

One record a source of texts, `texts` in `audit.json`:

    source            its name in the registry
    entities, with_text, distinct, shared
                      entities; those with a text; different texts; entities whose text is another's too
    median_words      of the texts there are
    oracle_mrr        MRR on the test split of a scorer that knows which text answers, and can tell no two equal ones
                      apart; an entity without text ties with all others without
    name_match        share of the test triples in which the name of one entity stands in the text of the other; null
                      where the dataset has no source of names
"""

from __future__ import annotations

from typing import Any

import numpy as np

from kelbench.data.name_match import pairs_with_match
from kelbench.data.prepared import PreparedDataset


def text_records(dataset: PreparedDataset) -> list[dict[str, Any]]:
    """A record of every source of texts, in their order."""
    ends = np.asarray(dataset.triples("test"))[:, [0, 2]]
    names = dataset.entity_texts(dataset.name_source) if dataset.name_source is not None else None
    records = []
    for source in dataset.text_sources:
        texts = dataset.entity_texts(source)
        _, group, sizes = np.unique(np.array(texts, dtype=object), return_inverse=True, return_counts=True)
        present = np.array([bool(text) for text in texts])
        lengths = [len(text.split()) for text in texts if text]
        records.append(
            {
                "source": source,
                "entities": len(texts),
                "with_text": int(present.sum()),
                "distinct": len(np.unique(group[present])),
                "shared": int((present & (sizes[group] > 1)).sum()),
                "median_words": float(np.median(lengths)) if lengths else 0.0,
                "oracle_mrr": round(oracle_mrr(dataset, group.astype(np.int64)), 4),
                "name_match": round(float(pairs_with_match(names, texts, ends).mean()), 4) if names else None,
            }
        )
    return records


def oracle_mrr(dataset: PreparedDataset, group: np.ndarray) -> float:
    """The best realistic filtered MRR on the test split for a scorer to which entities of one group look alike.

    Such a scorer gives the answer's group the highest score; the answer ties with the members that compete, those that
    are no other known answer: its realistic rank is 1 + their number / 2.

    Args:
        dataset: the split's first protocol gives candidates and filter.
        group: of each entity, int64 `(entities,)`.
    """
    protocol = dataset.protocols("test")[0]
    candidates = dataset.candidates(protocol)
    members = np.bincount(group[candidates], minlength=group.max() + 1)
    known = np.unique(dataset.known(protocol), axis=0).astype(np.int64)
    known = known[np.isin(known[:, 0], candidates) & np.isin(known[:, 2], candidates)]
    triples = np.asarray(dataset.triples("test")).astype(np.int64)
    reciprocal = []
    for given, asked in ((0, 2), (2, 0)):
        # Known answers of a query in the answer's group; the answer is among them, as every filter holds its split.
        pooled = np.concatenate((known, triples))
        keys = np.stack((pooled[:, given], pooled[:, 1], group[pooled[:, asked]]), axis=1)
        _, key = np.unique(keys, axis=0, return_inverse=True)
        key = key.reshape(-1)
        counts = np.bincount(key[: len(known)], minlength=key.max() + 1)
        ties = members[group[triples[:, asked]]] - counts[key[len(known) :]]
        reciprocal.append(1.0 / (1.0 + ties / 2.0))
    return float(np.mean(reciprocal))

"""Whether one entity's name stands in another's text: the shortcut by which a text gives an answer away.

Names and texts are compared as words in lower case, accents and punctuation apart, so that `Paris` is found in
`Paris's` and not in `comparison`.
"""

from __future__ import annotations

import re
import unicodedata

import numpy as np
from scipy.sparse import csr_array

_WORD = re.compile(r"\w+")


def words(text: str) -> list[str]:
    """The words of a text in lower case, without accents."""
    decomposed = unicodedata.normalize("NFKD", text.casefold())
    return _WORD.findall("".join(character for character in decomposed if not unicodedata.combining(character)))


def pairs_with_match(names: list[str], texts: list[str], pairs: np.ndarray) -> np.ndarray:
    """For each pair of entities, whether the name of one stands in the text of the other, bool `(n,)`.

    Args:
        names: by entity id; an empty one is in no text.
        texts: by entity id.
        pairs: integer `(n, 2)`.
    """
    used = np.unique(pairs).tolist()
    name = {entity: f" {' '.join(words(names[entity]))} " for entity in used}
    text = {entity: f" {' '.join(words(texts[entity]))} " for entity in used}
    return np.array([_stands_in(name[a], text[b]) or _stands_in(name[b], text[a]) for a, b in pairs.tolist()], bool)


def _stands_in(name: str, text: str) -> bool:
    return not name.isspace() and name in text


def name_matches(names: list[str], texts: list[str]) -> csr_array:
    """All matches: float32 `(entities, entities)`, 1 where the name of one stands in the text of the other.

    The diagonal is 0.
    """
    by_name: dict[str, list[int]] = {}
    longest = 0
    for entity, name in enumerate(names):
        found = words(name)
        if found:
            by_name.setdefault(" ".join(found), []).append(entity)
            longest = max(longest, len(found))
    rows, columns = [], []
    for entity, text in enumerate(texts):
        found = words(text)
        spans = {
            " ".join(found[start:stop])
            for start in range(len(found))
            for stop in range(start + 1, min(start + longest, len(found)) + 1)
        }
        for span in spans & by_name.keys():
            rows += [entity] * len(by_name[span])
            columns += by_name[span]
    size = (len(names), len(names))
    one_way = csr_array((np.ones(len(rows), np.float32), (np.array(rows, int), np.array(columns, int))), shape=size)
    both = (one_way + one_way.T).tocsr()
    both.setdiag(0)
    both.eliminate_zeros()
    both.data[:] = 1
    both.sort_indices()
    return both

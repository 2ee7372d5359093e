"""What is odd about a prepared dataset: repeats, leakage, unseen names, degrees, texts. Never changes the dataset.

`audit.json`: `{"dataset", "checks", "relation_pairs", "degrees", "texts"}`.

- `checks`: a list of `{"check", "split", "count", "of", "severity", "explanation"}`. `count` of `of` things are as the
  explanation says. `severity` is `ok` (nothing found), `note` (worth knowing) or `warning` (numbers made on this
  dataset need a caveat).
- `relation_pairs`: `{"kind": "inverse" | "duplicate" | "symmetric", "relation", "other", "share", "other_share"}`:
  `share` of the entity pairs of `relation` that `other` has too in the training graph, reversed if inverse or
  symmetric. Listed where both shares are at least 0.8, the threshold of Akrami et al., Realistic re-evaluation of
  knowledge graph completion methods, SIGMOD 2020; at most 100.
- `degrees`: entity space -> statistics of the number of known triples an entity stands in, and `without` any.
- `texts`: a record of every source of texts (`kelbench.data.text_audits`).

Triples are compared by label, so that an entity that stands in two graphs counts as one there.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

from kelbench.base.errors import UserError
from kelbench.base.files import write_json
from kelbench.data.prepared import PreparedDataset
from kelbench.data.text_audits import text_records

NEAR_INVERSE_SHARE = 0.8
_MAX_PAIRS_LISTED = 100
_LEAKAGE_WARNING_SHARE = 0.1


@dataclass
class _Audit:
    """The graph as arrays over merged entities, and the checks found so far."""

    dataset: PreparedDataset
    labels: list[str]
    merged: np.ndarray
    checks: list[dict[str, Any]]

    def arrays(self) -> dict[str, np.ndarray]:
        """Name -> triples int64 `(n, 3)` over merged entities; support and known only where there are any."""
        found = {}
        for split in ("train", "valid", "test"):
            for kind in ("triples",) if split == "train" else ("triples", "support", "known"):
                array = self.dataset.array(f"{split}/{kind}.npy").astype(np.int64)
                if len(array) or kind == "triples":
                    array[:, [0, 2]] = self.merged[array[:, [0, 2]]]
                    found[split if kind == "triples" else f"{split} {kind}"] = array
        return found

    def add(
        self, check: str, split: str, count: int | np.integer, of: int, explanation: str, severity: str = "note"
    ) -> None:
        """Note one check; nothing found is `ok` whatever the severity."""
        self.checks.append(
            {
                "check": check,
                "split": split,
                "count": int(count),
                "of": int(of),
                "severity": severity if count else "ok",
                "explanation": explanation,
            }
        )


def audit_dataset(folder: Path) -> None:
    """Audit the prepared dataset in `folder` and write `audit.json` there.

    Raises:
        UserError: the dataset is not prepared, or too large for 64-bit triple keys (entities squared times relations).
    """
    dataset = PreparedDataset(folder)
    if dataset.num_entities**2 * dataset.num_relations >= 1 << 63:
        raise UserError(f"{folder}: too many entities and relations to audit: their triples exceed 64-bit keys")
    labels = dataset.entity_labels()
    audit = _Audit(dataset, labels, _merge_by_label(labels), [])
    arrays = audit.arrays()
    _check_repeats(audit, arrays)
    _check_shared(audit, arrays)
    pairs = _check_leakage(audit, arrays)
    _check_unseen(audit, arrays)
    _check_labels(audit)
    _check_texts(audit)
    _check_normalised(audit)
    report = {
        "dataset": dataset.name,
        "checks": audit.checks,
        "relation_pairs": pairs,
        "degrees": _degrees(dataset),
        "texts": text_records(dataset),
    }
    write_json(folder / "audit.json", report)


def _merge_by_label(labels: list[str]) -> np.ndarray:
    """For each entity id, the lowest id with the same label, int64 `(num_entities,)`."""
    first: dict[str, int] = {}
    return np.fromiter((first.setdefault(label, i) for i, label in enumerate(labels)), np.int64, len(labels))


def _keys(audit: _Audit, triples: np.ndarray) -> np.ndarray:
    """One int64 a triple, equal for equal triples."""
    return triples[:, 1] * audit.dataset.num_entities**2 + _pairs(audit, triples)


def _pairs(audit: _Audit, triples: np.ndarray, reverse: bool = False) -> np.ndarray:
    """One int64 a triple for its head and tail (tail and head if `reverse`)."""
    head, tail = (2, 0) if reverse else (0, 2)
    return triples[:, head] * audit.dataset.num_entities + triples[:, tail]


def _distinct(keys: np.ndarray) -> np.ndarray:
    """Each key once, ascending. NumPy's `unique` hashes from 2.3 on, much slower than sorting on large arrays."""
    keys = np.sort(keys)
    return keys[np.concatenate([[True], keys[1:] != keys[:-1]])] if len(keys) else keys


def _among(keys: np.ndarray, pool: np.ndarray) -> np.ndarray:
    """Mask over keys, bool: the key is in `pool`, which need not be sorted."""
    pool = _distinct(pool)
    if not len(pool):
        return np.zeros(len(keys), dtype=bool)
    return pool[np.minimum(np.searchsorted(pool, keys), len(pool) - 1)] == keys


def _check_repeats(audit: _Audit, arrays: dict[str, np.ndarray]) -> None:
    for name, triples in arrays.items():
        repeats = len(triples) - len(_distinct(_keys(audit, triples)))
        severity = "note" if name == "train" else "warning"
        audit.add("repeated triples", name, repeats, len(triples), "triples that stand here more than once", severity)
        loops = np.count_nonzero(triples[:, 0] == triples[:, 2])
        audit.add("loops", name, loops, len(triples), "triples whose head is their tail")


def _check_shared(audit: _Audit, arrays: dict[str, np.ndarray]) -> None:
    for split, others in (
        ("valid", ("train", "valid support")),
        ("test", ("train", "valid", "test support", "test known")),
    ):
        keys = _keys(audit, arrays[split])
        for other in others:
            if other in arrays:
                shared = np.count_nonzero(_among(keys, _keys(audit, arrays[other])))
                audit.add("shared triples", split, shared, len(keys), f"triples that stand in {other} too", "warning")


def _known(arrays: dict[str, np.ndarray], split: str) -> np.ndarray:
    """Triples that a model may use when it ranks a split."""
    support = arrays.get(f"{split} support")
    return arrays["train"] if support is None else np.concatenate([arrays["train"], support])


def _check_leakage(audit: _Audit, arrays: dict[str, np.ndarray]) -> list[dict[str, Any]]:
    for split in ("valid", "test"):
        triples, known = arrays[split], _known(arrays, split)
        inverse = _among(_pairs(audit, triples, reverse=True), _pairs(audit, known))
        _add_share(audit, "inverse leakage", split, inverse, "triples (h, r, t) with some known triple (t, r', h)")
        # a known copy of the triple itself is a shared triple, reported as that
        same = _among(_pairs(audit, triples), _pairs(audit, known))
        same &= ~_among(_keys(audit, triples), _keys(audit, known))
        _add_share(audit, "same pair", split, same, "triples (h, r, t) with some known triple (h, r', t)")
    pairs = _relation_pairs(audit, arrays["train"])
    partners = {(pair["kind"], pair["relation"], pair["other"]) for pair in pairs}
    relations = audit.dataset.num_relations
    for kind in ("inverse", "duplicate", "symmetric"):
        involved = {name for found, *both in partners if found == kind for name in both}
        explanation = f"relations that are nearly {kind} to another: both shares of pairs at least {NEAR_INVERSE_SHARE}"
        if kind == "symmetric":
            explanation = f"relations with at least {NEAR_INVERSE_SHARE} of their pairs in both directions"
        audit.add(f"{kind} relations", "train", len(involved), relations, explanation)
    return sorted(pairs, key=lambda pair: (pair["kind"], -pair["share"], pair["relation"], pair["other"]))[
        :_MAX_PAIRS_LISTED
    ]


def _add_share(audit: _Audit, check: str, split: str, mask: np.ndarray, explanation: str) -> None:
    count = int(np.count_nonzero(mask))
    severity = "warning" if count >= _LEAKAGE_WARNING_SHARE * len(mask) else "note"
    audit.add(check, split, count, len(mask), explanation, severity)


def _relation_pairs(audit: _Audit, train: np.ndarray) -> list[dict[str, Any]]:
    """Pairs of relations that share most of their entity pairs, in the same or in the other direction."""
    _, first = np.unique(_keys(audit, train), return_index=True)
    train = train[first]
    relations = audit.dataset.num_relations
    sizes = np.bincount(train[:, 1], minlength=relations)
    names = audit.dataset.relation_labels()
    forward, backward = _pairs(audit, train), _pairs(audit, train, reverse=True)
    found = []
    for reverse, other in ((False, forward), (True, backward)):
        overlap = _overlap(forward, other, train[:, 1], relations)
        for (left, right), count in overlap.items():
            if left > right or (left == right and not reverse):
                continue
            shares = count / sizes[left], count / sizes[right]
            if min(shares) >= NEAR_INVERSE_SHARE:
                kind = "symmetric" if left == right else "inverse" if reverse else "duplicate"
                found.append(
                    {
                        "kind": kind,
                        "relation": names[left],
                        "other": names[right],
                        "share": round(float(shares[0]), 4),
                        "other_share": round(float(shares[1]), 4),
                    }
                )
    return found


def _overlap(left: np.ndarray, right: np.ndarray, relation: np.ndarray, count: int) -> dict[tuple[int, int], int]:
    """`(r, r')` -> number of keys that `left` has under r and `right` has under r'.

    A sort-merge join: runs of equal keys on either side are multiplied out. Graphs have few relations a pair, so that
    the runs are short.
    """
    keep_left, keep_right = _among(left, right), _among(right, left)
    left, left_relation = left[keep_left], relation[keep_left]
    order = np.argsort(right[keep_right], kind="stable")
    right, right_relation = right[keep_right][order], relation[keep_right][order]
    start, stop = np.searchsorted(right, left, "left"), np.searchsorted(right, left, "right")
    lengths = stop - start
    offsets = np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    joined = np.repeat(left_relation, lengths) * count + right_relation[np.repeat(start, lengths) + offsets]
    codes, totals = np.unique(joined, return_counts=True)
    return {divmod(int(code), count): int(total) for code, total in zip(codes, totals, strict=True)}


def _check_unseen(audit: _Audit, arrays: dict[str, np.ndarray]) -> None:
    """By id, as ranking sees it: an entity of an inference graph is not known from a namesake in the training graph."""
    seen = audit.dataset.seen_in_training()
    train_relations = np.unique(arrays["train"][:, 1])
    for split in ("valid", "test"):
        ends = audit.dataset.array(f"{split}/triples.npy")[:, [0, 2]]
        entities = np.unique(ends)
        unseen = np.count_nonzero(~seen[ends].all(axis=1))
        severity = "note" if unseen == len(ends) else "warning"
        explanation = "entities here that no training or support triple has"
        audit.add("unseen entities", split, np.count_nonzero(~seen[entities]), len(entities), explanation, severity)
        explanation = "triples with such an entity: ranked, and ranks without them given too"
        if unseen == len(ends):
            explanation = "triples with such an entity: all of them, which is what this split is for"
        audit.add("triples with an unseen entity", split, unseen, len(ends), explanation, severity)
        for name, severity in ((split, "warning"), (f"{split} support", "note")):
            if name in arrays:
                new = np.count_nonzero(~np.isin(arrays[name][:, 1], train_relations))
                explanation = "triples here with a relation that no training triple has"
                audit.add("triples with an unseen relation", name, new, len(arrays[name]), explanation, severity)


def _check_labels(audit: _Audit) -> None:
    spaces = audit.dataset.spaces
    for earlier, later in combinations(sorted(spaces, key=lambda name: spaces[name]), 2):
        own = audit.merged[slice(*spaces[later])]
        shared = np.count_nonzero(_among(own, audit.merged[slice(*spaces[earlier])]))
        explanation = f"entities whose label is also that of an entity of the graph {earlier}, and so not new"
        audit.add("shared entities", later, shared, len(own), explanation, "warning")
    padded = sum(label != label.strip() for label in [*audit.labels, *audit.dataset.relation_labels()])
    total = len(audit.labels) + audit.dataset.num_relations
    explanation = "labels with white space at an end: kept as they are, so that 'a' and 'a ' are two entities"
    audit.add("padded labels", "all", padded, total, explanation, "warning")


def _check_texts(audit: _Audit) -> None:
    dataset = audit.dataset
    rows = {space: [text for _, _, text in dataset.entity_rows(space)] for space in dataset.spaces}
    rows["relations"] = [text for _, _, text in dataset.relation_rows()]
    for name, texts in rows.items():
        what = "relations" if name == "relations" else "entities"
        split = "all" if name == "relations" else name
        present = [text for text in texts if text]
        if not present:
            continue
        audit.add(f"{what} without text", split, len(texts) - len(present), len(texts), f"{what} that have no text")
        counts: dict[str, int] = {}
        for text in present:
            counts[text] = counts.get(text, 0) + 1
        repeated = sum(count for count in counts.values() if count > 1)
        explanation = f"{what} whose text is another's too: a text encoder cannot tell them apart"
        audit.add(f"{what} with a shared text", split, repeated, len(present), explanation)


def _check_normalised(audit: _Audit) -> None:
    for file, found in sorted(audit.dataset.manifest["normalised"].items()):
        audit.add("byte order mark", file, found["bom"], 1, "a byte order mark, left out of the first label")
        # the number of lines of the file is not kept; a file has CRLF ends throughout or by accident
        audit.add("CRLF line ends", file, found["crlf_lines"], found["crlf_lines"], "lines ending in CRLF, read as LF")


def _degrees(dataset: PreparedDataset) -> dict[str, dict[str, float | int]]:
    """Known triples an entity stands in, by entity space; a loop counts once."""
    known = [dataset.triples("train")]
    known += [dataset.support("test")] if len(dataset.support("test")) else []
    degree = np.zeros(dataset.num_entities, dtype=np.int64)
    for triples in known:
        degree += np.bincount(triples[:, 0], minlength=dataset.num_entities)
        open_ends = triples[triples[:, 0] != triples[:, 2]]
        degree += np.bincount(open_ends[:, 2], minlength=dataset.num_entities)
    result: dict[str, dict[str, float | int]] = {}
    for space, (start, stop) in dataset.spaces.items():
        part = degree[start:stop]
        result[space] = {
            "entities": int(stop - start),
            "without": int(np.count_nonzero(part == 0)),
            "min": int(part.min()),
            "median": float(np.median(part)),
            "mean": round(float(part.mean()), 4),
            "max": int(part.max()),
        }
    return result

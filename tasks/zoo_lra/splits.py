"""The splits of ListOps: shards of draws, in order, without twins."""

from collections import deque
from collections.abc import Generator, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from hashlib import blake2b
from itertools import count

import numpy as np

from zoo_lra.trees import Examples, Rules, draw, join, take

ORDER = ("test", "valid", "train")
"""A twin is dropped from the later one."""
SHARD = 4096
"""Trees drawn per shard; what a worker does at a time, and part of what the bytes are."""


def generate(
    sizes: Mapping[str, int], data_seed: int, rules: Rules, workers: int
) -> dict[str, Examples]:
    """The first ``sizes[split]`` examples of each split's own endless sequence.

    The bytes depend on ``data_seed`` and ``rules`` alone. A smaller split is therefore the
    beginning of a larger one - but for twins between splits, of which trees of more than 500
    tokens have none. Threads will do as workers: NumPy lets go of the lock in its long passes.
    """
    seen: set[bytes] = set()
    with ThreadPoolExecutor(workers) as pool:
        splits: dict[str, Examples] = {}
        for which, split in enumerate(ORDER):
            shards = _shards(pool, workers, (data_seed, which), rules)
            splits[split] = _first(shards, sizes[split], seen)
            shards.close()
        return splits


def _shards(
    pool: ThreadPoolExecutor, workers: int, key: tuple[int, int], rules: Rules
) -> Generator[Examples, None, None]:
    """Shard after shard without end; as many as there are workers are under way."""
    job, number = partial(_shard, key, rules), count()
    under_way = deque(pool.submit(job, next(number)) for _ in range(workers))
    try:
        while True:
            yield under_way.popleft().result()
            under_way.append(pool.submit(job, next(number)))
    finally:
        for future in under_way:
            future.cancel()


def _shard(key: tuple[int, int], rules: Rules, number: int) -> Examples:
    """Every shard has its own 2^192 blocks of a counter-based generator."""
    return draw(np.random.Philox(key=list(key), counter=[0, 0, 0, number]), SHARD, rules)


def _first(shards: Iterator[Examples], size: int, seen: set[bytes]) -> Examples:
    """The first ``size`` examples that were not ``seen``, which they join."""
    parts: list[Examples] = []
    missing = size
    while missing:
        shard = next(shards)
        rows = _new(shard, missing, seen)
        parts.append(take(shard, rows))
        missing -= len(rows)
    return join(parts)


def _new(examples: Examples, most: int, seen: set[bytes]) -> list[int]:
    """Up to ``most`` rows that were not seen; a digest of 128 bits stands for an example."""
    rows: list[int] = []
    text, bounds = examples.tokens.data, examples.offsets.tolist()
    for row in range(len(examples.labels)):
        if len(rows) == most:
            break
        name = blake2b(text[bounds[row] : bounds[row + 1]], digest_size=16).digest()
        if name not in seen:
            seen.add(name)
            rows.append(row)
    return rows

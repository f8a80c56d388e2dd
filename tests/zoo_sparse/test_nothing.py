"""Sequences of no tokens and batches of no rows, whole and in pieces, through every mixer."""

from typing import Any

import pytest
import torch

from zoo.options import given
from zoo_sparse.bigbird import BigBird
from zoo_sparse.block_sparse import BlockSparse
from zoo_sparse.longformer import Longformer
from zoo_sparse.moba import Moba
from zoo_sparse.nsa import Nsa
from zoo_sparse.reformer import Reformer
from zoo_sparse.sliding import Sliding
from zoo_sparse.sparse_fixed import SparseFixed
from zoo_sparse.sparse_strided import SparseStrided

EVERY = pytest.mark.parametrize(
    "cls",
    [
        Sliding, Longformer, BigBird, BlockSparse, SparseFixed, SparseStrided, Moba, Nsa, Reformer,
    ],
)  # fmt: skip


@EVERY
@pytest.mark.parametrize("causal", [True, False], ids=["causal", "bidirectional"])
@pytest.mark.parametrize("kernel", ["auto", "reference"])
@pytest.mark.parametrize("shape", [(2, 0, 16), (0, 5, 16)], ids=["no-token", "no-row"])
def test_nothing_comes_of_nothing(
    cls: Any, causal: bool, kernel: str, shape: tuple[int, ...]
) -> None:
    mixer = cls(16, kernel=kernel, **given(cls, causal=causal))
    x = torch.zeros(shape, requires_grad=True)
    y = mixer(x)
    assert y.shape == shape
    y.sum().backward()
    assert mixer.flops(2, 0).matmul == 0


@EVERY
def test_a_piece_of_no_tokens_changes_nothing(cls: Any) -> None:
    mixer, x = cls(16), torch.randn(2, 5, 16)
    _, state = mixer.prefill(x[:, :0])
    assert mixer.state_size(0) == 0
    _, state = mixer.prefill(x[:, :3], state)
    y, state = mixer.prefill(x[:, :0], state)
    assert y.shape == (2, 0, 16)
    y, state = mixer.prefill(x[:, 3:], state)
    torch.testing.assert_close(y, mixer(x)[:, 3:])

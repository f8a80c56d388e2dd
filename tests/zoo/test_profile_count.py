"""Operations and bytes counted on meta, against what they are by hand."""

import torch
from torch import nn

from zoo.count import count, held, least

D, L = 16, 10


def test_a_linear_layer_by_hand() -> None:
    layer, x = nn.Linear(D, D, bias=False, device="meta"), torch.empty(1, L, D, device="meta")
    found = count(lambda: layer(x))
    assert found.flops == 2 * L * D * D
    assert found.moved == 4 * (L * D + D * D + L * D)
    assert found.uncounted == ()
    assert least(layer, x) == found.moved


def test_what_is_not_fused_moves_each_intermediate() -> None:
    x = torch.empty(L, D, device="meta")
    found = count(lambda: torch.exp(x * 2).sum())
    whole = 4 * L * D
    assert found.moved == (2 * whole) + (2 * whole) + (whole + 4)
    assert found.uncounted == ("exp", "mul", "sum")


def test_views_and_empty_tensors_are_free() -> None:
    x = torch.empty(L, D, device="meta")
    found = count(lambda: torch.empty_like(x.t().reshape(D, L)[:4].unsqueeze(0)).detach())
    assert found.moved == 0
    assert found.uncounted == ()


def test_what_is_expanded_is_read_once_and_a_look_up_reads_its_rows_alone() -> None:
    row, x = torch.empty(1, D, device="meta"), torch.empty(L, D, device="meta")
    assert held(row.expand(1000, D)) == 4 * D
    assert count(lambda: row.expand(L, D) + x).moved == 4 * (D + 2 * L * D)
    table, ids = torch.empty(10_000, D, device="meta"), torch.zeros(L, dtype=int, device="meta")  # type: ignore[call-overload]
    assert count(lambda: table[ids]).moved == 2 * 4 * L * D + 8 * L


def test_of_a_table_of_embeddings_no_more_rows_than_tokens_are_read() -> None:
    ids = torch.empty(2, 5, dtype=torch.long, device="meta")
    whole = 8 * 10 + 4 * 10 * D  # ids, output
    assert least(nn.Embedding(1000, D, device="meta"), ids) == whole + 4 * 10 * D
    assert least(nn.Embedding(3, D, device="meta"), ids) == whole + 4 * 3 * D


def test_attention_by_hand() -> None:
    q, k, v = (torch.empty(1, 2, L, D, device="meta") for _ in range(3))
    found = count(lambda: torch.softmax(q @ k.mT, -1) @ v)
    scores, each = 4 * 2 * L * L, 4 * 2 * L * D
    assert found.flops == 2 * (2 * 2 * L * L * D)
    # scores are written, read and written by the softmax, and read once more
    assert found.moved == 4 * scores + 4 * each


def test_writing_in_place_reads_what_it_changes_and_a_copy_does_not() -> None:
    x, y = torch.empty(L, device="meta"), torch.empty(L, device="meta")
    assert count(lambda: x.add_(y)).moved == 3 * 4 * L
    assert count(lambda: x.copy_(y)).moved == 2 * 4 * L
    assert count(lambda: x.zero_()).moved == 4 * L

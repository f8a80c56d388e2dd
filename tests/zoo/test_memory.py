"""The memory of this process: what is freed is kept where asked, and given back where asked."""

import subprocess
import sys

import pytest

SCRIPT = """
import torch
from zoo import memory

MIB = 2**20
def freed(size):
    before = memory.resident()
    block = torch.ones(size * MIB // 4)
    held = memory.resident() - before
    del block
    return held, memory.resident() - before

print(*freed(64))
memory.keep()
print(*freed(64))
before = memory.resident()
memory.give_back()
print(before - memory.resident())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="resident memory is told by Linux alone")
def test_what_is_freed_goes_back_unless_it_is_to_be_kept() -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True
    )
    held, left, again, kept, given = map(int, done.stdout.split())
    size = 64 * 2**20
    assert held > 0.9 * size
    assert left < 0.1 * size
    assert again > 0.9 * size
    assert kept > 0.9 * size
    assert given > 0.9 * size

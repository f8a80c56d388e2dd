"""Compiled kernels on disk: kept, found again, and no reason to fail whatever befalls the files."""

import errno
from collections.abc import Callable
from importlib.util import module_from_spec, spec_from_file_location
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from zoo.ops import fused

pytestmark = pytest.mark.skipif(fused.missing() is not None, reason="needs numba")

SOURCE = """
from zoo.ops import fused

@fused.jit
def double(x, y, first, last):
    for i in range(first, last):
        y[i] = {factor} * x[i]
"""
NAMES = count()


def load(folder: Path, factor: int = 2) -> Any:
    """The kernel of a file in ``folder``, as a process that has just started has it."""
    path = folder / "doubling_numba.py"
    if not path.exists() or path.read_text() != SOURCE.format(factor=factor):
        path.write_text(SOURCE.format(factor=factor))
    spec = spec_from_file_location(f"doubling_{next(NAMES)}", path)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.double


def run(kernel: Callable[..., None], dtype: Any = np.float32) -> list[float]:
    x, y = np.arange(3, dtype=dtype), np.zeros(3, dtype=dtype)
    kernel(x, y, 0, 3)
    return [float(each.real) for each in y]


def files(folder: Path, suffix: str) -> list[Path]:
    return sorted((folder / "__pycache__").glob(f"*.{suffix}"))


def found(kernel: Any) -> int:
    """How many of its types were found compiled."""
    return sum(kernel.stats.cache_hits.values())


def test_what_was_compiled_is_found_by_the_next_process(tmp_path: Path) -> None:
    first = load(tmp_path)
    assert run(first) == run(first, np.complex64) == [0, 2, 4]
    assert found(first) == 0
    second = load(tmp_path)
    assert run(second) == run(second, np.complex64) == [0, 2, 4]
    assert found(second) == 2


@pytest.mark.parametrize("suffix", ["nbi", "nbc"])
@pytest.mark.parametrize("kept", [0, 40])
def test_a_file_cut_short_is_compiled_anew(tmp_path: Path, suffix: str, kept: int) -> None:
    run(load(tmp_path))
    (path,) = files(tmp_path, suffix)
    path.write_bytes(path.read_bytes()[:kept])
    second, third = load(tmp_path), load(tmp_path)
    assert run(second) == [0, 2, 4]
    assert found(second) == 0
    assert run(third) == [0, 2, 4]
    assert found(third) == 1, "the damage was not mended"


def test_a_full_disk_costs_only_the_next_compilation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from numba.core.caching import IndexDataCacheFile

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(IndexDataCacheFile, "_open_for_write", full)
    assert run(load(tmp_path)) == [0, 2, 4]


def test_where_nothing_can_be_written_it_still_compiles(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from numba.core.caching import CacheImpl

    monkeypatch.setattr(CacheImpl, "_locator_classes", [])  # numba's own RuntimeError follows
    assert run(load(tmp_path)) == [0, 2, 4]
    assert not files(tmp_path, "nbi")


def test_two_processes_that_write_at_once_do_not_take_each_others_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither has seen the other's index. Arrays of float64 and complex64 are equally wide."""
    from numba.core.caching import IndexDataCacheFile

    save: Callable[..., None] = IndexDataCacheFile._save_data
    others = iter([load(tmp_path)])

    def in_between(self: Any, *arguments: Any) -> None:
        for other in others:
            run(other, np.complex64)
        save(self, *arguments)

    with monkeypatch.context() as late:
        late.setattr(IndexDataCacheFile, "_load_index", lambda self: {})
        late.setattr(IndexDataCacheFile, "_save_data", in_between)
        run(load(tmp_path), np.float64)
    for dtype in (np.complex64, np.float64, np.complex64, np.float64):
        assert run(load(tmp_path), dtype) == [0, 2, 4]
    after = load(tmp_path)
    run(after, np.complex64), run(after, np.float64)
    assert found(after) == 2


def test_the_index_never_speaks_of_code_that_is_not_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped between the two writes, over the remains of an older source."""
    from numba.core.caching import IndexDataCacheFile

    run(load(tmp_path))
    with monkeypatch.context() as stopped:
        save = IndexDataCacheFile._save_data
        stopped.setattr(IndexDataCacheFile, "_save_data", lambda *_: (_ for _ in ()).throw(OSError))
        assert run(load(tmp_path, factor=31)) == [0, 31, 62]
        stopped.setattr(IndexDataCacheFile, "_save_data", save)
    assert run(load(tmp_path, factor=31)) == [0, 31, 62]


def test_a_change_of_what_kernels_share_is_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from zoo.ops import kernel_cache

    run(load(tmp_path))
    shared = tmp_path / "vector_math.py"
    shared.write_text("new")
    monkeypatch.setattr(kernel_cache, "SHARED", shared)
    changed = load(tmp_path)
    run(changed)
    assert found(changed) == 0

"""`zoo data`: what comes, what stands in for it, what is said, and what is left when it fails."""

import errno
import hashlib
import io
import json
import shutil
import signal
import subprocess
import sys
import tarfile
import threading
import time
from collections import namedtuple
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pluggy
import pytest

import zoo
from zoo import cli, hooks, registry
from zoo.data import manifest, web
from zoo.data.alone import alone

if TYPE_CHECKING:
    from tests.zoo.conftest import Shop

Words = Callable[..., tuple[int, str, str]]
ROWS = b"a row\n" * 50_000


def toy(url: str, content: bytes = ROWS, name: str = "toy", file: str = "toy.tsv") -> zoo.Download:
    digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
    one = zoo.File(file, (url,), len(content), digest)
    return zoo.Download(
        name=name,
        title="Toys",
        licence="CC0",
        cite="Nobody 2026",
        origin="127.0.0.1",
        size=len(content),
        disk=len(content),
        files=(one,),
    )


@pytest.fixture
def run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], data: Path
) -> Callable[..., Words]:
    """`run(source, ...)("fetch", "toy")`: exit code, stdout, stderr of a zoo with these sources."""

    def stock(*sources: zoo.Source) -> Words:
        manager = pluggy.PluginManager("zoo")
        manager.add_hookspecs(hooks)
        offered = {source.name: source for source in sources}
        plugin = SimpleNamespace(zoo_data=zoo.hookimpl(lambda: offered))
        manager.register(plugin, name="dist:toys")
        monkeypatch.setattr(registry, "load", lambda: registry.fill(manager))

        def words(*typed: str) -> tuple[int, str, str]:
            code = cli.invoke(["data", *typed])
            said = capsys.readouterr()
            return code, said.out, said.err

        return words

    return stock


def test_fetch_brings_it_and_a_second_time_does_not(
    shop: "Shop", run: Callable[..., Words], data: Path
) -> None:
    source = toy(shop.offer("toy", ROWS))
    zoo_data = run(source)
    with pytest.raises(
        zoo.DataError, match=r"lra/toy needs toy, which is not here: type `zoo data"
    ):
        source.require(task="lra/toy")
    code, out, err = zoo_data("fetch", "toy")
    assert (code, out) == (0, "here: toy\n")
    assert "toy: 300 kB from 127.0.0.1" in err
    assert "in all 300 kB to download and 300 kB on disk in" in err
    assert (source.require() / "toy.tsv").read_bytes() == ROWS
    kept = json.loads((source.folder() / manifest.NAME).read_text())
    assert kept["from"] == [shop.url("toy")]
    assert kept["files"] == {
        "toy.tsv": {"size": len(ROWS), "sha256": hashlib.sha256(ROWS).hexdigest()}
    }
    assert {path.name for path in (data / "downloads").iterdir()} == {"toy.lock"}
    assert zoo_data("fetch", "toy")[0] == 0
    assert len(shop.asked) == 1
    assert zoo_data("fetch", "toy", "--force")[0] == 0
    assert len(shop.asked) == 2


def test_list_says_what_there_is(shop: "Shop", run: Callable[..., Words], data: Path) -> None:
    here, away = toy(shop.offer("toy", ROWS)), toy(shop.url("away"), name="away")
    zoo_data = run(here, replace(away, size=None, groups=("lra",)))
    here.fetch()
    code, out, _ = zoo_data("list")
    assert code == 0
    assert out.splitlines()[:3] == [
        "NAME  HERE  SIZE             FROM       LICENCE",
        "away  no    of unknown size  127.0.0.1  CC0",
        "toy   yes   300 kB           127.0.0.1  CC0",
    ]
    assert "groups: lra" in out
    rows = json.loads(zoo_data("list", "--json")[1])
    assert [(row["name"], row["here"], row["size"]) for row in rows] == [
        ("away", False, None),
        ("toy", True, len(ROWS)),
    ]
    (here.folder() / "toy.tsv").unlink()
    assert "toy   part" in zoo_data("list")[1]


def test_a_broken_source_does_not_hide_the_others(
    shop: "Shop", monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], data: Path
) -> None:
    manager = pluggy.PluginManager("zoo")
    manager.add_hookspecs(hooks)
    offered = {"bad": "no_such_module:IT", "odd": zoo.Download, "toy": toy("http://x")}
    manager.register(SimpleNamespace(zoo_data=zoo.hookimpl(lambda: offered)), name="dist:toys")
    monkeypatch.setattr(registry, "load", lambda: registry.fill(manager))
    assert cli.invoke(["data", "list"]) == 0
    said = capsys.readouterr()
    assert "toy " in said.out
    assert "no_such_module" in said.err
    assert "is no instance of zoo.Source" in said.err


def test_an_unknown_name_gets_the_nearest(run: Callable[..., Words]) -> None:
    zoo_data = run(replace(toy("http://x", name="cifar10"), groups=("lra",)))
    code, _, err = zoo_data("fetch", "cifr10")
    assert (code, "did you mean 'cifar10'?" in err) == (2, True)
    assert "there is cifar10, lra" in zoo_data("verify", "zzz")[2]


def test_a_plain_zoo_data_shows_help(run: Callable[..., Words]) -> None:
    _, out, err = run()()
    assert "fetch" in out + err
    assert "verify" in out + err


def test_mirrors_are_tried_in_order_and_each_failure_said(
    shop: "Shop", run: Callable[..., Words]
) -> None:
    shop.script["a"] = ["403"]
    shop.goods["b"] = b"something else"
    urls = (shop.url("a"), shop.url("b"), shop.offer("c", ROWS))
    source = toy(urls[0])
    source = replace(source, files=(source.files[0]._replace(urls=urls),))
    code, _, err = run(source)("fetch", "toy")
    assert code == 0
    assert f"{urls[0]} answers 403 Forbidden; trying {urls[1]}" in err
    assert f"it has 14 bytes there, not 300,000; trying {urls[2]}" in err


def test_the_same_data_in_other_files(shop: "Shop", run: Callable[..., Words]) -> None:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        info = tarfile.TarInfo("deep/toy.tsv")
        info.size = len(ROWS)
        archive.addfile(info, io.BytesIO(ROWS))
    other = zoo.File("toy.tar.gz", (shop.offer("toy.tar.gz", packed.getvalue()),), None, None)
    contents = {"toy.tsv": f"md5:{hashlib.md5(ROWS).hexdigest()}"}
    source = replace(toy(shop.url("gone")), otherwise=(other,), flat=True, contents=contents)
    code, _, err = run(source)("fetch", "toy")
    assert code == 0
    assert "answers 404" in err
    assert (source.folder() / "toy.tsv").read_bytes() == ROWS
    bad = replace(source, name="bad", contents={"toy.tsv": f"md5:{'0' * 32}"})
    code, out, _ = run(bad)("fetch", "bad")
    assert code == 3
    assert "toy.tsv is not what it should be: its md5 is" in out
    assert not bad.here()


def test_another_source_stands_in_and_it_is_said(shop: "Shop", run: Callable[..., Words]) -> None:
    release = replace(
        toy(shop.url("403"), name="release"), groups=("lra",), instead=("toy", "unheard-of")
    )
    shop.script["403"] = ["403"]
    zoo_data = run(release, toy(shop.offer("toy", ROWS)))
    code, out, err = zoo_data("fetch", "lra")
    assert code == 3  # it is other data: what was asked for is not here
    assert "release: instead of it, as other data: toy (300 kB from 127.0.0.1)" in err
    assert "not here: release: " in out
    assert "here instead of it: toy: other data, so that what is trained on it carries" in out


def test_what_cannot_be_brought_anew_stays(shop: "Shop", run: Callable[..., Words]) -> None:
    source = replace(toy(shop.offer("toy", ROWS)), instead=("other",))
    zoo_data = run(source, toy(shop.offer("other", ROWS), name="other"))
    assert zoo_data("fetch", "toy")[0] == 0
    shop.script["toy"] = ["403"]
    code, out, _ = zoo_data("fetch", "toy", "--force")
    assert (code, out.startswith("as it was: toy: toy.tsv cannot be had: ")) == (3, True)
    assert not source.verify()
    assert ("other", None) not in shop.asked


def test_one_that_fails_does_not_stop_the_others(shop: "Shop", run: Callable[..., Words]) -> None:
    gone = toy(shop.url("gone"), name="gone")
    code, out, _ = run(gone, toy(shop.offer("toy", ROWS)))("fetch", "gone", "toy")
    assert code == 3
    assert "here: toy\n" in out
    assert "not here: gone: toy.tsv cannot be had: " in out
    assert "try again: zoo data fetch gone" in out


def test_a_copy_put_there_by_hand_is_taken(shop: "Shop", run: Callable[..., Words]) -> None:
    source = toy(shop.url("gone"))
    zoo_data = run(source)
    message = zoo_data("fetch", "toy")[1]
    place = Path(message.partition("put it at ")[2].partition(" and type")[0])
    place.write_bytes(ROWS[:-1] + b"!")
    assert zoo_data("fetch", "toy")[0] == 3
    assert place.with_name("toy.tsv.wrong").exists()
    place.write_bytes(ROWS)
    assert zoo_data("fetch", "toy")[0] == 0
    assert (source.folder() / "toy.tsv").read_bytes() == ROWS


def test_a_folder_that_is_not_ours_is_left_alone(
    shop: "Shop", run: Callable[..., Words], data: Path
) -> None:
    (data / "toy").mkdir(parents=True)
    (data / "toy" / "mine.txt").write_text("mine")
    code, out, _ = run(toy(shop.offer("toy", ROWS)))("fetch", "toy")
    assert (code, "was not made by `zoo data fetch`" in out) == (3, True)
    assert (data / "toy" / "mine.txt").read_text() == "mine"


def test_what_a_killed_fetch_left_is_swept_away(shop: "Shop", data: Path) -> None:
    source = toy(shop.offer("toy", ROWS))
    for place in ("fresh", "old"):
        (data / "downloads" / "toy" / place).mkdir(parents=True)
        (data / "downloads" / "toy" / place / "half").write_text("half")
    source.fetch()
    assert {path.name for path in source.folder().iterdir()} == {"toy.tsv", manifest.NAME}
    assert not (data / "downloads" / "toy").exists()


def test_an_archive_that_leads_out_leaves_nothing(
    shop: "Shop", run: Callable[..., Words], data: Path
) -> None:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        archive.addfile(tarfile.TarInfo("good"))
        archive.addfile(tarfile.TarInfo("../../../evil"))
    url = shop.offer("toy.tar.gz", packed.getvalue())
    source = toy(url, packed.getvalue(), file="toy.tar.gz")
    code, out, _ = run(source)("fetch", "toy")
    assert code == 3
    assert "toy.tar.gz: the path '../../../evil' leads out of the folder" in out
    assert not list(data.parent.rglob("evil"))
    assert not source.folder().exists()


def test_verify_finds_a_flipped_byte_and_names_the_mend(
    shop: "Shop", run: Callable[..., Words], data: Path
) -> None:
    source = toy(shop.offer("toy", ROWS))
    zoo_data = run(source)
    assert zoo_data("verify")[:2] == (0, f"nothing is in {data} yet\n")
    absent = zoo_data("verify", "toy")
    assert absent[:2] == (3, "toy: is not here; zoo data fetch toy brings it\n")
    source.fetch()
    assert zoo_data("verify")[:2] == (0, "toy: whole\n")
    path = source.folder() / "toy.tsv"
    path.write_bytes(b"b" + ROWS[1:])
    assert source.here()
    code, out, _ = zoo_data("verify")
    assert code == 3
    assert f"toy: {path} is damaged: its sha256 has changed" in out
    assert "mend it: zoo data fetch toy --force" in out
    assert zoo_data("fetch", "toy", "--force")[0] == 0
    assert zoo_data("verify")[0] == 0


def test_many_damages_are_counted(shop: "Shop", run: Callable[..., Words]) -> None:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for number in range(25):
            archive.addfile(tarfile.TarInfo(f"{number}.txt"))
    source = toy(shop.offer("toy.tar", packed.getvalue()), packed.getvalue(), file="toy.tar")
    source.fetch()
    for number in range(25):
        (source.folder() / f"{number}.txt").unlink()
    code, out, _ = run(source)("verify")
    assert (code, out.count("is missing"), "toy: and 15 more\n" in out) == (3, 10, True)


@pytest.mark.parametrize("damage", ["short", "gone", "manifest"])
def test_what_is_not_whole_is_not_here_and_is_brought_again(
    shop: "Shop", run: Callable[..., Words], damage: str
) -> None:
    source = toy(shop.offer("toy", ROWS))
    zoo_data = run(source)
    source.fetch()
    path = source.folder() / (manifest.NAME if damage == "manifest" else "toy.tsv")
    if damage == "gone":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[:10])
    assert not source.here()
    assert "toy is not whole: type `zoo data fetch toy`" in str(source.missing())
    assert zoo_data("verify")[0] == 3
    assert zoo_data("fetch", "toy")[0] == 0
    assert not source.verify()


def test_a_users_own_folder_comes_first(tmp_path: Path, data: Path) -> None:
    source = toy("http://x")
    assert source.require(str(tmp_path), "lra/toy") == tmp_path
    with pytest.raises(zoo.DataError, match=r"lra/toy needs toy, which .* that does not exist"):
        source.require(str(tmp_path / "none"), "lra/toy")


Usage = namedtuple("Usage", "total used free")


def test_a_disk_that_is_too_small_is_seen_before(
    shop: "Shop", run: Callable[..., Words], monkeypatch: pytest.MonkeyPatch
) -> None:
    source = toy(shop.offer("toy", ROWS))
    zoo_data = run(source)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(10**6, 0, 1000))
    code, _, err = zoo_data("fetch", "toy")
    assert code == 6
    assert "300 kB do not fit into" in err
    with pytest.raises(zoo.DiskFull, match=r"toy needs 600 kB in .* where 1 kB are free"):
        source.fetch()
    assert shop.asked == []


def test_what_is_brought_already_needs_no_room(
    shop: "Shop", run: Callable[..., Words], data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of 300 kB 250 are here and 60 are free."""
    source = replace(toy(shop.offer("toy", ROWS)), unpack=False)
    part = data / "downloads" / "toy" / "toy.tsv.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(ROWS[:250_000])
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(10**6, 0, 60_000))
    assert run(source)("fetch", "toy")[:2] == (0, "here: toy\n")
    assert shop.asked == [("toy", "bytes=250000-")]
    code, _, err = run(source)("fetch", "toy", "--force")
    assert (code, "300 kB do not fit into" in err) == (6, True)


def test_a_disk_that_fills_up_is_said_and_the_next_try_goes_on(
    shop: "Shop", run: Callable[..., Words], monkeypatch: pytest.MonkeyPatch
) -> None:
    source = toy(shop.offer("toy", ROWS))
    zoo_data = run(source)
    read, blocks = web._read, list[object]()

    def full(response: object) -> bytes:
        if blocks:
            raise OSError(errno.ENOSPC, "No space left on device")
        blocks.append(response)
        return response.read(100_000)  # type: ignore[no-any-return, attr-defined]

    monkeypatch.setattr(web, "_read", full)
    code, out, _ = zoo_data("fetch", "toy")
    assert code == 6
    assert "the disk is full; free some space or point ZOO_DATA to another disk" in out
    monkeypatch.setattr(web, "_read", read)
    assert zoo_data("fetch", "toy")[0] == 0
    assert shop.asked == [("toy", None), ("toy", "bytes=100000-")]


@pytest.mark.parametrize("words", [("list",), ("verify",), ("fetch", "toy")])
def test_a_folder_that_cannot_be_looked_into_is_named(
    run: Callable[..., Words], data: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    def closed(path: Path, **options: object) -> object:
        if data in path.parents:
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return look(path, **options)  # type: ignore[arg-type]

    look = Path.stat
    monkeypatch.setattr(Path, "stat", closed)
    code, _, err = run(toy("http://x"))(*words)
    assert code == 3
    assert "Permission denied; point ZOO_DATA to a folder" in err


def test_a_folder_that_cannot_be_written_is_named(
    shop: "Shop", run: Callable[..., Words], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("ZOO_DATA", str(tmp_path / "file" / "data"))
    code, out, _ = run(toy(shop.offer("toy", ROWS)))("fetch", "toy")
    assert code == 3
    assert f"{tmp_path / 'file'}" in out
    assert "point ZOO_DATA to a folder that you can write to" in out


def test_a_home_of_nobody_is_named(
    run: Callable[..., Words], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ZOO_DATA", "~nobody-of-this-name/data")
    code, _, err = run(toy("http://x"))("list")
    assert (code, "ZOO_DATA=~nobody-of-this-name/data: " in err) == (3, True)


def test_a_manifest_within_the_data_is_data(shop: "Shop", data: Path) -> None:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        archive.addfile(tarfile.TarInfo(f"deep/{manifest.NAME}"))
    source = toy(shop.offer("toy.tar", packed.getvalue()), packed.getvalue(), file="toy.tar")
    source.fetch()
    (source.folder() / "deep" / manifest.NAME).unlink()
    assert not source.here()


def test_a_lock_whose_owner_has_just_left_is_waited_for(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its name is gone before the lock is."""
    lock = data / "toy.lock"
    with alone(lock, "toy"):
        (data / "toy.lock.owner").unlink()
        waiting = threading.Thread(target=lambda: alone(lock, "toy").__enter__())
        waiting.start()
        while "waiting" not in capsys.readouterr().err:
            time.sleep(0.01)
    waiting.join()


CHILD = """
import sys
from types import SimpleNamespace
import pluggy
import zoo
from zoo import cli, hooks, registry
sys.path[:0] = {path!r}
from test_data import toy
manager = pluggy.PluginManager("zoo")
manager.add_hookspecs(hooks)
plugin = SimpleNamespace(zoo_data=zoo.hookimpl(lambda: {{"toy": toy({url!r})}}))
manager.register(plugin, name="dist:toys")
registry.load = lambda: registry.fill(manager)
sys.exit(cli.invoke(["data", "fetch", "toy"]))
"""


def child(url: str) -> "subprocess.Popen[str]":
    code = CHILD.format(path=[str(Path(__file__).parent)], url=url)
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen([sys.executable, "-c", code], text=True, **pipes)  # type: ignore[call-overload, no-any-return]


def test_control_c_leaves_a_part_that_goes_on(shop: "Shop", data: Path) -> None:
    shop.script["toy"] = ["stall:100000"]
    url = shop.offer("toy", ROWS)
    process = child(url)
    assert shop.stalled.wait(20)
    part = data / "downloads" / "toy" / "toy.tsv.part"
    while not part.exists() or not part.stat().st_size:  # pytest's own timeout bounds it
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=20)
    assert process.returncode == 130
    assert "toy: stopped; the same command goes on from there" in err
    assert "Traceback" not in err
    source = toy(url)
    source.fetch()
    assert (source.folder() / "toy.tsv").read_bytes() == ROWS
    assert shop.asked[1][1] is not None


def test_of_two_processes_one_waits_and_says_for_whom(shop: "Shop", data: Path) -> None:
    shop.script["toy"] = ["stall:100000"]
    url = shop.offer("toy", ROWS)
    first = child(url)
    assert shop.stalled.wait(20)
    second = child(url)
    assert second.stderr is not None
    said = ""
    while "waiting" not in said:
        said = second.stderr.readline()
        assert said, "it ended without a wait"
    assert said.startswith(f"toy: process {first.pid} on ")
    shop.let_go.set()
    assert (first.wait(20), second.wait(20)) == (0, 0)
    assert len(shop.asked) == 1
    for process in (first, second):
        process.communicate()

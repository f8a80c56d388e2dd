"""Archives of every kind are opened, and what would leave the folder is refused."""

import bz2
import gzip
import io
import lzma
import os
import random
import shutil
import stat
import subprocess
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

import zoo
from zoo.data.unpack import Target, unpack

GOOD = {"box/a.txt": b"first", "box/deep/b.csv": b"second" * 1000, "empty": b""}
TARS = [".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz"]


def tarred(path: Path, *members: tarfile.TarInfo | str, mode: str = "w") -> Path:
    """A tar of the GOOD files that are named, and of any other member."""
    with tarfile.open(path, mode) as archive:  # type: ignore[call-overload]
        for member in members:
            if isinstance(member, str):
                info = tarfile.TarInfo(member)
                info.size = len(GOOD.get(member, b"evil"))
                archive.addfile(info, io.BytesIO(GOOD.get(member, b"evil")))
            else:
                archive.addfile(member, io.BytesIO(bytes(member.size)))
    return path


def special(name: str, kind: bytes, to: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, to
    return info


def zipped(path: Path, *members: str) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for member in members:
            archive.writestr(member, GOOD.get(member, b"evil"))
    return path


def deb(path: Path, data: bytes, name: str = "data.tar.xz") -> Path:
    """A Debian package by hand: an `ar` archive of three members."""
    whole = b"!<arch>\n"
    for member, content in (("debian-binary", b"2.0\n"), ("control.tar.xz", b"odd"), (name, data)):
        head = f"{member:16}{0:<12}{0:<6}{0:<6}{'100644':8}{len(content):<10}`\n"
        whole += head.encode() + content + b"\n" * (len(content) % 2)
    path.write_bytes(whole)
    return path


def opened(archive: Path, **options: object) -> dict[str, bytes]:
    folder = archive.parent / "out"
    folder.mkdir()
    unpack(archive, Target(folder, **options))  # type: ignore[arg-type]
    found = [path for path in folder.rglob("*") if not path.is_dir()]
    assert all(not path.is_symlink() and path.is_file() for path in found)
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}


@pytest.mark.parametrize("suffix", TARS)
def test_a_tar_is_opened(tmp_path: Path, suffix: str) -> None:
    mode = {".tar": "w", ".tgz": "w:gz"}.get(suffix, f"w:{suffix.rpartition('.')[2]}")
    assert opened(tarred(tmp_path / f"x{suffix}", *GOOD, mode=mode)) == GOOD


@pytest.mark.parametrize("suffix", [".zip", ".whl"])
def test_a_zip_is_opened(tmp_path: Path, suffix: str) -> None:
    assert opened(zipped(tmp_path / f"x{suffix}", *GOOD)) == GOOD


@pytest.mark.parametrize(
    ("name", "pack"),
    [("data.tar", bytes), ("data.tar.xz", lzma.compress), ("data.tar.gz", gzip.compress)],
)
def test_a_debian_package_is_opened(
    tmp_path: Path, name: str, pack: Callable[[bytes], bytes]
) -> None:
    inner = tarred(tmp_path / "in.tar", *GOOD).read_bytes()
    assert opened(deb(tmp_path / "x.deb", pack(inner), name)) == GOOD


@pytest.mark.skipif(not shutil.which("dpkg-deb"), reason="dpkg-deb is a tool of Debian and Ubuntu")
def test_a_debian_package_as_ubuntu_packs_it_is_opened(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    (tree / "DEBIAN").mkdir(parents=True)
    (tree / "DEBIAN" / "control").write_text(
        "Package: toy\nVersion: 1\nArchitecture: all\nMaintainer: a <a@b.c>\nDescription: toy\n"
    )
    (tree / "a.txt").write_text("first")
    made = subprocess.run(
        ["dpkg-deb", "-Zzstd", "--build", tree, tmp_path / "x.deb"], capture_output=True
    )
    if made.returncode:
        pytest.skip("this dpkg-deb knows no zstd")
    assert opened(tmp_path / "x.deb") == {"a.txt": b"first"}


def test_a_gz_alone_or_inside_is_opened(tmp_path: Path) -> None:
    (tmp_path / "one.idx.gz").write_bytes(gzip.compress(b"one"))
    assert opened(tmp_path / "one.idx.gz") == {"one.idx": b"one"}
    shutil.rmtree(tmp_path / "out")
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.writestr("in/two.idx.gz", gzip.compress(b"two"))
    assert opened(tmp_path / "x.zip") == {"in/two.idx": b"two"}


def test_a_tar_that_is_called_gz_is_opened(tmp_path: Path) -> None:
    assert opened(tarred(tmp_path / "lra_release.gz", *GOOD, mode="w:gz")) == GOOD


def test_what_is_not_packed_moves(tmp_path: Path) -> None:
    (tmp_path / "x.tsv").write_text("a\tb")
    assert opened(tmp_path / "x.tsv") == {"x.tsv": b"a\tb"}
    assert not (tmp_path / "x.tsv").exists()


def test_only_the_wanted_members_are_kept(tmp_path: Path) -> None:
    archive = tarred(tmp_path / "x.tar", *GOOD, "../not/wanted")
    assert opened(archive, members=("*.csv", "*/a.*"), flat=True) == {
        "a.txt": GOOD["box/a.txt"],
        "b.csv": GOOD["box/deep/b.csv"],
    }


def test_nothing_wanted_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(zoo.DataError, match=r"x\.tar: it holds nothing like \*\.png"):
        opened(tarred(tmp_path / "x.tar", *GOOD), members=("*.png",))


BAD = ["../evil", "/tmp/evil", "box/../../evil", "box\\..\\..\\evil", "./../evil", "box/.."]


@pytest.mark.parametrize("path", BAD)
def test_a_path_that_leads_out_of_a_tar_is_refused(tmp_path: Path, path: str) -> None:
    with pytest.raises(zoo.DataError, match="leads out of the folder"):
        opened(tarred(tmp_path / "x.tar", "box/a.txt", path))
    assert not list(tmp_path.rglob("evil"))


@pytest.mark.parametrize("path", BAD)
@pytest.mark.parametrize("flat", [True, False])
def test_a_path_that_leads_out_of_a_zip_is_refused(tmp_path: Path, path: str, flat: bool) -> None:
    with pytest.raises(zoo.DataError, match="leads out of the folder"):
        opened(zipped(tmp_path / "x.zip", "box/a.txt", path), flat=flat)
    assert not list(tmp_path.rglob("evil"))


@pytest.mark.parametrize(
    ("member", "message"),
    [
        (special("box/link", tarfile.SYMTYPE, "../../secret"), "out of the folder"),
        (special("link", tarfile.SYMTYPE, "/etc/passwd"), "out of the folder"),
        (special("link", tarfile.LNKTYPE, "../secret"), "out of the folder"),
        (special("link", tarfile.SYMTYPE, "nowhere"), "links to nothing"),
        (special("device", tarfile.CHRTYPE), "no plain file"),
        (special("pipe", tarfile.FIFOTYPE), "no plain file"),
    ],
    ids=lambda value: getattr(value, "linkname", "") or getattr(value, "name", ""),
)
def test_links_out_and_devices_are_refused(
    tmp_path: Path, member: tarfile.TarInfo, message: str
) -> None:
    with pytest.raises(zoo.DataError, match=message):
        opened(tarred(tmp_path / "x.tar", "box/a.txt", member))


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("empty/below", "twice"),  # `empty` is a file
        ("x" * 300, "no path"),
        ("x/" * 2000 + "x", "no path"),
        (".gz", "no path"),
        ("box/.gz", "no path"),
    ],
)
def test_a_path_that_cannot_be_is_the_archives_fault(tmp_path: Path, path: str, told: str) -> None:
    with pytest.raises(zoo.DataError, match=rf"^x\.tar: .*{told}"):
        opened(tarred(tmp_path / "x.tar", "empty", path))


def test_a_name_that_is_no_utf_8_is_damage(tmp_path: Path) -> None:
    path = zipped(tmp_path / "x.zip", "é.txt")
    path.write_bytes(path.read_bytes().replace("é".encode(), b"\xff\xff"))
    with pytest.raises(zoo.DataError, match=r"^x\.zip is damaged"):
        opened(path)


def test_what_is_no_archive_is_said_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "x.tar.gz").write_bytes(b"<html>")
    with pytest.raises(zoo.DataError, match=r"^x\.tar\.gz is damaged: .*[a-z]$") as caught:
        opened(tmp_path / "x.tar.gz")
    assert "\n" not in str(caught.value)


def test_a_link_in_a_zip_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        info = zipfile.ZipInfo("link")
        info.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(info, "/etc/passwd")
    with pytest.raises(zoo.DataError, match="no plain file"):
        opened(tmp_path / "x.zip")


def test_links_inside_become_copies(tmp_path: Path) -> None:
    soft = special("box/deep/soft", tarfile.SYMTYPE, "../a.txt")
    hard = special("hard", tarfile.LNKTYPE, "box/a.txt")
    found = opened(tarred(tmp_path / "x.tar", "box/a.txt", soft, hard))
    assert found == dict.fromkeys(("box/a.txt", "box/deep/soft", "hard"), b"first")


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such bits")
def test_no_permission_is_taken_over(tmp_path: Path) -> None:
    info = tarfile.TarInfo("tool")
    info.mode = 0o6777
    opened(tarred(tmp_path / "x.tar", info))
    assert stat.S_IMODE((tmp_path / "out" / "tool").stat().st_mode) & 0o6111 == 0


@pytest.mark.parametrize("make", ["zip", "gz"])
def test_a_bomb_stops_at_its_bound(tmp_path: Path, make: str) -> None:
    bomb = bytes(10**7)
    if make == "gz":
        (tmp_path / "x.gz").write_bytes(gzip.compress(bomb))
    else:
        with zipfile.ZipFile(tmp_path / "x.zip", "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("bomb", bomb)
    with pytest.raises(zoo.DataError, match="unpacks to more than 3 MB"):
        opened(tmp_path / f"x.{make}", limit=3_000_000)
    written = sum(p.stat().st_size for p in (tmp_path / "out").rglob("*") if p.is_file())
    assert written <= 3_000_000


def test_two_members_of_one_name_are_refused(tmp_path: Path) -> None:
    with pytest.raises(zoo.DataError, match="twice"):
        opened(tarred(tmp_path / "x.tar", "a/x", "b/x"), flat=True)


@pytest.mark.parametrize("name", ["x.tar.gz", "x.tar.bz2", "x.tar.xz", "x.zip", "x.deb", "x.gz"])
def test_a_damaged_archive_is_said_to_be_damaged(tmp_path: Path, name: str) -> None:
    noise = random.Random(0).randbytes(200_000)
    with tarfile.open(tmp_path / "in.tar", "w") as archive:
        info = tarfile.TarInfo("noise")
        info.size = len(noise)
        archive.addfile(info, io.BytesIO(noise))
    inner = (tmp_path / "in.tar").read_bytes()
    pack: dict[str, Callable[[bytes], bytes]] = {
        ".gz": gzip.compress,
        ".bz2": bz2.compress,
        ".xz": lzma.compress,
    }
    if name == "x.zip":
        with zipfile.ZipFile(tmp_path / name, "w", zipfile.ZIP_DEFLATED) as zipped_:
            zipped_.writestr("noise", noise)
    elif name == "x.deb":
        deb(tmp_path / name, lzma.compress(inner))
    else:
        content = noise if name == "x.gz" else inner
        (tmp_path / name).write_bytes(pack[Path(name).suffix](content))
    whole = bytearray((tmp_path / name).read_bytes())
    whole[100_000] ^= 0xFF
    (tmp_path / name).write_bytes(whole)
    with pytest.raises(zoo.DataError, match=rf"{name} is damaged: "):
        opened(tmp_path / name)
    shutil.rmtree(tmp_path / "out")
    (tmp_path / name).write_bytes(whole[:90_000])  # cut short
    with pytest.raises(zoo.DataError, match=rf"{name}.* is damaged: "):
        opened(tmp_path / name)

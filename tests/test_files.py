"""Paths that users write, folders that are not known, files that are no files."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from kernas.errors import ConfigurationError, DataError
from kernas.files import home_cache, open_regular, read_bytes, read_text, system_cache, user_path
from kernas.kernels.data import data_folders, fetch, load, read_images, verify
from kernas.kernels.data.known import location
from kernas.search import NasBench201, load_truth, read_candidates

NOBODY = "~nosuchuser/x"


@pytest.fixture
def homeless(monkeypatch, tmp_path):
    """A process of a user without an entry, as in containers, and without any variable."""
    for name in ("HOME", "USERPROFILE", "XDG_CACHE_HOME", "KERNAS_DATA"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)

    def unknown(path: str) -> str:
        return path

    monkeypatch.setattr(os.path, "expanduser", unknown)
    return tmp_path


def test_a_home_is_expanded(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    assert user_path("~/data") == tmp_path / "data"
    assert user_path(Path("a") / "~") == Path("a/~")


@pytest.mark.parametrize("path", [NOBODY, "~nosuchuser"])
def test_the_home_of_nobody_is_told_with_the_option(path):
    with pytest.raises(ConfigurationError) as caught:
        user_path(path, "--folder")
    assert str(caught.value) == (
        f"--folder {path!r}: the home folder of ~nosuchuser is not known here; write the path in "
        "full"
    )


@pytest.mark.parametrize("path", ["a\0b", "a\udc80b"])
def test_what_no_file_or_no_record_can_be_called(path):
    with pytest.raises(ConfigurationError, match="is not in UTF-8, or has a zero character"):
        user_path(path)


@pytest.mark.parametrize(
    "use",
    [
        lambda path: load(path),
        lambda path: location(path),
        lambda path: read_images(path),
        lambda path: load_truth(path),
        lambda path: read_candidates([path], NasBench201()),
        lambda path: fetch("mnist", path),
    ],
)
@pytest.mark.parametrize("path", [NOBODY, "a\0b"])
def test_every_reader_refuses_such_paths(use, path):
    with pytest.raises(ConfigurationError, match=r"nosuchuser|a\\x00b"):
        use(path)


def test_the_data_folder_of_nobody(monkeypatch):
    monkeypatch.setenv("KERNAS_DATA", NOBODY)
    for use in (data_folders, lambda: load("mnist"), lambda: fetch("mnist")):
        with pytest.raises(ConfigurationError, match=r"^KERNAS_DATA '~nosuchuser/x': the home"):
            use()
    assert verify("digits").status == "ok"


def test_without_a_home_data_is_looked_for_where_it_is_said(homeless, monkeypatch):
    assert home_cache() is None
    assert system_cache() is None
    assert data_folders() == []
    with pytest.raises(DataError, match=r"in any folder \(KERNAS_DATA is not set\).*holds it$"):
        load("mnist")
    with pytest.raises(ConfigurationError, match="no home folder is known; set KERNAS_DATA"):
        fetch("mnist")
    monkeypatch.setenv("KERNAS_DATA", str(homeless))
    assert data_folders() == [homeless]


def test_a_name_longer_than_file_systems_have(monkeypatch, tmp_path):
    with pytest.raises(DataError, match="truth xxx"):
        load_truth("x" * 5000)
    monkeypatch.setenv("KERNAS_DATA", str(tmp_path / ("x" * 5000)))
    with pytest.raises(DataError, match="cannot be read"):
        load("mnist")


def test_only_regular_files_are_opened(tmp_path):
    with pytest.raises(OSError, match="not a regular file"):
        open_regular(tmp_path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="the system has no pipes with names")
def test_pipes_are_refused_rather_than_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.npz")
    (tmp_path / "pets" / "cat").mkdir(parents=True)
    os.mkfifo(tmp_path / "pets" / "cat" / "pipe.png")
    uses = (
        lambda: load(tmp_path / "pipe.npz"),
        lambda: read_images(tmp_path / "pipe.npz"),
        lambda: load_truth(tmp_path / "pipe.npz"),
        lambda: read_candidates([tmp_path / "pipe.npz"], NasBench201()),
        lambda: load(tmp_path / "pets"),
    )
    for use in uses:
        with pytest.raises(DataError, match="pipe"):
            use()


def test_no_more_is_read_than_was_expected(tmp_path):
    path = tmp_path / "a.txt"
    path.write_bytes(b"\xef\xbb\xbfabc")
    assert read_text(path) == "abc"
    assert read_bytes(path, 6) == path.read_bytes()
    with pytest.raises(OSError, match="more than 5 bytes"):
        read_bytes(path, 5)

"""Folders and objects: one way of reading and writing bytes by name."""

import pickle
from uuid import uuid4

import numpy as np
import pytest

from kernas.errors import ConfigurationError, MissingDependencyError
from kernas.files import is_url
from kernas.places import Folder, Objects, place_of

NAMES = ["a/0/0", "a/0/1", "a/0/2", "a/1/0", "b", "a/0"]


@pytest.fixture(params=["folder", "objects"])
def place(request, tmp_path):
    """Of each kind one, with nothing in it."""
    return place_of(tmp_path / "a" if request.param == "folder" else f"memory://{uuid4().hex}/a")


def test_what_is_written_is_read(place):
    assert place.names() == []
    assert (place.read("a/0/1"), place.content("a/0/1", 10)) == (None, None)
    place.write("a/0/1", b"0123456789")
    assert place.content("a/0/1", 10) == b"0123456789"
    parts = [(0, None), (3, 4), (-4, None), (-4, 2), (-4, 4), (8, 20), (5, 0)]
    found = [place.read("a/0/1", *part).tobytes() for part in parts]
    assert found == [b"0123456789", b"3456", b"6789", b"67", b"6789", b"89", b""]
    with pytest.raises(OSError, match="more than 9 bytes"):
        place.content("a/0/1", 9)
    place.write("a/0/1", b"")
    assert place.read("a/0/1").tobytes() == b""
    read = place.read("a/0/1")
    assert (read.dtype, read.flags.writeable) == (np.uint8, True)


def test_many_are_read_in_order(place, monkeypatch):
    monkeypatch.setattr("kernas.places.IN_FLIGHT", 3)
    monkeypatch.setattr("kernas.places.WORTH_A_LIST", 2)
    for name in ("a/0/1", "a/1/0", "b"):
        place.write(name, name.encode())
    there = [name in ("a/0/1", "a/1/0", "b") for name in NAMES]
    found = list(place.read_all(iter(NAMES), 1))
    assert [data is not None and data.tobytes().decode() for data in found] == [
        name if is_there else False for name, is_there in zip(NAMES, there, strict=True)
    ]
    assert list(place.present(NAMES[:-1])) == there[:-1]
    assert sorted(place.names()) == ["a", "b"]


def test_only_the_first_creates(place):
    assert place.create("a", b"first")
    assert not place.create("a", b"second")
    assert place.read("a").tobytes() == b"first"


def test_a_probe_is_there_for_a_while(place):
    with place.probe() as name:
        assert list(place.present([name])) == [True]
    assert list(place.present([name])) == [False]
    assert place.names() == []


def test_other_processes_are_told_the_location(place):
    again = pickle.loads(pickle.dumps(place))
    assert (type(again), again.location) == (type(place), place.location)
    assert place_of(place) is place
    assert str(place) == str(place.location)


def test_what_cannot_be_written_leaves_nothing(tmp_path, monkeypatch):
    place = Folder(tmp_path)
    place.write("a", b"before")
    (tmp_path / "a.0123.partial").write_bytes(b"of one who was killed")
    assert place.has_remains("a")
    place.write("a", b"after")
    assert [file.name for file in tmp_path.iterdir()] == ["a"]
    with monkeypatch.context() as patch:

        def full(path, data):
            path.touch()
            raise OSError("full")

        patch.setattr("pathlib.Path.write_bytes", full)
        with pytest.raises(OSError, match="full"):
            place.write("a", b"never")
    assert [file.name for file in tmp_path.iterdir()] == ["a"]
    assert place.content("a", 10) == b"after"


@pytest.mark.parametrize(
    ("text", "url"),
    [("s3://a/b", True), ("memory://a", True), ("C:/a", False), ("a/b", False), ("a:b", False)],
)
def test_urls_and_folders(text, url):
    assert is_url(text) == url
    if not url:
        assert isinstance(place_of(text), Folder)


@pytest.mark.parametrize("text", ["nowhere://a/b", "s3://", "memory://", "s3:/a/b"])
def test_urls_that_are_none(text):
    with pytest.raises(ConfigurationError):
        place_of(text)


def test_a_library_that_is_not_there_is_named(monkeypatch):
    def missing(*_, **__):
        raise ImportError("Install it to access Google Storage")

    monkeypatch.setattr("fsspec.url_to_fs", missing)
    for url, way in (("s3://a/b", r"pip install 'kernas\[s3\]'"), ("gs://a/b", "what it asks for")):
        with pytest.raises(MissingDependencyError, match=way):
            Objects(url)

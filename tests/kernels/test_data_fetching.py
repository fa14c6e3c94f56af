"""Downloads from mirrors on this machine: the right bytes or none."""

import http.server
import socket
import threading
from dataclasses import replace
from functools import partial

import pytest
from small_sets import publish_small

from kernas.errors import ConfigurationError, DataError, DownloadError
from kernas.kernels import load
from kernas.kernels.data import fetch, verify
from kernas.published import PUBLISHED


class Handler(http.server.SimpleHTTPRequestHandler):
    """Serves a folder, counts what was asked for, and stops halfway where it is told to."""

    asked: list[str]
    cut: set[str]

    def do_GET(self):
        self.asked.append(self.path)
        if self.path.lstrip("/") not in self.cut:
            return super().do_GET()
        with open(self.translate_path(self.path), "rb") as file:  # noqa: PTH123
            content = file.read()
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content[: len(content) // 2])

    def log_message(self, format, *arguments):
        pass


@pytest.fixture
def mirror(tmp_path):
    """A folder and its address; ``asked`` lists what was asked for."""
    folder = tmp_path / "mirror"
    folder.mkdir()
    handler = type("Counting", (Handler,), {"asked": [], "cut": set()})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(handler, directory=folder))
    thread = threading.Thread(target=partial(server.serve_forever, poll_interval=0.01))
    thread.start()
    yield folder, f"http://127.0.0.1:{server.server_address[1]}/", handler
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def small(monkeypatch, tmp_path):
    monkeypatch.setenv("KERNAS_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return publish_small(monkeypatch)


def set_mirrors(monkeypatch, name, *mirrors):
    monkeypatch.setitem(PUBLISHED, name, replace(PUBLISHED[name], mirrors=mirrors))


def nobody():
    """An address where nothing listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{free.getsockname()[1]}/"


def give(folder, files):
    for file, content in files.items():
        (folder / file).write_bytes(content)


def test_files_are_fetched_into_the_data_folder_and_read(mirror, small, monkeypatch, tmp_path):
    folder, address, handler = mirror
    give(folder, small.files["mnist"])
    set_mirrors(monkeypatch, "mnist", address)
    paths = fetch("mnist")
    assert [path.name for path in paths] == list(small.files["mnist"])
    assert {path.parent for path in paths} == {tmp_path / "data" / "mnist"}
    assert [path.read_bytes() for path in paths] == list(small.files["mnist"].values())
    assert len(load("mnist")[0]) == 40
    assert len(handler.asked) == 4


def test_without_kernas_data_files_go_into_the_cache_folder(mirror, small, monkeypatch, tmp_path):
    folder, address, _ = mirror
    monkeypatch.delenv("KERNAS_DATA")
    give(folder, small.files["cifar10"])
    set_mirrors(monkeypatch, "cifar10", address)
    (path,) = fetch("cifar10")
    assert path == tmp_path / "cache" / "kernas" / "cifar-10-binary.tar.gz"
    assert verify("cifar10").path == path


def test_what_is_whole_is_not_fetched_again_and_what_is_damaged_is(
    mirror, small, monkeypatch, tmp_path
):
    folder, address, handler = mirror
    give(folder, small.files["mnist"])
    set_mirrors(monkeypatch, "mnist", address)
    paths = fetch("mnist", tmp_path / "there")
    paths[1].write_bytes(paths[1].read_bytes()[:-1])
    paths[3].unlink()
    handler.asked.clear()
    fetch("mnist", tmp_path / "there")
    assert handler.asked == [f"/{paths[1].name}", f"/{paths[3].name}"]
    assert [path.read_bytes() for path in paths] == list(small.files["mnist"].values())


def test_mirrors_are_tried_in_their_order(mirror, small, monkeypatch, tmp_path):
    folder, address, handler = mirror
    (name,) = small.files["cifar10"]
    content = small.files["cifar10"][name]
    for place in ("wrong", "cut", "right"):
        (folder / place).mkdir()
        (folder / place / name).write_bytes(b"another" if place == "wrong" else content)
    handler.cut.add(f"cut/{name}")
    places = [f"{address}{place}/" for place in ("absent", "wrong", "cut", "right", "unused")]
    set_mirrors(monkeypatch, "cifar10", nobody(), *places)
    (path,) = fetch("cifar10")
    assert path.read_bytes() == content
    assert handler.asked == [f"/{place}/{name}" for place in ("absent", "wrong", "cut", "right")]
    assert list(path.parent.iterdir()) == [path]


def test_an_error_has_the_reason_of_every_mirror_and_nothing_is_left(
    mirror, small, monkeypatch, tmp_path
):
    folder, address, handler = mirror
    (name,) = small.files["cifar10"]
    for place in ("wrong", "cut"):
        (folder / place).mkdir()
        (folder / place / name).write_bytes(b"another file" * 100)
    handler.cut.add(f"cut/{name}")
    offline = nobody()
    places = [f"{address}{place}/" for place in ("absent", "wrong", "cut")]
    set_mirrors(monkeypatch, "cifar10", offline, *places)
    with pytest.raises(DownloadError) as caught:
        fetch("cifar10", tmp_path / "there")
    text = str(caught.value)
    assert "\n" not in text
    file = PUBLISHED["cifar10"].files[0]
    for part in (
        f"{name} could not be downloaded from {offline} (",
        "Connection refused",
        f"{places[0]} (404",
        f"{places[1]} (SHA256 hash",
        f"expected sha256:{file.sha256} but got",
        f"{places[2]} (",
        "check the connection",
        f"into {tmp_path / 'there'}: {file.size:,} bytes, SHA-256 {file.sha256}",
    ):
        assert part in text
    assert list((tmp_path / "there").iterdir()) == []


def test_a_damaged_file_stays_when_nothing_better_is_there(small, monkeypatch, tmp_path):
    set_mirrors(monkeypatch, "cifar10", nobody())
    (tmp_path / "cifar-10-binary.tar.gz").write_bytes(b"half")
    with pytest.raises(DownloadError):
        fetch("cifar10", tmp_path)
    assert (tmp_path / "cifar-10-binary.tar.gz").read_bytes() == b"half"


def test_a_folder_that_cannot_be_written(small, tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(DataError, match=r"cannot be written .* choose another folder"):
        fetch("cifar10", tmp_path / "file")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (
            "cifar11",
            r"unknown data set 'cifar11', did you mean 'cifar10'\?: expected one of "
            "digits, digits_hard, cifar10, cifar100,",
        ),
        ("digits", "nothing to fetch for 'digits': it comes with scikit-learn"),
        ("imagenet16-120", r"published as pickles only.* x_train and x_test \(n, 16, 16, 3\)"),
    ],
)
def test_what_cannot_be_fetched(name, expected, tmp_path):
    with pytest.raises(ConfigurationError, match=expected):
        fetch(name, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_what_is_downloaded_has_a_bar_and_what_is_there_has_none(
    mirror, small, monkeypatch, capsys
):
    folder, address, _ = mirror
    give(folder, small.files["mnist"])
    set_mirrors(monkeypatch, "mnist", address)
    fetch("mnist", progress=True)
    shown = capsys.readouterr().err
    assert all(file in shown for file in small.files["mnist"])
    assert shown.count("100%") == len(small.files["mnist"])
    fetch("mnist", progress=True)
    assert "%" not in capsys.readouterr().err

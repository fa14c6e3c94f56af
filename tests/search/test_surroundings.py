"""The command line where streams, devices, homes and folders are not as one expects."""

import errno
import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

import kernas.kernels as kk
import kernas.search as ks
from kernas import errors, files
from kernas.kernels.engine import blocking
from kernas.search.cli import agreement, app, devices, printing
from kernas.search.cli.app import run

CELL = "|nor_conv_3x3~0|+|skip_connect~0|avg_pool_3x3~1|+|none~0|none~1|none~2|"
NETWORK = kk.serial(kk.Flatten(), kk.Dense(), kk.Relu(), kk.Dense())
FULL = Path("/dev/full")

on_unix = pytest.mark.skipif(sys.platform == "win32", reason="descriptors of a shell")


def shell(command: str, **environment: str) -> subprocess.CompletedProcess:
    """What a line of a shell gives; ``kernas`` is this package's."""
    line = f'kernas() {{ "{sys.executable}" -m kernas "$@"; }}; {command}'
    return subprocess.run(
        ["sh", "-c", line], capture_output=True, text=True, env={**os.environ, **environment}
    )


# --- exit codes -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (errors.ConfigurationError("two\nlines"), 2, "two\\nlines"),
        (errors.ArchitectureError("a"), 2, "a"),
        (errors.DataError("a"), 2, "a"),
        (errors.GramStoreError("a"), 2, "a"),
        (errors.ModelFolderError("a"), 2, "a"),
        (errors.RunFolderError("a"), 2, "a"),
        (errors.DownloadError("a"), 1, "a"),
        (errors.UnboundKernelError("a"), 1, "a"),
        (errors.MissingDependencyError("a"), 1, "a"),
        (errors.KernasError("a"), 1, "a"),
        (OSError(errno.ENOSPC, "No space", "a/file"), 1, "a/file: No space"),
        (OSError("strange"), 1, "strange"),
        (MemoryError("12 TiB"), 1, "not enough memory (12 TiB); give fewer"),
        (BrokenPipeError(), 141, ""),
        (KeyboardInterrupt(), 130, "interrupted"),
        (KeyboardInterrupt("go on so"), 130, "interrupted; go on so"),
    ],
)
def test_an_error_is_one_line_and_its_code(error, code, said, monkeypatch, capsys):
    def parse(arguments):
        raise error

    monkeypatch.setattr(app, "parse", parse)
    assert run([]) == code
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == bool(said)
    assert "".join(lines).startswith(f"kernas: {said}" if said else "")


# --- stdin ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("stdin", [None, "closed", "file"])
def test_who_cannot_be_asked_gives_yes(stdin, monkeypatch):
    stream = None if stdin is None else io.StringIO("y\n")
    if stream is not None and stdin == "closed":
        stream.close()
    monkeypatch.setattr(sys, "stdin", stream)
    with pytest.raises(errors.ConfigurationError, match="give --yes"):
        agreement.agreed()


def test_the_end_of_the_input_is_a_no(monkeypatch):
    terminal = io.StringIO("")
    monkeypatch.setattr(terminal, "isatty", lambda: True)
    monkeypatch.setattr(sys, "stdin", terminal)
    assert not agreement.agreed()


# --- stdout and stderr ----------------------------------------------------------------------------


@on_unix
def test_nobody_reads():
    """Help is printed by a library, and comes before anything is computed."""
    result = shell("{ kernas rank --help; echo $? >&2; } | true")
    assert (result.stdout, result.stderr) == ("", "141\n")


@pytest.mark.skipif(not FULL.exists(), reason="a device that is always full is Linux's")
def test_a_full_device_is_one_line():
    result = shell("kernas --version >/dev/full")
    assert result.returncode == 1
    assert result.stderr.startswith("kernas: cannot print the result (No space left on device)")
    assert result.stderr.count("\n") == 1
    assert shell("kernas --version 2>/dev/full").stdout.startswith("kernas ")


@on_unix
def test_closed_descriptors_are_filled():
    """Else the first file that is opened is what libraries print to."""
    result = shell(
        f'"{sys.executable}" -c "import os, sys; from kernas.search.cli.printing import '
        "open_streams; open_streams(); file = os.open(os.devnull, os.O_RDONLY); print(file); "
        'print(file, file=sys.stderr); sys.exit(file)" <&- >&- 2>&-'
    )
    assert result.returncode > 2
    assert shell("kernas --version <&- >&- 2>&-").returncode == 0


@on_unix
def test_ascii_is_readable():
    result = shell(
        f'{{ kernas rank --help; kernas explain "{CELL}"; }}',
        PYTHONIOENCODING="ascii",
        PYTHONUTF8="0",
    )
    assert (result.returncode, result.stderr) == (0, "")
    assert "K = x*x'/C, Theta = 0" in result.stdout
    assert "K <- 2 * mean over the window" in result.stdout
    assert result.stdout.isascii()


def test_what_an_encoding_lacks_is_written_readably():
    text = "30 × 30 ± 1 – ρ café … →"
    assert text.encode("ascii", printing.READABLE) == b"30 x 30 +- 1 - rho cafe ... ->"
    assert text.encode("cp1252", printing.READABLE).decode("cp1252") == (
        "30 × 30 ± 1 – rho café … ->"
    )
    assert "語".encode("ascii", printing.READABLE) == rb"\u8a9e"
    name = os.fsdecode(b"run-\xff")
    assert name.encode("utf-8", printing.READABLE) == b"run-\xff"


def test_json_is_ascii_and_the_same_value(capsys):
    printing.say_json({"class": "café", "path": Path("a")})
    printed = capsys.readouterr().out
    assert printed.isascii()
    assert json.loads(printed) == {"class": "café", "path": "a"}


def pipe_without_reader() -> io.TextIOWrapper:
    reader, writer = os.pipe()
    os.close(reader)
    return os.fdopen(writer, "w", encoding="utf-8")


def test_a_result_that_nobody_reads_is_known_at_once(monkeypatch):
    with pipe_without_reader() as stream:
        monkeypatch.setattr(sys, "stdout", stream)
        with pytest.raises(BrokenPipeError):
            printing.say("result")
        printing.say("which now goes nowhere")
        monkeypatch.undo()


def test_messages_that_nobody_reads_are_dropped(monkeypatch):
    with pipe_without_reader() as stream:
        messages = printing._Messages(stream.buffer, "utf-8", "strict", line_buffering=True)
        assert messages.write("progress\n") == 9
        messages.flush()
        messages.detach()
    monkeypatch.setattr(sys, "stderr", None)
    printing.tell("to nobody")


# --- homes and caches -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments",
    [
        ("rank", "--output", "~nobody-here/x"),
        ("rank", "--grams", "~nobody-here/x"),
        ("gram", "--architecture", CELL, "--store", "~nobody-here/x"),
        ("fit", "--model", "~nobody-here/x"),
        ("predict", "~nobody-here/x"),
        ("predict", "model", "--output", "~nobody-here/x"),
        ("data", "fetch", "mnist", "--folder", "~nobody-here/x"),
    ],
)
def test_a_home_that_is_not_there_is_one_line(arguments, capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert run(list(arguments)) == 2
    error = capsys.readouterr().err
    assert error.startswith("kernas: path '~nobody-here/x': the home folder of ~nobody-here is not")
    assert error.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_a_home_in_a_path_is_found(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    options: Any = app.with_homes(app.parse(["fit", "--model", "a", "--store", "~/store"]))
    assert options.store == tmp_path / "store"


def test_without_a_home_nothing_is_cached(monkeypatch, tmp_path):
    monkeypatch.setattr("platformdirs.user_cache_path", lambda name: Path("~/.cache") / name)
    monkeypatch.chdir(tmp_path)
    assert files.system_cache() is None

    def measure(side, lanes):
        return dict.fromkeys(lanes, 1.0)

    blocking.measured_blocking.__wrapped__(8, True, "float32", measure)
    assert list(tmp_path.iterdir()) == []


# --- devices --------------------------------------------------------------------------------------


@pytest.mark.parametrize("error", [AssertionError(), RuntimeError("Unknown\nbackend")])
@pytest.mark.parametrize("device", [None, "auto", "cpu", "gpu"])
def test_no_device_is_one_line_that_advises_what_was_not_done(device, error, monkeypatch):
    def no_devices():
        raise error

    monkeypatch.setattr(jax, "devices", no_devices)
    monkeypatch.setenv("JAX_PLATFORMS", "cuda")
    with pytest.raises(errors.ConfigurationError, match="change JAX_PLATFORMS=cuda") as refused:
        devices.check_device(device)
    assert ("use --device cpu" in str(refused.value)) == (device in ("auto", "gpu"))
    assert ("--device" in str(refused.value)) == (device is not None)
    assert "\n" not in str(refused.value)


def test_a_platform_without_its_plugin_is_one_line():
    result = shell(f"kernas plan '{CELL}'", JAX_PLATFORMS="cuda")
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr.startswith("kernas: JAX finds no device (")
    assert result.stderr.count("\n") == 1


def test_a_variable_that_jax_cannot_read_is_one_line():
    result = shell(f"kernas explain '{CELL}'", JAX_ENABLE_X64="perhaps")
    assert (result.returncode, result.stdout) == (2, "")
    assert "JAX_ENABLE_X64" in result.stderr
    assert result.stderr.count("\n") == 1


# --- folders --------------------------------------------------------------------------------------


@pytest.fixture
def read_only(monkeypatch):
    """Call it, and nothing can be written from then on: tests may run as who may write anything."""

    def forbidden(*arguments, **options):
        raise OSError(errno.EROFS, "Read-only file system")

    def begin():
        opened = Path.open

        def reading(path, mode="r", *arguments, **options):
            return opened(path, mode, *arguments, **options) if "r" in mode else forbidden()

        made = Path.mkdir

        def there(path, *arguments, **options):
            return made(path, *arguments, **options) if path.is_dir() else forbidden()

        monkeypatch.setattr(Path, "open", reading)
        monkeypatch.setattr(Path, "mkdir", there)
        for name in ("touch", "unlink", "rename", "replace", "write_bytes"):
            monkeypatch.setattr(Path, name, forbidden)

    return begin


def test_a_complete_store_on_a_read_only_medium_is_read(tmp_path, read_only):
    x = np.random.default_rng(0).standard_normal((6, 5)).astype(np.float32)
    kernel = kk.NeuralKernel(NETWORK, get="ntk")
    store = kk.compute_gram(kernel, x, store=tmp_path, tile_side=4)
    (tmp_path / "locks" / "0-0").touch()  # left by one who was killed
    read_only()
    again = kk.compute_gram(kernel, x, store=tmp_path)
    np.testing.assert_array_equal(again["ntk"], store["ntk"])
    model = kk.KernelClassifier(kernel, store=tmp_path, dtype="float32", ridge=0.1)
    model.fit(x, np.arange(6) % 2)
    assert model.predict(x).shape == (6,)


def test_an_incomplete_store_on_a_read_only_medium_is_one_line(tmp_path, read_only):
    x = np.random.default_rng(0).standard_normal((6, 5)).astype(np.float32)
    kernel = kk.NeuralKernel(NETWORK, get="ntk")
    kk.compute_gram(kernel, x, store=tmp_path, tile_side=4)
    (tmp_path / "ntk" / "c" / "1" / "0").unlink()
    read_only()
    with pytest.raises(errors.GramStoreError, match=r"Read-only.*have the folder, or a copy"):
        kk.compute_gram(kernel, x, store=tmp_path)


def test_a_store_that_cannot_be_used_ends_a_ranking(tmp_path, fake_score, fake_source):
    """The next candidate could not be kept either; what was finished is."""
    candidates = ks.NasBench201(1).sample(4, seed=0)

    def full(architecture):
        if architecture.hash == candidates[2].architecture.hash:
            raise errors.GramStoreError("no room")

    score = fake_score(fake_source(action=full))
    with pytest.raises(errors.GramStoreError, match="no room"):
        ks.rank(candidates, score, output=tmp_path / "run", progress=False)
    assert (tmp_path / "run" / "results.jsonl").read_bytes().count(b"\n") == 2
    assert len(ks.rank(candidates, fake_score(), output=tmp_path / "run", resume=True)) == 4


# --- advice ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("resumed", [False, True])
def test_resume_is_not_advised_to_who_gave_it(resumed, monkeypatch, capsys, tmp_path, x64_kept):
    def interrupted(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr("kernas.search.pipeline.rank", interrupted)
    few = ("--sample", "1", "--n-train", "10", "--n-validation", "10")
    more = ("--resume",) if resumed else ()
    assert run(["rank", *few, "--output", str(tmp_path / "run"), *more]) == 130
    error = capsys.readouterr().err
    way = "the same command" if resumed else f"--output {tmp_path / 'run'} --resume"
    assert error.endswith(f"keeps what was finished; give {way} to go on\n")

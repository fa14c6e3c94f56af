"""Tables of measured accuracy."""

import json
import re

import numpy as np
import pytest

import kernas.kernels as kk
import kernas.search as ks
from kernas.errors import ConfigurationError, DataError
from kernas.search.cli.app import run
from kernas.search.defaults import SHIPPED_SPACE, SHIPPED_TRUTH
from kernas.search.truth import shipped

EMPTY = "|none~0|+|none~0|none~1|+|none~0|none~1|none~2|"


@pytest.fixture
def table(tmp_path):
    path = tmp_path / "table.npz"
    np.savez(
        path,
        arch_str=np.array([b"a", b"b", b"c", b"d"]),
        accuracy=np.array([90.0, np.nan, -1e8, 10.5], np.float32),
        wide=np.zeros((4, 2)),
        words=np.array(["x", "y", "z", "w"]),
        short=np.zeros(3),
    )
    return path


def test_missing_measurements_are_left_out(table):
    truth = ks.load_truth(table, column="accuracy")
    assert dict(truth) == {"a": 90.0, "d": 10.5}
    assert list(truth.values()) == [90.0, 10.5]
    assert (truth.source, truth.column) == ("table.npz", "accuracy")


@pytest.mark.parametrize("column", ["test_cifar10", "wide", "words", "short", "arch_str"])
def test_a_missing_column_is_refused_with_those_there_are(table, column):
    with pytest.raises(DataError, match=f"no column '{column}'; expected one of accuracy$"):
        ks.load_truth(table, column=column)


def test_a_missing_candidate_is_named(table):
    truth = ks.load_truth(table, column="accuracy")
    a, b, c, d = (ks.Candidate(ks.NasBench201(), None, name) for name in "abcd")
    truth.require([a, d])
    with pytest.raises(DataError, match=r"^b has no 'accuracy' in table.npz \(2 of"):
        truth.require([a, b, c])


@pytest.fixture
def in_package(tmp_path, monkeypatch):
    """A truth that comes with the package: of two cells, each trained from two seeds."""
    cells = ks.NasBench201(1, reduction="pool").sample(2)
    lines = [f"{cell.name},0.{i},0.{i + 2},1.5" for i, cell in enumerate(cells, start=1)]
    table = "\n".join(["candidate,accuracy_0,accuracy_1,seconds", *lines, ""])
    (tmp_path / "small.csv").write_text(table)
    how = {"space": "nasbench201:cells=1,reduction=pool", "dataset": "digits_hard"}
    (tmp_path / "small.json").write_text(json.dumps(how))
    monkeypatch.setattr(shipped, "FOLDER", tmp_path)
    return cells


def test_a_truth_in_the_package_is_the_mean_over_seeds(in_package):
    truth = ks.load_truth("small")
    assert [truth[cell.name] for cell in in_package] == pytest.approx([0.2, 0.3])
    assert (truth.column, truth.dataset) == ("accuracy", "digits_hard")
    second = ks.load_truth("small", "accuracy_1")
    assert [second[cell.name] for cell in in_package] == [0.3, 0.4]
    with pytest.raises(DataError, match=r"'test_cifar10'; expected one of accuracy_0, accuracy_1"):
        ks.load_truth("small", "test_cifar10")


def test_a_truth_of_another_space_is_refused_by_field(in_package):
    truth = ks.load_truth("small")
    truth.require(in_package)
    others = [ks.NasBench201(1).candidate(cell.name) for cell in in_package]
    with pytest.raises(DataError, match=r'^small measured .*reduction is "pool".*have "residual"'):
        truth.require(others)


def test_a_table_without_names_is_refused(tmp_path):
    np.savez(tmp_path / "no_names.npz", accuracy=np.zeros(3))
    with pytest.raises(DataError, match="no array 'arch_str'"):
        ks.load_truth(tmp_path / "no_names.npz", column="accuracy")


def test_an_architecture_in_several_rows_is_refused(tmp_path):
    path = tmp_path / "seeds.npz"
    np.savez(path, arch_str=["a", "b", "b"], accuracy=[90.0, 10.0, 50.0])
    with pytest.raises(DataError, match="'b' in several rows"):
        ks.load_truth(path, column="accuracy")


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (b"", r"is not an \.npz file"),
        (b"not a table", r"is not an \.npz file"),
        (b"PK\x03\x04broken", r"cannot be read \(File is not a zip file\)"),
    ],
)
def test_a_file_that_is_no_table_is_refused(tmp_path, content, fault):
    path = tmp_path / "broken.npz"
    path.write_bytes(content)
    with pytest.raises(DataError, match=rf"broken\.npz {fault}; expected an \.npz of plain arrays"):
        ks.load_truth(path)


def test_a_bare_array_is_refused(tmp_path):
    np.save(tmp_path / "bare.npy", np.zeros(3))
    with pytest.raises(DataError, match=r"bare\.npy is not an \.npz file; expected an"):
        ks.load_truth(tmp_path / "bare.npy")


def test_object_arrays_are_refused(tmp_path):
    path = tmp_path / "objects.npz"
    np.savez(path, arch_str=np.array(["a", None], dtype=object), accuracy=np.zeros(2))
    with pytest.raises(DataError, match=r"'arch_str' of .*objects\.npz holds Python objects"):
        ks.load_truth(path, column="accuracy")


def test_a_missing_file_says_where_it_was_looked_for(monkeypatch, tmp_path):
    monkeypatch.setenv("KERNAS_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with pytest.raises(DataError) as caught:
        ks.load_truth("nasbench201")
    message = str(caught.value)
    assert str(tmp_path / "data" / "nasbench201.npz") in message
    assert str(tmp_path / "cache" / "kernas" / "nasbench201.npz") in message
    assert "KERNAS_DATA" in message


def test_files_are_found_in_the_data_and_the_cache_folder(monkeypatch, tmp_path, table):
    monkeypatch.chdir(tmp_path.parent)
    monkeypatch.setenv("KERNAS_DATA", str(tmp_path))
    assert len(ks.load_truth("table.npz", column="accuracy")) == 2
    monkeypatch.delenv("KERNAS_DATA")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    (tmp_path / "kernas").mkdir()
    table.rename(tmp_path / "kernas" / "nasbench201.npz")
    assert len(ks.load_truth("nasbench201", column="accuracy")) == 2


def test_the_published_table(data_folder):
    truth = ks.load_truth("nasbench201")
    assert len(truth) == 15_625
    assert max(truth.values()) == pytest.approx(94.37, abs=0.005)
    assert set(truth) == {cell.name for cell in ks.NasBench201().enumerate()}


@pytest.mark.parametrize(
    ("names", "fault"),
    [
        (np.arange(3), "has shape .3,. and dtype int64: expected a vector of strings"),
        (np.array([["a", "b", "c"]]), "has shape .1, 3. and dtype <U1: expected a vector"),
        (np.array("a"), "has shape .. and dtype <U1: expected a vector"),
        (np.array([b"a", b"\xff", b"c"]), r"has the name b'\\xff': expected strings"),
    ],
)
def test_names_that_are_no_texts(names, fault, tmp_path):
    path = tmp_path / "table.npz"
    np.savez(path, arch_str=names, accuracy=np.zeros(3))
    with pytest.raises(DataError, match=f"'arch_str' of .*table.npz {fault}"):
        ks.load_truth(path, column="accuracy")


def test_an_infinite_accuracy_is_not_missing(tmp_path):
    path = tmp_path / "table.npz"
    np.savez(path, arch_str=["a", "b"], accuracy=np.array([90.0, np.inf]))
    with pytest.raises(DataError, match=r"'accuracy' of .*table.npz: 'b' has the value inf"):
        ks.load_truth(path, column="accuracy")
    with pytest.raises(DataError, match=r"'a' has the value '90': expected a finite number"):
        ks.Truth({"a": "90"})  # pyright: ignore[reportArgumentType]


def test_other_arrays_may_be_anything(tmp_path):
    """Only what is read is judged; the columns that are listed are those that could be."""
    path = tmp_path / "table.npz"
    arrays = {"arch_str": ["a"], "accuracy": [1.0], "notes": np.array([None], dtype=object)}
    np.savez(path, allow_pickle=True, **arrays)
    assert dict(ks.load_truth(path, column="accuracy")) == {"a": 1.0}
    with pytest.raises(DataError, match=r"expected one of accuracy$"):
        ks.load_truth(path, column="notes")


def test_a_table_by_its_path_needs_no_folder_of_data(table, monkeypatch):
    monkeypatch.setenv("KERNAS_DATA", "~nosuchuser/data")
    assert len(ks.load_truth(table, column="accuracy")) == 2


def test_a_truth_of_a_space_draws_from_what_it_measured(in_package):
    truth, space = ks.load_truth("small"), ks.NasBench201(1, reduction="pool")
    drawn = truth.sample(space, 2, seed=1)
    assert {cell.name for cell in drawn} == {cell.name for cell in in_package}
    assert truth.sample(space, 1, seed=1) == drawn[:1]
    assert truth.covers(drawn)
    assert not truth.covers([*drawn, space.candidate(EMPTY)])
    firsts = {truth.sample(space, 1, seed=seed)[0].name for seed in range(20)}
    assert firsts == {cell.name for cell in in_package}
    with pytest.raises(ConfigurationError, match="sample of n=3 candidates of small"):
        truth.sample(space, 3)
    with pytest.raises(ConfigurationError, match="sample of n=0"):
        truth.sample(space, 0)
    with pytest.raises(DataError, match=r"^small measured .*reduction is"):
        truth.sample(ks.NasBench201(1), 1)


def test_the_hard_digits_are_measured_for_the_first_candidates():
    truth = ks.load_truth("digits_hard")
    assert truth.space is not None
    assert truth.dataset == "digits_hard"
    cells = ks.space_from_text(truth.space).sample(len(truth))
    assert [cell.name for cell in cells] == list(truth)
    assert len(cells) >= 1000
    how = shipped.protocol("digits_hard")
    assert (how["dataset"], how["space"]) == (SHIPPED_TRUTH, SHIPPED_SPACE)
    for part, images in zip(("train", "test"), kk.load("digits_hard"), strict=True):
        assert how["fingerprints"][part] == images.fingerprint
    assert how["agreement"]["all"] > 0.9
    sizes = [path.stat().st_size for path in shipped.FOLDER.glob("digits_hard.*")]
    assert sum(sizes) < 400_000
    assert all(0 <= accuracy <= 1 for accuracy in truth.values())
    assert max(truth.values()) > 0.75


CSV = "cell,first,second,note\na,0.5,1,fine\n'=b,0.25,,bad\nc,-1e8,3,\n"


@pytest.mark.parametrize(
    ("name", "content", "column", "expected"),
    [
        ("t.csv", CSV, "first", {"a": 0.5, "=b": 0.25}),
        ("t.csv", CSV, "second", {"a": 1.0, "c": 3.0}),
        ("t.csv", "\ufeffcell,only\r\na,1\r\n\r\nb,2\r\n", None, {"a": 1.0, "b": 2.0}),
        ("t.csv", 'cell,only\n"Genotype(x=[(1, 2)])",3\n', None, {"Genotype(x=[(1, 2)])": 3.0}),
        ("t.csv", "cell,test_cifar10,other\na,1,2\n", None, {"a": 1.0}),
        ("t.json", '{"a": 1, "b": 2.5, "c": null}', None, {"a": 1.0, "b": 2.5}),
        ("t.json", '{"a": {"x": 1, "y": 2}, "b": {"x": 3}}', "y", {"a": 2.0}),
    ],
)
def test_tables_of_text_are_read(tmp_path, name, content, column, expected):
    (tmp_path / name).write_text(content, encoding="utf-8")
    assert dict(ks.load_truth(tmp_path / name, column)) == expected


@pytest.mark.parametrize(
    ("name", "content", "fault"),
    [
        ("t.csv", "", "expected different titles of the names and of one column or more"),
        ("t.csv", "cell\na\n", "expected different titles"),
        ("t.csv", "cell,x,x\na,1,2\n", "expected different titles"),
        ("t.csv", "cell,x\na,1\nb\n", "row 3 of"),
        (
            "t.csv",
            "cell,x,y\na,1,2\n",
            "has no column 'test_cifar10' of numbers; expected one of x",
        ),
        (
            "t.csv",
            "cell,x\na,nothing\n",
            "has no column 'test_cifar10' of numbers; expected one of none",
        ),
        ("t.csv", 'cell,x\n"a,1\n', "cannot be read"),
        ("t.csv", b"cell,x\n\xff,1\n", "cannot be read"),
        ("t.csv", "cell,x\na,1\na,2\n", "'a' in several rows"),
        ("t.csv", "cell,x\na,1\nb,inf\n", "expected a finite number"),
        ("t.json", "[1, 2]", "has list of no names; expected"),
        ("t.json", "{}", "of no names"),
        ("t.json", '{"a": 1, "a": 2}', "cannot be read"),
        ("t.json", "{", "cannot be read"),
    ],
)
def test_a_text_that_is_no_table_is_refused(tmp_path, name, content, fault):
    data = content if isinstance(content, bytes) else content.encode()
    (tmp_path / name).write_bytes(data)
    with pytest.raises(DataError, match=re.escape(fault)) as caught:
        ks.load_truth(tmp_path / name)
    assert "\n" not in str(caught.value)


def test_the_measured_cells_of_darts_are_those_of_the_space(data_folder):
    truth = ks.load_truth(data_folder / "darts_cells.csv")
    space = ks.DartsSpace(5, "average")
    assert len(truth) == 500
    assert all(space.candidate(name).name in truth for name in truth)


def test_a_table_of_some_candidates_is_drawn_from(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    cells = ks.NasBench201(1).sample(40, seed=5)[20:]
    lines = [f"{cell.name},{number}" for number, cell in enumerate(cells)]
    (tmp_path / "mine.csv").write_text("\n".join(["cell,accuracy", *lines]))
    arguments = ["--space", "nasbench201:cells=1", "--truth", "mine.csv", "--score", "params"]
    assert run(["rank", "--dataset", "digits", *arguments, "--sample", "8"]) == 0
    assert "candidates are drawn among the 20 of mine.csv" in capsys.readouterr().err
    ranked = ks.read_run("runs/rank-digits-1")
    assert len(ranked) == 8
    assert {row.name for row in ranked} <= {cell.name for cell in cells}

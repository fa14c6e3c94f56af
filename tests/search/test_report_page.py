"""The page about runs: what stands in it, and that nothing of a user's does anything there."""

import csv
import io
import json
import re
from html.parser import HTMLParser
from typing import Any

import numpy as np
import pytest
from fake_rankings import HOSTILE, ranking_of
from PIL import Image

import kernas.kernels as kk
import kernas.search as ks
from kernas.errors import ConfigurationError, DataError, KernasError, RunFolderError
from kernas.search.cli.app import run
from kernas.search.report.page import page_of, parts_of, write_pictures
from kernas.search.report.page.comparing import joined_ranking
from kernas.search.report.page.contents import flat
from kernas.search.report.page.rankings import ranking_part
from kernas.search.report.page.searches import Searched, principal_plane


class Page(HTMLParser):
    """Tags with their attributes, the text of each table cell, and the contents of scripts."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.cells, self.scripts, self._open = [], [], [], []
        self.texts = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self._open.append(tag)
        if tag == "td":
            self.cells.append("")
        if tag == "script":
            self.scripts.append("")

    def handle_endtag(self, tag):
        while self._open and self._open.pop() != tag:
            pass

    def handle_data(self, data):
        where = self._open[-1] if self._open else ""
        if where == "td":
            self.cells[-1] += data
        elif where == "script":
            self.scripts[-1] += data
        else:
            self.texts.append(data)

    @property
    def data(self):
        return json.loads(self.scripts[0])


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory):
    """A ranking by counts, which cost nothing, with a truth."""
    folder = tmp_path_factory.mktemp("ranking") / "cells"
    arguments = ["--sample", "12", "--score", "params,flops,depth", "--yes", "--quiet"]
    assert run(["rank", *arguments, "--output", str(folder)]) == 0
    return folder


def test_every_candidate_and_score_stands_in_the_table(run_folder):
    text = ks.report_page(run_folder)
    page, ranking = Page(text), ks.read_run(run_folder)
    for row in ranking:
        assert row.name in page.cells
        for value in row.values.values():
            assert f"{value.value:.4g}" in page.cells
    assert len(page.data["charts"]) == 5
    assert "kernas rank --sample 12 --score params,flops,depth" in " ".join(page.texts)
    assert text == ks.report_page(run_folder)


def test_nothing_is_loaded_from_elsewhere(run_folder):
    page = Page(ks.report_page(run_folder))
    assert not [attrs for _, attrs in page.tags if {"src", "srcset", "data", "action"} & set(attrs)]
    links = [attrs["href"] for _, attrs in page.tags if "href" in attrs]
    assert links
    assert all(link.startswith("#") for link in links)
    policy = next(a["content"] for t, a in page.tags if t == "meta" and "http-equiv" in a)
    assert policy.startswith("default-src 'none'; ")
    assert "http" not in policy


def test_columns_of_charts_are_numbers_that_json_has():
    ranking = ranking_of([f"cell {i}" for i in range(30)], truth=True)
    data = Page(page_of([ranking_part(ranking, "r")])).data
    for chart in data["charts"]:
        lengths = {len(data["columns"][at]) for at in chart["columns"].values()}
        assert len(lengths) == 1
        fields = re.findall(r'"field": ?"([^"]+)"', json.dumps(chart["chart"]))
        assert fields
        assert set(fields) <= set(chart["columns"])


def test_what_users_name_is_shown_and_does_nothing():
    text = page_of([ranking_part(ranking_of(HOSTILE, scores=HOSTILE[:3]), HOSTILE[0])])
    page = Page(text)
    assert set(HOSTILE) <= set(page.cells)
    assert len(page.scripts) == 3  # data, Vega, ours
    assert not any(tag == "img" for tag, _ in page.tags)
    assert not any(name.startswith("on") for _, attrs in page.tags for name in attrs)
    best = page.data["charts"][0]["columns"]["name"]
    assert sorted(name.split("  ", 1)[1] for name in page.data["columns"][best]) == sorted(HOSTILE)


def test_a_choice_changes_what_is_there():
    """Every path of a change leads to a place in the chart."""
    part = ranking_part(ranking_of([f"cell {i}" for i in range(9)], truth=True), "r")
    pictures = [picture for picture in part.pictures if picture.selections]
    assert [picture.name for picture in pictures] == ["truth", "scores"]
    for picture in pictures:
        for selection in picture.selections:
            assert len(selection.choices) == 3
            for choice in selection.choices:
                for path, value in choice.changes.items():
                    *parents, last = path.split("/")
                    place: Any = picture.chart
                    for name in parents:
                        place = place[int(name) if isinstance(place, list) else name]
                    assert last in place
                    if last == "field":
                        assert value in picture.columns


def test_pictures_become_files(run_folder, tmp_path):
    parts = parts_of([run_folder])
    written = write_pictures(parts, tmp_path / "new" / "pictures")
    assert {path.suffix for path in written} == {".svg", ".png"}
    assert len(written) == 2 * len(parts[0].pictures) == 10
    for path in written:
        if path.suffix == ".png":
            image = np.asarray(Image.open(io.BytesIO(path.read_bytes())).convert("L"))
            assert image.shape[1] > 1200
            assert image.std() > 1  # something is drawn
        else:
            assert path.read_text().startswith("<svg")


def test_rankings_are_compared_on_what_they_share():
    one, other = ranking_of(["x", "y", "z", "w"]), ranking_of(["y", "z", "w", "v"], scores=("a",))
    joined = joined_ranking({"1": one, "2": other})
    assert list(joined.directions) == ["1: a", "1: b", "1: c", "2: a"]
    by_name = {row.name: row for row in joined}
    assert set(by_name) == set("vwxyz")
    assert by_name["y"].values["1: a"] == next(r for r in one if r.name == "y").values["a"]
    assert by_name["y"].values["2: a"] == next(r for r in other if r.name == "y").values["a"]
    assert "2: a" not in by_name["x"].values


def test_several_runs_stand_on_one_page(run_folder, tmp_path):
    second = tmp_path / "second"
    assert run(["rank", "--sample", "8", "--score", "params", "--quiet", "--yes",
                "--output", str(second)]) == 0  # fmt: skip
    parts = parts_of([run_folder, second])
    assert [part.kind for part in parts] == ["comparison", "ranking", "ranking"]
    text = page_of(parts)
    headings = re.findall(r"<h[12]>(.*?)</h[12]>", text.partition("<script")[0])
    assert headings == ["2 runs", "Rankings compared", "cells", "second"]


def searched(values, **more):
    n = len(values["a"])
    directions = {name: name != "b" for name in values}
    return Searched(directions, list(range(n)), [f"c{i}" for i in range(n)], ["ok"] * n, [""] * n,
                    values, [None] * n, [1.0] * n, [""] * n, **more)  # fmt: skip


def test_the_best_so_far_and_the_front_of_a_search():
    found = searched({"a": [1.0, None, 3.0, 2.0, 3.0], "b": [5.0, 1.0, 4.0, 1.0, 4.0]})
    assert found.best_so_far() == [1.0, 1.0, 3.0, 3.0, 3.0]
    assert found.in_front() == [False, False, True, True, True]  # a higher, b lower; ties share
    lower = searched({"b": [2.0, 1.0], "a": [0.0, 0.0]})
    assert lower.best_so_far() == [2.0, 1.0]


def test_the_plane_keeps_the_largest_variance():
    rng = np.random.default_rng(0)
    points = rng.normal(size=(20, 2)) @ rng.normal(size=(2, 6)) + 5  # a plane
    plane = principal_plane(points)
    assert plane is not None
    distances = np.linalg.norm(points[:, None] - points[None], axis=-1)
    assert np.allclose(distances, np.linalg.norm(plane[:, None] - plane[None], axis=-1))
    assert principal_plane(np.outer(np.arange(5.0), [1, 2, 3])) is None


def test_a_search_is_read_from_its_folder(tmp_path):
    pytest.importorskip("optuna")
    folder = tmp_path / "search"
    arguments = ["--score", "params,depth", "--strategy", "nsga2:population=5", "--n-trials", "15"]
    assert run(["search", *arguments, "--output", str(folder), "--yes", "--quiet"]) == 0
    (part,) = parts_of([folder])
    summary = json.loads((folder / "summary.json").read_text())
    assert part.kind == "search"
    assert [picture.name for picture in part.pictures] == ["progress", "measured", "front", "map"]
    best = summary["rows"][0]
    assert dict(part.facts)["best"] == f"{best['name']}: {best['scores']['params']['value']:.4g}"
    front = part.pictures[2].columns["kind"]
    with (folder / "trials.csv").open() as file:
        same = [row["same_as"] for row in csv.DictReader(file)]
    different = [kind for kind, other in zip(front, same, strict=True) if not other]
    assert different.count("front") == len(summary["rows"])
    assert "kernas search --score params,depth" in " ".join(part.command)
    (folder / "trials.csv").unlink()
    with pytest.raises(RunFolderError, match=r"a search without its trials\.csv: .* --resume"):
        parts_of([folder])


def test_a_model_shows_how_it_does_on_images_left_out(tmp_path):
    folder = tmp_path / "model"
    arguments = ["fit", "--model", str(folder), "--n", "120", "--yes", "--quiet"]
    assert run([*arguments, "--learning-curve"]) == 0
    assert run(["predict", str(folder), "--n", "90", "--output", str(folder / "p.csv")]) == 0
    model, predictions = parts_of([folder])
    estimator = kk.load_model(folder)
    notes = estimator.notes_
    confusion = np.array(notes["loo_confusion"])
    assert confusion.sum() == 120
    assert notes["learning_curve"][-1]["accuracy"] == pytest.approx(np.trace(confusion) / 120)
    assert [picture.name for picture in model.pictures] == ["learning-curve", "confusion"]
    twice = notes["predicted_curve"][-1]
    told = f"{twice['error']:.3f} [{twice['low']:.3f}, {twice['high']:.3f}]"
    assert dict(model.facts)["squared error of 240 images, predicted"] == told
    assert model.command[:2] == ["kernas", "fit"]
    with (folder / "p.csv").open() as file:
        rows = list(csv.DictReader(file))
    accuracy = np.mean([row["label"] == row["predicted"] for row in rows])
    assert dict(predictions.facts)["accuracy"].startswith(f"{accuracy:.4f} [")
    calibration = next(p for p in predictions.pictures if p.name == "calibration")
    sure = [max(float(row[f"p({c})"]) for c in range(10)) for row in rows]
    assert np.mean(np.array(calibration.columns["sure"], float)) == pytest.approx(
        np.mean(sure), abs=1e-5
    )
    assert np.mean(np.array(calibration.columns["right"], float)) == pytest.approx(
        accuracy, abs=1e-5
    )
    page_of([model, predictions])


def test_a_kernel_machine_shows_its_loss_and_its_costs(tmp_path):
    train, _ = kk.load("digits", n_train=40, n_test=10, image_size=4)
    machine = kk.KernelMachine(loss="logistic", C=0.5).fit(train.x, train.y)
    (part,) = parts_of([kk.save_model(machine, tmp_path / "model")])
    facts = dict(part.facts)
    assert facts["estimator"] == "KernelMachine"
    assert facts["machine"] == "logistic loss, C = 0.5"
    assert "ridge" not in facts
    page_of([part])


def test_a_training_shows_its_curves(tmp_path):
    folder = tmp_path / "training"
    cell = "|nor_conv_1x1~0|+|none~0|none~1|+|none~0|none~1|skip_connect~2|"
    arguments = ["--epochs", "2", "--n-train", "60", "--n-test", "40", "--image-size", "4",
                 "--width", "4", "--batch-size", "20", "--seeds", "2"]  # fmt: skip
    assert run(["train", cell, *arguments, "--output", str(folder), "--yes", "--quiet"]) == 0
    (part,) = parts_of([folder])
    metrics = json.loads((folder / "metrics.json").read_text())
    accuracy, loss = part.pictures
    assert loss.columns["step"] == [1.0, 2.0, 3.0, 4.0, 5.0, 6.0] * 2
    assert accuracy.columns["accuracy"][-1] == pytest.approx(metrics["test_accuracy"][-1], rel=1e-5)
    assert dict(part.facts)["network"] == cell
    page_of([part])
    (folder / "curve.csv").write_text("step\n1\n")
    with pytest.raises(RunFolderError, match="training cannot be read"):
        parts_of([folder])


@pytest.mark.parametrize(
    ("files", "kind", "words"),
    [
        ({}, RunFolderError, "is no run .it holds none of their files"),
        ({"study.db": ""}, RunFolderError, "a search without its trials.csv"),
        (
            {"trials.csv": "trial\n", "summary.json": "{}"},
            RunFolderError,
            "it lacks 'config.options'",
        ),
        ({"metrics.json": "[]"}, RunFolderError, "cannot be read"),
        ({"best.csv": ""}, RunFolderError, "best.csv cannot be read"),
        ({"config.json": "{"}, KernasError, "config.json"),
        ({"model.json": "{"}, KernasError, "model.json is damaged"),
    ],
)
def test_what_cannot_be_read_is_said_in_one_line(tmp_path, files, kind, words):
    folder = tmp_path / "run"
    folder.mkdir()
    for name, content in files.items():
        (folder / name).write_text(content)
    with pytest.raises(kind, match=words) as caught:
        parts_of([folder])
    assert "\n" not in str(caught.value)


def test_what_is_no_run_is_refused(tmp_path, run_folder, capsys):
    with pytest.raises(ConfigurationError, match="no run: give the folder"):
        parts_of([])
    with pytest.raises(ConfigurationError, match="is given twice"):
        parts_of([run_folder, run_folder])
    with pytest.raises(RunFolderError, match="there is nothing"):
        parts_of([tmp_path / "nowhere"])
    table = tmp_path / "table.csv"
    table.write_text("a,b\n1,2\n")
    with pytest.raises(DataError, match=r"table\.csv cannot be read"):
        parts_of([table])
    assert run(["report", str(tmp_path / "nowhere")]) == 2
    assert "there is nothing" in capsys.readouterr().err


def test_the_command_writes_where_it_says(run_folder, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert run(["report", str(run_folder)]) == 0
    assert f"written in {run_folder / 'report.html'}" in capsys.readouterr().out
    assert (run_folder / "report.html").read_text("utf-8") == ks.report_page(run_folder)
    opened = []
    monkeypatch.setattr("webbrowser.open", lambda address: opened.append(address) or True)
    pictures = ["--pictures", "pictures", "--open", "--json"]
    assert run(["report", str(run_folder), "--output", "new/page.html", *pictures]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["output"] == "new/page.html"
    assert len(found["pictures"]) == 10
    assert opened == [(tmp_path / "new" / "page.html").as_uri()]


def test_a_space_that_the_run_does_not_name_is_said_or_given():
    ranking = ranking_of(["|nor_conv_1x1~0|+|none~0|none~1|+|none~0|none~1|skip_connect~2|", "no"])
    part = ranking_part(ranking, "r")
    assert part.drawings == []
    assert "does not say of which space" in part.notes[0]
    part = ranking_part(ranking, "r", ks.NasBench201())
    assert len(part.drawings) == 1
    assert part.notes[0].startswith("no is not drawn: ")


def test_leaves_of_a_document():
    found = flat({"a": {"b": 1, "c": [1, 2]}, "d": None, "e": "x"})
    assert found == {"a · b": "1", "a · c": "1, 2", "e": "x"}

"""The pages of `kernas report` in a real browser: `pytest -m browser`."""

import pytest
from chromium import DESK, PHONE, all_drawn, browser, opened
from fake_rankings import HOSTILE, ranking_of

import kernas.search as ks
from kernas.search.cli.app import run
from kernas.search.report.page import page_of, parts_of
from kernas.search.report.page.comparing import rankings_compared
from kernas.search.report.page.rankings import ranking_part

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def chromium():
    with browser() as found:
        yield found


def written(tmp_path, parts):
    path = tmp_path / "page.html"
    path.write_text(page_of(parts), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """A page of every kind of run."""
    folder = tmp_path_factory.mktemp("runs")
    cell = "|nor_conv_1x1~0|+|none~0|none~1|+|none~0|none~1|skip_connect~2|"
    cells = ["--epochs", "2", "--n-train", "60", "--n-test", "40", "--image-size", "4",
             "--width", "4", "--batch-size", "20"]  # fmt: skip
    quiet = ["--yes", "--quiet"]
    commands = {
        "ranking": ["rank", "--sample", "25", "--score", "params,flops,depth", *quiet, "--output"],
        "search": ["search", "--score", "params,depth", "--strategy", "nsga2:population=5",
                   "--n-trials", "20", *quiet, "--output"],
        "training": ["train", cell, *cells, *quiet, "--output"],
        "model": ["fit", "--n", "100", *quiet, "--model"],
    }  # fmt: skip
    found = {}
    for name, command in commands.items():
        assert run([*command, str(folder / name)]) == 0
        found[name] = written(folder / name, parts_of([folder / name]))
    assert run(["predict", str(folder / "model"), "--n", "60",
                "--output", str(folder / "model" / "p.csv")]) == 0  # fmt: skip
    found["model"] = written(folder / "model", parts_of([folder / "model"]))
    one, other = (
        ranking_of([f"c{i}" for i in range(20)], truth=True),
        ranking_of(["c1", "c2", "c3"]),
    )
    compared = rankings_compared({"one": one, "other": other})
    (folder / "both").mkdir()
    found["compared"] = written(folder / "both", [compared, ranking_part(one, "one")])
    return found


@pytest.mark.parametrize("size", [PHONE, DESK])
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("kind", ["ranking", "search", "training", "model", "compared"])
def test_pages_are_drawn_without_a_word_and_without_overflow(chromium, pages, kind, size, scheme):
    page = opened(chromium, pages[kind], size, scheme)
    all_drawn(page)
    assert page.kernas_messages == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    drawn = page.locator(".chart svg.marks, .chart canvas.marks").count()
    assert drawn == page.locator("[data-chart]").count()
    paper = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert paper == ("rgb(255, 255, 255)" if scheme == "light" else "rgb(18, 23, 31)")
    page.close()


def column(page, label, which=-1):
    """The cells of a column of a table that are shown, as texts."""
    section = page.locator("section.table").nth(which)
    heads = [head.inner_text().strip(" ▲▼") for head in section.locator("th").all()]
    place = heads.index(label) + 1
    rows = section.locator("tbody tr:not([hidden])")
    return rows.locator(f"td:nth-child({place})").all_inner_texts()


def test_tables_sort_by_number_and_by_text_by_the_keyboard_too(chromium, pages):
    page = opened(chromium, pages["ranking"])
    section = page.locator("section.table").last
    head = section.get_by_role("button", name="flops")
    head.click()
    shown = [float(text) for text in column(page, "flops")]
    assert shown == sorted(shown)
    assert section.locator("th[aria-sort=ascending]").inner_text().strip(" ▲") == "flops"
    head.focus()
    page.keyboard.press("Enter")
    shown = [float(text) for text in column(page, "flops")]
    assert shown == sorted(shown, reverse=True)
    section.get_by_role("button", name="candidate").click()
    names = column(page, "candidate")
    assert len(names) == 25
    assert names == page.evaluate(
        "(names) => names.sort((a, b) => a.localeCompare(b, undefined, { numeric: true }))", names
    )
    page.close()


def test_what_is_missing_comes_last_in_both_directions(chromium, pages):
    page = opened(chromium, pages["search"])
    head = page.locator("section.table").last.get_by_role("button", name="same as")
    for _ in range(2):
        head.click()
        shown = column(page, "same as")
        known = [text for text in shown if text]
        assert shown == known + [""] * (len(shown) - len(known))
    page.close()


def test_the_filter_shows_rows_with_all_words_and_counts_them(chromium, pages):
    page = opened(chromium, pages["ranking"])
    section = page.locator("section.table").last
    section.locator("input").fill("conv_3x3 SKIP")
    names = column(page, "candidate")
    every = section.locator("tbody tr td:nth-child(2)").all_text_contents()
    assert names == [name for name in every if "conv_3x3" in name and "skip" in name]
    assert section.locator("[role=status]").inner_text() == f"{len(names)} of 25 rows"
    section.locator("input").fill("")
    assert len(column(page, "candidate")) == 25
    page.close()


def test_of_many_rows_the_first_are_shown_in_every_order(chromium, tmp_path):
    ranking = ranking_of([f"c{i:03d}" for i in range(450)])
    page = opened(chromium, written(tmp_path, [ranking_part(ranking, "r")]))
    section, status = page.locator("section.table").last, page.locator("[role=status]").last
    assert len(column(page, "candidate")) == 200
    assert status.inner_text() == "450 rows, the first 200 are shown"
    section.get_by_role("button", name="candidate").click()
    assert column(page, "candidate") == [f"c{i:03d}" for i in range(200)]
    section.locator("input").fill("c4")
    assert column(page, "candidate") == [f"c{i:03d}" for i in range(400, 450)]
    assert status.inner_text() == "50 of 450 rows"
    section.locator("input").fill("")
    section.get_by_role("button", name="Show all").click()
    assert len(column(page, "candidate")) == 450
    assert status.inner_text() == "450 rows"
    page.close()


def test_without_scripts_every_row_is_there(chromium, tmp_path):
    path = written(tmp_path, [ranking_part(ranking_of([f"c{i}" for i in range(230)]), "r")])
    page = chromium.new_page(java_script_enabled=False)
    page.goto(path.as_uri())
    assert page.locator("section.table").last.locator("tbody tr:visible").count() == 230
    page.close()


def test_lines_of_names_that_begin_and_end_alike_are_lines_of_their_own(chromium, tmp_path):
    names = [f"{'a' * 40}{i}{'z' * 60}" for i in range(25)]
    page = opened(chromium, written(tmp_path, [ranking_part(ranking_of(names), "r")]))
    all_drawn(page)
    points = page.locator("figure").first.locator("[aria-roledescription=point]")
    places = {round(point.bounding_box()["y"]) for point in points.all()}
    assert len(places) == 25
    page.close()


def test_another_score_may_be_chosen(chromium, pages):
    page = opened(chromium, pages["ranking"])
    all_drawn(page)
    figure = page.locator(
        "figure", has=page.get_by_role("heading", name="Scores against each other")
    )
    assert "params" in figure.locator("svg").first.inner_html()
    figure.locator("select").first.select_option(label="depth")
    page.wait_for_function(
        "(f) => f.querySelector('svg').innerHTML.includes('depth')", arg=figure.element_handle()
    )
    assert page.kernas_messages == []
    page.close()


def test_what_users_name_does_nothing(chromium, tmp_path):
    ranking = ranking_of(HOSTILE, scores=HOSTILE[:3], truth=True)
    page = opened(chromium, written(tmp_path, [ranking_part(ranking, HOSTILE[0])]))
    all_drawn(page)
    for point in page.locator("figure[data-chart] svg path[aria-roledescription]").all()[:40]:
        point.dispatch_event("mousemove")  # its name comes up
    assert page.kernas_messages == []
    assert page.locator("h1").inner_text() == HOSTILE[0]
    assert set(column(page, "candidate")) == set(HOSTILE)
    page.close()


def test_pages_have_texts_for_those_who_do_not_see(chromium, pages):
    page = opened(chromium, pages["ranking"])
    all_drawn(page)
    for figure in page.locator("figure[data-chart]").all():
        chart = figure.locator(".chart")
        named = [chart.get_attribute(f"aria-{name}") for name in ("labelledby", "describedby")]
        assert all(page.locator(f"#{name}").inner_text() for name in named)
    for control in page.locator("select, input").all():
        assert control.evaluate("(one) => one.labels.length") == 1
    assert page.evaluate("document.documentElement.lang") == "en"
    assert page.locator("table th[scope=col]").count() == page.locator("table th").count()
    page.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_texts_stand_out_from_their_paper(chromium, pages, scheme):
    """Contrast of at least 4.5, as WCAG 2.1 asks of texts (1.4.3)."""
    page = opened(chromium, pages["ranking"], scheme=scheme)
    found = page.evaluate(
        """() => {
        const style = getComputedStyle(document.documentElement);
        const light = (name) => {
          const hex = style.getPropertyValue(name).trim().slice(1);
          const parts = [0, 2, 4].map((at) => parseInt(hex.slice(at, at + 2), 16) / 255)
            .map((c) => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
          return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2];
        };
        const ratio = (a, b) => (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
        const ratios = {};
        for (const text of ["--ink", "--soft", "--accent"])
          for (const paper of ["--paper", "--tint"])
            ratios[text + paper] = ratio(light(text), light(paper));
        return ratios;
      }"""
    )
    assert len(found) == 6
    assert min(found.values()) >= 4.5, found
    page.close()


def test_an_unnamed_space_leaves_a_line(chromium, tmp_path):
    ranking = ks.Ranking(ranking_of(["a", "b", "c"]).rows, {"a": True})
    page = opened(chromium, written(tmp_path, [ranking_part(ranking, "r")]))
    assert "does not say of which space" in page.locator("article").inner_text()
    page.close()

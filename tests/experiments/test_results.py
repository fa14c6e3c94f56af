"""Pages of results say what was recorded."""

from pathlib import Path

import pytest
import ranking_page
import results

README = Path(results.__file__).parents[1] / "README.md"


@pytest.mark.parametrize("page", [results, ranking_page], ids=lambda page: page.__name__)
def test_the_page_is_written_from_the_records(page):
    assert page.TARGET.read_text(encoding="utf-8") == page.text()


def test_the_readme_answers_the_question_as_the_page_does():
    said = " ".join(README.read_text(encoding="utf-8").split())
    assert " ".join(ranking_page.answer(ranking_page.Study()).split()) in said

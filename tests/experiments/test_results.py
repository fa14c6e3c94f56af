"""The page of results says what was recorded."""

import results


def test_the_page_is_written_from_the_records():
    assert results.TARGET.read_text(encoding="utf-8") == results.text()

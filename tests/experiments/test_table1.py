"""The table of published accuracies: interrupted and resumed, it ends with the same numbers."""

from typing import Any

import pytest
import table1
from real_data import needs_data

from kernas.kernels.gram.request import GramRequest

SETTING = table1.Setting(
    table1.by_dataset(6, 6),
    table1.by_dataset(20, 20),
    n_validation=10,
    n_test=10,
    depths=(3,),
    n_filters=8,
    pool=9,
)


@pytest.mark.slow
@needs_data
def test_an_interrupted_table_ends_with_the_same_numbers(tmp_path, monkeypatch):
    undisturbed = rows(table1.run(SETTING, tmp_path / "whole"))
    computed, done = GramRequest.computed, []

    def interrupted(request, tile):
        if len(done) == 5:
            raise KeyboardInterrupt
        done.append(tile)
        return computed(request, tile)

    monkeypatch.setattr(GramRequest, "computed", interrupted)
    with pytest.raises(KeyboardInterrupt):
        table1.run(SETTING, tmp_path / "cut")
    monkeypatch.setattr(GramRequest, "computed", computed)
    resumed = rows(table1.run(SETTING, tmp_path / "cut"))
    assert len(resumed) == len(table1.PUBLISHED)
    assert resumed == undisturbed


def rows(result: dict[str, Any]) -> list[dict[str, Any]]:
    """What a result says, without the time that it took."""
    return [{k: v for k, v in row.items() if k != "pairs_a_second"} for row in result["rows"]]

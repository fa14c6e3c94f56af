"""What the text of an error is, whatever it quotes."""

import pickle

import pytest

from kernas import errors
from kernas.errors import DataError, KernasError, MissingDependencyError

BAD_INPUT = {
    *(errors.ArchitectureError, errors.ConfigurationError, errors.DataError, errors.DocumentError),
    *(errors.GramStoreError, errors.ModelFolderError, errors.RunFolderError),
}
ALL = [kind for kind in vars(errors).values() if isinstance(kind, type)]
ALL = [kind for kind in ALL if issubclass(kind, KernasError)]


@pytest.mark.parametrize("kind", ALL)
def test_bad_input_ends_a_command_with_2_and_all_else_with_1(kind):
    assert kind.exit_code == (2 if kind in BAD_INPUT else 1)


def test_a_subclass_ends_a_command_as_its_base():
    class OwnError(DataError):
        pass

    assert OwnError("a").exit_code == 2


def test_a_message_is_one_line_that_can_be_printed():
    error = DataError("a\nb\x1b[31m\udc80\u2028c: Σ ≥ 0 naïve")
    assert str(error) == r"a\nb\x1b[31m\udc80\u2028c: Σ ≥ 0 naïve"
    assert str(pickle.loads(pickle.dumps(error))) == str(error)
    assert str(MissingDependencyError("no\nflax")) == r"no\nflax"


def test_a_long_message_keeps_its_beginning_and_its_way_out():
    text = str(DataError("start " + "x, " * 5000 + "; way out"))
    assert text.startswith("start x, ")
    assert " … " in text
    assert text.endswith("; way out")
    assert len(text) < 3000

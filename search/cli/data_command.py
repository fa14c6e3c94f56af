"""The subcommands ``kernas data fetch`` and ``kernas data verify``."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from .exit_codes import DONE, FAILED
from .options import FetchOptions, VerifyOptions
from .printing import say, say_json, tell

if TYPE_CHECKING:
    from kernas.kernels.data import Verification


def run_fetch(options: FetchOptions) -> int:
    """Fetch a data set, print its files, and return the exit code."""
    from kernas.kernels.data import data_folders, fetch
    from kernas.kernels.data.known import find_known

    paths = fetch(options.name, options.folder, progress=not options.quiet)
    say("\n".join(str(path) for path in paths))
    found = find_known(options.name)
    # Another form may come first, or the folder may be none of those that are looked through.
    fetched = [path.resolve() for path in (paths[0], paths[0].parent)]
    if found is None or found[1].resolve() not in fetched:
        reads = "is not read from there" if found is None else f"is read from {found[1]}"
        first = data_folders()[0].resolve()
        way = (
            "set KERNAS_DATA to the folder that you fetched into"
            if found is None or first not in paths[0].resolve().parents
            else "that form comes first; remove it to have what was fetched read"
        )
        tell(f"{options.name!r} {reads}: {way}")
    return DONE


def run_verify(options: VerifyOptions) -> int:
    """Print what is there of the data sets, and return the exit code."""
    from kernas.kernels.data import DATASETS, data_folders, verify
    from kernas.kernels.data.folders import told
    from kernas.kernels.data.known import check_name

    for name in options.names:
        check_name(name)
    results = [verify(name) for name in options.names or DATASETS]
    if options.json:
        say_json([asdict(result) for result in results])
    else:
        width = max(map(len, DATASETS))
        lines = [f"{result.name:<{width}}  {_line(result)}" for result in results]
        say("\n".join([*lines, f"looked in {told(data_folders())}"]))
    bad = ("damaged", "absent") if options.names else ("damaged",)
    return FAILED if any(result.status in bad for result in results) else DONE


def _line(result: Verification) -> str:
    """What a person reads of one data set."""
    if result.status != "ok":
        return f"{result.status}: {result.message}"
    test = f" + {result.n_test:,}" if result.n_test else ""
    where = f"{result.path}, {result.size:,} bytes" if result.path else "comes with scikit-learn"
    compared = "SHA-256 as published" if result.sha256 else "no published SHA-256 to compare"
    return f"ok: {result.n_train:,}{test} images of {result.n_classes} classes; {where}; {compared}"

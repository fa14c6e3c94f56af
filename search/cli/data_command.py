"""The subcommand ``kernas data``."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING

from .options import DataOptions, FetchOptions, VerifyOptions

if TYPE_CHECKING:
    from kernas.kernels.data import Verification


def run_data(options: DataOptions) -> int:
    """Fetch or verify, and return the exit code."""
    if isinstance(options.action, FetchOptions):
        return _fetch(options.action)
    return _verify(options.action)


def _fetch(options: FetchOptions) -> int:
    from kernas.kernels.data import fetch
    from kernas.kernels.data.known import find_known

    paths = fetch(options.name, options.folder, progress=not options.quiet)
    for path in paths:
        print(path)
    found = find_known(options.name)
    # Another form may come first, or the folder may be none of those that are looked through.
    fetched = [path.resolve() for path in (paths[0], paths[0].parent)]
    if found is None or found[1].resolve() not in fetched:
        reads = "is not read from there" if found is None else f"is read from {found[1]}"
        print(
            f"{options.name!r} {reads}: set KERNAS_DATA to the folder that you fetched into",
            file=sys.stderr,
        )
    return 0


def _verify(options: VerifyOptions) -> int:
    from kernas.kernels.data import DATASETS, data_folders, verify
    from kernas.kernels.data.folders import told
    from kernas.kernels.data.known import check_name

    for name in options.names:
        check_name(name)
    results = [verify(name) for name in options.names or DATASETS]
    if options.json:
        print(json.dumps([asdict(result) for result in results], default=str, indent=1))
    else:
        for result in results:
            print(f"{result.name:<{max(map(len, DATASETS))}}  {_line(result)}")
        print(f"looked in {told(data_folders())}")
    bad = ("damaged", "absent") if options.names else ("damaged",)
    return int(any(result.status in bad for result in results))


def _line(result: Verification) -> str:
    """What a person reads of one data set."""
    if result.status != "ok":
        return f"{result.status}: {result.message}"
    test = f" + {result.n_test:,}" if result.n_test else ""
    where = f"{result.path}, {result.size:,} bytes" if result.path else "comes with scikit-learn"
    compared = "SHA-256 as published" if result.sha256 else "no published SHA-256 to compare"
    return f"ok: {result.n_train:,}{test} images of {result.n_classes} classes; {where}; {compared}"

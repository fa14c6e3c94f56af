"""Writes ``docs/results.md`` from the recorded results, so that no number is copied by hand.

python experiments/results.py
"""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import table1

HERE = Path(__file__).parent
TARGET = HERE.parent / "docs" / "results.md"


def recorded(name: str) -> dict[str, Any]:
    """A recorded result."""
    return json.loads((HERE / f"{name}.json").read_text(encoding="utf-8"))


def paragraph(text: str) -> str:
    """A sentence or several, in lines of at most 100 characters."""
    return textwrap.fill(
        " ".join(text.split()), 100, break_long_words=False, break_on_hyphens=False
    )


def table(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)


def within(value: dict[str, float]) -> str:
    """A percentage with its interval."""
    return f"{value['value']:.1f} [{value['low']:.1f}, {value['high']:.1f}]"


def costs_table(costs: dict[str, dict[str, Any]]) -> str:
    """Predicted pairs a second and hours, a row a pass, a column a device."""
    devices = next(iter(costs.values()))["devices"]
    return table(
        ["pass", "pairs", *devices],
        [
            [
                name,
                f"{cost['pairs']:.3g}",
                *(
                    f"{found['pairs_a_second']:,.3g} pairs/s, {found['hours']:,.3g} h"
                    for found in cost["devices"].values()
                ),
            ]
            for name, cost in costs.items()
        ],
    )


def enhanced_kernels() -> Iterable[str]:
    """Li et al. 2019."""
    result = recorded("table1")
    sides = " and ".join(f"{side}×{side}" for side in result["setting"]["sides"].values())
    shape = next(row["image_shape"] for row in result["rows"] if row["patches"])
    patches = "×".join(map(str, shape))
    windows = f"""Windows `c` are pixels of these images: `c = 4γ` as published, up to the first
        that holds the whole image, which is a global pool and stands for all larger ones (at
        {shape[0]} pixels `c = {max(table1.windows_of(shape[0]))}`)."""
    if "steps" in result["setting"]:  # recorded before the windows were those of the paper
        windows = f"""Windows `c` are pixels of these images, in the recorded run
        {result["setting"]["steps"]} equal steps from 0 to the side, rounded, and not the published
        `c = 4γ`, which the script takes now and the next record will have."""
    yield "## Enhanced convolutional kernels (Li et al. 2019, table 1)"
    yield paragraph(
        f"""`python experiments/table1.py`, at a small setting: CIFAR-10 and Fashion-MNIST at
        {sides} pixels, patch features {patches}. {windows}
        The published accuracies are those of the best `(L, c)` on the test images with all 50,000
        or 60,000 training images; ours were chosen without them. So the two columns compare
        methods of counting and not engines; what can be compared is the order of the rows."""
    )
    yield table1.as_text(result)
    yield "![Validation accuracy by window and depth](../experiments/table1.png)"
    yield "The setting as published (`--size full`), by the plan:"
    yield costs_table(result["full_setting"])


def few_images() -> Iterable[str]:
    """Arora et al. 2020."""
    result = recorded("small_data")
    setting, full = result["setting"], result["full_setting"]
    yield "## Few images (Arora et al. 2020)"
    yield paragraph(
        f"""`python experiments/small_data.py`: the {result["depth"]}-layer CNTK with a global pool,
        CIFAR-10 at {setting["side"]}×{setting["side"]} pixels, means over {setting["draws"]}
        balanced draws, {setting["n_test"]:,} test images. The interval has both the spread of the
        draws and the error of the test images."""
    )
    yield table(
        ["training images", "ours", "published", "published inside the interval"],
        [
            [n, within(row), row["published"], "yes" if row["published_inside"] else "no"]
            for n, row in result["sizes"].items()
        ],
    )
    yield "![Accuracy by number of training images](../experiments/small_data.png)"
    yield paragraph(
        f"""{result["pairs_a_second"]:.0f} pairs a second were measured. Each of the {full["draws"]}
        draws of the setting as published (`--size full`), by the plan:"""
    )
    yield costs_table({"a draw": full["each_draw"]})


def how_trained(networks: Sequence[dict[str, Any]]) -> str:
    """How the finite networks of a table were trained."""
    (width,) = {network["settings"]["width"] for network in networks}
    (steps,) = {network["settings"]["steps"] for network in networks}
    (batch,) = {network["settings"]["batch_size"] for network in networks}
    (seeds,) = {len(network["seeds"]) for network in networks}
    fitted = min(network["train_accuracy"] for network in networks)
    return f"""{width} channels, all layers trained with Adam for {steps} steps of {batch} images,
        {seeds} seeds (`python experiments/finite_networks.py`), at least {fitted:.0f}% of the
        training images fitted."""


def depths() -> Iterable[str]:
    """Arora et al. 2019."""
    result, networks = recorded("arora2019"), recorded("finite_networks")
    setting, published = result["setting"], result["published_setting"]["n_train"]
    rows = {(row["depth"], row["readout"]): row for row in result["rows"]}
    finite = {(row["depth"], row["readout"]): row for row in networks["arora2019"]}
    yield "## Depth, with and without a global pool (Arora et al. 2019)"
    yield paragraph(
        f"""`python experiments/arora2019.py`: CIFAR-10 at {setting["side"]}×{setting["side"]}
        pixels, {setting["n_train"]} training images where the published column has {published:,},
        {setting["n_test"]} test images, seed {setting["seed"]}, intervals of 95%, no ridge, first
        and last layer untrained. Beside the kernels the finite networks of the same architectures
        on the same images: {how_trained(networks["arora2019"])} Published with all 50,000
        images: {networks["published"]["CNTK-GAP"]}% of the kernel with a global pool,
        {networks["published"]["CNN-GAP"]:.2f}% of the trained network with one."""
    )
    yield table(
        [
            "depth",
            "CNTK-V, ours",
            "CNN-V, trained",
            "CNTK-GAP, ours",
            "CNN-GAP, trained",
            f"CNTK-GAP, published ({published:,} images)",
        ],
        [
            [
                depth,
                within(rows[depth, "V"]),
                within(finite[depth, "V"]["test"]),
                within(rows[depth, "GAP"]),
                within(finite[depth, "GAP"]["test"]),
                rows[depth, "GAP"]["published"],
            ]
            for depth in sorted({depth for depth, _ in rows})
        ],
    )
    yield "![Accuracy by depth](../experiments/arora2019.png)"
    yield paragraph(
        f"""All depths and readouts come from one pass, {result["pairs_a_second"]:.0f} pairs a
        second. The setting as published (`--size full`), by the plan:"""
    )
    yield costs_table({"all depths": result["full_setting"]})


def readouts() -> Iterable[str]:
    """Readouts and flips on Fashion-MNIST."""
    result, networks = recorded("fashion_mnist"), recorded("finite_networks")["fashion_mnist"]
    setting, rates = result["setting"], result["pairs_a_second"]
    finite = {row["readout"]: row for row in networks}
    yield "## Readouts and mirror images on Fashion-MNIST"
    yield paragraph(
        f"""`python experiments/fashion_mnist.py`: {setting["side"]}×{setting["side"]} pixels,
        {result["depth"]} convolutions, {setting["n_fit"] + setting["n_validation"]} training
        images, of which {setting["n_validation"]} chose the ridge, {setting["n_test"]} test images,
        seed {setting["seed"]}, intervals of 95%. Finite networks: {how_trained(networks)}"""
    )
    yield table(
        ["readout", "kernel", "flip", "ridge", "ours", "finite network"],
        [
            [
                row["readout"],
                row["kernel"].upper(),
                "yes" if row["flip"] else "no",
                f"{row['ridge']:g}",
                within(row["test"]),
                within(finite[row["readout"]]["test"]) if not row["flip"] else "",
            ]
            for row in result["rows"]
        ],
    )
    yield "![Accuracy by readout](../experiments/fashion_mnist.png)"
    yield paragraph(
        f"""{rates["plain"]:,.0f} pairs a second were measured, {rates["flip"]:,.0f} with mirror
        images. All images of 28×28 pixels (`--size full`), by the plan:"""
    )
    yield costs_table(result["full_setting"])


HEAD = """# Published accuracies, ours beside them

Every table is written from a result that a script in `experiments/` recorded
(`python experiments/results.py`). All settings here are small ones, minutes on two processor cores;
each script has larger ones behind `--size medium` (one accelerator) and `--size full` (as
published), takes `--n` and `--device`, and says what it will take before it begins.

Predicted hours: on this machine, from the short measurement that `plan` makes of it; on
accelerators at best, by the operations and bytes of the program compiled for them, never run there
([`accelerators.json`](../experiments/benchmarks/accelerators.json)).

Which layers are trained, what counts as a layer, labels and ridge are named options
(`kk.CONVENTIONS`), and stand in every recorded result; [`formulas.md`](formulas.md) says where
papers and retellings differ in them."""


def text() -> str:
    """The whole page."""
    sections = (enhanced_kernels(), few_images(), depths(), readouts())
    return "\n\n".join((HEAD, *(block for section in sections for block in section))) + "\n"


if __name__ == "__main__":
    TARGET.write_text(text(), encoding="utf-8")

"""What a loop of an optimised XLA program runs, read from the program's text.

XLA writes one instruction a line, ``%name = type opcode(operands), attributes``, in computations
that begin with a line ``%name (…) -> … {``.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

FREE = {"parameter", "constant", "get-tuple-element", "tuple", "bitcast"}
"""Opcodes that only name what is there already."""

SLICES = {"dynamic-slice", "slice"}

ITEM_BYTES = {"pred": 1, "s8": 1, "u8": 1, "s64": 8, "f64": 8, "u64": 8, "c64": 8, "c128": 16}
"""Those of types of other sizes than four bytes."""

ON_CHIP = "S(1)"
"""How a TPU's layouts name its vector memory; what names no space is in the device's memory."""

ARRAY = re.compile(r"(\w+)\[([\d,]*)\](?:\{([^}]*)\})?")
HEAD = re.compile(r"^(?:ENTRY )?%?([\w.\-]+) \(.*\{$")
LINE = re.compile(r"^  (?:ROOT )?%?([\w.\-]+) = (.*)$")
CALLED = re.compile(r"(?:calls|to_apply)=%?([\w.\-]+)")
NAME = re.compile(r"%([\w.\-]+)")


@dataclass(frozen=True)
class Kernel:
    """One launch of a loop's body.

    Attributes:
        name: as XLA calls it.
        moved: bytes that it reads and writes, of a sliced operand the slices.
        moved_off_chip: those in the device's memory; on GPUs and CPUs, whose caches XLA does not
            manage, all of them.
    """

    name: str
    moved: int
    moved_off_chip: int


@dataclass(frozen=True)
class _Instruction:
    name: str
    type: str
    opcode: str
    operands: tuple[str, ...]
    rest: str


def loop_kernels(text: str) -> list[Kernel]:
    """The kernels in the body of the longest loop: fusions, and what stands alone on arrays.

    Raises:
        ValueError: the program has no loop.
    """
    computations = _computations(text)
    bodies = re.findall(r" while\(.*body=%?([\w.\-]+)", text)
    if not bodies:
        raise ValueError("the program has no loop: expected one over planes")
    kernels = [_kernels(computations, computations[body]) for body in bodies]
    return max(kernels, key=len)


def _kernels(computations: dict[str, list[_Instruction]], body: list[_Instruction]) -> list[Kernel]:
    types = {instruction.name: instruction.type for instruction in body}
    found = []
    for one in body:
        alone = one.opcode not in ("fusion", "call", "custom-call")
        if one.opcode in FREE or (alone and _is_scalar(one.type)):
            continue
        called = CALLED.search(one.rest)
        inside = computations.get(called.group(1), []) if called else []
        parts = [*_read(one, inside, types), one.type]
        found.append(Kernel(one.name, _bytes(parts), _bytes(parts, off_chip=True)))
    return found


def _read(one: _Instruction, inside: list[_Instruction], types: dict[str, str]) -> list[str]:
    """The types that a kernel reads: of an operand that it only slices, its slices."""
    read = []
    for number, operand in enumerate(one.operands):
        whole = types.get(operand, "")
        names = {i.name for i in inside if i.opcode == "parameter" and i.operands == (str(number),)}
        users = []
        for i in inside:
            if i.opcode != "parameter" and names & set(i.operands):
                if i.opcode == "bitcast":
                    names.add(i.name)
                else:
                    users.append(i)
        slices: list[str] = []
        if all(i.opcode in SLICES for i in users):
            space = f"{{{ON_CHIP}}}" if ON_CHIP in whole else ""
            distinct = {(i.type, i.operands, i.rest) for i in users}
            slices = [re.sub(r"\{.*", "", part) + space for part, _, _ in distinct]
        smaller = slices and _bytes(slices) < _bytes([whole])
        read += slices if smaller else [whole]
    return read


def _bytes(types: list[str], *, off_chip: bool = False) -> int:
    return sum(
        ITEM_BYTES.get(kind, 4) * math.prod(int(n) for n in shape.split(",") if n)
        for part in types
        for kind, shape, layout in ARRAY.findall(part)
        if not (off_chip and ON_CHIP in layout)
    )


def _is_scalar(part: str) -> bool:
    return all(not shape for _, shape, _ in ARRAY.findall(part))


def _computations(text: str) -> dict[str, list[_Instruction]]:
    found: dict[str, list[_Instruction]] = {}
    current: list[_Instruction] = []
    for line in text.splitlines():
        line = re.sub(r"/\*.*?\*/", "", line)
        head, instruction = HEAD.match(line), LINE.match(line)
        if head:
            current = found.setdefault(head.group(1), [])
        elif instruction:
            current.append(_parsed(*instruction.groups()))
    return found


def _parsed(name: str, rest: str) -> _Instruction:
    end = _closing(rest) if rest.startswith("(") else rest.index(" ")
    kind, rest = rest[:end], rest[end:].lstrip()
    opcode, rest = rest[: rest.index("(")], rest[rest.index("(") :]
    end = _closing(rest)
    inner = rest[1 : end - 1]
    operands = (inner,) if opcode == "parameter" else tuple(NAME.findall(inner))
    return _Instruction(name, kind, opcode, operands, rest[end:])


def _closing(text: str) -> int:
    """The position after the bracket that closes the first one."""
    depth = 0
    for position, character in enumerate(text):
        depth += (character == "(") - (character == ")")
        if depth == 0:
            return position + 1
    raise ValueError(f"no bracket closes {text[:40]!r}")

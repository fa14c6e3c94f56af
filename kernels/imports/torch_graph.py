"""A PyTorch module as a list of calls with settings and weights, which need no PyTorch to read.

The only module that imports torch.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from kernas.errors import ArchitectureError, ConfigurationError, MissingDependencyError

INSTALL = "pip install 'kernas[torch]'"


@dataclass(frozen=True, eq=False)
class Call:
    """One step of a module's forward pass.

    Attributes:
        name: in the module, ``layer1.0.conv1``; of a function the submodule that calls it and its
            own, ``layer1.0.add``.
        kind: the class of a submodule, or the name of a function or method.
        inputs: names of the calls that a submodule reads.
        settings: of a submodule its attributes; of a function ``args`` and ``kwargs``, in which
            ``{"call": name}`` stands for what another call gave. All are JSON values.
        weights: parameters and buffers by name.
        key: equal for calls that share their parameters.
    """

    name: str
    kind: str
    inputs: tuple[str, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)
    weights: Mapping[str, np.ndarray] = field(default_factory=dict)
    key: str = ""


def calls_of(module: Any) -> tuple[list[Call], str]:
    """A module's forward pass in ``eval`` mode, and the name of the call whose value it returns.

    Raises:
        MissingDependencyError: torch is not installed.
        ConfigurationError: it is no module of PyTorch.
        ArchitectureError: its forward pass branches on data, reads several inputs or returns
            several outputs; the message names the submodule.
    """
    try:
        import torch  # pyright: ignore[reportMissingImports]
        from torch import fx  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise MissingDependencyError(f"from_torch needs the package torch; {INSTALL}") from error
    if not isinstance(module, torch.nn.Module):
        raise ConfigurationError(f"module={type(module).__name__}: expected a torch.nn.Module")
    module = copy.deepcopy(module).eval()
    at: list[tuple[str, str]] = [("", type(module).__name__)]

    class Tracer(fx.Tracer):
        def call_module(self, m: Any, forward: Any, args: Any, kwargs: Any) -> Any:
            at.append((self.path_of_module(m), type(m).__name__))
            value = super().call_module(m, forward, args, kwargs)
            at.pop()
            return value

    tracer = Tracer()
    if tracer.is_leaf_module(module, ""):
        module = torch.nn.Sequential(module)
    try:
        graph = tracer.trace(module)
    except Exception as error:  # a forward pass is anybody's code, and raises anything on proxies
        path, kind = at[-1]
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ArchitectureError(
            f"{path or 'the module'} ({kind}) cannot be traced by torch.fx ({reason}): its forward "
            "pass may not branch on data or shapes; write the branch that is taken"
        ) from error
    return _Recording(module).calls(graph)


class _Recording:
    def __init__(self, module: Any) -> None:
        self._module = module
        self._names: dict[Any, str] = {}
        self._owners: dict[int, str] = {}

    def calls(self, graph: Any) -> tuple[list[Call], str]:
        found: list[Call] = []
        inputs = [node.name for node in graph.nodes if node.op == "placeholder" and node.users]
        if len(inputs) != 1:
            raise ArchitectureError(
                f"the module reads {len(inputs)} inputs ({', '.join(inputs)}): expected one tensor "
                "of images; wrap it in a module whose forward takes that alone"
            )
        for node in graph.nodes:
            if node.op == "output":
                value = node.args[0]
                if value not in self._names:
                    raise ArchitectureError(
                        f"the module returns {type(value).__name__}: expected one tensor; wrap it "
                        "in a module that returns that alone"
                    )
                return found, self._names[value]
            if node.op == "placeholder" and not node.users:
                continue
            self._names[node] = self._name(node)
            found.append(self._call(node))
        raise ArchitectureError("the module returns nothing: expected one tensor")

    def _name(self, node: Any) -> str:
        if node.op == "placeholder":
            return "input"
        if node.op in ("call_module", "get_attr"):
            name = str(node.target)
        else:
            stack = list((node.meta.get("nn_module_stack") or {}).values())
            path = stack[-1][0] if stack else ""
            name = f"{path}.{_function_name(node)}" if path else _function_name(node)
        taken, number, free = set(self._names.values()), 1, name
        while free in taken:
            number += 1
            free = f"{name}:{number}"
        return free

    def _call(self, node: Any) -> Call:
        name = self._names[node]
        if node.op == "placeholder":
            return Call(name, "input")
        inputs = tuple(self._names[i] for i in node.all_input_nodes)
        if node.op == "get_attr":
            value: Any = self._module
            for part in str(node.target).split("."):
                value = getattr(value, part)
            return Call(name, "constant", weights={"value": _array(value)})
        if node.op != "call_module":
            settings = {"args": self._json(node.args), "kwargs": self._json(node.kwargs)}
            return Call(name, _function_name(node), inputs, settings)
        own = self._module.get_submodule(node.target)
        tensors = [*own.named_parameters(recurse=False), *own.named_buffers(recurse=False)]
        owners = [self._owners.setdefault(id(tensor), str(node.target)) for _, tensor in tensors]
        return Call(
            name,
            type(own).__name__,
            inputs,
            {k: v for k, v in vars(own).items() if not k.startswith("_") and _is_json(v)},
            {key: _array(tensor) for key, tensor in tensors},
            owners[0] if owners else "",
        )

    def _json(self, value: Any) -> Any:
        """Arguments as JSON values; what cannot be one stands as its text."""
        if _hashable(value) and value in self._names:
            return {"call": self._names[value]}
        if isinstance(value, Mapping):
            return {str(key): self._json(part) for key, part in value.items()}
        if isinstance(value, list | tuple):
            return [self._json(part) for part in value]
        return value if _is_json(value) else repr(value)


def _hashable(value: Any) -> bool:
    try:
        hash(value)
    except TypeError:
        return False
    return True


def _is_json(value: Any) -> bool:
    if isinstance(value, list | tuple):
        return all(map(_is_json, value))
    return value is None or isinstance(value, bool | int | float | str)


def _array(tensor: Any) -> np.ndarray:
    return np.asarray(tensor.detach().cpu().numpy())


def _function_name(node: Any) -> str:
    target = node.target
    return target if isinstance(target, str) else str(getattr(target, "__name__", target))


def saved(calls: Sequence[Call], output: str) -> tuple[str, dict[str, np.ndarray]]:
    """Calls as a JSON text, and their weights as arrays by name: what :func:`loaded` reads."""
    arrays = {f"{c.name}/{key}": array for c in calls for key, array in c.weights.items()}
    rows = [
        {
            "name": c.name,
            "kind": c.kind,
            "inputs": list(c.inputs),
            "settings": c.settings,
            "weights": list(c.weights),
            "key": c.key,
        }
        for c in calls
    ]
    return json.dumps({"calls": rows, "output": output}), arrays


def loaded(text: str, arrays: Mapping[str, np.ndarray]) -> tuple[list[Call], str]:
    """What :func:`saved` wrote."""
    document = json.loads(text)
    calls = [
        Call(
            row["name"],
            row["kind"],
            tuple(row["inputs"]),
            row["settings"],
            {key: arrays[f"{row['name']}/{key}"] for key in row["weights"]},
            row["key"],
        )
        for row in document["calls"]
    ]
    return calls, document["output"]

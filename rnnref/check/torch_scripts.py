"""Scripted torch modules: what their parts receive, read off a copy of their graph.  Hooks do not exist there."""
import sys
from collections.abc import Iterator
from typing import Any


def record_calls(module: Any, args: tuple, path: str = "") -> Iterator[tuple[str, tuple]]:
    """(path of a part, its arguments) of every call of a part by `forward` of a scripted module, parts of parts too.

    A call inside of a loop or a branch of the script is not among them.
    """
    for name, received in _run_recorded(module, args):
        inner = f"{path}.{name}".lstrip(".")
        yield inner, received
        part = module
        for word in name.split("."):
            part = getattr(part, word)
        if "forward" in part._c._method_names():
            yield from record_calls(part, tuple(a for a in received if a is not None), inner)


def _run_recorded(module: Any, args: tuple) -> list[tuple[str, tuple]]:
    """(name of a part, its arguments) of the calls in the outermost block of `forward`.

    The graph is changed to return these arguments in place of its results, and run.
    """
    torch = sys.modules["torch"]
    graph = module.graph.copy()
    calls = [node for node in graph.nodes()
             if node.kind() == "prim::CallMethod" and node.s("name").startswith("forward")]
    values = [list(node.inputs())[1:] for node in calls]
    flat = [value for inputs in values for value in inputs]
    if not flat:
        return []
    both = graph.create("prim::TupleConstruct", flat, 1)
    both.output().setType(torch._C.TupleType([value.type() for value in flat]))
    graph.appendNode(both)
    while list(graph.outputs()):
        graph.eraseOutput(0)
    graph.registerOutput(both.output())
    found = iter(torch._C._create_function_from_graph("recorded", graph)(module._c, *args))
    return [(_name_part(node), tuple(next(found) for _ in inputs)) for node, inputs in zip(calls, values)]


def _name_part(node: Any) -> str:
    """The name of the part that a node calls: a chain of attributes of the module."""
    words, node = [], node.inputsAt(0).node()
    while node.kind() == "prim::GetAttr":
        words.insert(0, node.s("name"))
        node = node.inputsAt(0).node()
    return ".".join(words)

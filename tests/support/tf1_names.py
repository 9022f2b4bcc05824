"""The public names of TF 1.15 for recurrent networks, their arguments, and what rnnref does with each: a table."""
import ast
import inspect
from pathlib import Path

from rnnref import NotSupported, tf1

SNAPSHOT = Path(__file__).parents[1] / "snapshots" / "tf1_names.txt"
# Arguments that are refused by name: {argument: (value that is refused, which that is)}
REFUSED = {"scope": ("a", "given"), "reuse": (True, "true"), "clip_value": (10, "other than 20"),
           "kwargs": ({"dynamic": True}, "those of Keras's layers")}


class Name:
    """A line of the snapshot: a name and, if it has any, its arguments {argument: default}."""

    def __init__(self, module, text):
        self.module, (self.name, found, arguments) = module, text.partition("(")
        self.arguments, self.has_kwargs = {}, False
        if found:
            call = ast.parse(f"def f({arguments}: pass").body[0].args
            defaults = [inspect.Parameter.empty] * (len(call.args) - len(call.defaults))
            defaults += [ast.literal_eval(d) for d in call.defaults]
            self.arguments = dict(zip((a.arg for a in call.args), defaults))
            self.has_kwargs = call.kwarg is not None

    @property
    def is_absent(self):
        """Whether rnnref refuses the name itself."""
        return self.reason is not None

    @property
    def reason(self):
        """Why it is refused, and what to use instead; None if it is there."""
        try:
            getattr(tf1, self.name)
        except NotSupported as error:
            return error.args[1], error.notes["fix"]
        return None

    @property
    def refused(self):
        """The arguments that are refused for some values."""
        names = [*self.arguments, *["kwargs"] * (self.has_kwargs and not self.name.startswith("Conv"))]
        return [name for name in names if name in REFUSED]


def read_names():
    """The names of the snapshot, in its order."""
    names, module = [], ""
    for line in SNAPSHOT.read_text().splitlines():
        if not line.startswith("#"):
            if line.startswith(" "):
                names.append(Name(module, line.strip()))
            else:
                module = line
    return names


def names_table():
    """The table of the README: a row for each name that works, and one for each group that is refused."""
    rows = ["| TF 1.15 | name | arguments that work | refused by name |", "|---|---|---|---|"]
    absent = {}
    for name in read_names():
        if name.is_absent:
            absent.setdefault((name.module, name.reason), []).append(name.name)
            continue
        works = ", ".join(f"`{a}`" for a in name.arguments if a not in name.refused or a in ("reuse", "clip_value"))
        refused = "; ".join(f"`**kwargs`: {REFUSED[a][1]}" if a == "kwargs" else f"`{a}` that is {REFUSED[a][1]}"
                            for a in name.refused)
        rows.append(f"| `{name.module}.{name.name}` | works | {works or '—'} | {refused or '—'} |")
    for (module, (why, fix)), names in absent.items():
        listed = ", ".join(f"`{name}`" for name in names)
        rows.append(f"| `{module}`: {listed} | refused by name | — | {why}; use {fix} |")
    return "\n".join(rows)

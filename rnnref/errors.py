"""The errors of rnnref, and the one form they all have.  (floor 0)

    who: what came, what was expected
      axes   where the expectation came from
      hint   what it probably is
"""


class Error(Exception):
    """What every error of rnnref is.  `notes` are printed a line each, in the order given."""

    def __init__(self, who, what, **notes):
        super().__init__(who, what)
        self.notes = {name: note for name, note in notes.items() if note}

    def __str__(self):
        who, what = self.args
        return "\n".join([f"{who}: {what}", *(f"  {name:6} {note}" for name, note in self.notes.items())])


class ShapeError(Error, ValueError):
    """An array, a tree, a length or a name that does not fit the others."""


class DtypeError(Error, TypeError):
    """A dtype that is not floating, or not the one that the others have."""


class DeviceError(Error, TypeError):
    """Arrays that live on different sides of the bus: nothing is copied silently."""


class NotSupported(Error, NotImplementedError):
    """An option that is not implemented, by name and with the reason."""


class MissingExtra(Error, ImportError):
    """A package that is not installed, with the pip command that installs it."""


def import_optional(module, extra_name, who):
    """Import `module`, or say which extra of rnnref brings it."""
    from importlib import import_module
    try:
        return import_module(module)
    except ImportError as e:
        if e.name is None or e.name.partition(".")[0] != module.partition(".")[0]:
            raise                                 # it is there but broken: its own error says more
        raise MissingExtra(who, f"needs the package {module.partition('.')[0]}, which is not installed",
                           fix=f'pip install "rnnref[{extra_name}]"') from None


def check_option(who, option, value, allowed):
    """`value` if it is among `allowed`, else an error that lists them."""
    if not any(value is a or value == a for a in allowed):
        raise NotSupported(who, f"{option}={value!r}", known=", ".join(repr(a) for a in allowed))
    return value

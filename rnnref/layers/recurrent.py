"""What RNN and Bidirectional share: the call of the loop, both ways, and the states between calls.  (floor 7)"""
from typing import Any, NamedTuple

from ..arrays import is_array, namespace
from ..errors import ShapeError
from ..loops.run import run, run_back, make_initial_state
from ..tree import first_leaf, leaves, map_structure, zeros_like
from .old_base import Layer
from .nested import cast_inputs, as_lists, pack_like, shapes_of


class Kept(NamedTuple):
    tape: Any                                     # of the loop
    ys: Any; y: Any                               # outputs as the loop gave them, and as the layer returned them
    new: Any                                      # the last state


class Recurrent(Layer):
    """forward(x, initial_state, mask, training) -> y, or (y, *states);   backward(dy, dstate) -> dx, dstate."""
    return_sequences: Any; return_state: Any; stateful: Any; time_major: Any
    units: Any; n_in: Any; core: Any; params: Any; grads: Any
    padding: str                                     # what outputs say at dead steps
    reverse: bool                                 # which way the (first) loop goes
    mode: str = "fp32"                            # how precise products on a GPU are, in every call: `cuda.modes`
    carried: Any = None                           # the state that the next call starts with
    dextra: Any = None                            # gradients of a cell's extra, by the last backward

    def forward(self, x, initial_state=None, mask=None, training=False, *, lengths=None, masks=None, keep=True,
                mode=None):
        """The layer on a batch of sequences.

        x               [B, T, I] ([T, B, I] with time_major), of any dtype of numbers; for a cell that takes several
                        inputs a tuple, a named tuple or a dict of arrays [B, T, ...]
        initial_state   in the order of Keras, [h, c]; None: zeros, or where the last call of a stateful layer ended
        mask            [B, T] bool, or lengths [B]: where rows are live
        training        dropout acts
        masks           those of dropout, in the place of drawn ones (`KerasCell.draw_masks`)
        keep            False: inference, nothing is left for backward
        mode            "tf32", "bf16", "fp16": how precise products on a GPU are in this call; None: as in `self.mode`
        """
        x = self.sequence(x)
        like = first_leaf(x)
        core, extra = self.noise(like.shape[1], namespace(like), training, masks)
        s = self.start(initial_state, make_initial_state(core, like, self.units))
        live = self.live(mask, like)
        ys, new, tape = run(core, self.params, x, s, extra, lengths, live, self.reverse, self.padding, keep,
                            mode=mode or self.mode)
        y = self.merged(ys)
        self.tape = Kept(tape, ys, y, new) if keep else None
        self.carried = new if self.stateful else None
        return (*self.outputs(y), *self.states_of(new)) if self.return_state else y

    def backward(self, dy=None, dstate=None):
        """Gradients of x and of the first state (a list as in `states`), from those of y and of the last state.

        They have the structure of what they are gradients of.  None is zero; `grads` are overwritten.  The gradient
        does not go on into the call before, if the layer is stateful: dstate is what that call would be given.
        """
        tape, ys, y, new = self.recorded()
        dy = pack_like(self.who, "dy", dy, y)
        dstate = pack_like(self.who, "dstate", self.halves(dstate), new)
        dx, ds, self.dextra, self.grads = run_back(tape, self.parted(dy, ys), dstate)
        return self.timed(dx), self.states_of(ds)

    def noise(self, batch, xp, training, masks):
        raise NotImplementedError

    def merged(self, ys):
        """What the loop says, [T, B, H] beside its inputs, as the layer returns it."""
        raise NotImplementedError

    def parted(self, dy, ys):
        raise NotImplementedError

    # what the user gives

    def timed(self, tree):
        """[B, T, ...] <-> [T, B, ...]"""
        return tree if self.time_major else map_structure(lambda a: a.swapaxes(0, 1), tree)

    def sequence(self, x):
        """x as the loop takes it, time first."""
        x, axes = cast_inputs(self.who, "x", x, self.dtype), "T B I" if self.time_major else "B T I"
        for path, a in leaves(x):
            what = f"x.{path}" if path else "x"
            if a.ndim < 3:
                raise ShapeError(self.who, f"{what} has shape {a.shape}, expected 3 axes", axes=f'{what} is "{axes}"',
                                 hint="x was a tuple or a dict: several inputs, each a batch" if path else "")
        x = self.timed(x)
        self.fit(x, shapes_of(x))
        return x

    def live(self, mask, x):
        """The mask as the loop wants it, [T, B]; its dtype is the loop's to judge."""
        if mask is None:
            return None
        mask, (T, B) = mask if is_array(mask) else namespace(x).asarray(mask), x.shape[:2]
        want, axes = ((T, B), "T B") if self.time_major else ((B, T), "B T")
        if mask.shape != want:
            raise ShapeError(self.who, f"mask has shape {mask.shape}, expected {want}", axes=f'mask is "{axes}"',
                             hint="this is the transpose" if mask.shape == want[::-1] else "")
        return self.timed(mask)

    def start(self, given, like):
        if given is None and self.carried is not None:
            if self.carried_batch != len(first_leaf(like)):
                raise ShapeError(self.who, f"a batch of {len(first_leaf(like))}, expected {self.carried_batch}",
                                 axes="the layer is stateful: row b goes on where row b of the last call ended",
                                 fix="another layer for another batch: other.set_weights(layer.get_weights())")
            return self.carried
        return like if given is None else pack_like(self.who, "initial_state", self.halves(given), like)

    # states

    def halves(self, states):
        """The states of each loop, where there are two."""
        return states

    def states_of(self, state):
        return as_lists(state)

    @property
    def carried_batch(self):
        return len(first_leaf(self.carried))

    @property
    def states(self):
        """Where the next call of a stateful layer starts, as a list; None before the first."""
        return None if self.carried is None else self.states_of(self.carried)

    def reset_state(self):
        """Let the next call start from zeros."""
        self.carried = None if self.carried is None else zeros_like(self.carried)

    reset_states = reset_state

    def outputs(self, y):
        """y as the first of the things returned."""
        return (y,)

    def fresh(self, **changes):
        return super().fresh(carried=None, dextra=None, **changes)


def return_outputs(ys, reverse, sequences):
    """[T, B, H] beside the inputs -> in the order in which the loop went, or only what it said last."""
    ys = reverse_time(ys) if reverse else ys
    return ys if sequences else map_structure(lambda a: a[-1], ys)


def return_gradients(dy, ys, reverse, sequences):
    """The way back."""
    if not sequences:
        dy = map_structure(_place_last, ys, dy)
    return reverse_time(dy) if reverse else dy


def _place_last(a, last):
    d = namespace(a).zeros_like(a)
    d[-1] = last
    return d


def reverse_time(tree):
    return map_structure(lambda a: a[::-1], tree)

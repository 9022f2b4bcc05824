"""The layer that runs any cell over a sequence."""
from typing import Any, NamedTuple, Optional

import numpy

from ..arrays import asnumpy, is_array, namespace
from ..cell import ALL
from ..errors import NotSupported, ShapeError, check_option
from ..identifiers import snake
from ..loops.run import make_initial_state, run, run_back, run_empty
from ..nest import flatten
from ..tree import copy, first_leaf, leaves, map_structure, zeros_like
from .base import Layer
from .cell import as_given, check_inputs, under, wanted_names
from .config import SHAPES, argument_names, refuse_unknown
from .derived import derived
from .nested import cast_inputs, listless, one_step, pack_like
from .stacked import as_layer, common_dtype, takes_constants

LOOP = ("return_sequences", "return_state", "go_backwards", "stateful", "unroll")
OF_CELL = ("units", "activation", "recurrent_activation", "use_bias", "unit_forget_bias", "reset_after", "dropout",
           "recurrent_dropout", "implementation", "filters", "kernel_size", "strides", "padding",
           "data_format", "dilation_rate", *(f"{weight}_{what}" for weight in ("kernel", "recurrent", "bias") for what
                                             in ("initializer", "regularizer", "constraint")))


class Loop(NamedTuple):
    """What the forward pass of a loop keeps for the backward pass."""
    tape: Any                                     # of `run`; None in inference
    ys: Any; y: Any                               # outputs as the loop gave them, and as the layer returned them
    new: Any                                      # the last state
    back: Any                                     # of a first state that is made of weights
    given: tuple                                  # initial_state and constants, as they were given


class RNN(Layer):
    """A cell over a sequence, with Keras's arguments, defaults and results.

    cell                SimpleRNNCell, LSTMCell, GRUCell, StackedRNNCells; a list of cells to be stacked; any cell
                        of rnnref.cells, or of your own (`CoreCell`), with `units`, a number or one for each cell, and
                        `seed` of its weights; an object with call(inputs, states) and state_size (`CallCell`); a cell
                        of rnnref.tf1 (`TfCell`), whose states come back as TF 1 nests them
    return_sequences    y of every step, [B, T, H], and not only the last one, [B, H]
    return_state        (y, *states): the last h (and c)
    go_backwards        from the last step to the first.  As in Keras y is in the order in which the loop went: y[:, 0]
                        is beside x[:, -1]
    stateful            a call starts where the last one ended, until reset_state()
    unroll              changes nothing: one loop serves all
    zero_output_for_mask    y at dead steps is zero; if not, it repeats the output before (zero before the first)
    time_major          x and y are [T, B, ...], as in Keras 2; Keras 3 has no such argument

    A call is layer(x, initial_state, mask, training), and by keyword

    x               [B, T, I] ([T, B, I] with time_major), of any dtype of numbers; for a cell that takes several
                    inputs a list, a tuple, a named tuple or a dict of arrays [B, T, ...]
    initial_state   in the order of Keras, [h, c]; None: zeros, or where the last call of a stateful layer ended, or
                    what the cell's get_initial_state makes of its weights.  It gets a gradient, and so can be
                    trained
    mask            [B, T] bool: where rows are live; or lengths [B]
    training        dropout acts
    constants       what the cell sees at every step beside x and the states; it gets a gradient
    masks           those of dropout, in the place of drawn ones (`KerasCell.draw_masks`)
    mode            "tf32", "bf16", "fp16": how precise products on a GPU are in this call; None: as in `self.mode`

    Outside of a record `backward(dy, dstate)` gives the gradients of x and of the first state.

    Inputs, outputs and states may be tuples, named tuples and dicts, where the cell takes and gives such: x is then a
    tree of arrays [B, T, ...], y has the structure of the outputs, and a state that is a dict is one of the states.

    Dead steps leave the state as it was; NaN in them changes nothing.  Without return_sequences the output of a row
    that ends in dead steps is zero with zero_output_for_mask, as in Keras, and else its last live one.

    Same as       Keras RNN
    Differs from  Keras with the JAX back end: there leading dead steps give the initial h, and zero_output_for_mask is
                  ignored with unroll.  The PyTorch and TensorFlow back ends give zero, as here
    Errors        NotSupported: an option that is not there; ShapeError, DtypeError, DeviceError: arrays that do not fit

    >>> import numpy as np, rnnref
    >>> layer = RNN(rnnref.cells.LSTM(peepholes=True), units=4, return_sequences=True)
    >>> y = layer(np.ones((2, 5, 3)), mask=np.array([[True] * 5, [True, True, False, False, False]]))
    >>> y.shape, bool((y[1, 4] == y[1, 1]).all())
    ((2, 5, 4), True)
    >>> dx, dstate = layer.backward(np.ones_like(y))
    >>> sorted(layer.grads)
    ['R', 'W', 'Wpf', 'Wpi', 'Wpo', 'b']
    """
    Cell: Any = None                              # the class of the cell, where the layer has its arguments
    mode: str = "fp32"                            # how precise products on a GPU are, in every call: `cuda.modes`
    carried: Any = None                           # the state that the next call starts with
    _call_order = ("x", "initial_state", "mask", "training")

    def __init__(self, cell: Any, return_sequences: bool = False, return_state: bool = False,
                 go_backwards: bool = False, stateful: bool = False, unroll: bool = False,
                 zero_output_for_mask: bool = False, *, units: Any = None, seed: Optional[int] = None,
                 time_major: bool = False, dtype: Any = None, **base: Any) -> None:
        self.cell = as_layer(cell, units, seed, dtype)
        super().__init__(dtype=common_dtype(self.who, dtype, [self.cell]), **base)
        self.return_sequences, self.return_state, self.go_backwards = return_sequences, return_state, go_backwards
        self.stateful, self.unroll, self.zero_output_for_mask = stateful, unroll, zero_output_for_mask
        self.time_major, self.seed = time_major, self.cell.seed

    def _take_options(self, options: Any, zero_output_for_mask: bool = False, time_major: bool = False,
                      name: Optional[str] = None, dtype: Any = None, trainable: bool = True, **of_cell: Any) -> None:
        """The arguments of SimpleRNN, LSTM and GRU, shared out between the cell and the loop."""
        options = dict(options)
        loop = {option: options.pop(option) for option in LOOP}
        base = {option: of_cell.pop(option) for option in SHAPES if option in of_cell}
        if "use_cudnn" in options:
            self.use_cudnn = check_option(self.who, "use_cudnn", options.pop("use_cudnn"), ("auto", True, False))
        activity_regularizer = options.pop("activity_regularizer")
        known = argument_names(self.Cell)
        refuse_unknown(self.who, type(self), [name for name in of_cell if name not in known],
                       [*argument_names(type(self)), *known])
        try:
            cell = self.Cell(**options, **of_cell, dtype=dtype, name=snake(self.Cell.__name__))
        except NotSupported as e:                 # the arguments are those of the layer
            e.args = (e.args[0].replace(f"layers.{self.Cell.__name__}", self.who), *e.args[1:])
            raise
        RNN.__init__(self, cell, **loop, zero_output_for_mask=zero_output_for_mask, time_major=time_major, name=name,
                     trainable=trainable, activity_regularizer=activity_regularizer, **base)

    def _sublayers(self) -> dict:
        return derived(self).setdefault("sublayers", {"cell": self.cell})

    def build(self, input_shape: Any, initial_state_shape: Any = None, constants_shape: Any = None) -> None:
        if not self.cell.built:
            told = {} if constants_shape is None else {"constants_shape": constants_shape}
            self.cell.build(one_step(input_shape), **(told if takes_constants(self.cell) else {}))

    def _build_from(self, weights: Any) -> None:
        self.cell._build_from(weights)
        self.build(None)

    n_in = property(lambda self: self.cell.n_in)
    core = property(lambda self: self.cell.core)
    state_size = property(lambda self: self.cell.state_size)
    weight_names = property(lambda self: self.cell.weight_names)

    def _tree(self, p: dict) -> Any:
        held = derived(self.cell).get("tree")
        if held is not None and held[0] is p:
            return held[1]
        tree = self.cell._tree(under(p, "cell."))
        if {id(a) for _, a in leaves(tree)} <= set(map(id, p.values())):          # a copy would not follow changes
            derived(self.cell)["tree"] = p, tree
        return tree

    def _flat(self, tree: Any) -> dict:
        return {f"cell.{path}": a for path, a in self.cell._flat(tree).items()}

    @property
    def _padding_policy(self) -> Any:
        """What outputs are at dead steps."""
        return "zero" if self.zero_output_for_mask else "repeat"

    def get_initial_state(self, batch_size: Any) -> Any:
        """Zeros, as `initial_state` takes them."""
        return self.cell.get_initial_state(batch_size)

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        mask = next((m for m in flatten(mask) if m is not None), None) if self.return_sequences else None
        return [mask, *(None for _ in self.cell.get_initial_state(1))] if self.return_state else mask

    # the pair

    def draw(self, training: bool, x: Any, initial_state: Any = None, constants: Any = None) -> Any:
        x, time = first_leaf(listless(x)), 0 if self.time_major else 1
        if x.ndim < 3 or not x.shape[time]:
            return None                           # which apply refuses
        return self.cell.draw(training, x[0] if self.time_major else x[:, 0], steps=x.shape[time]), self.carried

    def leaves(self, kept: Any) -> bool:
        return bool(self.stateful)

    def leave(self, kept: Any) -> None:
        if self.stateful:
            self.carried = copy(kept.new) if self.return_state else kept.new

    def apply(self, p: dict, x: Any, initial_state: Any = None, constants: Any = None, *, mask: Any = None,
              training: bool = False, noise: Any = None, keep: bool = True, lengths: Any = None, masks: Any = None,
              mode: Any = None) -> tuple:
        y, new, kept = self.loop(p, x, initial_state, constants, mask, training, noise, keep, lengths, masks, mode)
        return (y, *self.cell.to_list(new)) if self.return_state else y, kept

    def apply_back(self, p: dict, kept: Any, dy: Any, wanted: Any = None) -> tuple:
        dy, *dstate = dy if self.return_state and dy is not None else (dy,)
        dx, ds, dconstants, dp = self.loop_back(kept, dy, dstate or None, wanted_names(wanted))
        initial_state, constants = kept.given
        return (dx, as_given(self.cell.to_list(ds), initial_state), as_constants(dconstants, constants)), dp

    def backward(self, dy: Any = None, dstate: Any = None) -> tuple:
        """Gradients of x and of the first state (a list as in `states`), from those of y and of the last state.

        They have the structure of what they are gradients of.  None is zero; `grads` are overwritten.  The gradient
        does not go on into the call before, if the layer is stateful: dstate is what that call would be given.
        """
        p, kept = self.recorded()
        dx, ds, self.dconstants, self._grads = self.loop_back(kept, dy, dstate)
        return dx, self.cell.to_list(ds)

    def loop(self, p: dict, x: Any, initial_state: Any = None, constants: Any = None, mask: Any = None,
             training: bool = False, noise: Any = None, keep: bool = True, lengths: Any = None, masks: Any = None,
             mode: Any = None) -> tuple:
        """y, the last state of the core, and what `loop_back` needs; the options of what is returned do not matter."""
        if getattr(self, "use_cudnn", "auto") is True:
            raise NotSupported(self.who, "use_cudnn=True: there is no cuDNN here",
                               fix="'auto'; rnnref.explain(layer.core, x) tells what runs, and why nothing faster")
        x = self._sequence(x)
        like = first_leaf(x)
        drawn, carried = noise or (None, None)
        core, extra = self.cell.running(like.shape[1], namespace(like), training, drawn if masks is None else masks,
                                        constants, keep)
        s, back = self._start(p, core, like, initial_state, carried, keep)
        lengths = lengths if lengths is None else self._check_lengths(lengths, like)
        live = mask if mask is None else self._live(mask, like)
        if self.return_sequences and not len(like):
            ys, new, tape = run_empty(core, self._tree(p), x, s, extra)
        else:
            ys, new, tape = run(core, self._tree(p), x, s, lengths=lengths, mask=live,
                                reverse=bool(self.go_backwards), padding=self._padding_policy, extra=extra, keep=keep,
                                mode=mode or self.mode)
        y = as_returned(ys, self.go_backwards, self.return_sequences)
        y = self._timed(self.cell.outward(y, 2)) if self.return_sequences else self.cell.outward(y)
        return y, new, Loop(tape, ys, y, new, back, (initial_state, constants))

    def loop_back(self, kept: Any, dy: Any = None, dstate: Any = None, wanted: Any = ALL) -> tuple:
        """The way back: gradients of x, of the first state of the core, of the constants, and {path: gradient}.

        wanted: see `run_back`; without "x" the first is None, without "p" the last is empty.
        """
        dy = pack_like(self.who, "dy", dy, kept.y)
        dnew = self.cell.from_list(self.who, "dstate", dstate, kept.new)
        dy = self.cell.inward(self._timed(dy), 2) if self.return_sequences else self.cell.inward(dy)
        dx, ds, dextra, dp = run_back(kept.tape, as_looped(dy, kept.ys, self.go_backwards, self.return_sequences),
                                      dnew, wanted=wanted)
        dp = {} if dp is None else self._flat(dp)
        if kept.back is not None and dp:
            for path, d in kept.back(ds).items():
                dp[f"cell.{path}"] = dp[f"cell.{path}"] + d
        dx = None if dx is None else self._timed(self.cell.outward(dx, 2))
        return dx, ds, self.cell.constants_of(dextra), dp

    # what the user gives

    def _timed(self, tree: Any) -> Any:
        """Swap [B, T, ...] and [T, B, ...]."""
        if type(tree) is numpy.ndarray:
            return tree if self.time_major else tree.swapaxes(0, 1)
        return tree if self.time_major else map_structure(lambda a: a.swapaxes(0, 1), tree)

    def _sequence(self, x: Any) -> Any:
        """x as the loop takes it, time first."""
        passed = derived(self.cell).setdefault("passed", set())      # arrays like these are taken as they are
        key = (x.shape, x.dtype, self.dtype, self.time_major, self.return_sequences) if is_array(x) else None
        if key in passed:
            return self._timed(x)
        given, axes = x, "T B I" if self.time_major else "B T I"
        x = cast_inputs(self.who, "x", listless(x), self.dtype)
        for path, a in leaves(x):
            what = f"x.{path}" if path else "x"
            if a.ndim < 3:
                raise ShapeError(self.who, f"{what} has shape {a.shape}, expected 3 axes", axes=f'{what} is "{axes}"',
                                 hint="x was a tuple or a dict: several inputs, each a batch" if path else
                                 "return_sequences=True, if it comes from a recurrent layer" if a.ndim == 2 else "")
        like = first_leaf(x)
        if not like.shape[0 if self.time_major else 1] and not self.return_sequences:
            raise ShapeError(self.who, f"x has shape {like.shape}: without steps there is no last output",
                             axes=f'x is "{axes}" with T = 0', fix="return_sequences=True")
        timed = self._timed(x)
        inner = self.cell.inward(timed, 2)
        check_inputs(self, inner, x)
        for path, a in leaves(x):
            if a.shape[:2] != like.shape[:2]:
                raise ShapeError(self.who, f"x.{path} has shape {a.shape}, expected {like.shape[:2]} on the first two "
                                 "axes", axes=f"{axes[0]}, {axes[2]} = {like.shape[:2]}: all arrays of x belong to one "
                                              "sequence")
        if key is not None and x is given and inner is timed and len(passed) < 256:
            passed.add(key)
        return inner

    def _live(self, mask: Any, x: Any) -> Any:
        """The mask as the loop takes it, [T, B]; the loop checks its dtype."""
        mask = mask if mask is None or is_array(mask) else next((m for m in flatten(mask) if is_array(m)), mask)
        if mask is None or isinstance(mask, (list, tuple)) and not any(m is not None for m in flatten(mask)):
            return None
        mask, (T, B) = mask if is_array(mask) else namespace(x).asarray(mask), x.shape[:2]
        want, axes = ((T, B), "T B") if self.time_major else ((B, T), "B T")
        if mask.shape != want:
            raise ShapeError(self.who, f"mask has shape {mask.shape}, expected {want}", axes=f'mask is "{axes}"',
                             hint="this is the transpose" if mask.shape == want[::-1] else "")
        return self._timed(mask)

    def _check_lengths(self, lengths: Any, x: Any) -> Any:
        """The lengths, if they fit x as the loop has it; the loop checks their dtype."""
        (T, B), a = x.shape[:2], lengths if is_array(lengths) else numpy.asarray(lengths)
        if a.shape != (B,):
            raise ShapeError(self.who, f"lengths has shape {a.shape}, expected ({B},)",
                             axes=f'lengths is "B" with B = {B}')
        if a.dtype.kind in "iu" and bool(((a < 0) | (a > T)).any()):
            raise ShapeError(self.who, f"lengths are {asnumpy(a).tolist()}, expected each from 0 to {T}",
                             axes=f"T = {T} steps of x")
        return lengths

    def _start(self, p: dict, core: Any, x: Any, given: Any, carried: Any, keep: bool) -> Any:
        """The first state for x [T, B, ...], and where it is made of weights, its way back."""
        batch = x.shape[1]
        if given is not None or carried is None:
            zeros = make_initial_state(core, x, self.cell.units)
            if given is not None:
                return self.cell.from_list(self.who, "initial_state", given, zeros), None
            return self.cell.first_state(under(p, "cell."), batch, keep) or (zeros, None)
        if len(first_leaf(carried)) != batch:
            raise ShapeError(self.who, f"a batch of {batch}, expected {len(first_leaf(carried))}",
                             axes="the layer is stateful, which fixes the batch size: row b goes on where row b of the "
                                  "last call ended",
                             fix="another layer for another batch: other.set_weights(layer.get_weights())")
        return carried, None

    # states between calls

    @property
    def states(self) -> Any:
        """Where the next call of a stateful layer starts, as a list; None before the first."""
        return None if self.carried is None else self.cell.to_list(copy(self.carried))

    def reset_state(self) -> None:
        """Let the next call start from zeros."""
        self.carried = None if self.carried is None else zeros_like(self.carried)

    reset_states = reset_state

    def _forget(self, stream: Any = None) -> None:
        super()._forget(stream)
        self.carried = None

    # configuration

    def get_config(self) -> dict:
        time = {"time_major": True} if self.time_major else {}       # Keras knows no such argument
        loop = time | self.config_of(*LOOP, "zero_output_for_mask")
        if self.Cell is None:
            return super().get_config() | loop | self.config_of("cell")
        told = getattr(self, "use_cudnn", "auto")
        cudnn = {} if told == "auto" else {"use_cudnn": told}        # Keras does not write it
        return self.cell.get_config() | {"activity_regularizer": None} | super().get_config() | loop | cudnn


def of_cell(name: str) -> Any:
    """`name` of the cell as an attribute of the layer."""
    return property(lambda layer: getattr(layer.cell, name), doc=f"`{name}` of the cell")


for _name in OF_CELL:
    setattr(RNN, _name, of_cell(_name))


def as_constants(dextra: Any, given: Optional[Any]) -> Any:
    """The gradient of the constants in their structure."""
    return list(dextra) if isinstance(given, list) and isinstance(dextra, tuple) else dextra


def as_returned(ys: Any, reverse: bool, sequences: Any) -> Any:
    """[T, B, H] beside the inputs -> in the order in which the loop went, or only the last output."""
    ys = turned(ys) if reverse else ys
    return ys if sequences else map_structure(lambda a: a[-1], ys)


def as_looped(dy: Any, ys: Any, reverse: bool, sequences: Any) -> Any:
    """The inverse of `as_returned`, for gradients."""
    if not sequences:
        dy = map_structure(at_the_end, ys, dy)
    return turned(dy) if reverse else dy


def at_the_end(a: Any, last: Any) -> Any:
    d = namespace(a).zeros_like(a)
    d[-1] = last
    return d


def turned(tree: Any) -> Any:
    return map_structure(lambda a: a[::-1], tree)

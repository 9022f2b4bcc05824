"""Several processes that train one model together, over MPI."""
import os
import sys
import traceback
from contextlib import contextmanager
from typing import Any, Callable, Iterator, Optional

import numpy

from ..arrays import Array, asnumpy, namespace
from ..callbacks.backup import collect, list_generators, restore
from ..errors import Error, NotSupported, ShapeError, import_optional
from ..metrics import Metric
from ..nest import map_structure
from ..shards import Shard
from ..tree import leaves, map_structure as map_tree
from .batches import Batches, count_rows

_SIZES = "PMI_SIZE", "OMPI_COMM_WORLD_SIZE", "MV2_COMM_WORLD_SIZE"     # set by mpiexec of MPICH, Open MPI, MVAPICH


class Distribution:
    """The processes among which the rows of each batch are divided; one alone, unless there is a communicator.

    comm    of mpi4py, for this purpose alone
    rank    the number of this process, from 0
    size    how many there are

    >>> one = Distribution()
    >>> one.rank, one.size, one.any(True), one.from_first(lambda: 3)
    (0, 1, True, 3)
    """

    def __init__(self, comm: Any = None):
        self.comm = comm
        self.rank, self.size = (0, 1) if comm is None else (comm.Get_rank(), comm.Get_size())
        self._everywhere: Optional[Exception] = None           # an error that is raised in all processes

    def __deepcopy__(self, memo: dict) -> "Distribution":
        return self                               # processes are not copied

    # what all processes know

    def any(self, flag: bool) -> bool:
        """Whether it is true in one of the processes."""
        if self.size == 1:
            return flag
        return bool(self.add_up(numpy.asarray(float(flag))) > 0)

    def from_first(self, f: Callable) -> Any:
        """f(), which is called in process 0 alone, for all of them; what it raises is raised in all."""
        if self.size == 1:
            return f()
        found = error = None
        if self.rank == 0:
            try:
                found = f()
            except Exception as e:
                error = e
        found, error = self.comm.bcast((found, error))
        if error is not None:
            self._everywhere = error
            raise error
        return found

    def add_up(self, a: Array) -> Array:
        """The sum of the arrays of all processes, by one Allreduce in main memory; 16 bits are added in float32."""
        host = numpy.ascontiguousarray(asnumpy(a)).reshape(a.shape)
        host = host.astype("float32") if a.dtype.kind not in "iu" and a.dtype.itemsize == 2 else host
        found = numpy.empty_like(host)
        self.comm.Allreduce(host, found)
        return namespace(a).asarray(found.astype(a.dtype, copy=False))

    # a step

    def step(self, model: Any, f: Callable, batch: tuple) -> Any:
        """f(the rows of a batch that are those of this process), with what depends on all rows made whole.

        A batch with fewer rows than processes is computed by each of them, and counts in process 0 alone.
        """
        if self.size == 1:
            return f(batch)
        n = count_rows(batch, "distribute")
        if n >= self.size:
            rows = slice(self.rank, None, self.size)
            with Shard(n, rows, self.add_up):
                return f(map_structure(lambda a: None if a is None else namespace(a).ascontiguousarray(a[rows]), batch))
        stateful = [layer.name for layer in model._all_layers() if getattr(layer, "stateful", False)]
        if stateful:
            raise ShapeError("distribute", f"a batch of {n} rows for {self.size} processes, and {stateful[0]} carries "
                             "states from batch to batch", fix="a row for each process, or fewer processes")
        if self.rank == 0:
            with Shard(n, slice(None), self.add_up):
                return f(batch)
        before = {id(v): v.data for v in _list_variables(model.metrics)}
        with Shard(n, slice(None), lambda a: self.add_up(namespace(a).zeros_like(a))):
            logs = f(batch)
        for v in _list_variables(model.metrics):
            if id(v) in before:
                v.assign(before[id(v)])
            else:
                v.reset()
        return logs

    def step_alone(self, model: Any, f: Callable, batch: tuple) -> dict:
        """The logs of one batch, of which nothing else is added up."""
        return self.total_logs(model, self.step(model, f, batch))

    def total_logs(self, model: Any, logs: dict) -> dict:
        """What the metrics are over the rows of all processes, in the place of logs of this one.

        Raises NotSupported for logs that no metric gives, and for metrics that do not add up.
        """
        if self.size == 1:
            return logs
        other = logs.keys() - model.get_metrics_result().keys()
        if other:
            raise NotSupported("distribute", f"logs of {', '.join(sorted(other))}, which no metric gives: those of the "
                               "other processes are not known", fix="a metric of this name")
        for metric in _list_metrics(model.metrics):
            if not metric.adds_up:
                raise NotSupported("distribute", f"the metric {metric.name}: whether its variables add up is not known",
                                   fix=f"adds_up = True in the class {type(metric).__name__}, if they are sums")
        for v in _list_variables(model.metrics):
            v.assign(self.add_up(v.data))
        return {name: value for name, value in model.get_metrics_result().items() if name in logs}

    # the same everywhere

    def begin(self, model: Any, batches: Batches, is_training: bool) -> None:
        """Let all processes begin as process 0: weights, and in training optimizer and generators too.

        Raises Error where they have other data, and for a model without weights.
        """
        if self.size == 1:
            return
        if not all(layer.built for layer in model._all_layers()):
            raise Error("distribute", "the model has no weights yet, which all processes begin with",
                        fix="an Input(shape), or model.build(input_shape), before fit")
        source = batches.source
        about = type(source).__name__, getattr(source, "rows", None), batches.count
        if len(set(self.comm.allgather(about))) > 1:
            raise Error("distribute", "not all processes were given the same data",
                        here=f"process {self.rank}: {about[1]} rows, {about[2]} batches",
                        fix="all rows for each process: the rows of batches are divided here")
        self.copy_layers(model)
        if is_training:
            state = {name: asnumpy(a) for name, a in leaves(collect(model, (), 0)) if not name.startswith("carried.")}
            restore(model, (), self.comm.bcast(state), "the state of process 0")

    def copy_layers(self, model: Any) -> None:
        """The weights and the generators of noise of process 0 for all."""
        generators = [rng for _, rng in list_generators(model._all_layers())]
        arrays, states = self.comm.bcast(([w.numpy() for w in model.weights],
                                          [rng.bit_generator.state for rng in generators]))
        for w, a in zip(model.weights, arrays, strict=True):
            w.assign(a)
        for rng, state in zip(generators, states, strict=True):
            rng.bit_generator.state = state

    def gather_rows(self, tree: Any) -> Any:
        """Arrays with the rows of all processes, of a tree of arrays with those of this one."""
        def gather(a: Array) -> Array:
            parts = self.comm.allgather(asnumpy(a))
            found = numpy.empty((sum(map(len, parts)), *a.shape[1:]), parts[0].dtype)
            for rank, part in enumerate(parts):
                found[rank::self.size] = part
            return found
        return tree if self.size == 1 else map_tree(gather, tree)

    def pick_rows(self, a: Array) -> Array:
        """The rows that are those of this process."""
        return a[self.rank::self.size]

    @contextmanager
    def ending_together(self) -> Iterator[None]:
        """Let an error in one process end all of them, with its message; one that is raised in all is raised in the
        first, and the others end without a message."""
        try:
            yield
        except BaseException as error:
            if self.size > 1 and error is not self._everywhere:
                print(f"rnnref: {error}" if isinstance(error, Error) else traceback.format_exc(), file=sys.stderr)
                _abort(self, 2)
            if self.rank:
                sys.exit(2)
            raise


def distribute(model: Any, comm: Any = None) -> None:
    """Train with several processes over MPI, which run the same script: mpiexec -n 4 python script.py.

    comm    a communicator of mpi4py; None: of all processes that mpiexec has started

    fit, evaluate, train_on_batch and test_on_batch are given the same data in every process.  batch_size is that of all
    together: process r of n takes the rows r, r + n, ... of each batch, in an order of rows that is the same for all.
    Gradients are added up by one Allreduce for each dtype, and the update is that of one process, to rounding:

        losses      are divided by what is in the whole batch: rows, steps, places that are not masked
        noise       of Dropout, GaussianNoise, dropout= and the like is that of the whole batch
        BatchNormalization    has the mean and the variance of the whole batch, in gradients too
        metrics     are added up at the end of an epoch; logs of batches are those of the rows of a process
        begin       all have the weights, the optimizer and the generators of process 0
        callbacks   are called with the same numbers after each epoch.  Those that write or show (`writes`) are called
                    in process 0 alone, and cannot call fit or evaluate; what stops training in one process stops all

    Arrays of CuPy are added in main memory; not yet run on a device.  predict computes all rows in every process.  An
    error that nothing catches, and a process that dies, end all processes; BackupAndRestore goes on from the last
    epoch, with as many processes or another number.  Iterables must give the same batches in every process.

    Raises MissingExtra without mpi4py; NotSupported for what is not known to add up: train_step, test_step and
    compute_loss of one's own; once it trains, losses that give one number, add_loss and regularizers of outputs,
    metrics of one's own that do not say `adds_up`, random numbers of rnnref.random in layers, dropout of TF 1.  What a
    layer of one's own computes over axis 0 is that of the rows of a process.
    """
    for name in ("train_step", "test_step", "compute_loss"):
        if any(name in vars(cls) for cls in type(model).__mro__ if cls.__module__.partition(".")[0] != "rnnref"):
            raise NotSupported("distribute", f"{type(model).__name__}.{name}: whether the gradients of some rows add "
                               "up to those of all is not known", fix="compile(loss=...), or one process")
    model.distribution = make_distribution(comm)
    if model.distribution.size > 1 and all(layer.built for layer in model._all_layers()):
        model.distribution.copy_layers(model)


def make_distribution(comm: Any = None) -> Distribution:
    """The processes of a communicator of mpi4py, of all that mpiexec has started unless given.

    An error that nothing catches ends all of them from now on.  Raises MissingExtra without mpi4py.
    """
    comm = import_optional("mpi4py.MPI", "mpi", "distribute").COMM_WORLD if comm is None else comm
    found = Distribution(comm.Dup())
    if found.size > 1:
        before = sys.excepthook

        def end_all(*error: Any) -> None:
            before(*error)
            _abort(found, 1)
        sys.excepthook = end_all
    return found


def count_launched() -> int:
    """How many processes mpiexec has started, this one among them; 1 without mpiexec."""
    return max(int(os.environ.get(name, 1)) for name in _SIZES)


def _abort(distribution: Distribution, status: int) -> None:
    """End all processes of the communicator, this one too."""
    print(f"process {distribution.rank} of {distribution.size} has ended the run", file=sys.stderr)
    sys.stdout.flush()
    sys.stderr.flush()
    distribution.comm.Abort(status)


def _list_metrics(metrics: Any) -> list:
    """Metrics, and those in lists of them."""
    return [one for m in metrics for one in ([m] if isinstance(m, Metric) else m.metrics)]


def _list_variables(metrics: Any) -> list:
    return [v for m in _list_metrics(metrics) for v in m.variables]

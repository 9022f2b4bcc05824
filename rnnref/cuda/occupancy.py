"""How many clusters of blocks a card runs at once, as its driver answers.  (floor 5)

All blocks of a cluster run in one group of multiprocessors (GPC).  These groups are of different sizes, and not the
same on two cards of one model, so the answer is not multiprocessors // blocks.  Not yet run on a device.
"""
import sys
import warnings
from ctypes import CDLL, POINTER, Structure, byref, c_char, c_int, c_uint, c_void_p, pointer
from functools import lru_cache

from ..cuda_loops.tiling import cluster_sizes
from ..cuda_loops.whole import permit
from ..errors import import_optional
from . import precision
from .devices import CARDS, find_nearest_sm
from .errors import translate_errors
from .launch import COMPILE_OPTIONS

WHO = "occupancy of the GPU"
THREADS = 256
CODE = f'extern "C" __global__ void __launch_bounds__({THREADS}) occupying() {{}}'
IMPOSSIBLE = 912                                  # CUDA_ERROR_INVALID_CLUSTER_SIZE


class Attribute(Structure):
    """CUlaunchAttribute with the size of a cluster in it."""
    CLUSTER = 4                                   # CU_LAUNCH_ATTRIBUTE_CLUSTER_DIMENSION
    _fields_ = [("id", c_int), ("padding", c_int), ("size", c_uint * 3), ("rest_of_union", c_char * 52)]


class Launch(Structure):
    """CUlaunchConfig."""
    _fields_ = [("grid", c_uint * 3), ("block", c_uint * 3), ("shared", c_uint), ("stream", c_void_p),
                ("attributes", POINTER(Attribute)), ("count", c_uint)]


def clusters(a):
    """((blocks of a cluster, how many such run at once), ...) on the card that holds `a`; (): not known.

    The card is asked once, with blocks that each fill a multiprocessor, as those of onchip.cu do.
    """
    sm = precision.architecture(a)
    if sm is None or sm < 90 or sys.platform != "linux":
        return ()
    return ask(a.device.id, find_nearest_sm(sm))


@lru_cache(None)
def ask(device, sm):
    """The same for a card by its number, and the entry of CARDS that it is like."""
    cupy, size, counts = import_optional("cupy", "cuda13", WHO), CARDS[sm].shared, {}
    with translate_errors(WHO), cupy.cuda.Device(device):
        library = CDLL("libcuda.so.1")            # which CuPy has loaded
        function = cupy.RawModule(code=CODE, options=COMPILE_OPTIONS, backend="nvrtc").get_function("occupying")
        for blocks in cluster_sizes(sm):
            permit(function, blocks, size)
            status, count = at_once(library, function.kernel.ptr, blocks, size)
            if status in (0, IMPOSSIBLE):
                counts[blocks] = 0 if status else count
            else:
                warnings.warn(f"{WHO}: the driver does not say how many clusters of {blocks} blocks run at once (CUDA "
                              f"error {status}): the number of multiprocessors is taken for it", RuntimeWarning)
    return tuple(counts.items())


def at_once(library, function, blocks, size):
    """The driver's status, and its answer for clusters of so many blocks with `size` bytes of shared memory each."""
    cluster, found = Attribute(Attribute.CLUSTER, 0, (blocks, 1, 1)), c_int()
    asked = Launch((blocks, 1, 1), (THREADS, 1, 1), size, None, pointer(cluster), 1)
    return library.cuOccupancyMaxActiveClusters(byref(found), c_void_p(function), byref(asked)), found.value

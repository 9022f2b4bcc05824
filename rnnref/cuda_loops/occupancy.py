"""How many clusters of blocks a device runs at once, as its driver reports.

All blocks of a cluster run in one group of multiprocessors (GPC).  These groups differ in size, even between two cards
of one model, so the number is not multiprocessors // blocks.
"""
import sys
import warnings
from ctypes import CDLL, POINTER, Structure, byref, c_char, c_int, c_uint, c_void_p, pointer
from functools import lru_cache
from typing import Any

from ..arrays import Array
from ..cuda import precision
from ..cuda.devices import CARDS, find_nearest_sm
from ..cuda.errors import translate_errors
from ..cuda.launch import COMPILE_OPTIONS, permit
from ..errors import import_optional
from .tiling import cluster_sizes

_WHO = "occupancy of the GPU"
_THREADS = 256
_CODE = f'extern "C" __global__ void __launch_bounds__({_THREADS}) occupying() {{}}'
_INVALID_CLUSTER_SIZE = 912                       # CUDA_ERROR_INVALID_CLUSTER_SIZE


class _Attribute(Structure):
    """CUlaunchAttribute, of a cluster size."""
    CLUSTER = 4                                   # CU_LAUNCH_ATTRIBUTE_CLUSTER_DIMENSION
    _fields_ = [("id", c_int), ("padding", c_int), ("size", c_uint * 3), ("rest_of_union", c_char * 52)]


class _LaunchConfig(Structure):
    """CUlaunchConfig."""
    _fields_ = [("grid", c_uint * 3), ("block", c_uint * 3), ("shared", c_uint), ("stream", c_void_p),
                ("attributes", POINTER(_Attribute)), ("count", c_uint)]


def clusters(a: Array) -> tuple[tuple[int, int], ...]:
    """((blocks of a cluster, clusters that run at once), ...) on the device that holds `a`; () where it has none.

    The driver is asked once, for blocks that each fill a multiprocessor, as those of onchip.cu do.
    """
    sm = precision.architecture(a)
    nearest = None if sm is None else find_nearest_sm(sm)
    if nearest is None or nearest < 90 or sys.platform != "linux":
        return ()
    return count_clusters(a.device.id, nearest)


@lru_cache(None)
def count_clusters(device: int, sm: int) -> tuple[tuple[int, int], ...]:
    """The same for a device by its number; sm: its compute capability as listed in CARDS."""
    cupy, size, counts = import_optional("cupy", "cuda13", _WHO), CARDS[sm].shared, {}
    with translate_errors(_WHO), cupy.cuda.Device(device):
        library = CDLL("libcuda.so.1")            # which CuPy has loaded
        function = cupy.RawModule(code=_CODE, options=COMPILE_OPTIONS, backend="nvrtc").get_function("occupying")
        for blocks in cluster_sizes(sm):
            permit(function, blocks, size)
            status, count = _ask_driver(library, function.kernel.ptr, blocks, size)
            if status in (0, _INVALID_CLUSTER_SIZE):
                counts[blocks] = 0 if status else count
            else:
                warnings.warn(f"{_WHO}: the driver does not report how many clusters of {blocks} blocks run at once "
                              f"(CUDA error {status}): the number of multiprocessors is used instead", RuntimeWarning)
    return tuple(counts.items())


def _ask_driver(library: Any, function: int, blocks: int, shared_bytes: int) -> tuple[int, int]:
    """The driver's status, and its count of clusters of so many blocks with so much shared memory each."""
    attribute, count = _Attribute(_Attribute.CLUSTER, 0, (blocks, 1, 1)), c_int()
    config = _LaunchConfig((blocks, 1, 1), (_THREADS, 1, 1), shared_bytes, None, pointer(attribute), 1)
    return library.cuOccupancyMaxActiveClusters(byref(count), c_void_p(function), byref(config)), count.value

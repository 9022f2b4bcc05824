"""A card of compute capability 9.0 for the double, with given tilings."""
from contextlib import contextmanager
from unittest import mock

from rnnref.cuda import precision
from rnnref.cuda_loops import choice, occupancy, tiling
from rnnref.loops import plan


@contextmanager
def card(blocks=tiling.BLOCKS, sm=90, **limits):
    """Inside, a sequence of any length runs on chip if R fits, in clusters of one of these sizes.

    sm: its compute capability; None: that of the present device.  limits: constants of tiling.py to replace.
    """
    limits = {"BLOCKS": tuple(blocks), **{"MEASURED": {} for name in limits if name == "PROCESSORS"}, **limits}
    real, ask = precision.architecture, occupancy.count_clusters
    with mock.patch.object(precision, "architecture", lambda a: sm or real(a)), \
            mock.patch.object(occupancy, "count_clusters", lambda *card: () if sm else ask(*card)), \
            mock.patch.multiple(choice, MIN_STEPS=1, LAUNCH_MICROSECONDS=1e3), mock.patch.multiple(tiling, **limits):
        forget()
        yield
    forget()


def forget():
    """Forget choices made with other constants."""
    for chosen in (tiling.choose_tiling, choice.choose):
        chosen.cache_clear()
    plan.clear_cache()

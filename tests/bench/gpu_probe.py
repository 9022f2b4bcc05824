"""make probe-gpu: what one card really does, before anything is tuned for it: barriers, clusters, broadcasts, graphs.

The rates in rnnref/cuda_loops/choice.py and tiling.py follow from these numbers.
"""
import argparse
from pathlib import Path

import numpy as np

from tests.bench import device

SOURCE = Path(__file__).with_name("probe_kernels.cu")
TIMES = 2000                                      # barriers or exchanges in one launch
NON_PORTABLE_CLUSTERS = 14                        # CU_FUNC_ATTRIBUTE_NON_PORTABLE_CLUSTER_SIZE_ALLOWED
OPTIONS = ("-std=c++17",)


def microseconds(f, each):
    return device.milliseconds(f, 7) * 1e3 / each


class Probe:
    def __init__(self):
        import cupy
        self.cupy, self.text = cupy, SOURCE.read_text()
        self.plain = cupy.RawModule(code=self.text, options=OPTIONS)
        self.sms = cupy.cuda.Device().attributes["MultiProcessorCount"]
        self.out = cupy.zeros(1024, "f4")

    def barriers(self):
        """Barriers among groups of blocks.  All blocks must be on the card at once: one to a processor."""
        cooperative = self.cupy.RawModule(code=self.text, options=OPTIONS, enable_cooperative_groups=True)
        for name in ("probe_group_barrier", "probe_group_barrier_fenced"):
            kernel = cooperative.get_function(name)
            for size in (16, 33, 66, self.sms):
                groups, counters = self.sms // size, self.cupy.zeros(64 * 32, "u4")

                def run():
                    counters.fill(0)
                    kernel((size * groups, 1), (256,), (counters, np.int32(TIMES), np.int32(size)))
                yield f"{name}, {groups} groups of {size} blocks", microseconds(run, TIMES)

    def clusters(self):
        """The barrier of a cluster, and a step's exchange with it or by bytes: all send 64 numbers to all."""
        from cupy_backends.cuda.api import driver
        names = [f"{base}<{n}>" for base in ("probe_cluster_barrier", "probe_cluster_exchange", "probe_cluster_bytes")
                 for n in (2, 4, 8, 16)]
        module = self.cupy.RawModule(code=self.text, options=OPTIONS, name_expressions=names)
        for name in names:
            size, kernel = int(name.split("<")[1][:-1]), module.get_function(name)
            if size > 8:
                driver.funcSetAttribute(kernel.kernel.ptr, NON_PORTABLE_CLUSTERS, 1)
            sends = "barrier" not in name
            args = (self.out, np.int32(TIMES), np.int32(64))[:3 if sends else 2]
            shared = 2 * size * 64 * 4 + 16 if sends else 0
            for count in (1, self.sms // size):
                def run():
                    kernel((size * count,), (256,), args, shared_mem=shared)
                yield f"{name} x {count}", microseconds(run, TIMES)

    def chains(self):
        """What a tensor instruction waits for the one before it: mma.cuh has four sums side by side for that."""
        kernel, out = self.plain.get_function("probe_chains"), self.cupy.zeros(2, "i8")
        kernel((1,), (32,), (out,))
        for what, clocks in zip(("one chain", "four chains"), out.get()):
            yield f"clocks of 32 tensor instructions, {what}", int(clocks)

    def broadcast(self):
        """Every processor reads the same numbers through the second cache."""
        kernel = self.plain.get_function("probe_broadcast")
        for kilobytes in (16, 64, 256, 1024):
            x = self.cupy.zeros(kilobytes * 256, "f4")
            args = x, self.out, np.int32(kilobytes * 64), np.int32(50)
            yield f"broadcast of {kilobytes} KB to {self.sms} processors", microseconds(
                lambda: kernel((self.sms,), (512,), args), 50)

    def launches(self):
        """An empty kernel after the other, from Python and from a graph: what a stepped loop cannot be faster than."""
        kernel, stream = self.plain.get_function("probe_empty"), self.cupy.cuda.Stream(non_blocking=True)

        def many():
            for _ in range(1000):
                kernel((self.sms,), (256,), (self.out,))
        with stream:
            many()
            yield "launch from Python", microseconds(many, 1000)
            stream.begin_capture()
            many()
            graph = stream.end_capture()
            yield "node of a graph", microseconds(lambda: graph.launch(stream), 1000)

    def products_in_capture(self):
        """Whether this CuPy still refuses cuBLAS under stream capture: 1 if it does."""
        a, stream = self.cupy.ones((8, 8), "f4"), self.cupy.cuda.Stream(non_blocking=True)
        with stream:
            out = a @ a
            stream.begin_capture()
            try:
                self.cupy.matmul(a, a, out=out)
                refused = 0
            except Exception:                     # of whatever class: that is the answer
                refused = 1
            stream.end_capture()
        yield "cuBLAS refused under capture", refused


def main():
    argparse.ArgumentParser(description=__doc__).parse_args()
    device.required()
    results, probe = device.Results("probe"), Probe()
    print(*(f"{what}: {value}" for what, value in device.about().items()), sep="\n")
    for section in (probe.launches, probe.products_in_capture, probe.chains, probe.broadcast, probe.barriers,
                    probe.clusters):
        try:
            for what, value in section():
                results.add(what=what, value=value)
                print(f"{what}: {value:.3f}", flush=True)
        except Exception as e:                    # the other sections still say something; this one says why it cannot
            why = f"{type(e).__name__}: {str(e)[:300]}"
            results.add(what=section.__name__, failed=why)
            print(f"{section.__name__} failed: {why}", flush=True)
    print("written to", results.path)


if __name__ == "__main__":
    main()

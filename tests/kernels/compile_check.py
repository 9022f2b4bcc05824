"""Every kernel compiled for every card by NVRTC, as CuPy does it but without a GPU and without a driver.

    python -m tests.kernels.compile_check [sm ...]

Prints the registers of each kernel on each card, and fails on what must not occur: registers spilled or arrays on the
stack, arithmetic in double inside a kernel of floats, loads that may be stale, barriers on a condition, more registers
or shared memory than a launch can have.
"""
import ctypes
import re
import sys
import time
from pathlib import Path

from rnnref.cuda.devices import CARDS, geometry, why_no_launch
from rnnref.cuda.launch import COMPILE_OPTIONS
from rnnref.cuda.source import assemble
from rnnref.cuda_loops.tiling import count_shared_bytes
from tests.kernels.instances import kernels, wholes

CUPYS = "-ftz=true", "--device-as-default-execution-space"             # what CuPy adds to the options of others
FINE = "no spills, no stack, no double in kernels of floats, no stale loads, every launch within its card"


def libraries():
    """The libraries of the wheel nvidia-cuda-nvrtc: the one that libnvrtc opens by its bare name, and libnvrtc."""
    for folder in sys.path:
        for lib in sorted(Path(folder).glob("nvidia/c*/lib")):
            named = sorted(lib.glob("libnvrtc.so.*")), sorted(lib.glob("libnvrtc-builtins.so.*"))
            if all(named):
                return named[1][-1], named[0][-1]
    raise SystemExit('compile check: no libnvrtc; pip install "rnnref[kernels]" brings it (make kernels does so)')


class Nvrtc:
    def __init__(self):
        builtins, nvrtc = libraries()
        ctypes.CDLL(str(builtins), mode=ctypes.RTLD_GLOBAL)
        self.lib = ctypes.CDLL(str(nvrtc))
        self.lib.nvrtcGetErrorString.restype = ctypes.c_char_p

    def call(self, name, *args):
        code = getattr(self.lib, "nvrtc" + name)(*args)
        if code:
            raise RuntimeError(f"nvrtc{name}: {self.lib.nvrtcGetErrorString(code).decode()}")

    def version(self):
        major, minor = ctypes.c_int(), ctypes.c_int()
        self.call("Version", ctypes.byref(major), ctypes.byref(minor))
        return f"{major.value}.{minor.value}"

    def archs(self):
        count = ctypes.c_int()
        self.call("GetNumSupportedArchs", ctypes.byref(count))
        found = (ctypes.c_int * count.value)()
        self.call("GetSupportedArchs", found)
        return list(found)

    def bytes_of(self, program, what):
        size = ctypes.c_size_t()
        self.call(f"Get{what}Size", program, ctypes.byref(size))
        result = ctypes.create_string_buffer(size.value)
        self.call(f"Get{what}", program, result)
        return result.raw

    def compile(self, source, options):
        """-> the log (with the report of ptxas), the PTX."""
        program = ctypes.c_void_p()
        self.call("CreateProgram", ctypes.byref(program), source.encode(), b"kernels.cu", 0, None, None)
        try:
            given = (ctypes.c_char_p * len(options))(*(option.encode() for option in options))
            code = self.lib.nvrtcCompileProgram(program, len(options), given)
            log = self.bytes_of(program, "ProgramLog").rstrip(b"\0").decode()
            if code:
                raise RuntimeError(f"{self.lib.nvrtcGetErrorString(code).decode()}\n{log}")
            return log, self.bytes_of(program, "PTX").decode()
        finally:
            self.call("DestroyProgram", ctypes.byref(program))


def entries(ptx):
    """The PTX of every kernel, by name."""
    parts = re.split(r"^\.visible \.entry (\w+)\(", ptx, flags=re.M)
    return dict(zip(parts[1::2], parts[2::2]))


def used(log):
    """What ptxas reports of every kernel: registers, bytes of stack, of spilled registers, of shared memory."""
    found, name = {}, ""
    for line in log.splitlines():
        named = re.search(r"Compiling entry function '(\w+)'|Function properties for (\w+)", line)
        name = (named[1] or named[2]) if named else name
        row = found.setdefault(name, dict.fromkeys(("registers", "stack", "spilled", "shared"), 0))
        for key, pattern in (("stack", r"(\d+) bytes stack frame"), ("registers", r"Used (\d+) registers"),
                             ("spilled", r"(\d+) bytes spill stores, (\d+) bytes spill loads"),
                             ("shared", r"(\d+) bytes smem")):
            number = re.search(pattern, line)
            row[key] = sum(map(int, number.groups())) if number else row[key]
    return found


# A loop of one block of instructions, such as one that waits for bytes: nothing but itself goes to its label
WAITING = re.compile(r"^(\$L\w+):\n(?:(?!\$L\w+:|.*\bbra\b).*\n)*?@!?%p\d+ bra\s+\1;$", re.M)


def conditional_barriers(ptx):
    """The barriers in the code of a kernel that a condition skips, by lines.

    Even with a condition that is the same for all threads: ptxas may end a branch that lanes take apart behind it, and
    then they come to the barrier apart (on an H200 blocks of a kernel for float16 read sums before they were written).
    """
    text = "\n".join(map(str.strip, ptx.splitlines()))
    text = WAITING.sub(lambda loop: loop[0] if len(re.findall(re.escape(loop[1]) + r"\b", text)) > 2 else "", text)
    skip, passed = None, []
    for line in text.splitlines():
        label, branch = re.match(r"(\$L\w+):", line), re.match(r"@!?%p\d+ bra\s+(\$L\w+);", line)
        if label:
            yield from passed * (label[1] == skip)
        if label or branch:
            skip, passed = branch and branch[1], []
        elif re.match(r"@!?%p\d+\s+bar", line):
            yield line
        elif re.match(r"(bar|barrier)\.", line):
            passed.append(line)


def faults(kernel, row, ptx, card, grid, block, shared):
    """The faults of one kernel on one card, in words."""
    if not row["registers"]:
        yield "the compiler reports nothing of it"
    if row["spilled"]:
        yield f"{row['spilled']} bytes of spilled registers"
    if row["stack"] > row["spilled"]:
        yield f"{row['stack']} bytes of stack: an array that is not in registers"
    if kernel.A not in ("float64", "double") and re.search(r"\.f64\b", ptx):
        yield "arithmetic in double: " + re.search(r".*\.f64\b.*", ptx)[0].strip()
    if "ld.global.nc" in ptx:
        yield "ld.global.nc: a load that does not see what the same launch writes"
    yield from (f"a barrier on a condition: {line}" for line in conditional_barriers(ptx))
    why = why_no_launch(card, grid, block, row["shared"] + shared, row["registers"])
    if why:
        yield why


def launches(steps, sequences):
    """(kernel, grid, block, shared memory) of all launches on one card."""
    for kernel in steps:
        yield kernel, *geometry(2 ** 20, 1024), 0
    for kernel, t, task in sequences:
        yield kernel, (2 ** 20 // t.blocks * t.blocks, 2), (t.threads, 1), count_shared_bytes(t, task)


def check(cards, steps, sequences=lambda sm: ()):
    """-> {kernel name: {card: registers}}, [what is wrong].  sequences: those of a card."""
    nvrtc, table, wrong = Nvrtc(), {}, []
    print(f"NVRTC {nvrtc.version()}")
    for sm in cards:
        started, known = time.time(), list(launches(steps, sequences(sm)))
        source = assemble([kernel for kernel, *_ in known])
        log, ptx = nvrtc.compile(source, (*COMPILE_OPTIONS, f"-arch=sm_{sm}", *CUPYS, "--ptxas-options=-v"))
        rows, codes = used(log), entries(ptx)
        for k, *how in known:
            table.setdefault(k.name, {})[sm] = rows[k.name]["registers"]
            wrong += [f"sm_{sm} {k.name}: {why}" for why in faults(k, rows[k.name], codes[k.name], CARDS[sm], *how)]
        print(f"  sm_{sm}: {len(known)} kernels, {time.time() - started:.1f} s")
    return table, wrong


def main(cards):
    table, wrong = check(cards, list(kernels()), wholes)
    print(f"\n{'registers':62}" + "".join(f"{'sm_' + str(sm):>8}" for sm in cards))
    for name, registers in table.items():
        print(f"{name:62}" + "".join(f"{registers.get(sm, ''):>8}" for sm in cards))
    print(*wrong or [FINE], sep="\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main([int(sm) for sm in sys.argv[1:]] or list(CARDS)))

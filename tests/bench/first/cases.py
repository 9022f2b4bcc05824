"""Cases one after the other, each in a process that may hang or die: the next one then runs in a new process."""
import queue
import subprocess
import sys
import threading
import time
import traceback

from tests.bench.first import results

LOST = 3                                          # exit status after a case that the device did not survive
GIVEN_UP = 8                                      # so many such cases in a row are enough


def run_all(part, names, command, seconds, each):
    """Run `command + [index]` for all cases, from the first that has not run; a process goes on with those behind.

    A process that prints nothing for `each` seconds is killed.  What happened to a case is a line of the results.
    """
    at, until, lost = 0, time.time() + seconds, 0
    while at < len(names) and time.time() < until and lost < GIVEN_UP:
        last, code = watch([*command, str(at)], at, until, each)
        if code == 0:
            at = len(names)
            continue
        lost = lost + 1 if code == LOST and last == at else int(code == LOST)
        if code != LOST:
            why = code if isinstance(code, str) else f"the process ended with {code}"
            results.add(part, case=names[last], failed=why)
            print(f"{part}, {names[last]}: {why}", flush=True)
        at = last + 1
    if at < len(names):
        results.add(part, left_out=names[at:])
        print(f"{part}: left out: {', '.join(names[at:])}", flush=True)


def watch(command, first, until, each):
    """The last case that a process began, and its exit status, or in words why it was killed."""
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    lines: queue.Queue = queue.Queue()

    def read():
        with process.stdout:
            for line in process.stdout:
                lines.put(line)
        lines.put(None)
    threading.Thread(target=read, daemon=True).start()
    last, heard = first, time.time()
    while True:
        try:
            line = lines.get(timeout=0.2)
        except queue.Empty:
            if time.time() > until or time.time() - heard > each:
                process.kill()
                process.wait()
                return last, "out of time" if time.time() > until else f"killed: it said nothing for {each} s"
            continue
        if line is None:
            return last, process.wait()
        heard = time.time()
        if line.startswith("case "):
            last = int(line.split()[1])
        print(line, end="", flush=True)


def run_from(part, cases, start, run, device_lost):
    """In such a process: run(*case) for those from `start` on.  cases: {name: arguments}."""
    for k, (name, case) in list(enumerate(cases.items()))[start:]:
        print(f"case {k} {name}", flush=True)
        began = time.time()
        try:
            run(name, *case)
        except Exception as e:                    # whatever it is: the next case says something else
            results.add(part, case=name, failed=results.short(e))
            print("  FAILED", "".join(traceback.format_exc().splitlines(True)[-14:]), flush=True)
            if device_lost():
                sys.exit(LOST)
        print(f"  {time.time() - began:.1f} s", flush=True)

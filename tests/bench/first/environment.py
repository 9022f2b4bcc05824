"""What there is: card, driver, libraries, programs."""
import os
import subprocess

from tests.bench import device
from tests.bench.first import results

COMMANDS = (
    "nvidia-smi", "nvidia-smi -q -d CLOCK,PERFORMANCE,ECC,POWER",
    "nvidia-smi --query-gpu=name,driver_version,clocks.sm,clocks.max.sm,power.limit,mig.mode.current --format=csv",
    "uname -a; nproc; free -g", "command -v python3 make nvcc ncu compute-sanitizer g++",
    "{python} -m pip list", "git log -1 --oneline; git status --short")
LINES = 80


def report():
    python = os.environ.get("PY", "python3")
    for command in COMMANDS:
        print("$", command)
        try:
            done = subprocess.run(command.format(python=python), shell=True, capture_output=True, text=True, timeout=20)
            print("\n".join((done.stdout + done.stderr).splitlines()[:LINES]), flush=True)
        except subprocess.TimeoutExpired as e:
            print(results.short(e), flush=True)
    why = device.why_none()
    results.add("environment", **({"failed": why} if why else device.about()))
    print(why or device.about(), flush=True)

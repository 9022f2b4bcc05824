#!/usr/bin/env bash
# The first run on a card: what must be known before anything else, the most telling first, in at most 9 minutes.
#
#   bash tests/bench/first_gpu.sh         or make first-gpu; needs no make, and takes a Python as it is
#
# PY=python3    the Python
# OUT=folder    of results.jsonl, one line as each result comes, summary.txt and logs (build/first)
# LIMIT=540     seconds for all of it
# TOYS=1        its quick form: small sizes on the CPU doubles of CuPy, without tests and tools
#
# Each part has a time and a log of its own.  Whatever fails, hangs or is killed, the next part runs.
set -u
cd "$(dirname "${BASH_SOURCE[0]}")/../.." || exit 1
PY=${PY:-python3} LIMIT=${LIMIT:-540} TOYS=${TOYS:-}
OUT=${OUT:-build/first}
mkdir -p "$OUT" && OUT=$(cd "$OUT" && pwd) || exit 1
export PY OUT PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 CUPY_TF32=0
export PYTHONPATH="$PWD" CUPY_CACHE_DIR=${CUPY_CACHE_DIR:-$OUT/kernels}
FIRST="-m tests.bench.first"
SUMMARY=10                                        # seconds that are kept for it
CORES=$(nproc)

left() { echo $((LIMIT - SECONDS - SUMMARY)); }
tell() { echo "[$SECONDS s] $*"; }
note() { timeout 20 $PY $FIRST note "$@" >/dev/null 2>&1; }

# part NAME SECONDS COMMAND...: for at most so long and no longer than is left; its log has its name
part() {
  local name=$1 most=$2 status
  shift 2
  [ "$(left)" -lt "$most" ] && most=$(left)
  if [ "$most" -lt 5 ]; then
    tell "$name: no time left"
    note "$name" "no time left"
    return
  fi
  tell "$name (at most $most s)"
  timeout -k 5 "$most" "$@" >>"$OUT/$name.log" 2>&1 </dev/null
  status=$?
  [ $status -eq 0 ] && return
  tell "$name: exit status $status"
  note "$name" "exit status $status (124 and 137: out of time)"
}

summarize() {
  tell summary
  timeout 20 $PY $FIRST summary >"$OUT/summary.txt" 2>&1
  cat "$OUT/summary.txt"
}
trap 'tell stopped; kill $(jobs -p) 2>/dev/null; summarize; exit 1' TERM INT

if [ -n "$TOYS" ]; then
  part environment 15 $PY $FIRST environment
  part smoke 150 $PY $FIRST smoke --toys --seconds 145
  part bench 75 $PY $FIRST bench --toys --seconds 70
  summarize
  exit 0
fi

# All kernels at once in the background: those that are used first are first
timeout -k 5 200 nice -n 10 $PY $FIRST compile --workers $((CORES > 3 ? CORES - 2 : 2)) >"$OUT/compile.log" 2>&1 &
compiling=$!

part environment 40 $PY $FIRST environment
part smoke 115 $PY $FIRST smoke --seconds 110 --each 45
while kill -0 $compiling 2>/dev/null && [ "$(left)" -gt 330 ]; do sleep 1; done
note compile "$(tail -n 1 "$OUT/compile.log" | head -c 200)"
part probe 45 $PY -m tests.bench.gpu_probe

pytest="$PY -m pytest -q -m gpu -W default -p no:cacheprovider --tb=short --maxfail 40"
$PY -c "import xdist" 2>/dev/null && pytest="$pytest -n 8 --dist worksteal"
core="test_gpu_onchip or (against_the_plain_code and odd and (float32 or mask)) or (test_modes and wide) or storage"
core="$core or (every_bit and lengths) or (graphs and lengths) or two_directions or crosses or in_force or what_runs"
core="$core or (against_cudnn and wide)"
part tests 95 $pytest tests/gpu/test_gpu.py tests/gpu/test_gpu_onchip.py -k "$core"
note tests "$(tail -n 1 "$OUT/tests.log" 2>/dev/null | head -c 200)"

room=$(($(left) - 60))                            # for tools
room=$((room > 160 ? 160 : room < 60 ? 60 : room))
part bench $room $PY $FIRST bench --seconds $((room - 4)) --each 40

# compute-sanitizer's tools side by side on the smallest kernels; what racecheck leaves out: sanitizer.py
tools=()
if command -v compute-sanitizer >/dev/null; then
  for tool in racecheck memcheck synccheck; do
    [ $tool = racecheck ] && of=--one-block || of=
    part "$tool" 60 compute-sanitizer --tool $tool --target-processes all --error-exitcode 86 --print-limit 20 \
      $PY -m tests.bench.smallest $of &
    tools+=($!)
  done
  wait "${tools[@]}"
  for tool in racecheck memcheck synccheck; do
    note "$tool" "$(grep -a SUMMARY "$OUT/$tool.log" | tail -n 1 | head -c 200)"
  done
else
  note sanitizer "compute-sanitizer is not on PATH"
fi

part laws 600 $pytest tests/gpu/test_laws_gpu.py tests/gpu/test_gpu_golden.py \
  -k "golden or (lengths and (LSTM or GRU or SimpleRNN))"
note laws "$(tail -n 1 "$OUT/laws.log" 2>/dev/null | head -c 200)"
kill $compiling 2>/dev/null
summarize

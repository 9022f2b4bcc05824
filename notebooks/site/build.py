"""Build the site in build/site: python notebooks/site/build.py.

PYODIDE=folder   a full distribution of Pyodide with NumPy: the notebooks can then be run in the browser (JupyterLite)
"""
import os
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path[:0] = [str(HERE), str(ROOT)]
TARGET = ROOT / "build" / "site"
NO_PYODIDE = ("The notebooks here are shown as they were stored. To run them in the browser, build the site with "
              "``PYODIDE=folder make site``, where the folder holds a full distribution of Pyodide with NumPy "
              "(https://github.com/pyodide/pyodide/releases); without one they run with ``jupyter lab notebooks``.")


def main():
    from pages import write_all
    source, html = TARGET / "source", TARGET / "html"
    shutil.rmtree(TARGET, ignore_errors=True)
    source.mkdir(parents=True)
    pyodide = os.environ.get("PYODIDE")
    write_all(source, "`Run the notebooks in the browser <lite/lab/index.html>`_." if pyodide else NO_PYODIDE)
    command = [sys.executable, "-m", "sphinx", "-q", "-j", "auto", "-c", str(HERE), str(source), str(html)]
    status = subprocess.call(command)
    if status == 0 and pyodide:
        status = build_lite(Path(pyodide).resolve(), html / "lite")
    print(f"{html / 'index.html'}" if status == 0 else "the site was not built")
    return status


def build_lite(pyodide, target):
    """JupyterLite with the notebooks and a wheel of rnnref, all from local files."""
    if not (pyodide / "pyodide.mjs").exists() or not list(pyodide.glob("numpy-*.whl")):
        print(f"PYODIDE={pyodide}: no pyodide.mjs and numpy-*.whl in it, expected a full distribution of Pyodide",
              file=sys.stderr)
        return 2
    wheels = TARGET / "wheels"
    subprocess.check_call([sys.executable, "-m", "pip", "-q", "wheel", "--no-deps", "-w", str(wheels), str(ROOT)])
    return subprocess.call([
        sys.executable, "-m", "jupyter", "lite", "build", "--contents", str(ROOT / "notebooks"),
        "--output-dir", str(target), "--lite-dir", str(TARGET / "source"), "--pyodide", str(pyodide),
        *(f"--piplite-wheels={wheel}" for wheel in wheels.iterdir())])


if __name__ == "__main__":
    sys.exit(main())

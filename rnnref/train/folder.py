"""The folder of a run: which one, the files in it, and what an interrupted run needs to continue."""
import csv
import io
import json
import os
import re
from typing import Any, Iterable, Optional

from ..errors import Error
from ..files.atomic import replace_file

SETTINGS, HISTORY, MODEL = "settings.json", "history.csv", "model.keras"
SAMPLES, CURVES, CONFUSION = "samples.txt", "curves.png", "confusion.png"
DEFAULT = "runs"


class RunFolder:
    """The files of a run.

        settings.json   what the run was started with
        history.csv     a row for each epoch
        model.keras     the model after the last epoch, or as it was when the run was stopped
        training.npz    what `--resume` continues from
        curves.png      loss and metric against the epoch
        confusion.png   of digits;  samples.txt  of text, after each epoch
    """

    def __init__(self, path: str):
        self.path = path

    def file(self, name: str) -> str:
        return os.path.join(self.path, name)

    def read_settings(self) -> dict[str, Any]:
        """The settings that the run was started with."""
        path = self.file(SETTINGS)
        try:
            with open(path, encoding="utf-8") as file:
                found = json.load(file)
        except OSError as e:
            raise Error("train", f"{path} cannot be read: {e.strerror}",
                        hint="the folder of a run of `rnnref train` has this file") from None
        except ValueError:
            found = None
        if not isinstance(found, dict) or not {"task", "sizes"} <= found.keys():
            raise Error("train", f"{path} does not hold the settings of a run")
        return found

    def write_settings(self, settings: dict[str, Any]) -> None:
        self.write(SETTINGS, json.dumps(settings, indent=2, ensure_ascii=False) + "\n")

    def write(self, name: str, text: str) -> None:
        """Replace a text file in one step."""
        with replace_file("train", self.file(name)) as file:
            file.write(text.encode())

    def write_history(self, rows: list[dict[str, float]]) -> None:
        text = io.StringIO()
        writer = csv.DictWriter(text, rows[0], lineterminator="\n")
        writer.writeheader()
        writer.writerows({name: int(a) if name == "epoch" else repr(a) for name, a in row.items()} for row in rows)
        self.write(HISTORY, text.getvalue())

    def write_samples(self, samples: Iterable[str]) -> None:
        self.write(SAMPLES, "".join(f"=== epoch {k} ===\n{text}\n\n" for k, text in enumerate(samples, 1)))


def open_folder(task: str, out: Optional[str], resume: bool) -> tuple[RunFolder, bool]:
    """The folder of a run, made if it is new, and whether it holds a run to resume.

    Without `out` a new run takes the next free runs/TASK-N, and a resumed one the highest that is there.
    """
    if out is None:
        numbers = _list_numbers(task)
        if resume and not numbers:
            raise Error("train", f"there is no run {os.path.join(DEFAULT, task)}-N to resume", fix="leave out --resume")
        out = os.path.join(DEFAULT, f"{task}-{max(numbers) if resume else max(numbers, default=0) + 1}")
    there = os.path.isdir(out) and bool(os.listdir(out))
    if there and not resume:
        raise Error("train", f"the folder {out} exists already",
                    fix="--resume to continue its run, or another --out for a new one")
    if resume and not there:
        raise Error("train", f"the folder {out} does not exist: there is no run to resume", fix="leave out --resume")
    try:
        os.makedirs(out, exist_ok=True)
    except OSError as e:
        raise Error("train", f"the folder {out} cannot be created: {e.strerror}") from None
    return RunFolder(out), there


def _list_numbers(task: str) -> list[int]:
    try:
        names = os.listdir(DEFAULT)
    except OSError:
        return []
    found = [re.fullmatch(rf"{re.escape(task)}-(\d+)", name) for name in names]
    return [int(match[1]) for match in found if match]

"""Who may import whom: the floor of every folder, and of every file that lies in none.

A module imports only from floors below its own, and from its own folder; files in none share one folder, and import
there only what is not above.
"""
ROOMS = {                                          # floor: {folder or file: what it is}
    0: {"errors": "the errors, and their one form", "arrays": "which array module, which dtype",
        "tree": "nested dicts and tuples of arrays", "shapes": "axis letters",
        "options": "keyword-only options of cells", "cache": "results remembered between calls",
        "elementwise": "functions of one number and their derivatives", "layer_norm": "normalisation and its gradient",
        "nest": "nested lists and dicts, as users of layers pass them",
        "identifiers": "names, classes and configurations of Keras", "absent": "names of Keras that are refused",
        "registry": "classes of users by name", "shards": "the rows of a batch that this process computes"},
    1: {"pairs": "operations on arrays, each with its gradients", "maps": "linear maps",
        "rules": "what joins maps, unit by unit",
        "files": "files of arrays, written whole and read without trust"},
    2: {"io": "trees of arrays in files",
        "record": "what was computed, and the walk back", "values": "arrays while they are recorded",
        "symbols": "places for arrays, and the calls between them", "creation": "new arrays, under Keras's names",
        "composed_arrays": "operations made of pairs: arrays",
        "composed_reductions": "operations made of pairs: reductions",
        "composed_nn": "operations made of pairs: neural networks", "control_flow": "loops and conditions on values",
        "ops": "all operations under Keras's names",
        "variables": "arrays by name that metrics and optimizers change",
        "cell": "one timestep", "init": "first values of parameters"},
    3: {"wrappers": "cells that hold cells", "initializers": "Keras's initializers",
        "regularizers": "Keras's regularizers",
        "constraints": "Keras's constraints", "activations": "Keras's activations", "random": "Keras's random numbers",
        "losses": "what training makes small", "optimizers": "what gradients do to weights, and rates over time"},
    4: {"cells": "the catalog", "metrics": "what training shows"},
    5: {"padding": "masks from lengths, outputs at padded steps",
        "products": "the parts of a cell and their matrix products",
        "cuda": "kernels for one step, and the device", "interop": "weights of other frameworks"},
    6: {"cuda_loops": "whole sequences on a GPU", "cpu": "whole sequences in NumPy"},
    7: {"loops": "`run`, and what it chooses from"},
    8: {"plot": "pictures", "layers": "Keras's names", "onnx": "the ONNX operators"},
    9: {"tf1": "TensorFlow 1.15's names",
        "callbacks": "what is done between epochs and batches", "saving": "what keras.saving has",
        "model_files": "files of models", "object_paths": "where weights stand in files of models",
        "utils": "Keras's utilities"},
    10: {"models": "Sequential, Model, their training and their summary",
         "data": "digits, text, made-up tasks, padding", "porting": "weights from any framework to any other"},
    11: {"check": "is that implementation right?"},
    12: {"survey": "is that engine what the operator text says?", "testing": "laws for your own cells",
         "train": "`rnnref train` and `rnnref sample`"},
    13: {"info": "a cell and the machine in words", "arguments": "the arguments of the command",
         "terminal": "what a terminal shows",
         "cli": "the `rnnref` command", "__init__": "the front door", "__main__": "`python -m rnnref`"},
}
FLOORS = {room: floor for floor, rooms in ROOMS.items() for room in rooms}


def list_floors(root):
    """The floors as the text of CONTRIBUTING, from the ground; `root` is the folder of the package."""
    lines = []
    for floor, rooms in ROOMS.items():
        for room, what in rooms.items():
            name = room + "/" * (root / room).is_dir()
            lines.append(f"    {floor if room == next(iter(rooms)) else '':<4}{name:<21}{what}")
    return "\n".join(lines)

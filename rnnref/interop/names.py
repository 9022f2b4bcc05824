"""The names of frameworks and of kinds of layers, as people write them, and those of the tables in `layouts`."""
import re
from typing import Any

from ..errors import NotSupported, describe_type
from ..options import suggest
from .layouts import IMPOSSIBLE, LAYOUTS

FRAMEWORKS = tuple(dict.fromkeys(framework for _, framework in LAYOUTS))
FAMILIES = tuple(dict.fromkeys(family for family, _ in LAYOUTS))
_FRAMEWORKS_ALSO = {
    "torch": "pytorch, torch nn, libtorch, pt",
    "torch cell": "pytorch cell, torch cells, torch nn cell, torch rnncell, torch lstmcell, torch grucell",
    "keras": "keras3, tensorflow, tf, tf2, tensorflow2, tf keras, tensorflow keras, tensorflow2 keras, tf2 keras",
    "keras2 cudnn": "keras cudnn, cudnnlstm, cudnngru",
    "onnx": "onnxruntime, onnx runtime, ort",
    "flax": "linen, flax linen, flax nn",
    "nnx": "flax nnx",
    "nnx optimized": "flax nnx optimized",
    "tf1": "tensorflow1, tf compat v1, tensorflow compat v1",
    "haiku": "dm haiku, hk", "equinox": "eqx", "mlx": "mlx nn", "tflite": "tf lite, tensorflow lite, litert",
    "coreml": "core ml, mlprogram, mil", "coreml network": "coreml neuralnetwork, core ml network",
    "tf1 block": "tensorflow1 block", "tf1 cudnn": "tensorflow1 cudnn", "tf1 coupled": "tensorflow1 coupled",
}
_FAMILIES_ALSO = {
    "rnn": "simplernn, simple rnn, elman, basicrnn, vanilla rnn, vanillarnn, simple, rnn tanh, rnn relu",
    "lstm": "basiclstm, optimizedlstm, lstmblock",
    "gru": "gru after, gru reset after",
    "gru before": "gru reset before",
    "mgu": "minimal gated unit",
    "conv lstm": "convlstm, convlstm1d, convlstm2d, convlstm3d, conv lstm1d, conv lstm2d, conv lstm3d",
}
_OF_FRAMEWORKS, _OF_FAMILIES = ({**{name: name for name in names},
                                 **{other: name for name, others in also.items() for other in others.split(", ")}}
                                for names, also in ((FRAMEWORKS, _FRAMEWORKS_ALSO), (FAMILIES, _FAMILIES_ALSO)))
_OF_FRAMEWORKS |= {framework: framework for _, framework in IMPOSSIBLE}
_NEW_DEFAULTS = (2, 3)                            # from this version of Keras on, gates have sigmoid by default


def framework_named(name: Any) -> str:
    """The name of a framework in `LAYOUTS`, from any that it is known by, in upper or lower case, with its version.

    "tensorflow" without a version is tf.keras of TensorFlow 2, whose layers are those of "keras".  "keras2" stands for
    Keras up to 2.2, where gates have hard_sigmoid by default; "Keras 2.6" is "keras".

    Errors   NotSupported: a name that is not known, with the nearest ones

    >>> [framework_named(name) for name in ("PyTorch", "TF", "TensorFlow 1.15", "tf.keras", "Keras 2.6.0", "flax.nnx")]
    ['torch', 'keras', 'tf1', 'keras', 'keras', 'nnx']
    """
    words = _split_words(name)
    found = _OF_FRAMEWORKS.get(words) or _OF_FRAMEWORKS.get(words.replace(" ", ""))
    if found is None:
        found = _named_with_version(words)
    if found is None:
        near = "flax, nnx" if words.startswith("jax") else ", ".join(FRAMEWORKS)
        raise NotSupported("interop", f"a framework {name!r}", hint=suggest(words, _OF_FRAMEWORKS), known=near)
    return found


def family_named(name: Any) -> str:
    """The name of a kind of layers in `LAYOUTS`, from the name of a class or a cell.

    Errors   NotSupported: a name that is not known

    >>> [family_named(name) for name in ("LSTM", "SimpleRNNCell", "ConvLSTM2D", "GRU before")]
    ['lstm', 'rnn', 'conv lstm', 'gru before']
    """
    words = re.sub(r" ?cell\b", "", _split_words(name)) or "cell"
    if words not in _OF_FAMILIES:
        raise NotSupported("interop", f"a kind of layers {name!r}", hint=suggest(words, _OF_FAMILIES),
                           known=", ".join(FAMILIES))
    return _OF_FAMILIES[words]


def _split_words(name: Any) -> str:
    """Lower case, with one space between words: "TF.Keras_2" -> "tf keras 2"."""
    if not isinstance(name, str):
        raise NotSupported("interop", f"{describe_type(name)} as a name", known="a string")
    return " ".join(re.split(r"[\s._/\-=]+", name.lower().strip()))


def _named_with_version(words: str) -> str | None:
    """"keras 2 6 0", "tensorflow 1 15": what a name with a version stands for."""
    match = re.fullmatch(r"([a-z ]*[a-z]) ?v?(\d+)((?: \d+)*)", words)
    if match is None:
        return None
    name, major, minor = match[1], int(match[2]), [int(n) for n in match[3].split()]
    known = _OF_FRAMEWORKS.get(name)
    if name in ("tf", "tensorflow") and major == 1:
        return "tf1"
    if name == "keras" and major == 2:
        return "keras" if (major, *minor) >= _NEW_DEFAULTS else "keras2"
    return known if name != "keras" or major == 3 else None

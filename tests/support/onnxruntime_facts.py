"""What versions of onnxruntime do, where tests rest on it: measured with 1.23.2, 1.25.1, 1.26, 1.28, 1.29 and 1.32."""
import onnxruntime

VERSION = tuple(map(int, onnxruntime.__version__.split(".")[:2]))
# of its RNN; GRU and LSTM have had both for longer
TAKES_LENGTH_ZERO = VERSION >= (1, 26)            # before, not forwards: it would read what lies in front of Y
HAS_DEFAULT_SCALES = VERSION >= (1, 29)           # before, each alpha and beta that is left out is 0

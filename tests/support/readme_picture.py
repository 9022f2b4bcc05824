"""python -m tests.support.readme_picture: the picture of a report in README.md, from a layer that ignores lengths."""
from pathlib import Path

import torch

from rnnref.check import verify

PICTURE = Path(__file__).parents[2] / "rnnref" / "check" / "report.svg"


class PaddedLSTM(torch.nn.LSTM):
    """Runs a packed batch as a padded one, through the padding of short rows."""

    def forward(self, x, hx=None):
        rnn = torch.nn.utils.rnn
        x, lengths = rnn.pad_packed_sequence(x)
        ys, last = super().forward(x, hx)
        return rnn.pack_padded_sequence(ys, torch.full_like(lengths, len(x))), last


def make_report():
    """The report on a `PaddedLSTM`."""
    torch.manual_seed(0)
    return verify(PaddedLSTM(4, 8), (40, 3, 4), lengths=[40, 25, 12])


if __name__ == "__main__":
    make_report().to_svg(PICTURE)

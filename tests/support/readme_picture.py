"""python -m tests.support.readme_picture: the picture of a report in README.md, from a layer that ignores lengths."""
from pathlib import Path

from rnnref.check import verify

PICTURE = Path(__file__).parents[2] / "rnnref" / "check" / "report.svg"


def make_report():
    """The report on an LSTM that runs a packed batch through its padding."""
    import torch  # here: this file is also collected where there is no torch
    rnn = torch.nn.utils.rnn

    class PaddedLSTM(torch.nn.LSTM):
        def forward(self, x, hx=None):
            x, lengths = rnn.pad_packed_sequence(x)
            ys, last = super().forward(x, hx)
            return rnn.pack_padded_sequence(ys, torch.full_like(lengths, len(x))), last

    torch.manual_seed(0)
    return verify(PaddedLSTM(4, 8), (40, 3, 4), lengths=[40, 25, 12])


if __name__ == "__main__":
    make_report().to_svg(PICTURE)

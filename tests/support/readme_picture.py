"""python -m tests.support.readme_picture: the picture in README.md, a report on a layer with gates in a wrong order."""
from pathlib import Path

from rnnref.check import verify

PICTURE = Path(__file__).parents[2] / "rnnref" / "check" / "report.svg"


def make_report():
    """The report on an LSTM whose weights came from TF 1 in its order of gates, i g f o, and stayed in it."""
    import torch  # here: this file is also collected where there is no torch

    class PortedLSTM(torch.nn.LSTM):
        def forward(self, x, hx=None):
            i, f, g, o = range(4)
            moved = {name: torch.cat([a.chunk(4)[k] for k in (i, g, f, o)]) for name, a in self.named_parameters()}
            return torch.func.functional_call(plain, moved, (x, hx))
    torch.manual_seed(0)
    plain = torch.nn.LSTM(4, 8)
    return verify(PortedLSTM(4, 8), (24, 3, 4))


if __name__ == "__main__":
    make_report().to_svg(PICTURE)

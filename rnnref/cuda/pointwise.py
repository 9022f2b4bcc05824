"""One step of a rule in one kernel: the boundary between Python and pointwise.cu.  (floor 5)

    refuses(rule) -> None, or the reason in words            no array is looked at and nothing is imported
    forward(rule, p, ax, ah, s, live=None, out=None, keep=True)      -> y, new, kept
    backward(rule, p, kept, dy, dnew, live=None, out=None)           -> dax, dah, ds, dp
    buffer(rule, lead, n) -> shape of the array that holds what is kept: (*lead, k, n)
    views(rule, array, s, new) -> the rule's Kept, of such an array and the states before and after
    names(rule) -> the parameters whose gradients `dp` has, in the order of its blocks: () but for peepholes

Arrays are CuPy's, [*lead, blocks x n] and [*lead, n]: all leading axes are rows.  `s`, `new`, `dnew`, `ds` and `kept` are
the rule's own named tuples.  One launch each, nothing is synchronised, nothing crosses the bus.

Types     W  ax ah, h y dy and the gradient of h     float64, float32, float16 or bfloat16, one of them throughout
          S  `sent`, dax and dah                     W; or 16 bits beside W = float32: what the next product takes
          A  c, kept, dc, dp, peepholes              float64 beside float64, else float32
ah        0 and None are zero (a rule that holds this one gives them the sum)
live      bool, [rows] or the first of the leading axes; None: all.  A dead row copies its state, outputs zero, keeps zero;
          on the way back its gates get zero and the gradient of its state passes.  What ax, ah, dy hold there is not read
dy, dnew  None, and None inside dnew, is zero
keep      False: kept is None and is not written
ds        State(h, c): h is None where the rule sees the old h through its map alone (LSTM, Elman), but with `live` it is
          an array: zero where live, passed through where not.  Add dah R' to it (a product with beta = 1)
dah       is dax itself for rules of the sum (LSTM, Elman)

out       a dict of arrays to write to, so that a loop allocates nothing; what it lacks is made:
            forward   y, h, c, kept, sent     y only beside `live`: without, y is h, and out["y"] gets a second copy;
                                              kept in the shape of `buffer`; sent: the new h once more in S, only if given
            backward  dax, dah, dh, dc, dp    dax and dah may be S while dy is W; dp [*lead, len(names(rule)), n] in A
          C-contiguous.  A result may overwrite the argument that it comes from, entry by entry: c over s.c and h over s.h
          (if kept is not needed later), dh over dnew.h, dc over dnew.c.
Under stream capture give every result by `out`, and peepholes in A: no temporary is made then.
"""

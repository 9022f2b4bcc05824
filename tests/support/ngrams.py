"""A character model that counts: interpolated n-grams (Witten & Bell 1991), beside which networks are measured."""
import math
from collections import Counter, defaultdict


def count_bits(train: str, test: str, order: int) -> float:
    """Bits a character of `test` under n-grams of this order, counted in `train`.

        p_n(c | context) = (count(context c) + kinds p_{n-1}(c | shorter context)) / (count(context) + kinds)

    kinds: how many characters follow the context in `train`.  p_0 is uniform over all characters.

    >>> round(count_bits("abab", "abab", 1), 3)            # each has probability one half
    1.0
    """
    follow = [defaultdict(Counter) for _ in range(order)]
    for n, counts in enumerate(follow):
        for at in range(n, len(train)):
            counts[train[at - n:at]][train[at]] += 1
    totals = [{context: counted.total() for context, counted in counts.items()} for counts in follow]
    text, bits = train[-order:] + test, 0.0
    uniform = 1 / len(set(train) | set(test))
    for at in range(order, len(text)):
        p = uniform
        for n, (counts, total) in enumerate(zip(follow, totals)):
            context = text[at - n:at]
            if context not in counts:
                break
            kinds = len(counts[context])
            p = (counts[context][text[at]] + kinds * p) / (total[context] + kinds)
        bits -= math.log2(p)
    return bits / len(test)

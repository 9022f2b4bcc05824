"""Equations as docstrings write them, `i = gate(x W_i + h R_i + b_i)`, in LaTeX."""
import re
from typing import Iterator

GREEK = set("alpha beta gamma delta epsilon eta theta kappa lambda mu nu phi psi rho sigma tau omega".split())
FUNCTIONS = {"tanh": r"\tanh", "sigmoid": r"\sigma", "sig": r"\sigma", "sqrt": r"\operatorname{sqrt}", "sum": r"\sum",
             "max": r"\max", "min": r"\min", "exp": r"\exp", "log": r"\log", "sin": r"\sin", "cos": r"\cos"}
# words that stand in equations: a line with any other word of four letters or more is a sentence, not an equation
NAMED = set("gate candidate output activation norm clip softmax softplus controller cell inputs reset elsewhere mod "
            "leak gain shift forget bias opening closing closed keep period phase ratio time relu".split())
TOKEN = re.compile(r"\s*(?:(\d+(?:\.\d+)?(?:e-?\d+)?)|([A-Za-z]+\d*(?:_(?:[A-Za-z0-9]+|\([^()]*\)))*[~']*)|(\S))")
SIGNS = {"*": r"\odot ", "~": r"\tilde{}", ".": r"\cdot ", "%": r"\bmod ", "\\": r"\backslash ",
         **{sign: "\\" + sign for sign in "{}&#$"}}


def split_line(line: str) -> list[str]:
    """The parts of a line that wide gaps separate.

    >>> split_line("c' = f c + i g         h' = o tanh(c')   (, then h' P)")
    ["c' = f c + i g", "h' = o tanh(c')", "(, then h' P)"]
    """
    parts = re.split(r"\s{3,}|\s{2,}(?=[\w'~]+ = )|\s+(?=\w+=\")", line.strip())
    return [part.strip() for part in parts if part.strip()]


def is_formula(text: str) -> bool:
    """True for `left = right` with a short name on the left, in which no sentence stands.

    >>> is_formula("wg = g wc + (1 - g) w"), is_formula("the same = for all layers")
    (True, False)
    """
    left, equal, right = text.partition(" = ")
    words = re.findall(r"[A-Za-z]{4,}", re.sub(r"_\w+", "", text))
    known = NAMED | GREEK | set(FUNCTIONS)
    return bool(equal and right) and len(left) < 24 and all(word in known or word.lower() in known for word in words)


def is_equation(line: str) -> bool:
    """True for a line that begins with a formula."""
    parts = split_line(re.sub(r"\s+=\s+", " = ", line))
    return bool(parts) and is_formula(parts[0])


def typeset(line: str) -> Iterator[tuple[str, str]]:
    """(LaTeX, remark) of each formula in a line; a remark is what follows it and is none.

    >>> list(typeset("h' = (1 - z) n + z h"))
    [("h' = (1 - z)\\\\, n + z\\\\, h", '')]
    >>> list(typeset("i = gate(x W_i + b_i)   i = 1 - f    coupled"))[1]
    ('i = 1 - f', 'coupled')
    """
    found: list[list[str]] = []
    for part in split_line(re.sub(r"\s+=\s+", " = ", line)):
        formula, comma, rest = part.partition(", ")
        if is_formula(part) or not found and not comma:
            found.append([part, ""])
        elif is_formula(formula):
            found.append([formula, rest])
        else:
            found[-1][1] = f"{found[-1][1]} {part}".strip()
    yield from ((to_latex(formula), remark) for formula, remark in found)


def to_latex(formula: str) -> str:
    """A formula in LaTeX: neighbours are multiplied, `_` begins an index, `'` is the new state.

    >>> print(to_latex("o = gate(x W_o + bR_o (+ Wpo c'))"))
    o = \\operatorname{gate}(x\\, W_{o} + b_{R,o}\\, (+ W_{po}\\, c'))
    """
    tokens, text, previous = TOKEN.findall(formula), "", ""
    for k, (number, name, sign) in enumerate(tokens):
        following = tokens[k + 1] if k + 1 < len(tokens) else ("", "", "")
        calls = following[2] == "(" and f"{name}(" in formula
        piece = re.sub(r"^1e(.+)", r"10^{\1}", number) or (latex_name(name, calls) if name else SIGNS.get(sign, sign))
        begins = bool(number or name or sign) and (not sign or sign in "([|")
        if begins and previous == "operand" and not (sign == "|" and text.count("|") % 2):
            piece = r"\, " + piece
        elif sign and sign in "=+-<>" and (text.endswith("(") or previous == "operand"):
            piece = f" {piece} " if previous == "operand" else f"{piece} "
        text += piece
        if name and calls:
            previous = "function"
        elif number or name or sign in ")]":
            previous = "operand"
        elif sign == "|":
            previous = "" if text.count("|") % 2 else "operand"
        else:
            previous = "sign"
        text += " " if sign == "," else ""
    return re.sub(r" +", " ", text).strip()


def latex_name(name: str, calls: bool = False) -> str:
    r"""A name in LaTeX.

    >>> latex_name("W_i"), latex_name("bR_z"), latex_name("forget_bias"), latex_name("beta"), latex_name("c'")
    ('W_{i}', 'b_{R,z}', '\\text{forget bias}', '\\beta', "c'")
    """
    stem, primes = re.fullmatch(r"(.*?)([~']*)", name).groups()
    base, _, index = stem.partition("_")
    after = "'" * primes.count("'")
    if stem in FUNCTIONS and (calls or stem != "sum"):
        return FUNCTIONS[stem] + after
    if calls and len(base) > 1:
        return rf"\operatorname{{{base}}}" + (f"_{{{index}}}" if index else "")
    index = index.strip("()")
    if len(base) > 3 and base not in GREEK and base not in FUNCTIONS:
        whole = stem.replace("_", " ") if len(index) > 2 or not index else base
        index = index if whole == base else ""
        symbol = rf"\text{{{whole}}}"
    elif base in GREEK or base in FUNCTIONS:
        symbol = FUNCTIONS.get(base) or "\\" + base
    elif len(base) > 1:
        index = base[1:] + ("," + index if index else "")
        symbol = base[0]
    else:
        symbol = base
    symbol = rf"\tilde{{{symbol}}}" if "~" in primes else symbol
    return symbol + (f"_{{{index}}}" if index else "") + after

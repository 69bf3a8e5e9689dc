"""The names and commands that the tokenizer knows."""

# fmt: off
FUNCTIONS = frozenset((
    "abs", "acos", "acosh", "arccos", "arccosh", "arccot", "arccsc", "arcosh", "arcsec", "arcsin", "arcsinh",
    "arctan", "arctanh", "arg", "arsinh", "artanh", "asin", "asinh", "atan", "atanh", "binomial", "cbrt",
    "ceil", "ceiling", "cis", "conjugate", "cos", "cosh", "cot", "coth", "csc", "csch", "det", "exp", "factorial",
    "floor", "gcd", "Im", "lcm", "lg", "ln", "log", "max", "min", "Re", "sec", "sech", "sgn", "sign", "sin",
    "sinh", "sqrt", "tan", "tanh",
))
GREEK = frozenset((
    "alpha", "beta", "chi", "Delta", "delta", "ell", "epsilon", "eta", "gamma", "Gamma", "hbar", "iota",
    "kappa", "lambda", "Lambda", "mu", "nu", "omega", "Omega", "phi", "Phi", "Pi", "psi", "Psi", "rho", "sigma",
    "Sigma", "tau", "Theta", "theta", "upsilon", "varepsilon", "varphi", "vartheta", "Xi", "xi", "zeta",
))
CONSTANTS = {
    "pi": "pi", "infty": "oo", "infinity": "oo", "inf": "oo", "oo": "oo", "Infinity": "oo", "exponentialE": "e",
}
OPERATORS = {
    "le": "<=", "leq": "<=", "leqslant": "<=", "lt": "<", "ge": ">=", "geq": ">=", "geqslant": ">=", "gt": ">",
    "ne": "!=", "neq": "!=", "approx": "~", "simeq": "~", "sim": "~", "equiv": "==", "cong": "==", "times": "*",
    "cdot": "*", "ast": "*", "bullet": "*", "div": "/", "pm": "+-", "mp": "-+", "cup": "cup", "bigcup": "cup",
    "cap": "cap", "setminus": "setminus", "backslash": "setminus", "in": "in", "lbrace": "{set", "rbrace":
    "}set", "lfloor": "lfloor", "rfloor": "rfloor", "lceil": "lceil", "rceil": "rceil", "vert": "|", "lvert":
    "|", "rvert": "|", "mid": "|", "Vert": "||", "colon": ":", "choose": "choose", "langle": "<(", "rangle":
    ")>", "lbrack": "[", "rbrack": "]", "mod": "mod", "bmod": "mod", "wedge": "and", "lor": "or", "vee": "or",
    "land": "and", "implies": "=>", "Rightarrow": "=>", "to": "->", "rightarrow": "->", "prime": "'", "circ":
    "deg", "degree": "deg", "ldots": "...", "cdots": "...", "dots": "...", "dotsc": "...", "dotsb": "...",
    "surd": "sqrt1",
}
# fmt: on

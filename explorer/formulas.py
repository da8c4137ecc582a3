"""Numbers as formulas show them."""


def tex(value: float, digits: int = 4) -> str:
    """A number in TeX: 0.7239, or 2.1 times a power of ten where it is smaller than 0.001."""
    if value == 0 or abs(value) >= 1e-3:
        return f"{value:.{digits}g}"
    mantissa, power = f"{value:.1e}".split("e")
    return rf"{mantissa}\cdot10^{{{int(power)}}}"


def plus(value: float, digits: int = 4) -> str:
    """The same with its sign in front, to stand within a sum."""
    return ("-" if value < 0 else "+") + tex(abs(value), digits)

"""Numbers as formulas show them."""


def tex(value: float, digits: int = 4) -> str:
    """A number in TeX: 0.7239, or 2.1 times a power of ten where it is smaller than 0.001 or has more digits."""
    small = 0 < abs(value) < 1e-3
    text = f"{value:.1e}" if small else f"{value:.{digits}g}"
    if "e" not in text:
        return text
    mantissa, power = text.split("e")
    return rf"{mantissa}\cdot10^{{{int(power)}}}"


def plus(value: float, digits: int = 4) -> str:
    """The same with its sign in front, to stand within a sum."""
    return ("-" if value < 0 else "+") + tex(abs(value), digits)

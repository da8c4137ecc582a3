"""Numbers as formulas and sentences show them."""


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


def sensible(value: float) -> str:
    """A number as one reads it: 0, 0.375, 1234, 2.2e-16."""
    if 999.5 <= abs(value) < 1e5:
        return f"{value:.0f}"
    return f"{value:.3g}" if value == 0 or 1e-3 <= abs(value) < 1e3 else f"{value:.1e}"


def counted(many: int, what: str) -> str:
    """0 steps, 1 step, 2 steps."""
    return f"{many} {what}{'' if many == 1 else 's'}"


def percent(share: float) -> str:
    """A share as one reads it: 0 %, 5e-05 %, 0.74 %, 12 %, 99.96 %, 180 %."""
    value = 100 * abs(share)
    if 99 < value < 100:  # how much is missing says more than that it is nearly all
        digits = f"{100 - float(f'{100 - value:.1g}'):.12g}"
    elif 100 <= value < 1e5:
        digits = f"{value:.0f}"
    else:
        digits = f"{value:.2g}" if value == 0 or 0.01 <= value < 100 else f"{value:.0e}"
    return f"{'-' * (share < 0)}{digits} %"


def display(*formulas: str) -> str:
    """Formulas in TeX, each on a line of its own; an empty one takes none."""
    return "\n\n".join(f"$${one}$$" for one in formulas if one)

"""Independent routes behind the badges: each check takes a result and computes the same thing in another way."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Check:
    """One comparison: what is claimed, how far off the result is, and how far off it may be."""

    claim: str
    residual: float
    tolerance: float

    @property
    def ok(self) -> bool:
        """Whether the residual is within the tolerance; NaN never is."""
        return self.residual <= self.tolerance

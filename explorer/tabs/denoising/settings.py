"""What can be set, and the screens the presets open."""

from dataclasses import dataclass

from core.datasets import FASHION_CLASSES
from core.toys import MIXTURES
from explorer.settings import choice, number

ONE_SHOT, SEES, LOSS = "one shot or step by step", "what the network says", "loss against t"
EXACT, MEMORY = "exact against learned", "learned by heart?"
INSIDE, AMOUNT, NORM = "inside the U", "the noise amount as input", "group norm and GELU"
STEP, LEARN = "one training step", "train a network now"
VIEWS = (ONE_SHOT, SEES, LOSS, EXACT, MEMORY, INSIDE, AMOUNT, NORM, STEP, LEARN)
ANY = "no class"
UNSEEN, SEEN = "unseen", "from the data"
PREDICTIONS = {"noise ε": "epsilon", "points x₀": "sample", "velocity v": "v_prediction"}


@dataclass(frozen=True)
class Settings:
    view: str = choice(ONE_SHOT, options=VIEWS, label="Show", key="v")
    label: str = choice("Sneaker", options=(*FASHION_CLASSES, ANY), label="Class the network is told", key="c")
    picture: int = number(0, low=0, high=15, label="Picture x₀", key="x", hint="one of sixteen of its class")
    origin: str = choice(
        UNSEEN, options=(UNSEEN, SEEN), label="The picture is", key="o", hint="the data: what the exact denoiser knows"
    )
    t: int = number(500, low=1, high=1000, label="Noise amount t", key="t", hint="from 1 to T = 1000")
    told: int = number(300, low=1, high=1000, label="The network is told", key="w", hint="a wrong t, or the right one")
    guidance: float = number(
        2.0, low=0, high=10, step=0.5, label="Guidance scale s", key="g", hint="1 is none; w = s − 1 in Ho & Salimans"
    )
    steps: int = number(20, low=1, high=100, log=True, label="Steps", key="n")
    members: int = number(1000, low=1, high=6000, log=True, label="Pictures in the data", key="m")
    groups: str = choice("8", options=("1", "8", "32"), label="Groups of channels", key="gr")
    at: float = number(-0.5, low=-4, high=4, step=0.1, label="Activation at", key="a")
    rate: float = number(0.05, low=0.001, high=10, step=0.001, log=True, label="Learning rate", key="r")
    points: str = choice("two moons", options=tuple(MIXTURES), label="Data", key="d")
    prediction: str = choice("velocity v", options=tuple(PREDICTIONS), label="The network learns to say", key="p")
    width: int = number(128, low=8, high=256, log=True, label="Width", key="wd", hint="neurons in each of three layers")
    training: int = number(1500, low=50, high=5000, log=True, label="Training steps", key="ts")
    seed: int = number(0, low=0, high=9999, label="Seed of the noise", key="seed")


PRESETS = {
    "deck 001 · one shot gives ink blots": Settings(),
    "deck 001 · guided harder": Settings(guidance=5.0, label="Bag"),
    "deck 004 · small changes are easier": Settings(view=LOSS),
    "deck 003 · predicted and true noise": Settings(view=SEES),
    "almost pure noise": Settings(view=SEES, t=950, label="Trouser"),
    "the best possible answer": Settings(view=EXACT),
    "learned by heart": Settings(view=MEMORY),
    "deck 001 · the U, with and without skips": Settings(view=INSIDE, t=300),
    "deck 001 · told a wrong t": Settings(view=AMOUNT),
    "deck 001 · group norm, GELU": Settings(view=NORM),
    "deck 003 · one training step": Settings(view=STEP, t=300),
    "a step too far": Settings(view=STEP, t=300, rate=5.0),
    "train a network in seconds": Settings(view=LEARN),
}

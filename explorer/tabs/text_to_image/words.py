"""The words: the 77 places of a prompt and how alike their states are; where the picture looks for each of them."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from core import checks
from core.networks.attention import Record
from core.samplers import Step
from explorer import frame, models
from explorer.components.attention_view import Looks
from explorer.components.live_plot import named
from explorer.components.pictures import Picture
from explorer.components.progress import Progress
from explorer.components.token_grid import Place
from explorer.figures import conditioning as figures
from explorer.figures import style
from explorer.formulas import counted, display, tex
from explorer.frame import View
from explorer.ideas import Idea
from explorer.runs import Pace
from explorer.tabs.text_to_image.settings import (
    ATTENTION,
    PLAIN,
    TOKENS,
    Settings,
    ended,
    head,
    noise_at,
    opens,
    pictures,
    read,
    shown,
    unit,
    unpressed,
    walk,
)

if TYPE_CHECKING:
    from core.pipeline import TextToImage
    from core.text import Token  # at run time it would bring open_clip, which takes seconds

SIDE = 128  # pictures under the light are sent no larger
MOST = 1_600_000  # weights sent to the page, two bytes each
WAYS = ((64, True, 10**9), (16, True, 10**9), (16, False, 10**9), (8, False, 10**9), (8, False, 24), (8, False, 8))


# The 77 places


def tokens(s: Settings) -> View:
    """At once, unless the model is still to be read."""
    if not models.at_hand(s.model):
        wait = "Press **Generate**: the model is read first, then its words can be looked at."
        return View({}, NO_WORDS, None, wait, {})
    model = models.loaded(s.model)
    said = model.text.tokens(s.prompt)
    kept, cut = [token for token in said if token.kept], [token for token in said if not token.kept]
    length, pad = model.text.config.max_position_embeddings, model.text.config.pad_token_id
    kinds = shown(said)
    grid = [
        *(
            Place(i, token.id, text, kind)  # type: ignore[arg-type]
            for i, (token, (text, kind)) in enumerate(
                (token, said_as) for token, said_as in zip(said, kinds, strict=True) if token.kept
            )
        ),
        *(Place(i, pad, "", "padding") for i in range(len(kept), length)),
        *(Place(-1, token.id, text, "cut") for token, (text, _) in zip(said, kinds, strict=True) if not token.kept),
    ]
    states = model.text([s.prompt])[0].float().cpu()
    own, after = states[: len(kept)], states[len(kept) :]
    unit = F.normalize(own.double(), dim=-1)
    likeness = unit @ unit.T
    names = [text for (text, _), token in zip(kinds, said, strict=True) if token.kept]
    numbers = {
        "ids": [token.id for token in kept],
        "texts": [token.text for token in kept],
        "known": [token.known for token in kept],
        "cut": [token.text for token in cut],
        "padding_id": pad,
        "shape": list(states.shape),
        "norms": own.double().norm(dim=1).tolist(),
        "norms_behind_the_end": after.double().norm(dim=1).tolist(),
        "likeness": likeness.tolist(),
    }
    return View(
        {
            "progress": ended(s, model, "read"),
            "tokens": grid,
            "plot": named("Likeness of every two tokens", figures.likeness(likeness.numpy(), names)),
        },
        tokens_formula(numbers, names),
        frame.weakest(checks.tokens(numbers["ids"], s.prompt, length), checks.cosines(likeness, own)),
        tokens_notice(numbers, kinds),
        numbers,
    )


NO_WORDS = r"$$\text{prompt}\to\text{77 places}\to c\in\mathbb{R}^{77\times D}$$"


def open_tokens(s: Settings) -> Iterator[View]:
    if not models.at_hand(s.model):
        yield from read(s, NO_WORDS)
    yield tokens(s)


def tokens_formula(n: dict[str, Any], names: Sequence[str]) -> str:
    length, dim = n["shape"]
    a, b = (1, 2) if len(names) > 3 else (0, 1)
    return display(
        rf"\text{{prompt}}\to\text{{{len(n['ids'])} of {length} places}}"
        rf"\to c\in\mathbb{{R}}^{{{length}\times{dim}}}",
        rf"\cos\angle(c_{{{a}}},c_{{{b}}})=\frac{{c_{{{a}}}\cdot c_{{{b}}}}}{{\|c_{{{a}}}\|\,\|c_{{{b}}}\|}}"
        rf"={tex(n['likeness'][a][b], 3)}",
    )


def tokens_notice(n: dict[str, Any], kinds: Sequence[tuple[str, str]]) -> str:
    words = [kind for _, kind in kinds if kind != "mark"]
    unknown = [text for text, kind in kinds if kind == "unknown"]
    if not words:
        first = "An empty prompt is two marks: this is what “no words” means to the network."
    elif unknown and len(unknown) == sum(kind != "cut" for kind in words):
        first = "**No word of this prompt was seen in training**: what is drawn is what it draws unasked."
    elif unknown:
        first = f"**{len(unknown)}** of {len(words)} tokens were never seen in training, “{unknown[0]}” for one."
    elif n["cut"]:
        first = (
            f"**{len(n['cut'])}** tokens did not fit: the first {len(n['ids']) - 2} stay, and the end mark stands last."
        )
    else:
        first = (
            f"**{len(words)}** token{'s' * (len(words) != 1)} between two marks, {n['shape'][1]} numbers each; "
            "longer words come in pieces."
        )
    behind = n["norms_behind_the_end"]
    if not behind:
        second = "Nothing stands behind the end mark: the prompt fills every place."
    elif max(behind) == 0:
        second = (
            f"Behind the end mark stand **{len(behind)}** places with id {n['padding_id']}. Their states are set to "
            "zero here, and the picture looks past them."
        )
    else:
        second = (
            f"Behind the end mark stand **{len(behind)}** places with id {n['padding_id']}. Their states are not zero "
            f"(mean length {np.mean(behind):.3g}): the tower makes something of them, and the picture looks at it too."
        )
    return f"{first}\n{second}"


def tokens_code(s: Settings) -> str:
    return f"""
{opens(s, "torch.nn.functional.normalize")}
prompt = {s.prompt!r}
read = model.text.tokens(prompt)
kept = [token for token in read if token.kept]
states = model.text([prompt])[0].float().cpu()
unit = normalize(states[: len(kept)].double(), dim=-1)

print("ids =", [token.id for token in kept])
print("texts =", [token.text for token in kept])
print("known =", [token.known for token in kept])
print("cut =", [token.text for token in read if not token.kept])
print("padding_id =", model.text.config.pad_token_id)
print("norms =", states[: len(kept)].double().norm(dim=1).tolist())
print("likeness =", (unit @ unit.T).tolist())
"""


# Where the picture looks


def recorded(s: Settings, model: "TextToImage") -> str:
    """The words that the recorded network reads: at scale 0 it is never given the prompt."""
    return model.text.heard(s.prompt if s.guidance else s.negative)


def weights(s: Settings, kept: "Sequence[Token]") -> list[float]:
    """A factor for every token's state: 1 but for the chosen one."""
    if s.word >= len(kept):
        names = ", ".join(f"{i} {name}" for i, (name, _) in enumerate(shown(kept[:12])))
        raise ValueError(f"the token to change must be one of the prompt's {len(kept)} ({names} ...), got {s.word}")
    return [s.factor if i == s.word else 1.0 for i in range(len(kept))]


def attention(s: Settings) -> Iterator[View | None]:
    """The run with its attention, then the same noise with one token muted or strengthened, then both beside."""
    model = yield from read(s, attention_formula(None))
    kept = [token for token in model.text.tokens(recorded(s, model)) if token.kept]
    factors = weights(s, [token for token in model.text.tokens(model.text.heard(s.prompt)) if token.kept])
    names = tuple(text for text, _ in shown(kept))
    first = min(s.word, len(names) - 1)
    behind = not model.text.config.zero_after_end and len(kept) < model.text.config.max_position_embeddings
    record, furthest, way = Record(), 0.0, None
    steps: list[Step] = []
    frames: list[np.ndarray] = []
    labels: list[str] = []
    seen: dict[str, list[np.ndarray]] = {}
    pace, seldom = Pace(), Pace(3)
    for step in walk(model, s, record=record):
        steps.append(step)
        way = way or fitting(record.attention, s.steps, len(kept) + behind)
        maps = squares(record.attention, len(kept), behind, way)
        furthest = checks.worst(furthest, *(float((w.sum(-1) - 1).abs().max()) for w in record.attention.values()))
        for name, map_ in maps.items():
            seen.setdefault(name, []).append(map_)
        frames.append(small(pictures(model, step.prediction.x0)[0]))
        labels.append(noise_at(model, step.t if last_asked(s, step) else step.t_next))
        if not pace.due():
            yield None
            continue
        done = len(steps)
        last = {name: maps[-1][None] for name, maps in seen.items()}
        newest = Looks(frames[-1][None], last, words(names, behind), (labels[-1],), at=first)
        yield View(
            {
                "progress": Progress(done, 2 * s.steps, f"step {done}, looking", pace.left(done, 2 * s.steps)),
                "attention": newest,
            },
            attention_formula(None),
            None,
            f"Step **{done}**: under the light is what the model would draw if it had to stop now.",
            {},
        )
    assert way is not None
    changed: list[Step] = []
    for step in walk(model, s, token_weights=factors):
        changed.append(step)
        i, done = len(changed), len(steps) + len(changed)
        if not seldom.due():
            yield None
        else:
            doing = f"step {i}, with the changed token"
            left = pace.left(done, max(done, 2 * len(steps)))
            yield View({"progress": Progress(done, 2 * len(steps), doing, left)}, attention_formula(None), None, "", {})
    before, after = (model.decode(x)[0].cpu().clamp(-1, 1) for x in (steps[-1].x_next, changed[-1].x_next))
    numbers = attended(s, names, record, behind, before, after)
    kept_steps = style.thinned(0, len(steps) - 1, way[2], near=0).tolist()
    looks = Looks(
        np.stack([frames[i] for i in kept_steps]),
        {name: np.stack([maps[i] for i in kept_steps]) for name, maps in seen.items()},
        words(names, behind),
        tuple(labels[i] for i in kept_steps),
        at=first,
    )
    yield View(
        {
            "progress": ended(s, model, f"{counted(len(steps), 'step')}, twice,", pace.spent),
            "attention": looks,
            "pictures": beside(s, numbers, before, after),
        },
        attention_formula(numbers),
        attention_check(s, model, steps[-1], record, furthest),
        attention_notice(s, numbers, model.text.config.zero_after_end),
        numbers,
    )


def words(names: Sequence[str], behind: bool) -> tuple[str, ...]:
    return (*names, "behind the end") if behind else tuple(names)


def fitting(seen: dict[str, Tensor], steps: int, columns: int) -> tuple[int, bool, int]:
    """(largest side of a map, whether each head is kept, most steps): the first of WAYS whose sum is not above MOST."""
    for side, each_head, most in WAYS:
        places_ = sum(min(side**2, w.shape[2]) * (w.shape[1] if each_head else 1) for w in layers(seen).values())
        if places_ * columns * min(steps, most) <= MOST:
            return side, each_head, most
    return WAYS[-1]


def layers(seen: dict[str, Tensor]) -> dict[str, Tensor]:
    """The attention of each layer; of a large network the mean over the layers of each block, head by head."""
    if len(seen) <= 8:
        return seen
    blocks: dict[str, list[Tensor]] = {}
    for name, w in seen.items():
        blocks.setdefault(name.partition(".attentions")[0], []).append(w[:1])
    return {name: torch.stack(group).mean(0) for name, group in blocks.items()}


def squares(seen: dict[str, Tensor], kept: int, behind: bool, way: tuple[int, bool, int]) -> dict[str, np.ndarray]:
    """Attention as maps, layer -> (heads, side, side, tokens); all places behind the end mark are one."""
    most, each_head, _ = way
    out = {}
    for name, w in layers(seen).items():
        rows = w[0].float()  # (heads, places, L)
        if behind:
            rows = torch.cat([rows[..., :kept], rows[..., kept:].sum(-1, keepdim=True)], -1)
        rows = rows[..., : kept + behind] if each_head else rows[..., : kept + behind].mean(0, keepdim=True)
        side = round(rows.shape[1] ** 0.5)
        maps = rows.unflatten(1, (side, side)).permute(0, 3, 1, 2)
        if side > most:
            maps = F.adaptive_avg_pool2d(maps, most)
        side = maps.shape[-1]
        out[f"{spoken(name)}, {side} × {side}"] = maps.permute(0, 2, 3, 1).cpu().numpy().astype(np.float16)
    return out


def spoken(name: str) -> str:
    """down_blocks.1.attentions.0.0 as one says it: down 2, layer 1."""
    block, _, layer = name.partition(".attentions.")
    kind, _, level = block.partition("_blocks.")
    where = "the middle" if kind == "mid_block" else f"{kind} {int(level) + 1}"
    return f"{where}, layer {int(layer.partition('.')[0]) + 1}" if layer and kind != "mid_block" else where


def small(picture: np.ndarray) -> np.ndarray:
    """A picture (H, W, 3) of at most SIDE pixels a side."""
    every = -(-max(picture.shape[:2]) // SIDE)
    h, w = (n // every * every for n in picture.shape[:2])
    return picture[:h, :w].reshape(h // every, every, w // every, every, 3).mean((1, 3))


def attended(
    s: Settings, names: Sequence[str], record: Record, behind: bool, before: Tensor, after: Tensor
) -> dict[str, Any]:
    """The numbers of the screen.

    share: how much of all looks each token draws in the last step, layer by layer. pooled_share: how much of the vector
    that tells the network the whole text each token makes (empty without such a vector); the rest is the text's mean.
    """
    share = {name: w[0].cpu().double().mean((0, 1))[: len(names)].tolist() for name, w in record.attention.items()}
    return {
        "tokens": list(names),
        "word": s.word,
        "factor": s.factor,
        "share": share,
        "pooled_share": [] if record.pooled is None else pooled(record.pooled, len(names)),
        "share_behind_the_end": 1 - float(np.mean([sum(row) for row in share.values()])) if behind else 0.0,
        "difference": float((after - before).abs().mean()) / 2,
        "changed_pixels": float(((after - before).abs().amax(0) > 0.1).float().mean()),
    }


def pooled(weights: Tensor, tokens: int) -> list[float]:
    """The mean over the heads of one text's weights (1, heads, 1 + L), of its tokens alone."""
    return weights[0].cpu().double().mean(0)[1 : 1 + tokens].tolist()


def attention_check(s: Settings, model: "TextToImage", last: Step, record: Record, furthest: float) -> checks.Check:
    dtype = model.unet.conv_in.weight.dtype
    sums = checks.attention_rows(furthest, dtype)
    if not last_asked(s, last):
        return sums
    context, time_ = model.text([recorded(s, model)]).to(dtype), torch.tensor([last.t - 1], device=model.device)
    found = [checks.cross_attention(record.attention, model.unet, last.x.to(dtype), time_, context), sums]
    if record.pooled is not None:
        found.append(checks.text_pooling(record.pooled, model.unet.add_embedding, context))
    return frame.weakest(*found)


def last_asked(s: Settings, step: Step) -> bool:
    """Whether the network was last asked about the step's own x: Heun asks again about where the step would end."""
    return s.sampler != "heun" or step.t_next == 0


def beside(s: Settings, n: dict[str, Any], before: Tensor, after: Tensor) -> list[Picture]:
    name = n["tokens"][s.word] if s.word < len(n["tokens"]) and s.guidance else f"token {s.word}"
    one, two = unit(before), unit(after)
    how = "muted" if s.factor == 0 else f"times {s.factor:g}"
    return [
        Picture(one, "every word as it is"),
        Picture(two, f"“{name}” {how}", f"same noise, {100 * n['difference']:.3g} % away"),
        Picture(np.abs(two - one), "their difference", "black where nothing changes"),
    ]


def attention_formula(n: dict[str, Any] | None) -> str:
    now = r"\operatorname{softmax}\!\left(\frac{q\,k^\top}{\sqrt d}\right)v,\qquad q=W_q\,h,\;\;k=W_k\,c,\;\;v=W_v\,c"
    if n is None:
        return display(now)
    means = np.mean(list(n["share"].values()), axis=0)
    terms = [rf"{tex(float(v), 2)}_{{\text{{ {latex(name)} }}}}" for name, v in zip(n["tokens"], means, strict=True)]
    rest = [rf"{tex(n['share_behind_the_end'], 2)}_{{\text{{ behind }}}}"] if n["share_behind_the_end"] > 0 else []
    terms = [*terms[:5], *([r"\dots"] if len(terms) > 6 else terms[5:6]), *rest]
    return display(now, rf"\text{{mean of the last step: }}{'+'.join(terms)}=1")


def latex(name: str) -> str:
    """What of a token can stand in a formula."""
    return "".join(c for c in name if c.isalnum() or c == " ")[:12] or "?"


def attention_notice(s: Settings, n: dict[str, Any], unseen: bool) -> str:
    """unseen: the network does not look at states of zeros."""
    if not s.guidance:
        return (
            "At scale **0** the network is never given the prompt: the maps are those of what it reads instead.\n"
            "Nothing changes with a token either: raise the scale to give the words a say."
        )
    means = np.mean(list(n["share"].values()), axis=0)
    inner = means[1:-1] if len(means) > 2 else means
    most = n["tokens"][int(inner.argmax()) + (len(means) > 2)]
    first = (
        f"The start mark draws **{100 * means[0]:.0f} %** of all looks in the last step: a place to look when no word "
        f"matters. Among the words, **{most}** draws the most, {100 * inner.max():.0f} %."
    )
    if len(means) == 2:
        first = f"There is no word to look at: the start mark draws **{100 * means[0]:.0f} %** of all looks."
    name = n["tokens"][s.word]
    muted = " A muted token is not looked at at all: its share goes to the others." if unseen else ""
    if s.factor == 1:
        second = "Choose a factor other than 1, and see what the picture owes to the word."
    else:
        how = "muted" if s.factor == 0 else f"{s.factor:g} times as strong"
        second = (
            f"With “{name}” {how} and the same noise, **{100 * n['changed_pixels']:.0f} %** of the pixels change "
            f"visibly.{muted * (s.factor == 0)}"
        )
        if s.factor == 0 and 0 < s.word < len(n["tokens"]) - 2:
            second += " What follows it was read after it, and still knows of it."
    if n["pooled_share"]:
        most = int(np.argmax(n["pooled_share"]))
        second += (
            f" The words also enter as one vector, added to the time in every block: **{n['tokens'][most]}** makes "
            f"the most of it, {100 * n['pooled_share'][most]:.0f} %."
        )
        if s.factor not in (0, 1):
            second += " It reads every word at one length, so a factor other than 0 is lost on it."
    return f"{first}\n{second}{unpressed(s, s.prompt)}"


def attention_code(s: Settings) -> str:
    factors = "[" + "1.0, " * s.word + f"{s.factor!r}]"
    read = "prompt" if s.guidance else 'asked["negative"]'
    return f"""
{head(s, "core.networks.attention.Record")}
record = Record()
*_, last = model.stream(prompt, **asked, record=record)  # filled anew at every step: what stays is the last
*_, changed = model.stream(prompt, **asked, token_weights={factors})
before, after = (model.decode(step.x_next)[0].clamp(-1, 1) for step in (last, changed))
kept = [token for token in model.text.tokens({read}) if token.kept]

looks = {{name: w[0].cpu().double().mean((0, 1)) for name, w in record.attention.items()}}
print("share =", {{name: share[: len(kept)].tolist() for name, share in looks.items()}})
if record.pooled is not None:
    print("pooled_share =", record.pooled[0].cpu().double().mean(0)[1 : 1 + len(kept)].tolist())
print("difference =", float((after - before).abs().mean()) / 2)
print("changed_pixels =", float(((after - before).abs().amax(0) > 0.1).float().mean()))
"""


IDEAS = {
    TOKENS: Idea(
        ("progress", "tokens", "plot"),
        ("prompt", "model"),
        tokens_code,
        show=tokens,
        walk=open_tokens,
        waiting=lambda s: NO_WORDS,
    ),
    ATTENTION: Idea(
        ("progress", "attention", "pictures"),
        (*PLAIN, "word", "factor"),
        attention_code,
        walk=attention,
        waiting=lambda s: attention_formula(None),
    ),
}

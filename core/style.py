"""The style that a prompt names, so that it can be pressed beside the prompt."""

import re

# What a part of a prompt ends in: (in) fx style, and (on a) blue background.
STYLE = re.compile(r"(?:(?:.*\W)?in |)((?:an? |the |)(?:(?!(?:in|on|of|with) )[\w’'-]+ ){1,3}style)\W*", re.IGNORECASE)
ON, NOT = r"(?:on|with|against)", r"\b(?:in|on|with|against)\b"
GROUND = re.compile(
    rf"(?:.*\W|)({ON} (?:(?!{NOT}).)*\w background)\W*|((?:(?!{NOT}).)*\w background)\W*", re.IGNORECASE
)


def style_of(prompt: str) -> tuple[str, str]:
    """The style that a prompt names, with the background that it names, and that background without it: of "red apple,
    fx style, on a blue background" these are "fx style, on a blue background" and "on a blue background".

    A style is one to three words and "style", a part between commas, or what ends such a part behind "in"; a background
    is a part that ends in "background", or ends so behind "on", "with" or "against". Two empty texts if no style is
    named, or nothing else.
    """
    styles: list[str] = []
    grounds: list[str] = []
    things = False
    for part in (" ".join(part.split()) for part in prompt.split(",")):
        while part:
            style = STYLE.fullmatch(part)
            found = style or GROUND.fullmatch(part)
            if found is None:
                things = True
                break
            group = found.lastindex or 0
            (styles if style else grounds).append(found[group].strip())
            part = re.sub(r"(^| )in *$", "", part[: found.start(group)], flags=re.IGNORECASE).strip()
    if not styles or not things:
        return "", ""
    return ", ".join([*styles, *grounds]), ", ".join(grounds)

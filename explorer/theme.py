"""The explorer's look: a quiet theme with system fonts, and the style sheet beside this file."""

from pathlib import Path

from gradio.themes import Base, Color, sizes

from explorer.figures.style import GUIDANCE, HIGHLIGHT, NOISE, ON_DARK, PREDICTION, SIGNAL

SANS = (
    "-apple-system",
    "BlinkMacSystemFont",
    "Segoe UI",
    "Roboto",
    "Noto Sans",
    "Helvetica Neue",
    "Arial",
    "sans-serif",
)
MONO = ("ui-monospace", "SFMono-Regular", "Menlo", "Consolas", "Liberation Mono", "monospace")
BLUE = Color(
    "#eef6fb",
    "#d6e9f5",
    "#aed4ec",
    "#7ab9de",
    "#3f98cb",
    "#0072b2",
    "#00629a",
    "#005180",
    "#064266",
    "#0a3450",
    "#061f31",
)
GREY = Color(
    "#fafafa",
    "#f4f4f5",
    "#e6e7e9",
    "#d3d5d9",
    "#a2a7af",
    "#6b717b",
    "#50555e",
    "#3a3e46",
    "#25282e",
    "#17191d",
    "#0f1114",
)


def theme() -> Base:
    """Gradio's variables: no boxes, no shadows, one blue; names of fonts only, so nothing is fetched."""
    return Base(
        primary_hue=BLUE,
        secondary_hue=BLUE,
        neutral_hue=GREY,
        text_size=sizes.text_lg,
        radius_size=sizes.radius_sm,
        font=SANS,
        font_mono=MONO,
    ).set(
        body_background_fill="white",
        body_background_fill_dark="#14161a",
        body_text_color="#1d2025",
        body_text_color_dark="#e8eaed",
        body_text_color_subdued="#565c66",
        body_text_color_subdued_dark="#a9afb9",
        background_fill_primary="white",
        background_fill_primary_dark="#14161a",
        block_background_fill="transparent",
        block_background_fill_dark="transparent",
        block_border_width="0px",
        block_shadow="none",
        block_padding="0px",
        block_label_background_fill="transparent",
        block_label_background_fill_dark="transparent",
        block_title_text_weight="500",
        block_title_text_size="16px",
        block_title_text_color="*body_text_color",
        block_title_text_color_dark="*body_text_color",
        block_info_text_size="14px",
        input_border_width="1px",
        input_background_fill="white",
        input_background_fill_dark="#1c1f25",
        input_text_size="16px",
        input_shadow="none",
        slider_color="*primary_500",
        slider_color_dark="*primary_400",
        checkbox_label_text_size="16px",
        checkbox_label_background_fill="transparent",
        checkbox_label_background_fill_dark="transparent",
        checkbox_label_border_width="0px",
        checkbox_label_border_width_dark="0px",
        checkbox_label_padding="4px 0",
        checkbox_label_shadow="none",
        button_primary_background_fill="*primary_500",
        button_primary_background_fill_hover="*primary_600",
        button_primary_background_fill_dark="*primary_500",
        button_primary_text_color="white",
        layout_gap="20px",
    )


def css() -> str:
    """The style sheet, with the project's colours as variables."""
    colours = {"signal": SIGNAL, "noise": NOISE, "prediction": PREDICTION, "guidance": GUIDANCE, "highlight": HIGHLIGHT}
    light = "".join(f"--{name}: {value}; " for name, value in colours.items())
    dark = "".join(f"--{name}: {ON_DARK[value]}; " for name, value in colours.items() if value in ON_DARK)
    rules = f":root {{ {light}--font: {', '.join(SANS)}; }}\nbody.dark {{ {dark}}}\n"
    return rules + Path(__file__).with_suffix(".css").read_text("utf-8")

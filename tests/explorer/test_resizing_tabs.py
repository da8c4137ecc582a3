"""Resizing and deconvolution: numbers by other routes, code against the endpoint, badges that can turn red."""

import ast
import base64
import contextlib
import inspect
import io
import json
import re
import struct
import zlib
from dataclasses import replace
from itertools import product
from xml.etree import ElementTree

import numpy as np
import plotly.graph_objects as go
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from skimage import metrics, restoration, transform

from core import checks
from core.photographs import CUTS, PICTURES, picture
from explorer.components.picture_input import PictureInput
from explorer.settings import from_query, parse, specs, to_query
from explorer.tabs import deconvolution, resizing
from explorer.tabs.resizing import FITTED, LIBRARIES, PIXEL, SIDE
from explorer.uploads import SIDE as SIDE_OF_OWN
from explorer.uploads import data_address, own_square, read_picture, received

TABS = (resizing, deconvolution)
EVERY_PRESET = [pytest.param(tab, s, id=f"{tab.NAME}: {name}") for tab in TABS for name, s in tab.PRESETS.items()]


@pytest.fixture(autouse=True)
def nothing_kept():
    """What the tabs keep from call to call would hide a slip in core, or show one where there is none."""
    forget()
    yield
    forget()


def forget():
    for cache in (
        *(resizing.compared, resizing.fitted, resizing.weighed),
        *(deconvolution.rank_check, deconvolution.unweighted, deconvolution.blurred),
    ):
        cache.cache_clear()


def any_settings(tab, **fixed):
    """Settings with every field drawn from its whole range."""

    def field(spec):
        if spec.kind == "number":
            whole = st.integers(int(spec.low), int(spec.high))
            return whole if spec.integer else st.floats(spec.low, spec.high)
        return st.booleans() if spec.kind == "flag" else st.sampled_from(spec.options)

    return st.builds(tab.Settings, **{name: field(spec) for name, spec in specs(tab.Settings).items()} | fixed)


# Numbers by other routes


def nearest(image, n):
    """Pixel floor(i side / n) on both axes: n copies of each, of which every side-th is taken."""
    for axis in (1, 2):
        image = image.repeat_interleave(n, axis).index_select(axis, torch.arange(n) * image.shape[axis])
    return image


def torch_twice(s, small):
    """The two steps by torch, or by Pillow where torch has no such method; nearest in whole numbers."""
    for n in (s.middle, s.large):
        if s.method == "lanczos":
            planes = [Image.fromarray(p.numpy().astype("float32")) for p in small]
            small = torch.tensor(np.stack([np.asarray(p.resize((n, n), Image.Resampling.LANCZOS)) for p in planes]))
        elif s.method == "nearest":
            small = nearest(small, n)
        elif s.method == "area":
            small = F.interpolate(small[None], size=(n, n), mode=s.method)[0]
        else:
            options = {"align_corners": s.align_corners, "antialias": s.antialias}
            small = F.interpolate(small[None], size=(n, n), mode=s.method, **options)[0]
    return small.double()


def made_small(s):
    method, antialias = resizing.DOWN[s.down]
    options = {"antialias": antialias} if method in ("bilinear", "bicubic") else {}
    original = picture(s.picture, max(s.small, s.large))
    if method == "nearest":
        return nearest(original, s.small)
    return F.interpolate(original[None], size=(s.small, s.small), mode=method, **options)[0]


@settings(max_examples=60, deadline=None)
@given(any_settings(resizing, view=st.just(PIXEL), a=st.just("-0.75")))
def test_one_pixel_is_torchs_or_pillows(s):
    s = replace(
        s, antialias=s.antialias and s.method in ("bilinear", "lanczos"), down=s.down.replace("lanczos", "bilinear")
    )
    s = replace(s, align_corners=s.align_corners and s.method in ("bilinear", "bicubic") and not s.antialias)
    s = replace(s, antialias=s.antialias or s.method == "lanczos")
    s = replace(s, down=s.down if "bicubic" not in s.down else "area")
    view = resizing.update(s)
    assert view.check.ok, view.check
    small, (row, col) = made_small(s), view.numbers["pixel"]
    expected = torch_twice(s, small)[:, row, col]
    np.testing.assert_allclose(view.numbers["value"], expected, atol=2e-5 if s.method == "lanczos" else 1e-9)
    across = np.zeros((2, s.small))
    for line, name in zip(across, ("row_weights", "column_weights"), strict=True):
        for i, weight in view.numbers[name]:
            line[i] = weight
    by_weights = np.einsum("i,cij,j->c", across[0], small.numpy(), across[1])
    np.testing.assert_allclose(by_weights, view.numbers["value"], atol=1e-9)
    json.dumps(view.numbers)


@settings(max_examples=15, deadline=None)
@given(any_settings(resizing, small=st.integers(8, 40), middle=st.integers(8, 64), large=st.integers(16, 64)))
def test_any_settings_are_shown_or_refused(s):
    try:
        view = resizing.update(s)
    except ValueError as error:
        assert "align_corners" in str(error) or "antialias" in str(error)
        assert s.align_corners or s.antialias
        return
    assert view.check.ok, view.check
    json.dumps(view.numbers, allow_nan=False)


@pytest.mark.parametrize("view", [PIXEL, LIBRARIES])
def test_nearest_where_torch_rounds_a_whole_number_down(view):
    """row 23 of 46 is row 23 14 / 46 = 7 of 14; torch's float32 takes row 6."""
    s = resizing.Settings(view=view, method="nearest", small=8, middle=14, large=46)
    seen = resizing.update(s)
    assert seen.check.ok, seen.check


@pytest.mark.parametrize("name", ["side by side", "letters, side by side"])
def test_worth_of_the_methods_is_scikit_images(name):
    s = resizing.PRESETS[name]
    numbers = resizing.update(s).numbers
    small, original = made_small(s), picture(s.picture, s.large).numpy()
    for method, of in numbers["methods"].items():
        if method not in ("nearest", "bilinear", "bicubic, a = -0.75", "area"):
            continue
        image = torch_twice(replace(s, method=method.split(",")[0]), small).numpy()
        expected = metrics.peak_signal_noise_ratio(original, image, data_range=1)
        alike = metrics.structural_similarity(original, image, data_range=1.0, channel_axis=0)
        np.testing.assert_allclose((of["psnr"], of["ssim"]), (expected, alike), rtol=1e-9)


def test_the_fitted_kernel_is_numpys_least_squares():
    """Every pixel of every other photograph as an equation, one phase of the kernel at a time."""
    s = resizing.Settings(view=SIDE, small=16, middle=32, large=32)
    factor, numbers = 2, resizing.update(s).numbers

    def windows(small):
        edged = np.pad(small, 2, mode="edge")
        return np.lib.stride_tricks.sliding_window_view(edged, (5, 5)).reshape(-1, 25)

    large = [picture(name, 32).mean(0).numpy() for name in CUTS if name != s.picture]
    seen = np.concatenate([windows(transform.downscale_local_mean(p, (2, 2))) for p in large])
    original = picture(s.picture, 32).numpy()
    shown = np.zeros_like(original)
    for i, j in np.ndindex(factor, factor):
        wanted = np.concatenate([p[i::factor, j::factor].ravel() for p in large])
        taps = np.linalg.lstsq(seen, wanted, rcond=None)[0]
        for c in range(3):
            small = transform.downscale_local_mean(original[c], (2, 2))
            shown[c, i::factor, j::factor] = (windows(small) @ taps).reshape(16, 16)
    expected = metrics.peak_signal_noise_ratio(original, shown, data_range=1)
    assert abs(numbers["methods"][FITTED]["psnr"] - expected) < 1e-6
    assert numbers["kernel_side"] == 10


def test_differences_between_libraries():
    s = resizing.PRESETS["bicubic in three libraries"]
    largest, small = resizing.update(s).numbers["largest_difference"], made_small(s)
    ours = F.interpolate(small[None], size=(192, 192), mode="bicubic")[0].numpy()
    pillow = [np.asarray(Image.fromarray(p.astype("float32")).resize((192, 192), Image.BICUBIC)) for p in small.numpy()]
    spline = [transform.resize(p, (192, 192), order=3, mode="edge", anti_aliasing=False) for p in small.numpy()]
    assert largest["torch"] < 1e-12
    assert abs(largest["Pillow"] - np.abs(ours - np.stack(pillow)).max()) < 1e-5
    assert abs(largest["scikit-image"] - np.abs(ours - np.stack(spline)).max()) < 1e-9


@pytest.mark.parametrize("large", [32, 96])
@pytest.mark.parametrize("method", ["nearest", "bilinear", "bicubic", "area", "lanczos"])
@pytest.mark.parametrize("antialias", [False, True])
def test_every_library_is_said_to_differ_or_not(large, method, antialias):
    s = resizing.Settings(
        view=LIBRARIES, small=64, middle=64, large=large, method=method, a="-0.5" if antialias else "-0.75"
    )
    s = replace(s, antialias=antialias and method in resizing.FILTERED)
    view = resizing.update(s)
    assert view.check.ok
    notes = dict(zip(checks.LIBRARIES, (p.note for p in view.stage["libraries"][1:]), strict=True))
    for library, difference in view.numbers["largest_difference"].items():
        assert (notes[library] == "the same") == (difference is not None and difference < 1e-6)
        assert ("has no" in notes[library] or "whole blocks" in notes[library]) == (difference is None)


@settings(max_examples=25, deadline=None)
@given(
    any_settings(
        deconvolution, side=st.integers(12, 20), width=st.sampled_from((3, 5, 7)), iterations=st.integers(1, 30)
    )
)
def test_every_answer_is_an_explicit_matrix_or_scikit_images(s):
    view = deconvolution.update(s)
    assert view.check.ok, view.check
    json.dumps(view.numbers, allow_nan=False)
    x, kernel = picture(s.picture, s.side).mean(0).numpy(), deconvolution.blur(s.blur, s.width).numpy()
    m = s.side - s.width + 1
    A = np.zeros((m, m, s.side, s.side))
    for i, j, u, v in np.ndindex(m, m, *kernel.shape):
        A[i, j, i + u, j + v] = kernel[u, v]
    A = A.reshape(m * m, -1)
    noise = torch.randn(m, m, dtype=torch.float64, generator=torch.Generator().manual_seed(s.seed)).numpy()
    y = (A @ x.ravel()).reshape(m, m) + s.noise * noise
    around = [(4 * s.width + s.width // 2,) * 2] * 2
    light = restoration.richardson_lucy(
        np.pad(np.maximum(y, 0), around, mode="edge"), kernel[::-1, ::-1], s.iterations, clip=False
    )
    cut = slice(4 * s.width, -4 * s.width)
    answers = {"adjoint": A.T @ y.ravel(), "richardson_lucy": light[cut, cut].ravel()}
    if s.regularisation > 1e-9:
        seen = y.ravel() - y.mean()
        answers["wiener"] = y.mean() + A.T @ np.linalg.solve(A @ A.T + s.regularisation * np.eye(m * m), seen)
    for name, answer in answers.items():
        ratio = 10 * np.log10(1 / np.mean((answer - x.ravel()) ** 2))
        assert abs(view.numbers["psnr"][name] - ratio) < 1e-4, name
    values = np.linalg.svd(A, compute_uv=False)
    assert view.numbers["rank"] == np.linalg.matrix_rank(A)
    np.testing.assert_allclose(view.numbers["gain"], values[[0, -1]], atol=1e-12)
    seen = np.linalg.lstsq(A, A @ x.ravel(), rcond=1e-13)[0]
    if values[-1] > 1e-5:
        assert abs(view.numbers["lost_share"] - np.sum((x.ravel() - seen) ** 2) / np.sum(x**2)) < 1e-6


@pytest.mark.parametrize(("blur", "width"), [("gaussian", 9), ("gaussian", 3), ("box", 3), ("disc", 9), ("motion", 5)])
def test_above_32_pixels_an_answer_walked_to_is_where_the_error_is_flat(blur, width):
    for noise, regularisation in product((0.01, 0.1, 0.5), (1e-4, 0.05)):
        chosen = deconvolution.Settings(
            side=64, blur=blur, width=width, noise=noise, regularisation=regularisation, iterations=1
        )
        assert deconvolution.update(chosen).check.ok


def test_a_picture_of_one_grey_is_refused_and_no_visitors_answer_is_kept():
    kept = deconvolution.unweighted.cache_info().currsize
    with pytest.raises(ValueError, match="of one grey"):
        deconvolution.update(deconvolution.Settings(picture=address(saved(Image.new("L", (40, 40))))))
    assert deconvolution.update(deconvolution.Settings(picture=address(saved(coloured(12, 12))))).check.ok
    assert deconvolution.unweighted.cache_info().currsize == kept


def test_methods_that_give_the_picture_back_are_said_to():
    chosen = resizing.Settings(view=SIDE, small=64, middle=128, large=64)
    view = resizing.update(chosen)
    exact = [name for name, of in view.numbers["methods"].items() if of["psnr"] is None]
    assert (
        exact == ["nearest", "area"]
        and "**nearest and area** give back the very original; of the others" in view.notice
    )
    assert "Nothing was resized" in resizing.update(replace(chosen, middle=64)).notice
    flat = resizing.update(replace(chosen, picture=address(saved(Image.new("L", (40, 40))))))
    assert "it has one value alone" in flat.notice and flat.check.ok


@pytest.mark.parametrize("chosen", [resizing.Settings(view=SIDE), resizing.PRESETS["letters, side by side"]])
def test_methods_that_are_as_far_are_all_named(chosen):
    """Enlarged twice and once and a half, every new area lies in one old pixel: the mean is the copy."""
    small = made_small(chosen)
    copied, meant = (torch_twice(replace(chosen, method=method), small) for method in ("nearest", "area"))
    torch.testing.assert_close(copied, meant)
    original = picture(chosen.picture, chosen.large).numpy()
    worth = metrics.peak_signal_noise_ratio(original, copied.numpy(), data_range=1)
    assert f", nearest and area stay furthest from it ({worth:.2f} dB)." in resizing.update(chosen).notice


def test_one_method_is_not_both_closest_and_furthest():
    one = {"nearest": {"psnr": 20.0, "ssim": 0.5}, "area": {"psnr": 20.001, "ssim": 0.5}}
    says = resizing.side_notice(resizing.Settings(view=SIDE, small=64, large=100), {"methods": one})
    assert "**nearest and area** come closest to the original (20.00 dB)." in says and "furthest" not in says


@pytest.mark.parametrize(("to", "says"), [(16, "most are"), (32, "half are"), (48, "some are")])
def test_rows_that_are_never_read_are_counted(to, says):
    """Two of every 8, of every 4, of every 2.67."""
    chosen = replace(resizing.PRESETS["shrinking without antialias"], middle=to, large=to)
    assert f"{says} never read" in resizing.update(chosen).notice


def test_above_32_pixels_there_is_no_rank():
    view = deconvolution.update(deconvolution.PRESETS["64 pixels, by iteration"])
    assert view.check.ok
    assert view.numbers["rank"] is view.numbers["lost_share"] is None
    assert "no rank is given" in view.notice


def test_the_figure_is_one_that_plotly_knows():
    for s in deconvolution.PRESETS.values():
        fig = deconvolution.update(s).stage["gains"]
        assert len(go.Figure(fig.to_dict()).data) == len(json.loads(fig.to_json())["data"])


# Presets, code, messages


@pytest.mark.parametrize(("tab", "chosen"), EVERY_PRESET)
def test_code_prints_the_endpoints_numbers(afresh, tab, chosen):
    view = tab.update(chosen)
    compare(afresh(tab.code(chosen)), view.numbers)
    assert view.check.ok, view.check
    assert from_query(tab.Settings, to_query(chosen)) == chosen


def compare(printed, numbers):
    """Every number of the endpoint, and no other; those of methods, libraries and answers by their names."""
    flat = dict(numbers)
    for name in ("psnr", "largest_difference"):
        flat |= flat.pop(name, {})
    flat |= {name: [of["psnr"], of["ssim"]] for name, of in flat.pop("methods", {}).items()}
    lines = dict(line.rsplit(" = ", 1) for line in printed.strip().splitlines())
    assert lines.keys() == flat.keys()
    for name, value in lines.items():
        value, expected = ast.literal_eval(value), flat[name]
        if value is None or expected is None:
            assert value is expected, name
        else:
            np.testing.assert_allclose(value, expected, rtol=1e-9, atol=1e-12, err_msg=name)


def test_no_two_controls_of_a_tab_have_one_name():
    for tab in TABS:
        labels = [spec.label for spec in specs(tab.Settings).values()]
        assert len(set(labels)) == len(labels)


def test_a_second_blur_that_wins_is_not_said_to_lose_by_it():
    """Much noise, and every answer that divides by little: what averages is nearest by mean square error."""
    s = deconvolution.Settings(noise=0.1, iterations=200)
    view = deconvolution.update(s)
    off = [float(np.mean((p.pixels - view.stage["pictures"][0].pixels) ** 2)) for p in view.stage["pictures"][2:7]]
    assert int(np.argmin(off)) == list(deconvolution.ANSWERS).index("adjoint")
    assert "though the transposed convolution blurs a second time, and so averages the noise" in view.notice
    assert view.notice.count("dB") == 1
    assert "gives" in deconvolution.update(deconvolution.Settings()).notice


@pytest.mark.parametrize("blur", deconvolution.KERNELS)
def test_what_the_dark_edge_costs_and_what_the_second_blur(blur):
    """A'y over A'1, both by the matrix."""
    s = deconvolution.Settings(side=20, blur=blur)
    view, m = deconvolution.update(s), s.side - s.width + 1
    x, y = (one.pixels for one in view.stage["pictures"][:2])
    A = np.zeros((m, m, s.side, s.side))
    for i, j, u, v in np.ndindex(m, m, s.width, s.width):
        A[i, j, i + u, j + v] = deconvolution.blur(blur, s.width)[u, v]
    stamps, blurred = (np.tensordot(of, A) for of in (np.ones((m, m)), y))
    reached = stamps > 0
    worth = {
        "adjoint": metrics.peak_signal_noise_ratio(x, blurred, data_range=1),
        "evened": metrics.peak_signal_noise_ratio(x[reached], blurred[reached] / stamps[reached], data_range=1),
        "seen": metrics.peak_signal_noise_ratio(x[2:-2, 2:-2], y, data_range=1),
    }
    assert view.numbers["least_share"] == pytest.approx(stamps.min(), abs=1e-12)
    assert view.numbers["psnr_evened"] == pytest.approx(worth["evened"])
    first, said = view.notice.split("\n")[0], [f"{value:.2f} dB" for value in worth.values()]
    assert re.findall(r"(?:gives|has) ([\d.]+ dB)", first) == said
    costs = [worth["evened"] - worth["adjoint"], worth["seen"] - worth["evened"]]
    assert re.findall(r"costs (?:about )?\*\*([\d.]+) dB", first) == [f"{cost:.2f}" for cost in costs if cost > 0]


def test_no_noise_is_said_to_be_kept_out_where_there_is_none():
    large = deconvolution.Settings(side=64, noise=0.003, iterations=2)
    assert "keeps out some of the noise" in deconvolution.update(large).notice
    assert "keeps out" not in deconvolution.update(replace(large, noise=0.0)).notice


# A picture of one's own


def saved(image, kind="PNG", **options):
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def address(data):
    return "data:image/png;base64," + base64.b64encode(data).decode()


def coloured(height, width):
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(pixels).resize((3 * width, 3 * height), Image.Resampling.BICUBIC)


@pytest.mark.parametrize("size", [(120, 200), (40, 30)])
def test_an_own_picture_is_its_middle_square_reduced_as_pillow_does(size):
    image = coloured(*size)
    (width, height), side = image.size, min(image.size)
    left, top = (width - side) // 2, (height - side) // 2
    cut, small = image.crop((left, top, left + side, top + side)), min(side, SIDE_OF_OWN)
    planes = [Image.fromarray(np.asarray(cut)[..., c].astype(np.float32)) for c in range(3)]
    expected = np.stack([np.asarray(p.resize((small, small), Image.Resampling.BILINEAR)) for p in planes]) / 255
    square, note = own_square(saved(image))
    assert (square.shape, note) == ((3, small, small), "")
    np.testing.assert_allclose(square, expected, atol=0.501 / 255)
    again, _ = own_square(received(data_address(square).partition(",")[2]))
    assert torch.equal(again, square)


@pytest.mark.parametrize("tab", TABS)
def test_an_own_picture_is_computed_with_but_not_part_of_the_address(tab, tmp_path, monkeypatch):
    data = saved(coloured(70, 90))
    (tmp_path / "picture.png").write_bytes(data)
    monkeypatch.chdir(tmp_path)
    piece = PictureInput(specs(tab.Settings)["picture"])
    answer = piece.reduce({"file": base64.b64encode(data).decode()})
    assert (answer["side"], answer["note"]) == (210, "")
    views = {"view": specs(tab.Settings)["view"].options} if tab is resizing else {"side": (20,)}
    for name, values in views.items():
        for value in values:
            chosen = parse(tab.Settings, {"picture": answer["picture"], name: value})
            view = tab.update(chosen)
            assert view.check.ok, view.check
            assert "x" not in to_query(chosen)
            raw = tab.update(replace(chosen, picture=address(data)))  # an endpoint takes the file as it is
            assert raw.numbers == view.numbers != tab.update(replace(chosen, picture="cat")).numbers
            out = io.StringIO()
            with contextlib.redirect_stdout(out):
                exec(tab.code(chosen), {})
            compare(out.getvalue(), view.numbers)


def test_no_visitors_picture_is_kept():
    chosen = resizing.Settings(view=SIDE, picture=address(saved(coloured(20, 20))), small=16, middle=32, large=32)
    resizing.update(chosen)
    assert resizing.compared.cache_info().currsize == 0


def bomb():
    """A PNG that says it has 30,000 x 30,000 pixels."""
    data = bytearray(saved(Image.new("L", (1, 1))))
    data[16:24] = struct.pack(">II", 30_000, 30_000)
    data[29:33] = struct.pack(">I", zlib.crc32(bytes(data[12:29])))
    return bytes(data)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (bomb(), "at most 16,000,000 pixels.*900,000,000.*4000 x 4000 would fit"),
        (b"hello", "no picture that can be read; a PNG, JPEG, WebP or BMP file would fit"),
        (b"BMW is no bitmap, whatever it begins with", "no picture that can be read"),
        (saved(coloured(20, 20), "BMP")[:30], "no picture that can be read"),
        (saved(coloured(20, 20))[:20], "no picture that can be read"),
        (saved(Image.new("P", (4, 4)), "GIF"), "a GIF can hold more than one picture; save one of them as PNG"),
        (saved(Image.new("L", (4, 4)), "TIFF"), "a TIFF can hold more than one picture; save one of them as PNG"),
        (saved(coloured(20, 20), "PPM"), "files of the kind PPM are not read here; save the picture as PNG or JPEG"),
        (saved(coloured(20, 20), "AVIF"), "files of the kind AVIF are not read here; save the picture as PNG or JPEG"),
        (saved(coloured(20, 20))[:500], "damaged or cut short"),
        (b"0" * 2_000_001, "at most 2 MB"),
    ],
)
@pytest.mark.parametrize("tab", TABS)
def test_files_that_cannot_be_read_say_why(tab, data, message):
    answer = PictureInput(specs(tab.Settings)["picture"]).reduce({"file": base64.b64encode(data).decode()})
    assert answer.keys() == {"error"} and re.search(message, answer["error"])
    with pytest.raises(ValueError, match=message):
        tab.update(parse(tab.Settings, {"picture": address(data)}))


@pytest.mark.parametrize("chosen", list(deconvolution.PRESETS.values()))
def test_the_framed_answer_is_the_one_that_is_said_to_be_so(chosen):
    view = deconvolution.update(chosen)
    [framed] = [one.title for one in view.stage["pictures"] if one.marked]
    assert view.notice.startswith(f"**{framed}** (in the blue frame) comes closest")


DOCTYPE = b'<!DOCTYPE svg PUBLIC "-//W3C//DTD SVG 1.1//EN" "svg11.dtd" [ <!ENTITY a "b"> ]>'


@pytest.mark.parametrize(
    "data",
    [
        b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        b"<svg/>",
        b"\xef\xbb\xbf<?xml version='1.0'?>\n<!-- drawn by hand -->\n" + DOCTYPE + b"\n<svg width='2'></svg>",
        b"<svg:svg xmlns:svg='http://www.w3.org/2000/svg'></svg:svg>",
        b"<?xml version='1.0'?><svgs/>",
        b"<?xml version='1.0' encoding='UTF-8'?>\n<note><svg/></note>",
        b"<?xml version='1.0'?><!-- <svg/> --><rss version='2.0'></rss>",
        b"<note>svg</note>",
    ],
)
def test_a_file_is_called_svg_where_a_parser_of_xml_finds_that_root(data):
    root = ElementTree.fromstring(data).tag.rpartition("}")[2]
    says = "files of the kind SVG are not read here" if root == "svg" else "this file is no picture that can be read"
    with pytest.raises(ValueError, match=says):
        read_picture(data)


def test_of_a_cameras_jpeg_with_a_second_picture_the_first_is_taken():
    """Pillow, which wrote it, calls it MPO."""
    first = coloured(20, 12)
    data = saved(first, "MPO", save_all=True, append_images=[Image.new("RGB", (20, 12), "blue")])
    assert Image.open(io.BytesIO(data)).format == "MPO"
    planes, note = read_picture(data)
    again = np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))
    assert note == "" and np.array_equal((planes * 255).round().movedim(0, 2), again)
    assert np.abs(again.astype(float) - np.asarray(first)).mean() < 20  # a JPEG of the first, not the blue one


@pytest.mark.parametrize("kind", ["GIF", "TIFF", "PPM", "AVIF", "JPEG2000", "ICO", "PCX", "TGA"])
def test_no_decoder_but_those_of_the_named_formats_is_tried(kind, monkeypatch):
    Image.init()
    tried = []
    for name, (open_it, accepts) in list(Image.OPEN.items()):
        if name not in ("PNG", "JPEG", "WEBP", "BMP"):
            spied = lambda *file, name=name, open_it=open_it: tried.append(name) or open_it(*file)  # noqa: E731
            monkeypatch.setitem(Image.OPEN, name, (spied, accepts))
    with pytest.raises(ValueError, match=r"save|would fit"):
        read_picture(saved(coloured(8, 8), kind))
    assert tried == []


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "BMP"])
def test_a_file_cut_anywhere_is_read_or_said_to_be_damaged(kind):
    whole = saved(coloured(6, 6), kind, **{} if kind == "BMP" else {"exif": b"Exif\0\0no TIFF"})
    own_square(whole)  # which way is up cannot be read, and the picture can
    for end in range(0, len(whole), 3):
        with contextlib.suppress(ValueError):
            own_square(whole[:end])


@pytest.mark.parametrize("sent", [None, 7, "not base64!", "A" * 5_000_000])
def test_what_is_no_file_is_refused(sent):
    piece = PictureInput(specs(resizing.Settings)["picture"])
    assert piece.reduce({"file": sent}).keys() == {"error"}


def test_transparency_and_16_bits_are_read_and_said():
    half, note = own_square(saved(Image.new("RGBA", (8, 8), (255, 0, 0, 128))))
    assert "laid on white" in note
    assert half[:, 4, 4].tolist() == pytest.approx([1, 127 / 255, 127 / 255], abs=1.01 / 255)
    ramp = np.linspace(0, 65535, 64).reshape(8, 8).astype(np.uint16)
    deep, note = own_square(saved(Image.fromarray(ramp)))
    assert "16 bits" in note
    np.testing.assert_allclose(deep[0], ramp / 65535, atol=0.501 / 255)


@pytest.mark.parametrize(
    ("tab", "values", "message"),
    [
        (resizing, {"method": "area", "align_corners": True}, "align_corners is for bilinear and bicubic"),
        (resizing, {"method": "nearest", "antialias": True}, "nearest has no filter to widen"),
        (resizing, {"antialias": True, "align_corners": True}, "two places: leave one of them out"),
        (resizing, {"small": 0}, r"small must be a whole number in \[8, 128\], got 0"),
        (resizing, {"picture": "a.gif"}, "picture must be one of.*or a picture as data:image/png"),
        (resizing, {"picture": "data:"}, "no picture that can be read"),
        (deconvolution, {"picture": "data:image/png;base64,%%"}, "did not arrive whole"),
        (deconvolution, {"width": 4}, "width must be odd.*5 would fit"),
        (deconvolution, {"noise": -1}, r"noise must be a number in \[0, 0.5\]"),
        (deconvolution, {"side": "x"}, "side must be a whole number"),
    ],
)
def test_impossible_settings_say_what_would_fit(tab, values, message):
    with pytest.raises(ValueError, match=message):
        tab.update(parse(tab.Settings, values))


@pytest.mark.parametrize("name", PICTURES)
def test_pictures_are_within_their_range(name):
    for side in (12, 64):
        image = picture(name, side)
        assert image.shape == (3, side, side) and image.min() >= 0 and image.max() <= 1 and image.std() > 0.005


@pytest.mark.parametrize(("name", "side", "message"), [("a dog", 9, "the pictures are"), ("cat", 0, "whole number")])
def test_no_such_picture(name, side, message):
    with pytest.raises(ValueError, match=message):
        picture(name, side)


# Slips in core


def moved(result):
    return result.roll(1, -1)


def off(result):
    return result + 1e-4


def turned(result):
    return -result


def stronger(parts):
    return parts._replace(s=1.001 * parts.s)


DEFAULT, LANCZOS = resizing.Settings(), resizing.PRESETS["Lanczos"]
BESIDE = resizing.Settings(view=SIDE, small=16, middle=32, large=32, picture="cat")
BICUBIC = resizing.PRESETS["bicubic in three libraries"]
HARD, EASY = deconvolution.Settings(side=16), deconvolution.Settings(side=16, blur="box")
LARGE = deconvolution.Settings(side=36, iterations=2)
SLIPS = [
    *((resizing, s, "resize", slip) for s in (DEFAULT, LANCZOS, BICUBIC, BESIDE) for slip in (turned, moved)),
    *((resizing, s, "resize_weights", slip) for s in (DEFAULT, LANCZOS) for slip in (moved, off)),  # signs cancel: two
    *((resizing, BESIDE, "psnr", slip) for slip in (turned, off)),
    *((resizing, BESIDE, "ssim", slip) for slip in (turned, off)),
    *((resizing, BESIDE, "upscale", slip) for slip in (turned, moved)),
    *((resizing, BESIDE, "fit_upscaling", slip) for slip in (turned, moved)),
    *((deconvolution, s, "adjoint", slip) for s in (HARD, LARGE) for slip in (turned, moved)),
    *((deconvolution, s, "naive_inverse", slip) for s in (EASY, LARGE) for slip in (turned, moved)),
    *((deconvolution, s, "pseudo_inverse", slip) for s in (EASY, LARGE) for slip in (turned, moved)),
    *((deconvolution, s, "wiener", slip) for s in (HARD, LARGE) for slip in (turned, moved)),
    *((deconvolution, s, "richardson_lucy", slip) for s in (HARD, LARGE) for slip in (turned, moved, off)),
    *((deconvolution, s, "convolve", slip) for s in (HARD, LARGE) for slip in (turned, moved)),
    *((deconvolution, HARD, "psnr", slip) for slip in (turned, off)),
    *((deconvolution, HARD, "rank", slip) for slip in (turned, lambda r: r - 1, lambda r: r + 1)),
    *((deconvolution, HARD, "never_seen", slip) for slip in (off, lambda lost: 0.99 * lost)),
    (deconvolution, HARD, "svd", stronger),
    (deconvolution, HARD, "svd", lambda parts: parts._replace(s=parts.s[1:])),
    *((deconvolution, deconvolution.Settings(side=16, blur=name), "blur", off) for name in deconvolution.KERNELS),
    (deconvolution, deconvolution.Settings(side=16, blur="motion"), "blur", moved),
]


def test_every_core_function_of_the_tabs_was_made_wrong():
    tried = {(tab, name) for tab, _, name, _ in SLIPS}
    for tab in TABS:
        for name, value in vars(tab).items():
            home = getattr(value, "__module__", "")
            if inspect.isfunction(value) and home in ("core.resizing", "core.deconvolution", "core.convolution"):
                assert (tab, name) in tried, f"{tab.NAME}: {name}"


@pytest.mark.parametrize(("tab", "chosen", "name", "slip"), SLIPS)
def test_a_slip_in_core_turns_the_badge_red(monkeypatch, tab, chosen, name, slip):
    assert tab.update(chosen).check.ok
    forget()
    right = getattr(tab, name)
    monkeypatch.setattr(tab, name, lambda *args, **options: slip(right(*args, **options)))
    assert not tab.update(chosen).check.ok

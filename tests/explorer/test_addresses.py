"""Every setting of every tab lives in the page's address, each under a key of its own."""

import math
from importlib import import_module
from urllib.parse import parse_qsl

import pytest

from explorer.frame import address_of
from explorer.lectures import OF_THE_PAGE
from explorer.settings import from_query, parse, specs
from explorer.tabs import TABS


def others(spec):
    """Values a field may hold beside its default, the ends and the awkward ones among them."""
    match spec.kind:
        case "number":
            middle = (spec.low + spec.high) / 2
            found = [spec.low, spec.high, math.floor(middle) if spec.integer else middle]
        case "choice":
            found = list(spec.options)
        case "flag":
            found = [True, False]
        case "text":
            found = ["", "ä & b=c + #d?/e;f,g %20 <i>"]
        case "grid":
            low, high = max(spec.low, -9.25), min(spec.high, 9.5)
            found = [((high, low),) if spec.look == "bars" else ((high, low), (low, high))]
    return [value for value in found if value != spec.default]


@pytest.mark.parametrize("name", TABS)
def test_every_setting_goes_into_the_address_and_comes_back(name):
    module = import_module(f"explorer.tabs.{name}")
    known = specs(module.Settings)
    everything = {}
    for field, spec in known.items():
        for value in others(spec):
            settings = parse(module.Settings, {field: value})
            address = dict(parse_qsl(address_of(module, settings), keep_blank_values=True, strict_parsing=True))
            assert set(address) == {"tab", spec.key}
            assert from_query(module.Settings, address) == settings
            everything[field] = value
    settings = parse(module.Settings, everything)
    address = dict(parse_qsl(address_of(module, settings), keep_blank_values=True))
    assert from_query(module.Settings, address) == settings
    assert len(address) == 1 + len(everything)


@pytest.mark.parametrize("name", TABS)
def test_no_two_settings_share_a_key_and_none_is_the_pages_own(name):
    keys = [spec.key for spec in specs(import_module(f"explorer.tabs.{name}").Settings).values()]
    assert len(set(keys)) == len(keys)
    assert not set(keys) & {"tab", *OF_THE_PAGE}

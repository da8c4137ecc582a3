"""Putting the explorer on a Space: which files go there, and what the hub is asked, by a hub of our own making."""

import tomllib
from importlib.metadata import version
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from explorer import space
from explorer.app import main


class Hub:
    """Takes down what it is asked, like a `huggingface_hub.HfApi`."""

    def __init__(self):
        self.asked = []

    def create_repo(self, **asked):
        self.asked.append(("create_repo", asked))
        return f"https://huggingface.co/spaces/{asked['repo_id']}"

    def upload_folder(self, **asked):
        self.asked.append(("upload_folder", asked))

    def request_space_hardware(self, **asked):
        self.asked.append(("request_space_hardware", asked))


def front_matter():
    _, head, _ = (space.ROOT / "README.md").read_text("utf-8").split("---\n", 2)
    return dict(line.split(": ", 1) for line in head.splitlines())


def test_a_dry_run_lists_what_the_app_needs_and_asks_no_one(capsys, monkeypatch):
    monkeypatch.setattr(space, "deploy", None)
    main(["deploy-space", "ada/explorer", "--dry-run"])
    listed = capsys.readouterr().out.splitlines()
    names = {line.split()[1] for line in listed[:-1]}
    assert {"app.py", "README.md", "requirements.txt", "core/pipeline.py", "explorer/theme.css"} <= names
    assert any(name.startswith("assets/models/emoji/") for name in names)
    assert not any("__pycache__" in name or name.startswith((".", "tests", "runs")) for name in names)
    total = sum((space.ROOT / name).stat().st_size for name in names)
    assert listed[-1].split()[0] == f"{total:,}" and total < 1e9  # a Space's own disk has 50 GB, its git far less


def test_the_hub_is_asked_for_a_gradio_space_and_given_the_same_files():
    hub = Hub()
    assert space.deploy("ada/explorer", api=hub, hardware="t4-small").endswith("spaces/ada/explorer")
    (made, repo), (sent, folder), (asked, hardware) = hub.asked
    assert (made, sent, asked) == ("create_repo", "upload_folder", "request_space_hardware")
    assert repo["repo_type"] == folder["repo_type"] == "space" and repo["space_sdk"] == "gradio" and repo["exist_ok"]
    assert hardware["hardware"] == "t4-small"
    from huggingface_hub.utils import filter_repo_objects

    every = (p.relative_to(folder["folder_path"]).as_posix() for p in Path(folder["folder_path"]).rglob("core/**/*.py"))
    patterns = {name: folder[name] for name in ("allow_patterns", "ignore_patterns")}
    assert set(filter_repo_objects(every, **patterns)) == {
        n for n, _ in space.files() if n.endswith(".py") and n[:5] == "core/"
    }


def test_without_a_checkout_nothing_is_made(tmp_path, capsys):
    with pytest.raises(ValueError, match=r"there is no app\.py, README\.md, requirements\.txt"):
        list(space.files(tmp_path))
    with pytest.raises(SystemExit):
        main(["deploy-space", "no name"])
    assert "wanted USER/NAME" in capsys.readouterr().err


def test_the_front_matter_and_the_pins_fit_the_project():
    project = tomllib.loads((space.ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    wanted = {(r := Requirement(line)).name: r.specifier for line in project["dependencies"]}
    pinned = dict(line.split("==") for line in (space.ROOT / "requirements.txt").read_text().split())
    head = front_matter()
    pinned["gradio"] = head["sdk_version"]  # a Space installs it itself
    assert set(pinned) == set(wanted)
    for name, release in pinned.items():
        assert release in wanted[name], name
        assert version(name).split("+")[0] == release, f"{name} is tested as {version(name)}"
    assert head["sdk"] == "gradio" and (space.ROOT / head["app_file"]).is_file()
    assert len(head["short_description"]) <= 60 and head["license"] == project["license"].lower()

"""The explorer as a Hugging Face Space: `explorer deploy-space USER/NAME`."""

import argparse
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
NEEDED = ("app.py", "README.md", "requirements.txt")
FILES = [*NEEDED, "LICENSE", "core/**", "explorer/**", "assets/**"]
NOT = ["**/__pycache__/**", "*.pyc", ".*"]


def files(folder: Path = ROOT) -> Iterator[tuple[str, int]]:
    """What a Space is made of: paths below ``folder`` and their bytes.

    Raises: ValueError where the project's own files are not all there: an installed package has no app.py.
    """
    from huggingface_hub.utils import filter_repo_objects

    if missing := [name for name in NEEDED if not (folder / name).is_file()]:
        raise ValueError(
            f"a Space is made from a checkout of the project; there is no {', '.join(missing)} in {folder}"
        )
    tops = (folder / pattern.partition("/")[0] for pattern in FILES)
    found = (path for top in tops for path in ([top] if top.is_file() else top.rglob("*")) if path.is_file())
    names = sorted(path.relative_to(folder).as_posix() for path in found)
    for name in filter_repo_objects(names, allow_patterns=FILES, ignore_patterns=NOT):
        yield name, (folder / name).stat().st_size


def deploy(name: str, *, api: Any = None, hardware: str | None = None, private: bool = False) -> str:
    """Make the Space if there is none, put the files there, and say where it is.

    Args:
        api: a `huggingface_hub.HfApi`; the default has the token of `hf auth login` or of HF_TOKEN.
        hardware: "cpu-basic", "t4-small", "zero-a10g" ...; None leaves what is there.
    """
    from huggingface_hub import HfApi

    api = HfApi() if api is None else api
    list(files())  # says what is missing before anything is made
    url = api.create_repo(repo_id=name, repo_type="space", space_sdk="gradio", private=private, exist_ok=True)
    api.upload_folder(
        repo_id=name,
        repo_type="space",
        folder_path=ROOT,
        allow_patterns=FILES,
        ignore_patterns=NOT,
        delete_patterns=["core/**", "explorer/**", "assets/**"],  # what the project no longer has
        commit_message="Diffusion Explorer",
    )
    if hardware is not None:
        api.request_space_hardware(repo_id=name, hardware=hardware)
    return str(url)


def main(argv: list[str]) -> None:
    parser = argparse.ArgumentParser(
        prog="explorer deploy-space", description="Put this checkout on a Hugging Face Space, made if there is none."
    )
    parser.add_argument("name", metavar="USER/NAME")
    parser.add_argument("--dry-run", action="store_true", help="list the files and do nothing; needs no account")
    parser.add_argument("--hardware", help="cpu-basic, t4-small, zero-a10g ... (default: as it is; cpu-basic when new)")
    parser.add_argument("--private", action="store_true", help="when the Space is made, for its owner alone")
    args = parser.parse_args(argv)
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", args.name):
        parser.error(f"wanted USER/NAME, got {args.name!r}")
    try:
        if args.dry_run:
            listed = list(files())
            for path, size in listed:
                print(f"{size:>12,}  {path}")
            print(f"{sum(size for _, size in listed):>12,}  bytes in {len(listed)} files, for {args.name}")
        else:
            print(deploy(args.name, hardware=args.hardware, private=args.private))
    except ValueError as error:
        parser.error(str(error))
    except Exception as error:  # huggingface_hub's own and its HTTP library's: no token, no such user, no network
        raise SystemExit(f"explorer deploy-space: {error}\nLog in with: hf auth login") from error

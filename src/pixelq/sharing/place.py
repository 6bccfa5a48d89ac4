"""Where a policy lies: a run, a folder or file, a zip, or a repository on the Hugging Face hub; one function for all.

`pixelq.load`, eval, record, watch and export take the same places.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pixelq.checkpoints.policy_file import find_policy
from pixelq.errors import UserError
from pixelq.sharing.archive import is_zip, unpack
from pixelq.sharing.files import READ
from pixelq.sharing.hub import HubId, download, hub_id, installed

HUB = "hf:"
"""Before a repository's name where only that can be meant."""
OWN_FOLDERS = ("runs", "results", "exports", "imported", "checkpoints")
"""What a path on this machine begins with, also where that folder is not there yet: never the name of an owner."""
FILE_ENDINGS = (".zip", ".safetensors", ".toml", ".csv", ".json", ".pt", ".pth", ".onnx", ".pt2")


@dataclass(frozen=True)
class Place:
    """A policy's place, for as long as it is open."""

    given: str
    """As a person named it."""
    path: Path
    """A run's folder, a folder with a policy, or a policy's file."""
    results: Path
    """The folder that results go to, unless a person names another."""
    prefix: str
    """What results' names begin with in that folder; empty where it is the policy's own."""
    source: str = ""
    """The checkpoint that the policy's file was made of; empty: the file lies there by itself."""

    def result(self, name: str) -> Path:
        """Where a result of this name goes."""
        return self.results / f"{self.prefix}{name}"

    def named(self, file: Path) -> str:
        """A file of this place as a person knows it."""
        if self.source:
            return self.source
        return f"{self.given}/{file.relative_to(self.path).as_posix()}" if self.prefix else str(file)


@contextmanager
def opened(given: Path | str, tell: Callable[[str], None] = lambda text: None) -> Iterator[Place]:
    """Let `given` be files on this machine while the context lasts.

    A path is taken as it is, also if nothing is there. A zip is unpacked, and a repository downloaded, as far as
    policies need it, into a folder that is removed in the end; a `UserError` that names a file in there leaves the
    context with what was given instead.

    Args:
        given: a path; `hf:owner/name`, or `owner/name` where there is no such path, perhaps with `@revision`.
        tell: called with what is done about a repository.

    Raises:
        UserError: the zip is refused, or the repository cannot be read.
    """
    path, text = Path(given), os.fspath(given)
    source = _repository(path, text)
    if source is None and not (os.path.isfile(path) and is_zip(path)):
        yield Place(text, path, path if os.path.isdir(path) else path.parent, "")
        return
    if source is not None:
        _check_installed(text)
    with tempfile.TemporaryDirectory(prefix="pixelq-") as made:
        folder = Path(made) / "policy"
        folder.mkdir()
        try:
            if source is None:
                _check_policy(path, unpack(path, folder, READ))
                yield Place(text, folder, path.parent, f"{path.stem}-")
            else:
                _copy(download(source, tell)[0], folder)
                yield Place(text, folder, Path(), f"{source.repo.replace('/', '-')}-")
        except UserError as error:
            raise UserError(str(error).replace(str(folder), text)) from None


def lasting(given: str, tell: Callable[[str], None] = lambda text: None) -> Path:
    """A path for `given` under which `opened` finds the same policy later, for a run that begins with its weights.

    Args:
        given: as for `opened`.
        tell: as for `opened`.

    Returns:
        A policy's file; of a repository that in the hub library's cache, of that commit; of a zip the zip.

    Raises:
        UserError: there is no policy.
    """
    path = Path(given)
    source = _repository(path, given)
    if source is not None:
        _check_installed(given)
        return find_policy(download(source, tell)[0])
    if os.path.isfile(path) and is_zip(path):
        with opened(path) as place:
            find_policy(place.path)
        return path
    return find_policy(path)


def _check_installed(text: str) -> None:
    """Look for the hub's library.

    Raises:
        UserError: it is not there, and the name may have been meant as a path.
    """
    if not installed():
        where = "there is no such run or policy here; if a repository on the hub is meant, that needs huggingface_hub"
        raise UserError(f"{text}: {where}: python -m pip install 'pixelq[hub]'")


def _repository(path: Path, text: str) -> HubId | None:
    """The repository that is meant; None: a path."""
    if text.startswith(HUB):
        name = text.removeprefix(HUB).lstrip("/")
        if (found := hub_id(name)) is None:
            raise UserError(
                f"{text}: no name of a repository on the hub; it is hf:owner/name or hf:owner/name@revision"
            )
        return found
    if os.path.exists(path) or path.is_absolute() or text.startswith((".", "~")) or text.lower().endswith(FILE_ENDINGS):
        return None
    if path.parts[:1] and (path.parts[0] in OWN_FOLDERS or os.path.exists(path.parts[0])):
        return None  # a mistyped run is nothing to ask the hub about
    return hub_id(path.as_posix())


def _copy(folder: Path, target: Path) -> None:
    """Copy a downloaded policy's files, which in the cache are links, as ordinary ones."""
    for name in READ:
        if (folder / name).is_file():
            (target / name).parent.mkdir(exist_ok=True)
            shutil.copyfile(folder / name, target / name)


def _check_policy(archive: Path, members: list[str]) -> None:
    if any(name in READ and name.endswith(".safetensors") for name in members):
        return
    if "policy.pth" in members:
        raise UserError(
            f"{archive}: Stable-Baselines3 saved this, and not pixelq; `pixelq import sb3` makes a policy of it"
        )
    raise UserError(f"{archive}: neither an export of pixelq nor a run (it has no policy.safetensors)")

"""The Hugging Face hub: uploading an export, and downloading what a policy needs (extra `hub`).

Everything that the hub's library raises becomes one line. `HF_ENDPOINT`, `HF_TOKEN` and `HF_HOME` mean what they mean
to the library; downloads lie in its cache.
"""

from __future__ import annotations

import importlib.util
import os
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pixelq.errors import UserError
from pixelq.sharing.files import CARD, CONFIG, POLICY, READ, WRITTEN

SECONDS = 20.0
"""That the hub may take to answer what it has."""
OFFLINE = ("Connect", "Timeout", "Network", "Protocol", "Offline", "Proxy", "ReadError", "WriteError", "CloseError")
"""Parts of the names of errors that say that the hub was not reached."""


@dataclass(frozen=True)
class HubId:
    """A repository on the hub, and perhaps a revision: `owner/name@v1`."""

    repo: str
    revision: str | None = None

    def __str__(self) -> str:
        return self.repo if self.revision is None else f"{self.repo}@{self.revision}"


_ID = re.compile(r"([A-Za-z0-9][\w.-]{0,94}/[A-Za-z0-9][\w.-]{0,94})(?:@([\w][\w./-]{0,199}))?", re.ASCII)


def hub_id(text: str) -> HubId | None:
    """What `owner/name` or `owner/name@revision` names; None if it cannot be the name of a repository."""
    match = _ID.fullmatch(text)
    if match is None or any(part in match[1] for part in ("--", "..")) or match[1].endswith((".git", ".", "-")):
        return None
    return HubId(match[1], match[2])


def installed() -> bool:
    """Whether the hub's library is there."""
    return importlib.util.find_spec("huggingface_hub") is not None


def check_installed() -> None:
    """Look for the hub's library.

    Raises:
        UserError: it is not installed.
    """
    if not installed():
        raise UserError("the Hugging Face hub needs huggingface_hub: python -m pip install 'pixelq[hub]'")


def signed_in() -> str:
    """The name of the account whose token is used; asked before anything expensive is done for an upload.

    Raises:
        UserError: there is no token, the hub refuses it, or the hub cannot be reached.
    """
    check_installed()
    with _one_line("sign in"):
        api = _api()
        name = api.whoami().get("name")
    return str(name)


def upload(folder: Path, target: HubId, names: Sequence[str], *, private: bool, message: str) -> str:
    """Upload an export as one commit, into a new repository or over an earlier export; its address.

    Files of an earlier export that this one does not have are removed. Others in the repository stay.

    Args:
        folder: the export's.
        target: the repository; without a revision.
        names: of its files.
        private: whether a new repository is visible to its owner alone.
        message: of the commit.

    Raises:
        UserError: the repository holds something else, or the hub refuses or cannot be reached.
    """
    check_installed()
    unknown = set(names) - set(WRITTEN)
    if unknown:
        raise UserError(f"{folder}: {sorted(unknown)[0]} is no file of an export; not uploaded")
    with _one_line(f"upload to {target}"):
        api = _api()
        api.create_repo(target.repo, repo_type="model", private=private or None, exist_ok=True)
        there = {file.rfilename for file in api.repo_info(target.repo, timeout=SECONDS).siblings or ()}
        others = there - {".gitattributes"}
        if others and not {CARD, POLICY, CONFIG} <= others:
            raise UserError(
                f"{target}: holds something else than an export ({sorted(others)[0]}, ...), which is not overwritten; "
                "name another repository"
            )
        api.upload_folder(
            repo_id=target.repo,
            folder_path=folder,
            allow_patterns=list(names),
            delete_patterns=sorted((there & set(WRITTEN)) - set(names)) or None,
            commit_message=message,
        )
        endpoint: str = api.endpoint
    return f"{endpoint}/{target.repo}"


def download(source: HubId, tell: Callable[[str], None]) -> tuple[Path, str]:
    """Download what a policy needs into the hub library's cache, nothing else of the repository.

    If the hub cannot be reached, what the cache has of this revision is taken, and said.

    Args:
        source: the repository; without a revision its newest one on `main`.
        tell: called with where it comes from.

    Returns:
        The folder of that revision in the cache, whose files may be links within the cache; the commit.

    Raises:
        UserError: no such repository or revision, there is no policy in it, a file is larger than its kind may be, or
            the hub cannot be reached and the cache does not have it.
    """
    check_installed()
    with _one_line(f"read {source}"):
        api = _api()
        try:
            info = api.repo_info(source.repo, revision=source.revision, files_metadata=True, timeout=SECONDS)
        except Exception as error:
            if _reached(error) or (cached := _cached(source)) is None:
                raise
            tell(f"{source}: the hub cannot be reached; this is the copy in the cache ({cached.parent.name[:12]})")
            return cached.parent, cached.parent.name
        sizes = {file.rfilename: file.size for file in info.siblings or ()}
        wanted = [name for name in READ if name in sizes]
        _check_sizes(source, sizes, wanted)
        tell(f"{source}: from {api.endpoint}, commit {str(info.sha)[:12]}")
        for name in wanted:
            # By the name that was asked for, so that the cache knows it the next time, also without a network.
            file = Path(api.hf_hub_download(source.repo, name, revision=source.revision))
            if info.sha not in file.parts:
                raise UserError(f"{source}: was changed while it was read; try again")
            if file.stat().st_size > READ[name]:  # what the hub said of its size is not true
                raise _too_large(source, name, file.stat().st_size)
    top = next(file for file in [file, *file.parents] if file.name == info.sha)
    return top, str(info.sha)


def _check_sizes(source: HubId, sizes: dict[str, Any], wanted: Sequence[str]) -> None:
    if not any(name.endswith(POLICY) for name in wanted) or CONFIG not in wanted:
        raise UserError(f"{source}: no policy of pixelq there (it has no {POLICY} with a {CONFIG})")
    for name in wanted:
        if not isinstance(sizes[name], int) or sizes[name] > READ[name]:
            raise _too_large(source, name, sizes[name])


def _too_large(source: HubId, name: str, size: Any) -> UserError:
    return UserError(f"{source}: {name} has {size} bytes, more than the {READ[name]:,} it may have; not downloaded")


def _cached(source: HubId) -> Path | None:
    """The policy file in the library's cache; None: it is not there."""
    from huggingface_hub import try_to_load_from_cache

    found = [try_to_load_from_cache(source.repo, name, revision=source.revision) for name in (POLICY, CONFIG)]
    return Path(found[0]) if isinstance(found[0], str) and isinstance(found[1], str) else None


def _api() -> Any:
    from huggingface_hub import HfApi

    return HfApi(endpoint=os.environ.get("HF_ENDPOINT") or None, library_name="pixelq")


@contextmanager
def _one_line(what: str) -> Iterator[None]:
    """Let what the library raises be one line.

    Raises:
        UserError: in the place of anything that the library raises.
    """
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        raise UserError(f"cannot {what}: {_reason(error)}") from None


def _reached(error: Exception) -> bool:
    """Whether the hub has answered."""
    if getattr(error, "response", None) is not None:
        return True
    names = " ".join(kind.__name__ for kind in type(error).__mro__)
    return not any(part in names for part in OFFLINE)


def _reason(error: Exception) -> str:
    """What the hub's library raised, as the person's next step."""
    names = [kind.__name__ for kind in type(error).__mro__]
    status = getattr(getattr(error, "response", None), "status_code", None)
    if "LocalTokenNotFoundError" in names:
        return "there is no token; make one on the hub's settings page, then `hf auth login`, or set HF_TOKEN"
    if "RevisionNotFoundError" in names:
        return "the repository has no such revision; leave out @..., or name a branch, tag or commit"
    if "GatedRepoError" in names:
        return "its owner must let you in first (a gated repository); ask on its page"
    if status == 401 or "Invalid user token" in str(error):
        return "the hub does not accept the token, or there is no such repository; `hf auth login` anew, check the name"
    if status == 403:
        return "the hub refuses: this token may not do that there; use one that may write, or a name of your own"
    if "RepositoryNotFoundError" in names or status == 404:
        return "there is no such repository, or it is private and the token may not see it; check the name"
    if status is not None:
        return f"the hub answers {status} ({_first_line(error)}); try again later"
    if "HFValidationError" in names:
        return f"that is no name of a repository ({_first_line(error)})"
    if not _reached(error) or "LocalEntryNotFoundError" in names:
        return f"the hub cannot be reached ({_first_line(error)}); look at the network, or try again later"
    return f"{type(error).__name__}: {_first_line(error)}"


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[0] if lines else type(error).__name__)[:200].rstrip(".")

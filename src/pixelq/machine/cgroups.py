"""Control groups (Linux): the folders that tell what a container or a batch system lets this process have.

Source: the kernel's documentation, "Control Group v2" and "Control Groups version 1".
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

OWN = Path("/proc/self/cgroup")
"""Names this process's groups, one line for each hierarchy: `number:controllers:path`, no controllers in version 2."""
MOUNTED = Path("/sys/fs/cgroup")


def group_folders(controller: str, own: Path = OWN, mounted: Path = MOUNTED) -> Iterator[tuple[Path, int]]:
    """The folders of this process's group and of the ones above it, each with the version (1 or 2) of its files.

    Args:
        controller: `memory` or `cpu`.
        own: the file that names the process's groups.
        mounted: where the hierarchies are.
    """
    try:
        lines = [line.split(":", 2) for line in own.read_text(encoding="utf-8").splitlines()]
    except OSError:
        return
    for _, controllers, path in lines:
        if controllers == "":
            tops, version = [mounted], 2
        elif controller in controllers.split(","):
            tops, version = [mounted / controller, mounted / controllers], 1
        else:
            continue
        top = next((top for top in tops if top.is_dir()), tops[0])
        folder = top / path.lstrip("/")
        # Inside a container the path may be the host's: then only the container's own top is there.
        yield from ((level, version) for level in (folder, *folder.parents) if level.is_relative_to(top))

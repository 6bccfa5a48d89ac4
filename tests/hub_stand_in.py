"""A Hugging Face hub on this machine, for tests: what its library asks of the real one, held to what it was given.

It keeps whole commits, checks every digest of an upload, refuses a commit whose large files did not arrive, and parses
the model card's metadata as the hub does. It is no part of the hub's own code.
"""

import base64
import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
import yaml

TOKEN, OWNER = "hf_" + "t" * 34, "someone"
LARGE = (".safetensors", ".mp4", ".png", ".onnx", ".pt", ".pt2")
"""Kinds of files that it takes by LFS, and others if they have more than 10 MB."""


class Hub:
    """Repositories of this hub: name -> revision (a commit, `main`, a tag) -> path -> bytes."""

    def __init__(self) -> None:
        self.commits: dict[str, dict[str, dict[str, bytes]]] = {}
        self.names: dict[str, dict[str, str]] = {}
        self.private: dict[str, bool] = {}
        self.stored: dict[str, bytes] = {}
        self.asked: list[str] = []
        self.claimed_sizes: dict[str, int] = {}
        """What it says of a file's size, where that is not true."""
        self.broken = 0
        """A status with which it answers everything; 0: none."""
        self.endpoint = ""

    def files(self, repo: str, revision: str = "main") -> dict[str, bytes]:
        """What a repository holds."""
        return self.commits[repo][self.commit(repo, revision)]

    def commit(self, repo: str, revision: str) -> str:
        return self.names[repo].get(revision, revision)

    def add(self, repo: str, files: dict[str, bytes], tag: str = "") -> str:
        """Make a commit with these files, and nothing else in it."""
        parts = [f"{path}:{hashlib.sha256(data).hexdigest()}" for path, data in sorted(files.items())]
        sha = hashlib.sha1(f"{repo} {len(self.commits.get(repo, ()))} {parts}".encode()).hexdigest()
        self.commits.setdefault(repo, {})[sha] = dict(files)
        self.names.setdefault(repo, {})["main"] = sha
        if tag:
            self.names[repo][tag] = sha
        return sha


class _Handler(BaseHTTPRequestHandler):
    hub: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, *args: Any) -> None:
        pass

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        path = unquote(urlsplit(self.path).path)
        self.hub.asked.append(f"{self.command} {path}")
        if self.hub.broken:
            return self._json(self.hub.broken, {"error": "broken"})
        if path == "/api/whoami-v2":
            known = self._known()
            return self._json(200 if known else 401, {"name": OWNER, "type": "user"} if known else {"error": "no"})
        if match := re.fullmatch(r"/api/models/([^/]+/[^/]+)(?:/(revision|tree)/(.+))?", path):
            return self._info(match[1], match[2] or "revision", match[3] or "main")
        if match := re.fullmatch(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", path):
            return self._file(match[1], match[2], match[3])
        return self._json(404, {"error": "nothing there"})

    def do_PUT(self) -> None:
        oid = self.path.rpartition("/")[2]
        data = self._body()
        if hashlib.sha256(data).hexdigest() != oid:
            return self._json(400, {"error": "another file than was announced"})
        self.hub.stored[oid] = data
        return self._json(200, {})

    def do_POST(self) -> None:
        path, body = unquote(urlsplit(self.path).path), self._body()
        self.hub.asked.append(f"POST {path}")
        if self.hub.broken:
            return self._json(self.hub.broken, {"error": "broken"})
        if not self._known():
            return self._json(401, {"error": "who are you?"})
        if path == "/api/repos/create":
            return self._create(json.loads(body))
        if path == "/api/validate-yaml":
            return self._validate(json.loads(body)["content"])
        if match := re.fullmatch(r"/api/models/([^/]+/[^/]+)/preupload/main", path):
            return self._preupload(match[1], json.loads(body)["files"])
        if match := re.fullmatch(r"/([^/]+/[^/]+)\.git/info/lfs/objects/batch", path):
            return self._batch(json.loads(body)["objects"])
        if match := re.fullmatch(r"/api/models/([^/]+/[^/]+)/commit/main", path):
            return self._commit(match[1], [json.loads(line) for line in body.splitlines()])
        return self._json(404, {"error": "nothing there"})

    def _known(self) -> bool:
        return self.headers.get("Authorization") == f"Bearer {TOKEN}"

    def _create(self, asked: dict[str, Any]) -> None:
        owner = asked.get("organization") or OWNER
        repo = f"{owner}/{asked['name']}"
        if owner != OWNER:
            return self._json(403, {"error": f"You don't have the rights to create a model under {owner}"})
        if repo in self.hub.commits:
            return self._json(409, {"error": "You already created this model repo", "url": self._address(repo)})
        self.hub.add(repo, {".gitattributes": b"*.safetensors filter=lfs\n"})
        self.hub.private[repo] = asked.get("visibility") == "private" or bool(asked.get("private"))
        return self._json(200, {"url": self._address(repo), "name": repo})

    def _validate(self, content: str) -> None:
        match = re.match(r"---\n(.*?)\n---\n", content, re.S)
        try:
            block = yaml.safe_load(match[1]) if match else None
        except yaml.YAMLError as error:
            return self._json(400, {"errors": [{"message": str(error)}], "warnings": []})
        warnings = [] if block else [{"message": "empty or missing metadata"}]
        return self._json(200, {"errors": [], "warnings": warnings})

    def _preupload(self, repo: str, files: list[dict[str, Any]]) -> None:
        if repo not in self.hub.commits:
            return self._missing("RepoNotFound")
        told = [
            {
                "path": file["path"],
                "uploadMode": "lfs" if file["path"].endswith(LARGE) or file["size"] > 10**7 else "regular",
                "shouldIgnore": False,
            }
            for file in files
        ]
        return self._json(200, {"files": told})

    def _batch(self, objects: list[dict[str, Any]]) -> None:
        told = []
        for one in objects:
            action = {"upload": {"href": f"{self.hub.endpoint}/lfs/{one['oid']}"}}
            told.append({**one, **({} if one["oid"] in self.hub.stored else {"actions": action})})
        return self._json(200, {"transfer": "basic", "objects": told})

    def _commit(self, repo: str, lines: list[dict[str, Any]]) -> None:
        files = dict(self.hub.files(repo))
        for line in lines:
            value = line["value"]
            if line["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif line["key"] == "lfsFile":
                data = self.hub.stored.get(value["oid"])
                if data is None or len(data) != value["size"]:
                    return self._json(400, {"error": f"{value['path']} has not arrived"})
                files[value["path"]] = data
            elif line["key"] == "deletedFile":
                del files[value["path"]]
        sha = self.hub.add(repo, files)
        return self._json(200, {"success": True, "commitOid": sha, "commitUrl": f"{self._address(repo)}/commit/{sha}"})

    def _info(self, repo: str, what: str, revision: str) -> None:
        if repo not in self.hub.commits or (self.hub.private.get(repo) and not self._known()):
            return self._missing("RepoNotFound")
        sha = self.hub.commit(repo, revision)
        if sha not in self.hub.commits[repo]:
            return self._missing("RevisionNotFound")
        files = {
            path: self.hub.claimed_sizes.get(path, len(data)) for path, data in self.hub.commits[repo][sha].items()
        }
        if what == "tree":
            return self._json(200, [{"type": "file", "path": p, "size": n, "oid": "0" * 40} for p, n in files.items()])
        siblings = [{"rfilename": path, "size": size, "blobId": "0" * 40} for path, size in files.items()]
        return self._json(200, {"id": repo, "sha": sha, "siblings": siblings, "private": False, "tags": []})

    def _file(self, repo: str, revision: str, path: str) -> None:
        if repo not in self.hub.commits:
            return self._missing("RepoNotFound")
        sha = self.hub.commit(repo, revision)
        files = self.hub.commits[repo].get(sha, {})
        if path not in files:
            return self._missing("EntryNotFound")
        data = files[path]
        self.send_response(200)
        self.send_header("X-Repo-Commit", sha)
        self.send_header("ETag", f'"{hashlib.sha256(data).hexdigest()}"')
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(data)
        return None

    def _missing(self, code: str) -> None:
        self._json(404, {"error": code}, {"X-Error-Code": code, "X-Error-Message": code})

    def _address(self, repo: str) -> str:
        return f"{self.hub.endpoint}/{repo}"

    def _body(self) -> bytes:
        if "chunked" not in self.headers.get("Transfer-Encoding", ""):
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        parts = []
        while size := int(self.rfile.readline(), 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)

    def _json(self, status: int, value: Any, headers: dict[str, str] | None = None) -> None:
        data = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        for name, text in (headers or {}).items():
            self.send_header(name, text)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)


@contextmanager
def serving() -> Iterator[Hub]:
    """A hub that listens on loopback while the context lasts."""
    hub = Hub()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"hub": hub}))
    server.daemon_threads = True
    hub.endpoint = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def ask_only(endpoint: str, folder: Any, patched: pytest.MonkeyPatch, token: str = TOKEN) -> None:
    """Let the hub's library in this process ask this endpoint alone, with a cache in `folder`."""
    patched.setenv("HF_ENDPOINT", endpoint)
    patched.setenv("HF_TOKEN", token)
    patched.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(folder / "cache"))
    patched.setattr("huggingface_hub.constants.HF_TOKEN_PATH", str(folder / "no-token"))
    patched.setattr("huggingface_hub.constants.HF_HUB_DISABLE_XET", True)
    patched.setattr("huggingface_hub.constants.HF_HUB_DISABLE_PROGRESS_BARS", True)

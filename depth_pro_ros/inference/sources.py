"""Where Depth Pro's published weights lie, under which licences, and how they come into the cache folder.

The addresses, checksums and licences are those that Apple publishes: the script get_pretrained_models.sh, the README
and LICENSE of github.com/apple/ml-depth-pro, and the pages of the files on huggingface.co/apple.
"""

from __future__ import annotations

import os
import shutil
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from depth_pro_ros import network
from depth_pro_ros.errors import CheckpointError
from depth_pro_ros.inference import transfer
from depth_pro_ros.inference.transfer import RemoteFile, Report, Unreachable
from depth_pro_ros.inference.weights import cache_folder

HUB = "https://huggingface.co"


@dataclass(frozen=True)
class Licence:
    """A licence's name, the address of its text, and what it says in one sentence."""

    name: str
    url: str
    gist: str


@dataclass(frozen=True)
class Source:
    """One public place of the weights.

    `files` maps each file, the largest last, to its SHA-256, or None where none is published.

    `repository` is a repository on the hub, or empty when `address` holds the files. `target` is what the cache folder
    receives: a file, or a folder of all files.
    """

    files: Mapping[str, str | None]
    licence: Licence
    target: str
    address: str = ""
    repository: str = ""
    preset: str = "depth_pro"


SAMPLE_CODE = Licence(
    "Apple's licence of ml-depth-pro",
    "https://raw.githubusercontent.com/apple/ml-depth-pro/main/LICENSE",
    "use and redistribution with the notice kept, without warranty; no rights but those under Apple's copyrights",
)
RESEARCH = Licence(
    "Apple Machine Learning Research Model License (apple-amlr)",
    f"{HUB}/apple/DepthPro/resolve/main/LICENSE",
    "non-commercial scientific research only",
)

SOURCES: dict[str, Source] = {
    "apple": Source(
        # As huggingface.co/apple/DepthPro/blob/main/depth_pro.pt tells it of Apple's own upload of this file.
        {"depth_pro.pt": "3eb35ca68168ad3d14cb150f8947a4edf85589941661fdb2686259c80685c0ce"},
        SAMPLE_CODE,
        "depth_pro.pt",
        address="https://ml-site.cdn-apple.com/models/depth-pro",
    ),
    "transformers": Source(
        # As huggingface.co/apple/DepthPro-hf/blob/main/model.safetensors tells it.
        {
            "config.json": None,
            "model.safetensors": "9c6811e3165485b9a94a204329860cb333a79877e757eb795a179a4ea34bbcf7",
        },
        RESEARCH,
        "depth_pro",
        repository="apple/DepthPro-hf",
    ),
}


def licence_text(licence: Licence) -> str | None:
    """Return the licence's text, or None when its address cannot be read."""
    address = licence.url.replace(HUB, os.environ.get("HF_ENDPOINT", HUB).rstrip("/"), 1)
    try:
        with urllib.request.urlopen(address, timeout=transfer.TIMEOUT_S) as response:
            return response.read().decode("utf-8", "replace")
    except (OSError, ValueError):  # ValueError: an endpoint that is no address
        return None


def remote_files(source: Source, address: str | None = None, sha256: str | None = None) -> list[RemoteFile]:
    """Return the files of `source`, from `address` in place of its own; `sha256` then counts for the largest.

    Raises CheckpointError when the hub itself says that it holds another file than the published one.
    """
    base, largest = address or source.address, [*source.files][-1]
    files = []
    for name, published in source.files.items():
        file = _at(base, name) if base else _on_hub(source.repository, name)
        expected = sha256 if sha256 and name == largest else published
        if expected and file.digest and expected != file.digest:
            raise CheckpointError(
                f"{file.host} now holds another '{name}' (checksum {file.digest}) than this package knows "
                f"({expected}): if you trust it, add --sha256 {file.digest}"
            )
        files.append(replace(file, digest=expected or file.digest))
    return files


def _at(base: str, name: str) -> RemoteFile:
    return RemoteFile(f"{base.rstrip('/')}/{name}", name)


def _on_hub(repository: str, name: str) -> RemoteFile:
    """Return a file of a hub's repository with the address, the user's token, the size and the checksum.

    Only these come from huggingface_hub and its server: its own download neither continues after the process ended
    nor compares checksums.
    """
    try:
        from huggingface_hub import hf_hub_url
        from huggingface_hub.utils import build_hf_headers
    except ImportError as error:
        raise CheckpointError(
            "huggingface_hub is not installed: pip install huggingface_hub, or take the source apple, which needs none"
        ) from error
    url = hf_hub_url(repository, name, endpoint=os.environ.get("HF_ENDPOINT"))
    return _identified(RemoteFile(url, name, headers=build_hf_headers()))


class _Stay(urllib.request.HTTPRedirectHandler):
    """Follows redirects within a server, where a renamed repository lies, and none to where the content lies."""

    def redirect_request(
        self, req: urllib.request.Request, fp: object, code: int, msg: str, headers: object, newurl: str
    ) -> urllib.request.Request | None:
        """Return the next request, or None to take this answer."""
        here = urllib.request.Request(newurl).host == req.host
        return urllib.request.Request(newurl, method=req.method, headers=req.headers) if here else None


def _identified(file: RemoteFile) -> RemoteFile:
    """Return `file` with what the hub says of it: X-Linked-Etag is the SHA-256 of a large file, ETag git's SHA-1."""
    opener = urllib.request.build_opener(_Stay)
    try:
        with opener.open(transfer.request(file, "HEAD"), timeout=transfer.TIMEOUT_S) as answer:
            headers = answer.headers
    except urllib.error.HTTPError as error:
        if not 300 <= error.code < 400:
            raise CheckpointError(
                f"{file.host} answered {error.code} {error.reason} for '{file.url}': check the hub's address "
                "(HF_ENDPOINT), or log in with `hf auth login` if it asks for that"
            ) from error
        headers = error.headers
    except OSError as error:
        raise Unreachable(f"{file.host} cannot be reached ({getattr(error, 'reason', error)})") from error
    digest = (headers.get("X-Linked-Etag") or headers.get("ETag") or "").strip('"')
    size = headers.get("X-Linked-Size")
    is_digest = len(digest) in (40, 64) and all(letter in "0123456789abcdef" for letter in digest)
    return replace(file, size=int(size) if size else None, digest=digest if is_digest else None)


def by_hand(source: Source) -> str:
    """Return how to bring the weights onto a machine without a network."""
    page = f"{HUB}/{source.repository}" if source.repository else source.address
    names = ", ".join(source.files)
    folder = cache_folder() / source.target if len(source.files) > 1 else cache_folder()
    return (
        f"on a machine with a network fetch {names} from {page}, copy it to {folder}{os.sep}, and name the weights "
        f"'{source.preset}'"
    )


def install(source: Source, files: list[RemoteFile], licence: str | None, report: Report) -> Path:
    """Fetch `files`, check that they are Depth Pro's, and put them under their final name in the cache folder.

    Returns that name. Everything is gathered in a hidden folder beside it, which an interrupted download leaves for
    the next one. Raises CheckpointError.
    """
    staging = cache_folder() / f".{source.target}.download"
    for file in files:
        if not (staging / file.name).exists() or transfer.mismatch(staging / file.name, file):
            transfer.fetch(file, staging, report)
    largest = staging / files[-1].name
    gathered = staging if len(files) > 1 else largest
    try:
        found = network.describe(gathered).preset
    except CheckpointError:
        shutil.rmtree(staging)
        raise
    if found != source.preset:
        shutil.rmtree(staging)
        raise CheckpointError(f"what was fetched holds preset '{found}', not '{source.preset}': it was removed")
    if licence is not None:
        (staging / "LICENSE").write_text(licence, encoding="utf-8")
    return _publish(staging, gathered, cache_folder() / source.target)


def _publish(staging: Path, gathered: Path, target: Path) -> Path:
    """Give what was gathered its final name: a file by one rename, a folder by two."""
    if gathered == staging:
        former = target.with_name(f".{target.name}.former")
        if target.exists():
            target.replace(former)
        staging.replace(target)
        shutil.rmtree(former, ignore_errors=True)
        return target
    if (staging / "LICENSE").exists():
        (staging / "LICENSE").replace(target.with_name(f"{target.name}.LICENSE"))
    gathered.replace(target)
    shutil.rmtree(staging)
    return target

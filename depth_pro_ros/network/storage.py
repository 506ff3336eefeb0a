"""Checkpoint files on disk: opened memory-mapped and without running code, written whole or not at all."""

from __future__ import annotations

import contextlib
import ctypes
import json
import mmap
import os
import pickle
import sys
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from depth_pro_ros.errors import CheckpointError

INDEX = "model.safetensors.index.json"
SINGLE = "model.safetensors"


@dataclass
class Archive:
    """An opened checkpoint: the shape of each tensor, and a way to get one (memory-mapped where possible)."""

    shapes: dict[str, tuple[int, ...]]
    read: Callable[[str], Tensor]
    metadata: dict[str, str] = field(default_factory=dict)
    config: dict[str, object] = field(default_factory=dict)  # config.json beside a transformers checkpoint
    mapped: bool = True  # tensors lie in the file, so their pages may be given back once copied


@contextlib.contextmanager
def open_archive(path: Path) -> Iterator[Archive]:
    """Open a .safetensors file, a folder or index of them, or a .pt file; raises CheckpointError."""
    if not path.exists():
        raise CheckpointError(
            f"no checkpoint at '{path}': give the path of a .safetensors or .pt file, of a folder in transformers' "
            "layout, or the name of embedded weights"
        )
    with contextlib.ExitStack() as stack:
        try:
            yield _open(path, stack)
        except (SafetensorError, json.JSONDecodeError, OSError, UnicodeDecodeError) as error:
            raise CheckpointError(
                f"checkpoint '{path}' cannot be read ({error}): it is damaged or incomplete, fetch it again"
            ) from error


def _open(path: Path, stack: contextlib.ExitStack) -> Archive:
    if path.is_dir():
        found = next((path / name for name in (INDEX, SINGLE) if (path / name).exists()), None)
        if found is None:
            raise CheckpointError(f"folder '{path}' holds neither {SINGLE} nor {INDEX}: give the checkpoint's own path")
        path = found
    if path.name.endswith(".index.json"):
        shards = sorted(set(json.loads(path.read_text())["weight_map"].values()))
        return _safetensors([path.parent / shard for shard in shards], stack)
    if zipfile.is_zipfile(path) or path.suffix in (".pt", ".pth", ".bin"):
        return _torch_file(path)
    return _safetensors([path], stack)


def _safetensors(paths: list[Path], stack: contextlib.ExitStack) -> Archive:
    where, shapes, metadata = {}, {}, {}
    for path in paths:
        if not path.exists():
            raise CheckpointError(f"shard '{path}' of the checkpoint is missing: fetch the checkpoint again")
        handle = stack.enter_context(safe_open(str(path), framework="pt"))
        metadata.update(handle.metadata() or {})
        for name in handle.keys():  # noqa: SIM118 - safe_open is no mapping
            where[name] = handle
            shapes[name] = tuple(handle.get_slice(name).get_shape())
    config = paths[0].parent / "config.json"
    return Archive(
        shapes,
        lambda name: where[name].get_tensor(name),
        metadata,
        json.loads(config.read_text()) if config.exists() else {},
    )


def _torch_file(path: Path) -> Archive:
    mapped = zipfile.is_zipfile(path)
    try:
        loaded = torch.load(path, map_location="cpu", weights_only=True, mmap=mapped)
    except pickle.UnpicklingError as error:
        raise CheckpointError(
            f"checkpoint '{path}' is a pickle with more than tensors in it, which could run code; it was not opened. "
            "Only plain dictionaries of tensors are taken: save net.state_dict(), or use safetensors"
        ) from error
    except (RuntimeError, EOFError, zipfile.BadZipFile, ValueError) as error:
        raise CheckpointError(f"checkpoint '{path}' cannot be read ({error}): it is damaged or incomplete") from error
    if not isinstance(loaded, dict) or not all(isinstance(value, Tensor) for value in loaded.values()):
        raise CheckpointError(f"checkpoint '{path}' is no plain dictionary of tensors: save net.state_dict()")
    shapes = {name: tuple(tensor.shape) for name, tensor in loaded.items()}
    return Archive(shapes, loaded.__getitem__, mapped=mapped)


def release_pages(tensor: Tensor) -> None:
    """Give back the memory of a memory-mapped tensor that has been copied; its file keeps the data."""
    if not sys.platform.startswith("linux"):
        return
    page = mmap.PAGESIZE
    start = -(-tensor.data_ptr() // page) * page
    length = (tensor.data_ptr() + tensor.nbytes) // page * page - start
    if length > 0:
        ctypes.CDLL(None).madvise(ctypes.c_void_p(start), ctypes.c_size_t(length), mmap.MADV_DONTNEED)


@contextlib.contextmanager
def replaced(path: Path) -> Iterator[Path]:
    """Yield a path beside `path` to write to; on success it is synced and takes `path`'s place, else it goes away."""
    aside = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield aside
        with open(aside, "rb+") as file:
            os.fsync(file.fileno())
        os.replace(aside, path)
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"'{path}' was not written ({error}); what was there before is untouched") from error
    finally:
        aside.unlink(missing_ok=True)

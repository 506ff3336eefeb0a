"""The small encoders beside the large one: on a GPU the image and field-of-view encoders run on streams of their own.

Both see one image the size of a patch, with which they leave most of a large GPU idle, and both are wanted only after
the patch encoder. They begin before it, and the network waits for each where it uses what it gives.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol, cast

import torch
from torch import Tensor, nn

from depth_pro_ros.network import DepthPro
from depth_pro_ros.network.encoder import quartered
from depth_pro_ros.network.vit import VisionTransformer


class Queue(Protocol):
    """A queue of work beside the current one."""

    def begin(self) -> AbstractContextManager[Any]:
        """Let what is done in the context run here, after what was queued in the current queue so far."""

    def join(self) -> None:
        """Let the current queue wait for what was queued here."""


class CudaQueue:
    """A CUDA stream. Both waits make it safe that memory goes from one stream to the other; see `Ahead`."""

    def __init__(self) -> None:
        self._stream = torch.cuda.Stream()

    def begin(self) -> AbstractContextManager[Any]:
        """Enter the stream."""
        self._stream.wait_stream(torch.cuda.current_stream())
        return torch.cuda.stream(self._stream)

    def join(self) -> None:
        """Wait for the stream, on the GPU."""
        torch.cuda.current_stream().wait_stream(self._stream)


class Ahead(nn.Module):
    """An encoder that may have been started on an image before it is called with it.

    PyTorch gives memory that was allocated in a stream back to that stream alone. The input is held until the queues
    are joined, so that it is not overwritten before; what the encoder gives is overwritten by nothing before the
    next `start`, which waits for all that the current queue has done with it.
    """

    def __init__(self, encoder: nn.Module, queue: Queue):
        super().__init__()
        self.encoder = encoder
        self._queue = queue
        self._started: tuple[Tensor, Any] | None = None

    def start(self, image: Tensor) -> None:
        """Begin to encode `image`."""
        with self._queue.begin():
            self._started = image, self.encoder(image)

    def forget(self) -> None:
        """Take back what was started and is not wanted."""
        if self._started is not None:
            self._queue.join()
            self._started = None

    def forward(self, image: Tensor) -> Any:
        """Return what `start` began, or encode `image` now."""
        if self._started is None:
            return self.encoder(image)
        self._queue.join()
        (_, result), self._started = self._started, None
        return result


def overlap(network: DepthPro, queues: Sequence[Queue]) -> DepthPro:
    """Let `network`, in place, run its image encoder and its field-of-view encoder in the two `queues`; return it."""
    image_encoder, fov_encoder = (
        Ahead(encoder, queue)
        for encoder, queue in zip((network.encoder.image_encoder, network.fov.encoder[0]), queues, strict=True)
    )
    network.encoder.image_encoder = cast(VisionTransformer, image_encoder)
    network.fov.encoder[0] = fov_encoder

    def start(_network: nn.Module, args: tuple[Tensor, ...], kwargs: Mapping[str, Any]) -> None:
        quarter = quartered(args[0].to(network.compute_dtype), network.config)
        image_encoder.start(quarter)
        if kwargs.get("fov", True):
            fov_encoder.start(quarter)

    def finish(*_: object) -> None:
        image_encoder.forget()
        fov_encoder.forget()

    network.register_forward_pre_hook(start, with_kwargs=True)
    network.register_forward_hook(finish, always_call=True)
    return network

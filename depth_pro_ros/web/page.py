"""The page itself: which parts it has, and what happens when a photo is dropped. Needs Gradio."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gradio as gr

from depth_pro_ros.web.answers import View
from depth_pro_ros.web.studio import AUTO, FOCAL_CHOICES, NOT_KNOWN, Studio

ASSETS = Path(__file__).resolve().parent
TITLE = "depth_pro_ros"
INTRODUCTION = (
    "# Metric depth from one photo\n"
    "Drop a photo, paste one, or take one with the camera. Nothing leaves the machine that serves this page."
)
READOUT = '<p id="depth_readout" class="idle" aria-live="off"></p>'
WAITING = 8  # photos that may wait for the one worker
CLEAN_EVERY_S, KEEP_S = 300, 3600
DARK = (0.09, 0.1, 0.12, 1.0)
TURNED_DEG, ABOVE_DEG = 78.0, 76.0  # the cloud from a little right of and above where the camera was (at 90, 90)

PROGRESS = gr.Progress()  # Gradio replaces it by that of the event at hand

FONTS = {"font": ["system-ui", "sans-serif"], "font_mono": ["ui-monospace", "monospace"]}


def theme() -> gr.themes.Base:
    """Return a theme whose fonts are the machine's own."""
    return gr.themes.Base(primary_hue="sky", **FONTS)


def head() -> str:
    """Return what the page's head gets: the script that reads depth under the cursor."""
    return f"<script>{(ASSETS / 'page.js').read_text(encoding='utf-8')}</script>"


def css() -> str:
    """Return the page's style."""
    return (ASSETS / "page.css").read_text(encoding="utf-8")


def build(studio: Studio) -> gr.Blocks:
    """Return the page, with one worker that answers one photo after the other."""
    with gr.Blocks(title=TITLE, analytics_enabled=False, fill_width=True, delete_cache=(CLEAN_EVERY_S, KEEP_S)) as page:
        gr.Markdown(INTRODUCTION)
        with gr.Row():
            with gr.Column(scale=3, min_width=320):
                inputs = _inputs(list(studio.worker.offered))
            with gr.Column(scale=6, min_width=480):
                parts = _pictures()
            with gr.Column(scale=4, min_width=320):
                parts |= _figures()
        with gr.Row():
            parts |= _space()
        _connect(studio, inputs, parts)
    for block in page.blocks.values():
        block.async_move_resource_to_block_cache = _only_from(studio.folder, block.async_move_resource_to_block_cache)
    return page.queue(max_size=WAITING, default_concurrency_limit=1, api_open=False)


def _inputs(weights: list[str]) -> list[gr.components.Component]:
    photo = gr.Image(
        label="Photo", type="filepath", sources=["upload", "clipboard", "webcam"], height=320, elem_id="photo"
    )
    photo.preprocess = _as_it_came
    return [
        photo,
        gr.Dropdown(weights, value=weights[0], label="Weights", elem_id="weights"),
        gr.Radio(list(FOCAL_CHOICES), value=AUTO, label="Focal length", elem_id="focal"),
        gr.Number(NOT_KNOWN, label="Focal length that is known, in pixels (0: none)", elem_id="known_px"),
    ]


def _pictures() -> dict[str, gr.components.Component]:
    notice = gr.HTML(elem_id="notice", padding=False)
    slider = gr.ImageSlider(
        label="Photo | depth", elem_id="depth_view", type="filepath", interactive=False, buttons=["fullscreen"]
    )
    gr.HTML(READOUT, padding=False)
    legend = gr.HTML(elem_id="legend", padding=False)
    values = gr.File(visible="hidden", elem_id="values")
    values.change(None, values, js="(file) => window.depthPro.show(file)")
    return {"notice": notice, "pictures": slider, "legend": legend, "values": values}


def _figures() -> dict[str, gr.components.Component]:
    return {
        "table": gr.HTML(elem_id="figures", padding=False),
        "downloads": gr.File(
            label="Depth (mm, 16 bits), NPZ, clouds", file_count="multiple", interactive=False, elem_id="downloads"
        ),
    }


def _space() -> dict[str, gr.components.Component]:
    return {
        "view": gr.Model3D(label="Point cloud: drag to turn", height=420, clear_color=DARK, elem_id="view"),
        "cut_out": gr.Image(
            label="Foreground",
            type="filepath",
            interactive=False,
            height=420,
            buttons=["download", "fullscreen"],
            elem_id="cut_out",
        ),
    }


def _connect(studio: Studio, inputs: list[Any], parts: dict[str, Any]) -> None:
    """Run the studio whenever a person changes an input; a change during a run is answered after it."""

    def answer(
        path: str | None, weights: str, focal: str, known_px: float | None, progress: gr.Progress = PROGRESS
    ) -> Iterator[dict[Any, Any]]:
        def told(share: float, doing: str) -> None:
            progress(share, desc=doing)

        for update in studio.steps(path, weights, focal, known_px, told):
            yield {parts[name]: _shown(value) for name, value in update.items()}

    photo, weights, focal, known_px = inputs
    gr.on(
        [photo.input, weights.input, focal.input, known_px.submit],
        answer,
        inputs,
        list(parts.values()),
        show_progress="full",
        show_progress_on=parts["pictures"],
        concurrency_limit=1,
        trigger_mode="always_last",
        api_visibility="private",
    )


def _shown(value: Any) -> Any:
    """Return what Gradio takes for a part's value: paths as text, and the cloud with the place to look from."""
    if isinstance(value, View):
        return gr.Model3D(str(value.path), camera_position=(TURNED_DEG, ABOVE_DEG, value.distance_m))
    if isinstance(value, (list, tuple)):
        return type(value)(str(path) for path in value)
    return str(value) if isinstance(value, Path) else value


def _as_it_came(photo: Any) -> str | None:
    """Return the path of a dropped photo: Gradio would decode it first, with messages and limits of its own."""
    return None if photo is None else photo.path


def _only_from(folder: Path, move: Callable[..., Any]) -> Callable[..., Any]:
    """Return Gradio's taking-over of files, restricted to what lies in `folder`.

    A request may name any file of the server, or a URL, where a file belongs; a mounted Gradio checks neither.
    """

    async def checked(path: str | Path | None) -> str | None:
        if path is not None and not Path(path).resolve().is_relative_to(folder):
            raise gr.Error("this page takes files that were dropped on it, and no others")
        return await move(path)

    return checked

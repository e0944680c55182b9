"""What the files of a project that streams say: frames in, an answer with every hop of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hwkd.deploy.to_c.project import Project

_WHOLE = """    memcpy(model_input(), model_sample_input, MODEL_INPUT_BYTES);
    model_run();
"""
_FRAMES = """    for (int frame = 0; frame < MODEL_FRAMES; frame++)
        model_push(model_sample_input + frame * MODEL_FRAME_VALUES);
"""
_DECLARED = """
/* The network streams: model_push takes one frame of MODEL_FRAME_VALUES int8 values and returns 1
 * where model_output() then answers for the MODEL_FRAMES frames that end with it: once these are
 * there, with every MODEL_HOP_FRAMES-th. model_init forgets them. Beneath it, model_run takes a hop
 * of frames in model_input(), one after another, and computes what is new. */
#define MODEL_FRAMES {window}
#define MODEL_HOP_FRAMES {hop}
#define MODEL_FRAME_VALUES {values}
int32_t model_push(const int8_t *frame);
"""
_DEFINED = """
static int32_t in_hop = {lead}, seen; /* frames; the first window ends with a hop */

int32_t model_push(const int8_t *frame)
{{
    memcpy(model_input() + in_hop * MODEL_FRAME_VALUES, frame, MODEL_FRAME_VALUES);
    seen += seen < MODEL_FRAMES;
    if (++in_hop < MODEL_HOP_FRAMES)
        return 0;
    in_hop = 0;
    model_run();
    return seen == MODEL_FRAMES;
}}
"""
_FORGETS = "    in_hop = {lead};\n    seen = 0;\n"


def stream_text(project: Project) -> Mapping[str, str]:
    """Return what model.h, model.c, main.c and the README say of how inputs get in."""
    form, macs = project.stream, project.arranged.graph.macs
    if form is None:
        return {
            "stream_declared": "", "stream_code": "", "stream_forgets": "", "main_feeds": _WHOLE,
            "work": f"{macs} multiply-accumulates per inference",
        }  # fmt: skip
    raw = project.raw
    frame = {
        "frame_type": "int8_t", "frame_size": "MODEL_FRAME_VALUES",
        "frame_text": 'quantised as "input" above says',
        "frame_call": "model_push(frame)",
    }  # fmt: skip
    if raw is not None:
        frame = {
            "frame_type": raw.c_type, "frame_size": f"{raw.shape[0]} * MODEL_FRAME_LENGTH",
            "frame_text": "samples, channel after channel; frames begin MODEL_FRAME_STRIDE apart",
            "frame_call": "model_run_frame(frame, MODEL_FRAME_LENGTH)",
        }  # fmt: skip
    sizes = {
        "window": form.window_frames, "hop": form.hop_frames, "values": form.frame_bytes,
        "lead": form.lead_frames,
    }  # fmt: skip
    return {
        "stream_declared": _DECLARED.format(**sizes),
        "stream_code": _DEFINED.format(**sizes),
        "stream_forgets": _FORGETS.format(**sizes),
        "main_feeds": _FRAMES,
        "work": f"{macs} multiply-accumulates every {form.hop_frames} frames",
        **frame,
    }


def stream_facts(project: Project) -> dict[str, Any]:
    """Return what model.json says of it; nothing of a project that takes windows."""
    form = project.stream
    if form is None:
        return {}
    return {
        "streaming": {
            "hop_frames": form.hop_frames,
            "window_frames": form.window_frames,
            "frame_bytes": form.frame_bytes,
            "kept_bytes": form.kept_bytes,
            "macs_per_frame": project.arranged.graph.macs / form.hop_frames,
            "window_macs": form.window_macs,
        }
    }


def stream_lines(project: Project) -> tuple[str, ...]:
    """Say what a frame costs beside a window at once, for people."""
    form, macs = project.stream, project.arranged.graph.macs
    if form is None:
        return ()
    frame = macs / form.hop_frames
    return (
        f"streams: an answer every {form.hop_frames} frames, for the last {form.window_frames}; "
        f"{frame:,.0f} multiply-accumulates per frame, {macs:,} per answer, where a window at once "
        f"takes {form.window_macs:,}; {form.kept_bytes:,} bytes of the arena are kept from one "
        "answer to the next",
    )

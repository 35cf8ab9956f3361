"""OpenVINO: all stages and their pooling as one graph, converted once for an encoder and kept on disk.

A graph is traced from two rows, so whatever depends on a shape in a way that tracing does not see stays as it was for
these: the caller holds its features to those of torch on batches of other shapes.
"""

from __future__ import annotations

import contextlib
import io
import json
import shutil
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import openvino
import torch
from torch import Tensor, nn

from graftwork.models.engines.engine import Computed, Engine, FrozenEncoder, Run
from graftwork.models.stages import Stage, State
from graftwork.runtime import cpu
from graftwork.runtime.locks import locked
from graftwork.specs.factories import require


class OpenVinoEngine(Engine):
    """A graph for batches with a mask, and one for those without, each of the stages that can be converted."""

    def compile(self, frozen: FrozenEncoder, example: State, precision: str) -> Run:
        name = "masked" if example.mask is not None else "plain"
        with _kept(frozen.folder) as folder:
            if precision == "int8":
                assert frozen.calibration is not None, "int8 is calibrated"
                model, ran = _read_or_make(folder, f"{name}-int8-{frozen.calibration.digest}", lambda: _quantized(
                    *_read_or_make(folder, name, lambda: _convert(frozen, example)), frozen, example
                ))  # fmt: skip
            else:
                model, ran = _read_or_make(folder, name, lambda: _convert(frozen, example))
            # All stages run, whatever the last tap is: of a part of the graph the same numbers may round otherwise.
            request = _compiled(model, precision).create_infer_request()
        wanted = [tap for tap in frozen.taps if tap < ran]
        partly = frozen.taps[-1] >= ran

        def run(state: State) -> Computed:
            request.infer(_arrays(state), share_inputs=True)
            found = [_taken(request, tap) for tap in wanted]
            if not partly:
                return Computed(found)
            mask = _taken(request, ran + 1).bool() if state.mask is not None else None
            return Computed(found, State(_taken(request, ran), mask), ran)

        return run


def _arrays(state: State) -> list[Any]:
    given = [state.hidden] if state.mask is None else [state.hidden, state.mask]
    return [tensor.contiguous().numpy() for tensor in given]


def _taken(request: openvino.InferRequest, output: int) -> Tensor:
    """A copy of an output, whose memory the next batch overwrites."""
    return torch.from_numpy(request.get_output_tensor(output).data).clone()


class _Folded(nn.Module):
    """Stages and their pooling as one module, from a state to all pooled features and the last state."""

    def __init__(self, frozen: FrozenEncoder, stages: list[Stage]) -> None:
        super().__init__()
        self.stages = nn.ModuleList(stages)
        self._pool = frozen.backbone.pool

    def forward(self, hidden: Tensor, mask: Tensor | None = None) -> tuple[Tensor, ...]:
        state, found = State(hidden, mask), []
        for stage in self.stages:
            state = stage(state)
            found.append(self._pool(state).float())
        return (*found, state.hidden.float(), *(() if state.mask is None else (state.mask,)))


def _convert(frozen: FrozenEncoder, example: State) -> tuple[openvino.Model, int]:
    """The graph of as many stages as can be converted, and their number. Raises what converting the first one does."""
    stages, most = frozen.backbone.stages(), len(frozen.backbone.stages())
    try:
        return _traced(frozen, stages, example), most
    except Exception:
        if most == 1:
            raise
    least, model = 0, None
    while most - least > 1:  # the first `least` can be converted, the first `most` cannot
        middle = (least + most) // 2
        try:
            model, least = _traced(frozen, stages[:middle], example), middle
        except Exception:
            most = middle
    return (model, least) if model is not None else (_traced(frozen, stages[:1], example), 1)


def _traced(frozen: FrozenEncoder, stages: list[Stage], example: State) -> openvino.Model:
    """The graph of some stages; raises anything if it cannot be made, or cannot run."""
    # Not openvino.convert_model: it tells its maker over the network what is converted.
    from openvino.frontend import FrontEndManager
    from openvino.frontend.pytorch.ts_decoder import TorchScriptPythonDecoder

    rows = torch.arange(2) % len(example.hidden)
    with warnings.catch_warnings(), torch.inference_mode(False), torch.no_grad():
        given = tuple(tensor[rows].clone() for tensor in (example.hidden, example.mask) if tensor is not None)
        warnings.simplefilter("ignore")  # of what tracing does not see; features are compared
        traced: Any = torch.jit.trace(_Folded(frozen, stages).eval(), given, check_trace=False, strict=False)
    front = FrontEndManager().load_by_framework("pytorch")
    decoder = TorchScriptPythonDecoder(traced, example_input=given)  # must outlive the conversion
    model: openvino.Model = front.convert(front.load(decoder))
    for node, tensor in zip(model.get_parameters(), given, strict=True):
        free = 2 if len(given) > 1 or tensor.ndim == 2 else 1
        node.set_partial_shape(openvino.PartialShape([-1] * free + list(tensor.shape[free:])))
        if tensor.dtype == torch.bool:
            node.set_element_type(openvino.Type.boolean)
    model.validate_nodes_and_infer_types()
    # Of other rows than it was traced from, since some graphs fail only then.
    three = torch.arange(3) % 2
    openvino.compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})([one[three].numpy() for one in given])
    return model


def _quantized(
    model: openvino.Model, ran: int, frozen: FrozenEncoder, example: State
) -> tuple[openvino.Model, int]:  # fmt: skip
    """The graph with weights and activations in int8, by post-training quantization."""
    require("nncf", "--precision int8", "openvino")
    import logging

    import nncf

    assert frozen.calibration is not None, "int8 is calibrated"
    if frozen.calibration.batches is None:
        raise FileNotFoundError("the int8 model that it was made with is not kept on this machine")
    nncf.set_log_level(logging.ERROR)
    masked = example.mask is not None
    states = [state for state in frozen.calibration.batches() if (state.mask is not None) == masked]
    states = states or [example]

    transformer = nncf.ModelType.TRANSFORMER if example.hidden.ndim < 4 else None
    with contextlib.redirect_stdout(io.StringIO()):  # it draws progress there
        made = nncf.quantize(model, nncf.Dataset(states, _arrays), subset_size=len(states), model_type=transformer)
    return made, ran


# On disk.


@contextmanager
def _kept(folder: Path | None) -> Iterator[Path | None]:
    """The folder, locked; None if nothing can be kept there."""
    try:
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
        guard = locked(folder / "lock") if folder else nullcontext()
        guard.__enter__()
    except OSError:
        yield None
        return
    try:
        yield folder
    finally:
        guard.__exit__(None, None, None)


def _read_or_make(
    folder: Path | None, name: str, make: Callable[[], tuple[openvino.Model, int]]
) -> tuple[openvino.Model, int]:
    """The graph that was kept under a name, and how many stages it has; else the one that is made now."""
    place = folder / name if folder else None
    if place is not None and place.exists():
        try:
            about = json.loads((place / "about.json").read_text())
            return openvino.Core().read_model(place / "graph.xml"), int(about["stages"])
        except Exception:  # damaged; OpenVINO raises anything
            shutil.rmtree(place, ignore_errors=True)
    model, stages = make()
    if folder is not None and place is not None:
        made = Path(tempfile.mkdtemp(dir=folder))
        try:
            openvino.save_model(model, made / "graph.xml", compress_to_fp16=False)
            (made / "about.json").write_text(json.dumps({"stages": stages}))
            made.replace(place)
            # As others will read it: what was converted just now may round otherwise.
            model = openvino.Core().read_model(place / "graph.xml")
        except (OSError, RuntimeError):  # the disk is full
            shutil.rmtree(made, ignore_errors=True)
    return model, stages


def _compiled(model: openvino.Model, precision: str) -> openvino.CompiledModel:
    # OpenVINO's own cache of compiled models is left off: networks that were read from it gave NaN, or ended the
    # process.
    half = precision == "bf16" or (precision == "int8" and "bf16" in cpu.capabilities())
    return openvino.Core().compile_model(
        model,
        "CPU",
        {
            "INFERENCE_PRECISION_HINT": "bf16" if half else "f32",
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_NUM_THREADS": torch.get_num_threads(),
            "ENABLE_CPU_PINNING": False,  # other processes may be using the first cores
        },
    )

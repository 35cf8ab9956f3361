"""Loading transformers models for the plugins that support them: silently, with every weight, without running code from
the folder.

The plugin always names the class; entries of a config file that name code (`auto_map`, kernels) are ignored.
"""

from __future__ import annotations

import difflib
import tempfile
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors.torch import load_file
from torch import Tensor

from graftwork.errors import UsageError, WeightsMismatch
from graftwork.models.weight_files import failure_reason
from graftwork.specs.hub_folder import HUB_WEIGHTS, read_json
from graftwork.specs.model_sizes import check_memory, check_sizes

Model = TypeVar("Model")


def load_pretrained(
    kind: type[Model],
    folder: Path | None,
    *,
    shape: Mapping[str, Any],
    unused: Collection[str] = (),
    **fields: Any,
) -> Model:
    """A model of the transformers class `kind` with the weights in `folder`, fp32; without a folder, with random
    weights.

    shape: the config.json fields for random weights.
    unused: parameters that no stage uses; the file may lack them. fields: other arguments of the class.
    Weights of other heads in the file are not loaded.

    Raises `WeightsMismatch` if the weights are damaged or not those of such a model.
    """
    made: Any = kind
    # A config file may name kernels that transformers would fetch and run.
    attention = _attention(kind)
    with _quiet():
        if folder is None:
            config = made.config_class.from_dict(dict(shape))
            return made._from_config(config, attn_implementation=attention, **fields)
        if (folder / "adapter_config.json").is_file():  # transformers would apply it if peft is installed
            raise WeightsMismatch(
                f"'{folder}' holds an adapter (adapter_config.json) beside its weights; plain weights are accepted.",
                "Merge it into them: model.merge_and_unload().save_pretrained(FOLDER)",
            )
        config = read_json(folder / "config.json")
        check_sizes(folder / "config.json", config)
        check_memory(folder, config)
        try:
            # A .bin is opened by transformers with weights_only=True: tensors, no code.
            model, report = made.from_pretrained(
                folder,
                local_files_only=True,
                use_safetensors=any(folder.glob("*.safetensors")),
                dtype=torch.float32,
                attn_implementation=attention,
                output_loading_info=True,
                **fields,
            )
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # every file format raises its own family, those of Rust no Exception
            raise WeightsMismatch(
                f"The weights in '{folder}' cannot be loaded as a {kind.__name__}: {failure_reason(error)}.",
                "Save or fetch them again.",
            ) from error
    missing = sorted(name for name in report["missing_keys"] if name not in unused)
    if missing:
        raise WeightsMismatch(
            f"The weights in '{folder}' lack {len(missing)} tensors of a {kind.__name__} (first: {missing[0]}).",
            "Save or fetch them again.",
        )
    return model


def new_model(kind: Any, fields: Mapping[str, Any], **options: Any) -> Any:
    """A model of the transformers class `kind` with random weights from torch's generator.

    fields: of its config. options: other arguments of the class.

    Raises `UsageError` for a field that its config does not have, or a value that it does not accept.
    """
    known = [name for name in kind.config_class().to_dict() if name not in ("architectures", "transformers_version")]
    for name in fields:
        if name not in known:
            near = difflib.get_close_matches(name, known, 1, cutoff=0)[0]
            raise UsageError(
                f"The architecture '{kind.config_class.model_type}' has no field '{name}'; the nearest is '{near}'.",
                "See the fields of its config.json in the documentation of transformers.",
            )
    try:
        with _quiet():
            return kind._from_config(kind.config_class(**fields), attn_implementation=_attention(kind), **options)
    except Exception as error:  # impossible shapes make the library raise errors of any type
        raise UsageError(
            f"A '{kind.config_class.model_type}' cannot be made of these fields: {failure_reason(error)}.",
            "Change them: --set",
        ) from error


def save_new(model: Any, folder: Path) -> None:
    """Write a transformers model into a folder in hub layout: config.json and model.safetensors."""
    with _quiet():
        model.save_pretrained(folder)


def hub_state(model: Any) -> dict[str, Tensor]:
    """The weights of a transformers model by their names in hub layout, which may differ from its module names."""
    with tempfile.TemporaryDirectory() as scratch:
        save_new(model, Path(scratch))
        return load_file(Path(scratch) / HUB_WEIGHTS)


def _attention(kind: Any) -> str:
    return "sdpa" if kind._supports_sdpa else "eager"


@contextmanager
def _quiet() -> Iterator[None]:
    """Hide the library's progress bars and its report of heads that are not loaded."""
    from transformers.utils import logging

    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()

"""Checks of what can be pretrained: architectures, and objectives."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

from graftwork.errors import UsageError
from graftwork.models.backbone import load_backbone
from graftwork.plugins import registry
from graftwork.plugins.loading import installed
from graftwork.specs.factories import load_factory
from graftwork.specs.hub_folder import HUB_WEIGHTS
from graftwork.specs.pretraining import ArchitectureSpec
from graftwork.specs.readers import Reader
from graftwork.testing.cases import Nonconformance, NotChecked, Registered, check
from graftwork.testing.samples import examples, write_data


def _made(spec: ArchitectureSpec, fields: dict[str, Any], folder: Path) -> None:
    """Write a network of these fields into a new folder, drawn from a seed."""
    folder.mkdir()
    torch.manual_seed(0)
    reader: Reader = load_factory(registry.modality(spec.modality).reader)()
    load_factory(spec.factory)(folder, fields, (reader.decode(raw) for raw in examples(spec.modality, 12)))


@check("architectures")
def every_size_is_a_model_in_hub_layout(one: Registered) -> None:
    for size, fields in one.spec.sizes.items():
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch) / "model"
            _made(one.spec, dict(fields), folder)
            spec = registry.backbone(f"local:{folder}")
            if spec.modality != one.spec.modality:
                raise Nonconformance(
                    f"The architecture '{one.name}' is of {one.spec.modality}; what it makes reads {spec.modality}.",
                    "Say the modality of what it makes.",
                )
            held, named = load_file(folder / HUB_WEIGHTS), load_backbone(spec).hub_state()
            wrong = [name for name, tensor in named.items() if name not in held or not torch.equal(tensor, held[name])]
            if wrong:
                raise Nonconformance(
                    f"'{wrong[0]}' is not what a network of size '{size}' calls its weights in the file that it wrote.",
                    "Return from hub_state of its backbone what the file holds, by the names there.",
                )


@check("architectures")
def the_same_seed_makes_the_same_network(one: Registered) -> None:
    fields = dict(next(iter(one.spec.sizes.values())))
    with tempfile.TemporaryDirectory() as scratch:
        folders = [Path(scratch) / name for name in ("one", "two")]
        for folder in folders:
            _made(one.spec, fields, folder)
        for file in sorted(folders[0].iterdir()):
            if file.read_bytes() != (folders[1] / file.name).read_bytes():
                raise Nonconformance(
                    f"'{file.name}' of '{one.name}' differs between two makings from one seed.",
                    "Draw from torch's generator alone, and in a fixed order.",
                )


@check("architectures")
def a_field_that_it_has_not_is_refused(one: Registered) -> None:
    fields = {**next(iter(one.spec.sizes.values())), "no_such_field": 1}
    with tempfile.TemporaryDirectory() as scratch:
        try:
            _made(one.spec, fields, Path(scratch) / "model")
        except UsageError as error:
            if "no_such_field" in str(error):
                return
    raise Nonconformance(f"'{one.name}' takes a field 'no_such_field'.", "Make it by graftwork.new_model.")


@contextmanager
def _pretrained(one: Registered) -> Iterator[list[Path]]:
    """Two folders of one pretraining by an objective, of one step."""
    from graftwork.pretraining.pretrain import pretrain

    known = installed().registered["architectures"].values()
    fitting = [a for a in known if not one.spec.architectures or a.name in one.spec.architectures]
    if not fitting:
        raise NotChecked(f"No architecture is installed that '{one.name}' is for.")
    if one.spec.teacher:
        raise NotChecked(f"'{one.name}' learns from an encoder, and none is given.")
    with tempfile.TemporaryDirectory() as scratch:
        data = write_data(fitting[0].modality, Path(scratch))
        folders = [Path(scratch) / name for name in ("first", "second")]
        for folder in folders:
            pretrain(
                data, fitting[0].name, one.name, folder, allow_little=True, epochs=1, batch_size=4, precision="fp32"
            )
        yield folders


@check("objectives")
def it_trains_the_same_from_the_same_seed(one: Registered) -> None:
    with _pretrained(one) as folders:
        first, second = (load_file(folder / HUB_WEIGHTS) for folder in folders)
        moved = [name for name in first if not torch.equal(first[name], second[name])]
        if moved:
            raise Nonconformance(
                f"'{moved[0]}' differs between two trainings by '{one.name}' from one seed.",
                "Take chance from torch's, numpy's or random's generator, which every step seeds.",
            )

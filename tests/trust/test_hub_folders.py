"""What a model or a data set brings besides numbers and words is never run, whatever its config files say."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

import graftwork as gw
from graftwork import DataError, WeightsMismatch
from graftwork.data import sources
from graftwork.plugins import registry

MODELS = ["tiny_bert", "tiny_electra", "tiny_wav2vec2"]

KERNELS = """
from pathlib import Path
from unittest.mock import MagicMock

def get_kernel(*arguments, **options):
    Path({ran!r}).mkdir()
    raise RuntimeError("the kernel ran")

def __getattr__(name):
    if name.startswith("__"):
        raise AttributeError(name)
    return MagicMock()
"""

LOADING = """
from pathlib import Path
import graftwork as gw
from graftwork.plugins import registry

for folder in {folders}:
    for pretrained in (True, False):
        gw.load_backbone(registry.backbone(f"local:{{folder}}"), pretrained=pretrained)
print("ours", Path({ran!r}).exists())
from transformers import ElectraModel

try:
    ElectraModel.from_pretrained({folders}[0])  # so that it is known that the trap works
finally:
    print("theirs", Path({ran!r}).exists())
"""


@pytest.fixture
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A copy of a tiny model."""
    return shutil.copytree(request.getfixturevalue(request.param), tmp_path / "model")


@pytest.mark.parametrize("folder", MODELS, indirect=True)
def test_classes_that_config_files_name_are_not_followed(
    folder: Path, with_code: Callable[[Path], Path], ran: Path
) -> None:
    name = f"local:{with_code(folder)}"
    for pretrained in (True, False):
        backbone = gw.load_backbone(registry.backbone(name), pretrained=pretrained)
        assert {type(backbone).__module__.split("_")[0]} == {"graftwork"}
    assert not ran.exists()
    assert not [module for module in sys.modules if "_evil" in module]


def test_kernels_that_a_config_file_names_are_not_fetched(
    tiny_electra, tiny_wav2vec2, ran: Path, tmp_path: Path
) -> None:
    """A package stands in for `kernels`, which fetches compiled code from the hub and loads it."""
    about = tmp_path / "site" / "kernels-0.18.2.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: kernels\nVersion: 0.18.2\n")
    (tmp_path / "site" / "kernels.py").write_text(KERNELS.format(ran=str(ran)))
    for folder in (tiny_electra, tiny_wav2vec2):
        said = json.loads((folder / "config.json").read_text())
        said["attn_implementation"] = said["_attn_implementation"] = "kernels-community/evil"
        (folder / "config.json").write_text(json.dumps(said))
    path = os.pathsep.join([str(tmp_path / "site"), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, "-c", LOADING.format(folders=[str(tiny_electra), str(tiny_wav2vec2)], ran=str(ran))],
        env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.stdout.split() == ["ours", "False", "theirs", "True"], done.stderr


@pytest.mark.parametrize("folder", ["tiny_electra", "tiny_wav2vec2"], indirect=True)
def test_an_adapter_beside_the_weights_is_not_applied_in_silence(folder: Path) -> None:
    (folder / "adapter_config.json").write_text(json.dumps({"peft_type": "LORA", "base_model_name_or_path": "a/b"}))
    with pytest.raises(WeightsMismatch) as caught:
        gw.load_backbone(registry.backbone(f"local:{folder}"))
    assert caught.value.message == (
        f"'{folder}' holds an adapter (adapter_config.json) beside its weights; plain weights are accepted."
    )
    assert caught.value.hint == "Merge it into them: model.merge_and_unload().save_pretrained(FOLDER)"


@pytest.mark.parametrize("brings", ["a loading script", "a pickled table", "pickles in an archive"])
def test_a_data_set_that_brings_code_is_refused(brings, code, payloads, ran, tmp_path, monkeypatch) -> None:
    place = tmp_path / "evil"
    place.mkdir()
    if brings == "a loading script":
        (place / "evil.py").write_text(code)
    elif brings == "a pickled table":
        (place / "train.pkl").write_bytes(payloads[0])
    else:  # in the layout of WebDataset
        (tmp_path / "0.pth").write_bytes(payloads[1])
        with tarfile.open(place / "train.tar", "w") as archive:
            archive.add(tmp_path / "0.pth", "0.pth")
    monkeypatch.setattr(sources, "offline", lambda: False)
    monkeypatch.setattr(sources, "hub_unreachable", lambda: "")
    with pytest.raises(DataError, match="cannot be loaded as a data set: "):
        gw.data(f"hub:{place}")
    assert not ran.exists()

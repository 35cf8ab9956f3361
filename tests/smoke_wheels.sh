#!/usr/bin/env bash
# Builds the wheels and installs them, not editable, into clean environments: the core alone, the core and a third
# party's modality alone, then everything.
set -euo pipefail
cd "$(dirname "$0")/.."
uv="$1"
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT

for package in core plugins/image plugins/text plugins/audio plugins/audio-starter plugins/timm examples/plugins/efficientnet-lite \
  examples/plugins/word-vectors examples/plugins/time-series examples/plugins/ordinal examples/plugins/sound-events \
  examples/plugins/zenodo; do
  "$uv" build -q --wheel --out-dir "$work/wheels" "$package"
done
ls "$work/wheels"

"$uv" venv -q --python 3.11 "$work/core"
"$uv" pip install -q --python "$work/core/bin/python" -c constraints.txt --find-links "$work/wheels" graftwork
cd "$work"
core/bin/python - <<'PY'
import importlib.util

present = [name for name in ("torchvision", "torchaudio", "transformers") if importlib.util.find_spec(name)]
assert not present, f"the core alone pulled {present}"
PY
core/bin/graftwork plugins
test "$(core/bin/graftwork backbones --json)" = "[]"

for modality in image text audio; do
  core/bin/python - "$modality" <<'PY'
import re
import sys
import zipfile
from pathlib import Path

modality = sys.argv[1]
wheel = next(Path("wheels").glob(f"graftwork_{modality}-*.whl"))
with zipfile.ZipFile(wheel) as archive:
    metadata = archive.read(next(n for n in archive.namelist() if n.endswith("METADATA"))).decode()
needs = set(re.findall(r"^Requires-Dist: ([A-Za-z0-9-]+)[^;\n]*$", metadata, re.M))
foreign = {"image": {"torchaudio", "soundfile", "transformers"}, "text": {"torchvision", "torchaudio", "soundfile"},
           "audio": {"torchvision"}}[modality]
assert not needs & foreign, f"graftwork-{modality} needs {needs & foreign}"
PY
done

"$uv" venv -q --python 3.11 "$work/third"
"$uv" pip install -q --python "$work/third/bin/python" -c "$OLDPWD/constraints.txt" --find-links "$work/wheels" \
  graftwork-time-series pytest hypothesis
third/bin/python - <<'PY'
import importlib.util
from pathlib import Path

from graftwork_time_series.demos import vibrations

others = ("graftwork_image", "graftwork_text", "graftwork_audio", "torchvision", "torchaudio", "transformers")
present = [name for name in others if importlib.util.find_spec(name)]
assert not present, f"graftwork-time-series pulled {present}"
vibrations(Path("machines"))
PY
[[ "$(third/bin/graftwork backbones --json)" == *'"series/resnet1d-tiny"'* ]]
third/bin/graftwork check machines
third/bin/graftwork fit machines --out vibrations
third/bin/graftwork predict vibrations machines/bearing/00.csv --json
third/bin/python -m pytest -p no:cacheprovider "$OLDPWD/examples/plugins/time-series/tests"

"$uv" venv -q --python 3.11 "$work/all"
"$uv" pip install -q --python "$work/all/bin/python" -c "$OLDPWD/constraints.txt" --find-links "$work/wheels" \
  "graftwork[image,text,audio]" graftwork-efficientnet-lite graftwork-word-vectors graftwork-time-series graftwork-ordinal graftwork-sound-events graftwork-zenodo
all/bin/graftwork plugins
printf 'text,label\n' >messages.csv
for number in 1 2 3 4 5; do
  printf 'where is parcel number %s,delivery\nI lost card number %s,card\n' "$number" "$number" >>messages.csv
done
all/bin/graftwork fit messages.csv --out run
all/bin/graftwork predict run "my card is gone" --json
all/bin/graftwork fit messages.csv --backbone text/glove-50d-idf --out words

# The longest examples, outside of the checkout, print what is kept (tests run the others); and without plugins each
# prints one sentence with what to install.
cp -r "$OLDPWD/examples" examples
rm -rf examples/plugins
"$OLDPWD/.venv/bin/python" "$OLDPWD/tests/docs/kept_output.py" compare "$work/all/bin/python" "$work/examples"
for script in examples/*.py examples/voice_command/voice_command.py; do
  said="$(core/bin/python "$script" 2>&1)" && { echo "$script runs without its plugins"; exit 1; }
  [[ "$said" == "This needs graftwork-"*"pip install "* && "$said" != *$'\n'* ]] || { echo "$script: $said"; exit 1; }
done
"$OLDPWD/.venv/bin/python" "$OLDPWD/tests/guide.py" "$uv" "$work/wheels"
echo "Wheels: built, installed and used."

# Each target does its own set-up. `make setup` makes .venv with everything, editable.
PY := .venv/bin/python
UV := $(shell command -v uv 2>/dev/null || echo $(CURDIR)/.uv/bin/uv)
PACKAGES := core[excel,lion,lora,openvino,s3,tensorboard] plugins/image[heif,hub] plugins/text[hub,starter] plugins/audio[av] \
  plugins/audio-starter plugins/timm \
  examples/plugins/efficientnet-lite examples/plugins/word-vectors examples/plugins/time-series examples/plugins/ordinal examples/plugins/sound-events \
  examples/plugins/zenodo
PROJECTS := core/pyproject.toml $(wildcard plugins/*/pyproject.toml examples/plugins/*/pyproject.toml)

.PHONY: setup demo test check format bench docs wheels

setup: .venv/.done

.venv/.done: $(PROJECTS) constraints.txt Makefile
	@command -v $(UV) >/dev/null || { python3 -m venv .uv && .uv/bin/pip install -q uv; }
	@test -x $(PY) || $(UV) venv -q --python '>=3.11' .venv
	@$(UV) pip install -q --python $(PY) -c constraints.txt $(addprefix -e ./,$(PACKAGES)) \
	  pytest pytest-xdist hypothesis ruff 'pyright[nodejs]' import-linter polars openpyxl 'moto[s3]' flask flask-cors \
	  jiwer seqeval nbformat nbclient ipykernel
	@touch $@

demo: setup
	@.venv/bin/graftwork demo

test: setup
	@PYTHONDONTWRITEBYTECODE= MALLOC_MMAP_THRESHOLD_=2000000 OMP_NUM_THREADS=1 $(PY) -m pytest -n auto --dist worksteal

check: setup
	@.venv/bin/ruff format --check .
	@.venv/bin/ruff check .
	@.venv/bin/lint-imports --no-logo
	@.venv/bin/pyright
	@$(MAKE) --no-print-directory test

format: setup
	@.venv/bin/ruff format .
	@.venv/bin/ruff check --fix .

wheels: setup
	@tests/smoke_wheels.sh $(UV)

bench: setup
	@$(PY) tests/bench/measure.py $(BENCHES)

docs: setup
	@$(UV) pip install -q --python $(PY) -c constraints.txt mkdocs
	@.venv/bin/mkdocs build -q
	@echo "Docs: build/site/index.html"

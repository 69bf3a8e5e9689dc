# demo · demo-full · test · test-all · check · bench; each first brings .venv up to date, when it is not.
PYTHON ?= python3
BIN := .venv/bin
INSTALLED := .venv/.installed
DEMO := runs/demo
QUESTION := 'Nina saves $$11 a week for 2 weeks. Grace has half as much money as Nina. How much money does Grace have?'

# uv does not read pip's configuration: hand it pip's find-links where there is one.
FIND_LINKS := $(shell $(PYTHON) -m pip config get global.find-links 2>/dev/null)
TORCH := $(if $(FIND_LINKS),,--torch-backend=auto)
export UV_FIND_LINKS := $(FIND_LINKS)

.PHONY: demo demo-full test test-all check bench lock clean

demo: $(INSTALLED)
	$(BIN)/metamath-ray loop --config jobs/configs/loop_word_problems.yaml --run-directory $(DEMO)
	$(BIN)/metamath-ray serve --question $(QUESTION)

demo-full: demo
	$(BIN)/python benchmarks/finetuning.py --page docs/results.md
	$(BIN)/python benchmarks/augmentations.py --page docs/results.md

test: $(INSTALLED)
	$(BIN)/python -m pytest -m "not slow"

test-all: $(INSTALLED)
	$(BIN)/python -m pytest

check: $(INSTALLED)
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(INSTALLED)
	$(BIN)/uv pip install --quiet "datasketch>=2.0" "trl>=1.0"
	$(BIN)/python benchmarks/run_all.py

lock: $(INSTALLED)
	$(BIN)/uv pip compile pyproject.toml --extra cpu --extra dev --python-version 3.11 --quiet $(TORCH) \
	    --custom-compile-command "make lock" --output-file requirements/cpu.lock
	env -u UV_FIND_LINKS $(BIN)/uv pip compile pyproject.toml --extra gpu --python-version 3.11 --quiet \
	    --custom-compile-command "make lock" --output-file requirements/gpu.lock
	sed -i 's/^\(torch==[0-9.]*\)+.*$$/\1/' requirements/cpu.lock requirements/gpu.lock

clean:
	rm -rf .venv runs

$(INSTALLED): requirements/cpu.lock pyproject.toml
	test -x $(BIN)/uv || { $(PYTHON) -m venv .venv && $(BIN)/python -m pip install --quiet uv; }
	$(BIN)/uv pip sync --quiet --compile-bytecode $(TORCH) requirements/cpu.lock
	$(BIN)/uv pip install --quiet --no-deps --editable .
	touch $@

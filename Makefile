# Every target sets up what it needs: Python >= 3.11 with headers, make and a C compiler are enough.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready
IN_C   := $(wildcard csrc/*.c) pyxlist/_named.c $(wildcard pyxlist/*/*.c)
SOURCES := $(IN_C) $(wildcard csrc/*.h) csrc/ffi_build.py pyproject.toml setup.py

.DEFAULT_GOAL := help
.PHONY: help demo test differential fuzz fuzz-replay lint bench clean

help:  ## what there is to make
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "make %-12s %s\n", $$1, $$2}'

$(READY): $(SOURCES)
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[dev]'
	touch $@

demo: $(READY)  ## index a recorded mailboxes.db and show what three users see in it
	$(BIN)/python examples/demo.py

test: $(READY)  ## unit, property, crash and end-to-end tests
	$(BIN)/pytest -q -n 2 -m 'not cyrus and not slow' $(PYTEST_ARGS)

differential: $(READY)  ## random worlds on a private, real Cyrus (root, cyrus-imapd), every answer compared
	$(BIN)/pytest -q -s -m cyrus tests/differential tests/e2e $(PYTEST_ARGS)

FUZZ_SECONDS ?= 60

fuzz:  ## look for inputs that break the C core, FUZZ_SECONDS for each target (clang and its runtime)
	$(MAKE) -s -k -C tests/fuzz campaign FUZZ_SECONDS=$(FUZZ_SECONDS)

fuzz-replay:  ## every input kept in tests/fuzz/corpus, under AddressSanitizer and UBSan
	$(MAKE) -s -C tests/fuzz replay

lint: $(READY)  ## ruff, mypy --strict, C warnings as errors, and the numbers of the house as a table
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	for file in $(IN_C); do \
	  $(CC) -std=c11 -O3 -Wall -Wextra -Wshadow -Wconversion -Wstrict-prototypes -Werror -c $$file -o /dev/null \
	    -DPy_LIMITED_API=0x030b0000 -Icsrc -isystem $$($(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("include"))') \
	    || exit 1; \
	done  # compiled in earnest: some warnings come of optimising alone
	$(BIN)/python -m tests.house

bench: $(READY)  ## the measurements of the README, beside their baselines
	$(BIN)/python -m benchmarks --plots docs --readme README.md $(BENCH_ARGS)

clean:  ## remove what was built, the environment included
	rm -rf $(VENV) build *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .benchmarks
	rm -f pyxlist/_pxl.c pyxlist/*.so pyxlist/*/*.so

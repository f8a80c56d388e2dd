PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
READY = $(VENV)/.ready

.PHONY: demo test slow readme lock clean

demo: $(READY) ## train four mixers on ListOps and draw the leaderboard
	$(BIN)/zoo run -m task=lra/listops mixer=attention,sliding,linear_attention,mamba budget=smoke
	$(BIN)/zoo leaderboard --html leaderboard.html

test: $(READY) ## lint, types and the tests that need no GPU and no patience
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	$(BIN)/pytest -n 2

slow: $(READY) ## the tests that take minutes
	$(BIN)/pytest -n 2 -m "slow and not gpu"

readme: $(READY) ## the README's table and the docs' figures, out of the committed records
	$(BIN)/python docs/readme.py
	$(BIN)/python docs/efficiency.py

lock: ## rewrite constraints.txt from what is installed
	$(BIN)/pip freeze --exclude-editable > constraints.txt

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit("mixer-zoo needs Python 3.11 or newer") if sys.version_info < (3, 11) else None'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install -q -c constraints.txt -e '.[dev]'
	touch $@

clean:
	rm -rf $(VENV) runs leaderboard.html

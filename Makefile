# make train   set up .venv and run the quickstart
# make test    set up .venv and run lint, types and the test suite, on as many cores as there are (4 at most)
# make test-long   what repeats that at length: every network, kills at random moments; within forty minutes
# make bench   ours, stock Detectron2 and torchvision side by side, a quarter of an hour; BENCH_ARGS="--device cuda"
# make gpu-check   what needs a GPU, in one run of eight minutes; GPU_ARGS="--help" lists the arguments
# make bench-compare A=old.json B=new.json   fails when something became more than 10 % slower
PYTHON ?= python3
VENV ?= .venv
CONFIG ?= configs/quickstart.yaml
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: train test test-long install lint docs clean bench bench-compare gpu-check

# a second time beside the first run
TRAIN_ARGS ?= train.if_exists=number
train: install
	$(BIN)/python train_net.py --config $(CONFIG) $(TRAIN_ARGS)

# A process a core, with one thread each: 2 GB of memory each, so not more than 4. TEST_ARGS= runs in one process.
TEST_ARGS ?= -n auto --maxprocesses 4 --dist worksteal
test: install lint
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m "not long" $(TEST_ARGS)

test-long: install
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m long $(TEST_ARGS)

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

docs: install
	$(BIN)/python -m paddlex_maskrcnn hyperparameters --write docs/hyperparameters.md \
		--signatures projects/paddlex_maskrcnn/config/signatures.py

bench: install
	$(BIN)/python -W ignore benchmarks/run.py $(BENCH_ARGS)

bench-compare: install
	$(BIN)/python benchmarks/compare.py $(A) $(B)

gpu-check: install
	benchmarks/gpu_check.sh --python $(abspath $(BIN)/python) $(GPU_ARGS)

install: $(READY)

# EXTRAS= (empty) leaves the developers' tools out; the Docker image takes EXTRAS='[serve]'
EXTRAS ?= [dev]
$(READY): pyproject.toml constraints.txt projects/paddlex_maskrcnn/detectron2-requirement.txt
	@$(PYTHON) -c "import sys; sys.exit(sys.version_info < (3, 11) and 'Python >= 3.11 is needed, $(PYTHON) is ' + sys.version.split()[0] + '; try: make PYTHON=python3.12 $(MAKECMDGOALS)')"
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.$(EXTRAS)'
	$(BIN)/python -m paddlex_maskrcnn install-detectron2
	@touch $(READY)

clean:
	rm -rf $(VENV)

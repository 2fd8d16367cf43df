# `make help` lists what there is. CI runs `make test` and nothing else.
PY := .venv/bin/python
PYTEST := $(PY) -m pytest
AS_ROOT := $(if $(filter 0,$(shell id -u)),,sudo -E)
SHELL_SOURCES := $(shell git ls-files '*.sh' 2>/dev/null) boel-initrd/init boel-initrd/bin/udevadm .ci/run

.PHONY: help setup demo demo-shell test test-full lint unit golden integration disk e2e mutants bench simulate man client deb wheel clean

help: ## this list
	@sed -n 's/^\([a-z0-9-]*\):.*## /  \1\t/p' Makefile | expand -t 16

build/.setup: scripts/packages.txt scripts/setup.sh setup.cfg
	@scripts/setup.sh

setup: build/.setup ## install what everything below needs

demo: build/.setup client ## the main job, start to end, on real machines in QEMU
	@$(AS_ROOT) $(PY) -m scripts.demo

demo-shell: build/.setup client ## the same, and leave the machines up to log in
	@$(AS_ROOT) $(PY) -m scripts.demo --keep

test: build/.setup lint unit golden integration disk e2e ## everything that CI runs
	@echo "make test: lint, unit, golden, integration, disk and e2e are green"

test-full: test ## also what is too slow for CI: every row of the matrix of layouts
	$(AS_ROOT) $(PYTEST) -v --capture=no -m full tests/e2e

lint: build/.setup ## ruff, mypy, import-linter, shellcheck
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy
	.venv/bin/lint-imports --config pyproject.toml
	shellcheck --shell=sh --external-sources --source-path=SCRIPTDIR $(SHELL_SOURCES)

unit: build/.setup ## pure parts; starts no process, opens no socket
	$(PYTEST) -q tests/unit

golden: build/.setup ## layouts to master scripts, compared with committed texts
	$(PYTEST) -q tests/golden tests/machines

integration: build/.setup client ## real rsync, TFTP, HTTP, DNS and DHCP peers on loopback
	$(AS_ROOT) $(PYTEST) -q tests/integration

disk: build/.setup ## rendered partition steps on loop devices, read back by other tools
	$(AS_ROOT) $(PYTEST) -q tests/disk

e2e: build/.setup client ## machines in QEMU: capture, install, boot, update
	$(AS_ROOT) $(PYTEST) -v --capture=no -m "not full" tests/e2e

mutants: build/.setup ## small changes of si/layout and si/script that no test notices
	@$(PY) -m scripts.mutants

bench: build/.setup client ## the figures, as ratios to a peer in the same run
	@$(AS_ROOT) $(PY) -m scripts.bench

simulate: build/.setup ## the figures of si-scaling(7): up to 10,000 clients; takes minutes
	@$(PY) -m scripts.simulate

man: build/.setup ## the manual pages, in build/man
	@mkdir -p build/man
	@for page in man/*.rst; do \
		.venv/bin/rst2man --halt=2 "$$page" "build/man/$$(basename "$$page" .rst)" || exit 1; \
	done
	@echo "man: read one with: man build/man/si.7"

client: build/.setup ## the client commands as one file, build/si-client.pyz
	@$(PY) -m si.boot.clientapp build/si-client.pyz

deb: build/.setup ## the client commands as a Debian package, build/si-client_VERSION_all.deb
	@$(PY) -m scripts.deb build

wheel: build/.setup ## a wheel in dist/
	$(PY) -m pip wheel --quiet --no-deps --wheel-dir dist .

clean: ## remove what the other goals made, but not .venv
	rm -rf build dist

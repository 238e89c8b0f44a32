# Everything a newcomer or CI types. `make run` and `make test` do all their own set-up.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Tests mostly wait for answers: twice as many at a time as there are processors.
WORKERS ?= $$(( 2 * $$(nproc) ))

# Where `make install` puts things; DESTDIR goes before all of it and is not part of the names in them.
PREFIX ?= /usr/local
SYSCONFDIR ?= /etc
UNITDIR ?= $(PREFIX)/lib/systemd/system
LIBRARY = $(PREFIX)/lib/glockd

.PHONY: install uninstall run test quick figures faults all venv dev format format-check lint types coverage explore bench picture chaos clean

$(VENV)/.run: setup.cfg setup.py pyproject.toml clients/python/setup.cfg
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e . -e 'clients/python[cli]'
	@touch $@

$(VENV)/.dev: setup.cfg pyproject.toml clients/python/setup.cfg $(VENV)/.run
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev,cases]' -e 'clients/python[cli,ws]'
	@touch $@

venv: $(VENV)/.run

dev: $(VENV)/.dev

run: venv
	$(BIN)/glockd $(ARGS)

test: dev
	$(BIN)/python -X dev -m pytest -n $(WORKERS) $(ARGS)

# What needs no process of the daemon's own.
quick: dev
	$(BIN)/python -X dev -m pytest -q -n $(WORKERS) tests/core tests/doors/line/wire tests/house/test_layers.py $(ARGS)

# What is judged by the time that it takes, on a machine that has nothing else to do; and the figures themselves.
figures: dev
	GLOCKD_FIGURES=1 $(BIN)/python -m pytest -m figures $(ARGS)
	GLOCKD_FIGURES=1 $(BIN)/python -m pytest tests/doors/line/test_abuse.py tests/web
	$(BIN)/python bench/figures.py
	$(BIN)/python bench/python_client.py
	$(BIN)/python bench/records.py


format: dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

format-check: dev
	$(BIN)/ruff format --check .

lint: dev
	$(BIN)/ruff check .

types: dev
	$(BIN)/mypy glockd tester tests tools bench clients/python/glock man

coverage: dev
	$(BIN)/python -X dev -m coverage run -m pytest $(ARGS)
	$(BIN)/coverage combine -q
	$(BIN)/coverage report

explore: dev
	$(BIN)/python -m pytest tests/core/test_properties.py tests/doors/line/wire/test_properties.py --hypothesis-profile=explore

bench: dev
	$(BIN)/python bench/figures.py $(ARGS)
	$(BIN)/python bench/python_client.py
	$(BIN)/python bench/records.py

# docs/console.png anew.
picture: dev
	$(BIN)/python -m tools.picture

chaos: dev
	$(BIN)/glockd-tester chaos --seconds 60 $(ARGS)

# All that docs/reliability.md tells of.
faults: chaos
	$(BIN)/glockd-tester faults
	$(BIN)/python tools/fuzz.py --lines 3000000 --messages 500000 --requests 500000 --frames 500000 --ldlm 500000
	$(BIN)/python tools/mutants.py --seconds 390

all: format-check lint types test

# The programs with all they need in a folder of their own, for the Python that installs them.
install:
	$(PYTHON) -m pip install --quiet --disable-pip-version-check --root-user-action ignore --upgrade \
		--target $(DESTDIR)$(LIBRARY) . './clients/python[cli]'
	rm -rf $(DESTDIR)$(LIBRARY)/bin
	install -d $(DESTDIR)$(PREFIX)/bin
	set -e; for program in glockd:glockd.cli glockd-tester:glockd_tester.cli glock:glock.cli; do \
		printf '#!%s -I\nimport sys\n\nsys.path.insert(0, "%s")\nfrom %s import main\n\nsys.exit(main())\n' \
			"$$($(PYTHON) -c 'import sys; print(sys.executable)')" '$(LIBRARY)' "$${program#*:}" \
			> $(DESTDIR)$(PREFIX)/bin/$${program%:*}; \
		chmod 755 $(DESTDIR)$(PREFIX)/bin/$${program%:*}; \
	done
	install -D -m 644 -t $(DESTDIR)$(PREFIX)/share/man/man8 man/glockd.8
	install -D -m 644 -t $(DESTDIR)$(PREFIX)/share/man/man1 man/glock.1 man/glockd-tester.1
	install -D -m 644 -t $(DESTDIR)$(PREFIX)/share/doc/glockd README.md CHANGELOG.md LICENSE docs/*.md
	install -D -m 644 -t $(DESTDIR)$(PREFIX)/share/glockd docs/alerts.yml docs/grafana-dashboard.json docs/glockd.toml
	install -d $(DESTDIR)$(UNITDIR)
	sed 's|/usr/bin/glockd|$(PREFIX)/bin/glockd|' systemd/glockd.service > $(DESTDIR)$(UNITDIR)/glockd.service
	install -m 644 -t $(DESTDIR)$(UNITDIR) systemd/glockd.socket
	install -D -m 644 systemd/glockd.sysusers $(DESTDIR)$(PREFIX)/lib/sysusers.d/glockd.conf
	test -e $(DESTDIR)$(SYSCONFDIR)/glockd/glockd.env \
		|| install -D -m 644 systemd/glockd.env $(DESTDIR)$(SYSCONFDIR)/glockd/glockd.env
	set -e; for shell in bash:bash-completion/completions/ zsh:zsh/site-functions/_ fish:fish/vendor_completions.d/; do \
		for program in glockd glock; do \
			file=$(DESTDIR)$(PREFIX)/share/$${shell#*:}$$program; \
			test $${shell%:*} != fish || file=$$file.fish; \
			install -d "$${file%/*}"; \
			variable=_$$(echo $$program | tr a-z A-Z)_COMPLETE; \
			env $$variable=$${shell%:*}_source PYTHONPATH=$(DESTDIR)$(LIBRARY) $(PYTHON) -c \
				"import sys; from $$program.cli import main; sys.argv = ['$$program']; main()" \
				> "$$file"; \
		done; \
	done

# What somebody may have edited stays: $(SYSCONFDIR)/glockd.
uninstall:
	rm -rf $(DESTDIR)$(LIBRARY) $(DESTDIR)$(PREFIX)/share/doc/glockd $(DESTDIR)$(PREFIX)/share/glockd
	rm -f $(addprefix $(DESTDIR)$(PREFIX)/bin/,glockd glockd-tester glock)
	rm -f $(DESTDIR)$(PREFIX)/share/man/man8/glockd.8 $(addprefix $(DESTDIR)$(PREFIX)/share/man/man1/,glock.1 glockd-tester.1)
	rm -f $(DESTDIR)$(UNITDIR)/glockd.service $(DESTDIR)$(UNITDIR)/glockd.socket
	rm -f $(DESTDIR)$(PREFIX)/lib/sysusers.d/glockd.conf
	rm -f $(addprefix $(DESTDIR)$(PREFIX)/share/bash-completion/completions/,glockd glock)
	rm -f $(addprefix $(DESTDIR)$(PREFIX)/share/zsh/site-functions/_,glockd glock)
	rm -f $(addprefix $(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d/,glockd.fish glock.fish)

clean:
	rm -rf $(VENV) build dist *.egg-info .coverage* htmlcov

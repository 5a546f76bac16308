# Everything a person runs here. Each target first installs what it lacks (scripts/install-deps).
SHELL := /bin/bash
.DEFAULT_GOAL := help
MAKEFLAGS += --no-builtin-rules --no-print-directory

# What build, package and package-check are for: amd64, or arm64 in build-arm64.
ARCH ?= amd64
preset := $(or $(if $(filter amd64,$(ARCH)),release),$(filter arm64,$(ARCH)),$(error ARCH is amd64 or arm64))
folder := build
ifeq ($(ARCH),arm64)
folder := build-arm64
others := $(filter-out build package package-check help clean,$(MAKECMDGOALS))
$(if $(others),$(error $(others): not with ARCH=arm64; make test-arm64 runs what is built for it))
endif

plugin := $(folder)/openbao-plugin-secrets-mek
next   := build/openbao-plugin-secrets-mek-next
jobs   := $(shell nproc)
pytest := build/venv/bin/python -B -m pytest -c tests/e2e/pytest.ini

# configure PRESET [VERSION]: CMake, with ccache where there is one.
define configure
	cmake --preset $(1) --log-level=WARNING -DMEK_VERSION_OVERRIDE=$(2) \
	  $$(command -v ccache >/dev/null && echo -DCMAKE_CXX_COMPILER_LAUNCHER=ccache) >/dev/null
endef

.PHONY: help
help: ## show this list
	@echo "usage: make TARGET"; echo
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: build
build: deps-$(ARCH:amd64=build) ## build the static plugin: build/openbao-plugin-secrets-mek (ARCH=arm64)
	$(call configure,$(preset))
	cmake --build --preset $(preset) -j $(jobs) --target $(notdir $(plugin))
	scripts/check-binary $(plugin)

.PHONY: test
test: test-unit test-e2e ## build, then run the unit tests and the end-to-end tests on the real bao

.PHONY: test-unit
test-unit: build ## unit tests
	cmake --build --preset release -j $(jobs)
	ctest --preset release -j $(jobs)

.PHONY: test-e2e
test-e2e: deps-test deps-package package $(next) ## end-to-end tests on a real OpenBao (ARGS: more for pytest)
	$(pytest) tests/e2e $(ARGS)

.PHONY: test-versions
test-versions: deps-test deps-package package $(next) ## end-to-end tests on every OpenBao in scripts/bao.sha256
	@set -e; for version in $$(scripts/get-bao --list); do \
	  scripts/get-bao $$version; \
	  echo "== OpenBao $$version"; \
	  BAO_VERSION=$$version $(pytest) tests/e2e $(ARGS); \
	done

# What `make test` does in a short form, in full. A test prints its seed: MEK_SEED=N does that one again.
.PHONY: soak
soak: soak-unit soak-e2e package-check ## the long forms of the tests that kill, pause, cut off, flood and race

.PHONY: soak-unit
soak-unit: build
	cmake --build --preset release -j $(jobs) --target host_test engine_test
	MEK_SOAK=1 build/tests/unit/engine/engine_test --gtest_filter='Fleet.*'
	MODEL_STEPS=10000 build/tests/unit/engine/engine_test --gtest_filter='*ModelTest*'
	SCHEDULES=100 build/tests/host/host_test --gtest_filter='Races.SixtyFour*'
	REQUESTS=1000000 build/tests/host/host_test --gtest_filter='Growth.*'

.PHONY: soak-e2e
soak-e2e: deps-test build $(next)
	MEK_SOAK=$${MEK_SOAK:-1} $(pytest) -s $(addprefix tests/e2e/test_,ha.py kills.py intruders.py scale.py) $(ARGS)

.PHONY: package
package: build ## what a release consists of, in build/package: binary, symbols, image, SBOM, sums, notes (ARCH=arm64)
	scripts/package --architecture $(ARCH)

.PHONY: package-check
package-check: build ## the same, and a second build elsewhere that must make the same bytes (minutes)
	scripts/package --architecture $(ARCH) --check-reproducible

# PEER: another plugin's binary to measure beside ours. BENCH_ARGS: more for scripts/bench (--help).
.PHONY: bench
bench: deps-test deps-bench build ## figures: micro, and on a real OpenBao beside KV v2, transit, the runbook and PEER
	cmake --build --preset release -j $(jobs) --target mek_bench floor_plugin
	scripts/bench $(if $(PEER),--peer $(PEER)) $(BENCH_ARGS)

.PHONY: test-asan
test-asan: deps-build ## unit tests under AddressSanitizer and UBSan, in build-asan
	$(call configure,asan-ubsan)
	cmake --build --preset asan-ubsan -j $(jobs)
	ctest --preset asan-ubsan -j $(jobs)

.PHONY: test-tsan
test-tsan: deps-build ## unit tests under ThreadSanitizer, in build-tsan
	$(call configure,tsan)
	cmake --build --preset tsan -j $(jobs)
	ctest --preset tsan -j $(jobs)

# By qemu, some tens of times slower: not a part of `make test` or of .ci/run. The tests themselves are amd64's.
.PHONY: test-arm64
test-arm64: deps-arm64 deps-test deps-package build ## the arm64 plugin, by qemu: alone, in the host's tests, in a real OpenBao, and its package
	$(MAKE) package ARCH=arm64
	cmake --build --preset release -j $(jobs) --target host_test
	scripts/test-arm64 $(ARGS)

# Many processes write to few files, merged as they end.
.PHONY: coverage
coverage: export LLVM_PROFILE_FILE = $(CURDIR)/build-coverage/profiles/%4m.profraw
coverage: deps-coverage ## lines and branches that the unit tests cover, by layer
	$(call configure,coverage)
	cmake --build --preset coverage -j $(jobs)
	rm -rf build-coverage/profiles
	ctest --preset coverage -j $(jobs) >/dev/null
	scripts/coverage

.PHONY: fuzz
fuzz: deps-fuzz ## fuzz each target for FUZZ_SECONDS (60), in build-fuzz
	$(call configure,fuzz)
	cmake --build --preset fuzz -j $(jobs)
	scripts/fuzz $(FUZZ_SECONDS)

.PHONY: lint
lint: deps-build deps-lint ## clang-format, clang-tidy, layers, scripts: warnings are errors (CHECKS: some)
	$(call configure,release)
	scripts/lint $(CHECKS)

.PHONY: format
format: deps-lint ## clang-format our sources in place
	clang-format-14 -i $$(git ls-files 'src/*.cc' 'src/*.h' 'plugin/*.cc' 'tests/*.cc' 'tests/*.h')

.PHONY: demo
demo: deps-test build ## see it work on a real OpenBao, in half a minute
	@build/venv/bin/python -B scripts/demo

.PHONY: clean
clean: ## remove all that was built or fetched
	rm -rf build build-arm64 build-asan build-tsan build-debug build-coverage build-fuzz

# The same plugin with a higher version, to test an upgrade: one file compiled anew, and linked.
.PHONY: $(next)
$(next): build
	@[[ $@ -nt $(plugin) ]] || { set -e; \
	  $(call configure,release,99.0.0); \
	  cmake --build --preset release -j $(jobs) --target $(notdir $(plugin)); \
	  cp $(plugin) $@.new; \
	  $(call configure,release); \
	  cmake --build --preset release -j $(jobs) --target $(notdir $(plugin)); \
	  mv $@.new $@; touch $@; }

.PHONY: deps-build deps-test deps-package deps-lint deps-fuzz deps-coverage deps-bench deps-arm64
deps-build deps-test deps-package deps-lint deps-fuzz deps-coverage deps-bench deps-arm64: deps-%:
	@scripts/install-deps $*

# Weir.  `make help` lists what there is.
#
# Sources are found by wildcard: a new file needs no line here.  Everything built lies in build/<variant>/ (BUILD=dir: elsewhere), so that the release,
# sanitizer and fuzz builds do not disturb each other.  Needs GNU make 4; `make deps` fetches the rest from Debian.

# ---------------------------------------------------------------------------------------------------------- what one may set
PREFIX      ?= /usr/local
DESTDIR     ?=
SYSCONFDIR  ?= /etc
BINDIR      ?= $(PREFIX)/bin
MANDIR      ?= $(PREFIX)/share/man
DOCDIR      ?= $(PREFIX)/share/doc/weir
INCLUDEDIR  ?= $(PREFIX)/include
UNITDIR     ?= $(if $(filter /usr,$(PREFIX)),/lib/systemd/system,$(SYSCONFDIR)/systemd/system)
SYSUSERSDIR ?= $(if $(filter /usr,$(PREFIX)),/usr/lib/sysusers.d,$(SYSCONFDIR)/sysusers.d)
COMPDIR     ?= $(PREFIX)/share/bash-completion/completions

BUILD       ?= build
VARIANT     ?= $(if $(LTO),lto,release)
JOBS        ?= $(shell nproc 2>/dev/null || echo 2)
PYTHON      ?= /usr/bin/python3
SEEDS       ?= 500
FUZZ_SECONDS ?= 60
FUZZ_JOBS   ?= 2
E2E_ARGS    ?=
E2E_TESTS   ?= tests/e2e
# end-to-end tests wait more than they compute
E2E_JOBS    ?= $(shell expr 2 '*' $(JOBS))
# what the sanitizers run of them
SAN_E2E     ?= e2e
T           ?=

VERSION_FALLBACK := 0.1.0-dev
VERSION     ?= $(or $(patsubst v%,%,$(shell git describe --tags --dirty 2>/dev/null)),$(VERSION_FALLBACK))

# Only when nobody said otherwise: make's own default is `cc`.
ifeq ($(origin CC),default)
CC := $(if $(filter fuzz,$(VARIANT)),clang,gcc)
endif

ifeq ($(MAKELEVEL)$(filter -j% --jobserver%,$(MAKEFLAGS)),0)
MAKEFLAGS += -j$(JOBS)
endif
MAKEFLAGS += --no-builtin-rules --no-print-directory
.SUFFIXES:
.DELETE_ON_ERROR:
.SECONDARY:

# -------------------------------------------------------------------------------------------------------------------- flags
WARNINGS := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith -Wcast-qual -Wwrite-strings \
            -Wformat=2 -Wno-format-zero-length -Wvla
STRICT   := -Werror -Wframe-larger-than=2048
# empty, so that a file may also say `#define _GNU_SOURCE`
INCLUDES := -D_GNU_SOURCE= -Isrc -I.
HARDEN   := -fPIE -fstack-protector-strong -fstack-clash-protection -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2 -fno-plt
HARDEN_LD := -pie -Wl,-z,relro -Wl,-z,now -Wl,-z,noexecstack
SAN_COMMON := -fPIE -fno-omit-frame-pointer -DWEIR_SANITIZE -Wno-maybe-uninitialized
# what the sanitizers add to the frames and to the flow makes gcc's guesses wrong: the release build and `make lint` judge the code

ifeq ($(VARIANT),release)
  OPT := -O2 -g $(STRICT) $(HARDEN)
  OPT_LD := $(HARDEN_LD)
else ifeq ($(VARIANT),lto)
  OPT := -O2 -g $(STRICT) $(HARDEN) -flto=auto -fno-fat-lto-objects
  OPT_LD := $(HARDEN_LD) -O2 -flto=auto -Werror
else ifeq ($(VARIANT),debug)
  OPT := -O0 -g3 $(STRICT) -fPIE -fstack-clash-protection -fno-omit-frame-pointer
  OPT_LD := -pie
else ifeq ($(VARIANT),asan)
  OPT := -O1 -g $(SAN_COMMON) -fsanitize=address,undefined -fno-sanitize-recover=all
  OPT_LD := -pie -fsanitize=address,undefined
else ifeq ($(VARIANT),tsan)
  # -Wno-tsan: gcc warns at each atomic_thread_fence(), which TSan does not model
  OPT := -O1 -g $(SAN_COMMON) -fsanitize=thread $(if $(findstring clang,$(CC)),,-Wno-tsan)
  OPT_LD := -pie -fsanitize=thread
else ifeq ($(VARIANT),fuzz)
  OPT := -O1 -g -fPIE -fno-omit-frame-pointer -DWEIR_SANITIZE -fsanitize=address,undefined,fuzzer-no-link -fno-sanitize-recover=all
  OPT_LD := -pie -fsanitize=address,undefined
else
  $(error VARIANT=$(VARIANT): one of release lto debug asan tsan fuzz)
endif

LIBS := libevent_core libconfig libnghttp2 libsystemd openssl libcares jansson
ifeq ($(filter help clean deps demo test,$(MAKECMDGOALS)),)
LIB_CFLAGS := $(shell pkg-config --cflags $(LIBS) 2>/dev/null)
LIB_LIBS   := $(shell pkg-config --libs $(LIBS) 2>/dev/null)
endif

ALL_CFLAGS  = -std=gnu17 $(INCLUDES) $(WARNINGS) $(OPT) -pthread $(LIB_CFLAGS) $(CPPFLAGS) $(CFLAGS)
ALL_LDFLAGS = -pthread -Wl,--as-needed $(OPT_LD) $(LDFLAGS)
ALL_LIBS    = $(LIB_LIBS) -lm
# The program's malloc(): OpenSSL asks it 600 times a handshake, and glibc's keeps the holes that a burst of them leaves.
# `make MALLOC_LIBS=` does without.  Sanitizers and valgrind watch glibc's.
MALLOC_LIBS ?= $(if $(filter release lto,$(VARIANT)),-lmimalloc)
# tests may have large frames; their warnings are as strict otherwise
TEST_CFLAGS = $(ALL_CFLAGS) -Wno-frame-larger-than

# -------------------------------------------------------------------------------------------------------------------- files
B := $(BUILD)/$(VARIANT)
O := $(B)/obj

CORE_SRC := $(sort $(filter-out src/main.c,$(wildcard src/*.c src/*/*.c src/*/*.S conf/*.c strategies/*.c health/*.c)))
UNIT_SRC := $(sort $(wildcard tests/unit/*.c))
# files of tests/lib with a main() of their own are not helpers
LIB_SRC  := $(sort $(filter-out %_check.c %_main.c,$(wildcard tests/lib/*.c)))
SIM_SRC  := $(sort $(wildcard tests/sim/*.c))
FUZZ_SRC := $(sort $(wildcard tests/fuzz/fuzz_*.c))
FUZZ_LIB_SRC := $(sort $(filter-out $(FUZZ_SRC),$(wildcard tests/fuzz/*.c)))
E2E_SRC  := $(wildcard tests/e2e/test_*.py tests/e2e/*/test_*.py)
HEADERS  := $(wildcard src/*.h src/*/*.h conf/*.h strategies/*.h health/*.h tests/*/*.h)
C_SRC    := $(filter %.c,$(wildcard src/main.c) $(CORE_SRC) $(UNIT_SRC) $(wildcard tests/lib/*.c tests/e2e/lib/*.c) $(SIM_SRC) $(FUZZ_LIB_SRC) $(FUZZ_SRC))
OUR_C    := $(filter-out tests/%,$(C_SRC))
SCRIPTS  := $(wildcard .ci/run packaging/install-deps tests/lib/run-unit tests/lib/run-e2e tests/lib/js-deps tests/bench/run tests/bench/picks tests/bench/exact tests/lib/check-includes tests/lib/check-docs packaging/weir.bash-completion)

obj = $(addprefix $(O)/,$(addsuffix .o,$(basename $(1))))
CORE_OBJ := $(call obj,$(CORE_SRC))
UNIT_OBJ := $(call obj,$(UNIT_SRC))
LIB_OBJ  := $(call obj,$(LIB_SRC))
SIM_OBJ  := $(call obj,$(SIM_SRC))
FUZZ_LIB_OBJ := $(call obj,$(FUZZ_LIB_SRC))
FUZZ_BIN := $(patsubst tests/fuzz/%.c,$(B)/%,$(FUZZ_SRC))

.PHONY: all help deps deps-all demo test check unit sim e2e e2e-tls e2e-h2c e2e-late soak asan tsan valgrind fuzz fuzz-build bench exact aarch64 \
        format format-check lint lint-gcc lint-clang lint-cppcheck lint-tidy lint-includes lint-shell lint-docs lint-packaging \
        docs docs-strategies install uninstall deb clean lib tests-build need FORCE

all: $(BUILD)/weir ## build build/weir, optimised and hardened (LTO=1: link-time optimisation)

help: ## this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))
	@echo "Set: VARIANT=release|lto|debug|asan|tsan  T=module (unit)  SEEDS=n (sim)  E2E_ARGS='-k name'  FUZZ_SECONDS=n  PREFIX  DESTDIR"

# -------------------------------------------------------------------------------------------------------------- the program
# build/weir is the one that was built last of release and lto; a hard link, so a running demo keeps its own
$(BUILD)/weir: $(B)/weir FORCE
	@[ $@ -ef $< ] || ln -f $< $@

$(B)/weir: $(O)/src/main.o $(CORE_OBJ) $(B)/link.flags
	@echo "  LINK $@"
	@$(CC) $(ALL_CFLAGS) $(ALL_LDFLAGS) -o $@ $(filter %.o,$^) $(MALLOC_LIBS) $(ALL_LIBS)

# Everything but main: what tests, fuzz targets and benchmarks take their parts from.
lib: $(B)/libweir.a ## build build/<variant>/libweir.a, all objects but main
$(B)/libweir.a: $(CORE_OBJ) $(B)/link.flags
	@rm -f $@; $(if $(filter lto,$(VARIANT)),gcc-ar,ar) rcs $@ $(filter %.o,$^)

# A change of flags rebuilds; a change of version rebuilds only what says it.
flags_now := $(CC) $(ALL_CFLAGS)
link_now  := $(CC) $(ALL_LDFLAGS) $(ALL_LIBS) $(CORE_SRC)
$(B)/cc.flags $(B)/link.flags $(B)/version: FORCE | need
	@mkdir -p $(@D)
	@echo '$(if $(filter %cc.flags,$@),$(flags_now),$(if $(filter %link.flags,$@),$(link_now),$(VERSION)))' | cmp -s - $@ || \
	    echo '$(if $(filter %cc.flags,$@),$(flags_now),$(if $(filter %link.flags,$@),$(link_now),$(VERSION)))' > $@
FORCE:

VERSION_USERS := $(call obj,$(shell grep -l WEIR_VERSION $(wildcard src/*.c src/*/*.c) /dev/null 2>/dev/null))
$(VERSION_USERS): $(B)/version
$(VERSION_USERS): CPPFLAGS += -DWEIR_VERSION='"$(VERSION)"'

$(O)/tests/%.o: tests/%.c $(B)/cc.flags
	@mkdir -p $(@D)
	@echo "  CC   $<"
	@$(CC) $(TEST_CFLAGS) -MMD -MP -c -o $@ $<
$(O)/%.o: %.c $(B)/cc.flags
	@mkdir -p $(@D)
	@echo "  CC   $<"
	@$(CC) $(ALL_CFLAGS) -MMD -MP -c -o $@ $<
$(O)/%.o: %.S $(B)/cc.flags
	@mkdir -p $(@D)
	@echo "  AS   $<"
	@$(CC) $(ALL_CFLAGS) -MMD -MP -c -o $@ $<
-include $(wildcard $(O)/*/*.d $(O)/*/*/*.d)

# Says what is missing before the compiler does.
need:
	@command -v $(CC) >/dev/null || { echo "weir: no $(CC) here; 'make deps' installs what is missing" >&2; exit 1; }
	@command -v pkg-config >/dev/null && pkg-config --exists $(LIBS) && $(CC) -print-file-name=$(MALLOC_LIBS:-l%=lib%.so) | grep -q / || { \
	    echo "weir: one of $(strip $(LIBS) $(MALLOC_LIBS:-l%=lib%)) is missing; 'make deps' installs what is missing" >&2; exit 1; }

deps: ## install what building and testing need (DEPS="build test bench exact fuzz lint cross deb")
	@packaging/install-deps $(or $(DEPS),build test)
deps-all:
	@packaging/install-deps build test bench exact fuzz lint cross deb

demo: ## install what is missing, build, and start a proxy with three backends to play with
	@packaging/install-deps build
	@$(MAKE) all
	@exec $(BUILD)/weir demo

# -------------------------------------------------------------------------------------------------------------------- tests
test: ## install what is missing, build, and run every test
	@packaging/install-deps build test
	@$(MAKE) check

check: ## all tests without installing anything: unit, simulation, end to end
	@$(MAKE) all tests-build
	@$(MAKE) unit
	@$(MAKE) sim
	@$(MAKE) e2e
	@echo "all tests passed"

tests-build: $(B)/weir $(if $(UNIT_SRC),$(B)/unit-tests) $(if $(SIM_SRC),$(B)/sim)

CHECK_LIBS = $(shell pkg-config --libs check) -lhttp_parser
SAN_ENV = ASAN_OPTIONS=detect_leaks=1:allocator_may_return_null=1:strict_string_checks=1:$(ASAN_OPTIONS) \
          UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1:$(UBSAN_OPTIONS) \
          TSAN_OPTIONS=halt_on_error=1:second_deadlock_stack=1:$(TSAN_OPTIONS)
# TSan wants the address space unshuffled on kernels that shuffle much
RUN_ENV = $(if $(filter tsan,$(VARIANT)),$(shell setarch -R true 2>/dev/null && echo setarch -R)) env $(SAN_ENV)

# tests/unit/test_<module>.c exports <module>_suite(); the list of them is written here
MODULES := $(patsubst tests/unit/test_%.c,%,$(filter tests/unit/test_%.c,$(UNIT_SRC)))
SUITES = $(foreach m,$(MODULES),SUITE($m))
$(B)/gen/unit_suites.h: FORCE
	@mkdir -p $(@D)
	@printf '%s\n' '$(SUITES)' | cmp -s - $@ || printf '%s\n' '$(SUITES)' > $@
$(O)/tests/unit/main.o: $(B)/gen/unit_suites.h
$(O)/tests/unit/main.o: CPPFLAGS += -I$(B)/gen

$(B)/unit-tests: $(UNIT_OBJ) $(LIB_OBJ) $(B)/libweir.a
	@echo "  LINK $@"
	@$(CC) $(ALL_CFLAGS) $(ALL_LDFLAGS) -o $@ $(filter %.o %.a,$^) $(ALL_LIBS) $(CHECK_LIBS)
# what the simulation makes fail, and counts
comma := ,
SIM_WRAP := malloc calloc realloc aligned_alloc strdup free fiber_go
$(B)/sim: $(SIM_OBJ) $(B)/libweir.a
	@echo "  LINK $@"
	@$(CC) $(ALL_CFLAGS) $(ALL_LDFLAGS) $(addprefix -Wl$(comma)--wrap=,$(SIM_WRAP)) -o $@ $(filter %.o %.a,$^) $(ALL_LIBS)

ifneq ($(UNIT_SRC),)
unit: $(B)/unit-tests ## unit tests (T=module: only that one)
	@$(RUN_ENV) CK_DEFAULT_TIMEOUT=$${CK_DEFAULT_TIMEOUT:-$(if $(filter asan tsan,$(VARIANT)),120,20)} \
	    $(if $(T),$< $(T),tests/lib/run-unit $(JOBS) $(B)/unit-logs '$(MODULES)' $<)
else
unit:
	@echo "no unit tests yet"
endif

ifneq ($(SIM_SRC),)
sim: $(B)/sim ## simulation tests: the proxy on a virtual clock, faults from a seed (SEEDS=n)
	@$(RUN_ENV) $< $(SEEDS)
else
sim:
	@echo "no simulation tests yet"
endif

ifneq ($(E2E_SRC),)
e2e: $(B)/weir ## end-to-end tests with the real program (E2E_ARGS='-k name')
	@tests/lib/js-deps $(BUILD)/js
	@$(RUN_ENV) WEIR=$(abspath $(B)/weir) WEIR_JS=$(abspath $(BUILD)/js/node_modules) $(if $(filter asan tsan debug,$(VARIANT)),WEIR_SLOW=1) PYTHONDONTWRITEBYTECODE=1 \
	    tests/lib/run-e2e $(PYTHON) $(E2E_JOBS) $(E2E_ARGS) $(E2E_TESTS)
else
e2e:
	@echo "no end-to-end tests yet"
endif

# The same tests with TLS on every HTTP listener that a test configures in clear (tests/e2e/lib/over.py).
e2e-tls: $(B)/weir ## the end-to-end tests over TLS
	@WEIR_OVER=tls $(MAKE) e2e
# And with HTTP/2 in clear (tests/e2e/lib/over_h2c.py).
e2e-h2c: $(B)/weir ## the end-to-end tests over HTTP/2
	@WEIR_OVER=h2c $(MAKE) e2e

# And with threads that run late.  Left out are two that only move much: they would take minutes.
e2e-late: $(B)/weir $(B)/late.so ## the end-to-end tests with a proxy that runs late, as on a busy machine
	@WEIR_PRELOAD=$(abspath $(B)/late.so) $(MAKE) e2e E2E_JOBS=10 E2E_ARGS='-k "not ten_thousand_idle and not 200000000" $(E2E_ARGS)'
$(B)/late.so: tests/e2e/lib/late.c
	@mkdir -p $(@D)
	@$(CC) $(WARNINGS) -Werror -D_GNU_SOURCE -O2 -shared -fPIC -o $@ $<

soak: $(B)/weir ## the end-to-end tests that take long
	@$(MAKE) E2E_ARGS='-m slow' e2e

asan: ## all tests under AddressSanitizer and UBSan
	@$(MAKE) VARIANT=asan tests-build
	@$(MAKE) VARIANT=asan unit
	@$(MAKE) VARIANT=asan SEEDS=$(or $(SAN_SEEDS),100) sim
	@$(MAKE) VARIANT=asan $(SAN_E2E)

tsan: ## the same under ThreadSanitizer
	@$(MAKE) VARIANT=tsan tests-build
	@$(MAKE) VARIANT=tsan unit
	@$(MAKE) VARIANT=tsan SEEDS=$(or $(SAN_SEEDS),50) sim
	@$(MAKE) VARIANT=tsan $(SAN_E2E)

valgrind: ## unit tests under valgrind
	@$(MAKE) VARIANT=debug tests-build
	CK_FORK=no valgrind -q --error-exitcode=9 --leak-check=full --errors-for-leak-kinds=definite $(BUILD)/debug/unit-tests $(T)

BENCH_BIN := $(addprefix $(B)/,pick_bench route_bench health_bench strategy_sim)
bench: all $(BENCH_BIN) ## the green threads against the floor, State Threads and Go; the price of picks, routes and health checks
	@packaging/install-deps build bench
	@tests/bench/run
	@tests/bench/picks $(B)/pick_bench
	@echo "## Finding a route"; $(B)/route_bench
	@echo "## Health checks"; for type in tcp http; do $(B)/health_bench $$type || exit 1; done

$(BENCH_BIN): $(B)/%: $(O)/tests/bench/%.o $(B)/libweir.a
	@echo "  LINK $@"
	@$(CC) $(ALL_CFLAGS) $(ALL_LDFLAGS) -o $@ $(filter %.o %.a,$^) $(ALL_LIBS)

exact: all lib ## the goals that no machine's speed changes, of fibers and proxy: instructions, system calls, memory
	@packaging/install-deps build exact
	@tests/bench/exact

# ------------------------------------------------------------------------------------------------------------------ fuzzing
FUZZ_RUNS := $(patsubst tests/fuzz/fuzz_%.c,fuzz-run-%,$(FUZZ_SRC))
fuzz: ## every fuzz target for FUZZ_SECONDS (60), two at a time (FUZZ="request response": only those)
	@$(MAKE) VARIANT=fuzz fuzz-build
	@printf '%s\n' $(if $(FUZZ),$(addprefix fuzz-run-,$(FUZZ)),$(FUZZ_RUNS)) | xargs -r -P$(FUZZ_JOBS) -I{} $(MAKE) VARIANT=fuzz {}

fuzz-build: $(FUZZ_BIN)
$(B)/fuzz_%: $(O)/tests/fuzz/fuzz_%.o $(FUZZ_LIB_OBJ) $(B)/libweir.a
	@echo "  LINK $@"
	@$(CC) $(ALL_CFLAGS) $(ALL_LDFLAGS) -fsanitize=fuzzer -o $@ $(filter %.o %.a,$^) $(ALL_LIBS)

# What a run finds new stays in build/: the committed corpus only grows by hand.
.PHONY: $(FUZZ_RUNS)
$(FUZZ_RUNS): fuzz-run-%: $(B)/fuzz_%
	@mkdir -p $(B)/corpus/$* tests/fuzz/corpus
	@if [ -d tests/fuzz/corpus/$* ]; then cp -r tests/fuzz/corpus/$*/. $(B)/corpus/$*/; fi
	@dict=; if [ -f tests/fuzz/$*.dict ]; then dict=-dict=tests/fuzz/$*.dict; fi; \
	if $< -max_total_time=$(FUZZ_SECONDS) -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 $$dict \
	    -artifact_prefix=$(B)/$*- $(B)/corpus/$* >$(B)/$*.log 2>&1; \
	then echo "  FUZZ $*: $$(awk '/number_of_executed_units/ { print $$2 }' $(B)/$*.log) runs, nothing found"; \
	else tail -40 $(B)/$*.log; echo "  FUZZ $*: failed; what did it is in $(B)/$*-*"; exit 1; fi

# ------------------------------------------------------------------------------------------------------- the other processor
AARCH64_CC ?= aarch64-linux-gnu-gcc
AARCH64_SRC := $(wildcard tests/lib/context_check.c src/fiber/context*.c src/fiber/context*.S src/base/must.c)
aarch64: ## cross-build the context switch for aarch64 and try it under qemu
ifneq ($(wildcard tests/lib/context_check.c),)
	@mkdir -p $(BUILD)/aarch64
	$(AARCH64_CC) -std=gnu17 $(INCLUDES) $(WARNINGS) -Werror -O2 -g -static -pthread -o $(BUILD)/aarch64/context_check $(AARCH64_SRC)
	qemu-aarch64 $(BUILD)/aarch64/context_check
else
	@echo "no aarch64 check yet"
endif

# --------------------------------------------------------------------------------------------------------- style and checks
format: ## clang-format over all sources
	clang-format -i $(C_SRC) $(HEADERS)
format-check: ## fail if clang-format would change something
	@clang-format --dry-run -Werror $(C_SRC) $(HEADERS)

lint: ## gcc and clang, cppcheck, clang-tidy, includes, scripts, docs, packaging
	@$(MAKE) lint-gcc lint-clang
	@$(MAKE) lint-includes
	@$(MAKE) lint-cppcheck
	@$(MAKE) lint-tidy
	@$(MAKE) lint-shell
	@$(MAKE) lint-docs
	@$(MAKE) lint-packaging
	@echo "lint: nothing found"

LINT_FLAGS = -std=gnu17 $(INCLUDES) -I$(B)/gen $(WARNINGS) -Werror -fstack-clash-protection -pthread $(LIB_CFLAGS) -DWEIR_VERSION='"lint"'
lint_each = printf '%s\n' $(1) | xargs -r -P$(JOBS) -n1 $(2) $(LINT_FLAGS)
# The release build judges what it builds.  -O2 and real code for the rest: without it gcc sees neither flow nor frames
lint-gcc: $(B)/gen/unit_suites.h | need
	@echo "  LINT gcc"
	@$(MAKE) VARIANT=release CC=gcc tests-build
	@$(call lint_each,$(filter-out $(UNIT_SRC) $(LIB_SRC) $(SIM_SRC),$(filter tests/%,$(C_SRC))),gcc -O2 -S -o /dev/null)
lint-clang: $(B)/gen/unit_suites.h | need
	@echo "  LINT clang"
	@$(call lint_each,$(C_SRC),clang -fsyntax-only)

lint-cppcheck:
	@echo "  LINT cppcheck"
	@cppcheck -q -j$(JOBS) --std=c11 --language=c --enable=warning,performance,portability --inline-suppr $(INCLUDES) \
	    --library=posix --library=gnu --library=tests/lib/cppcheck.cfg --suppressions-list=.cppcheck-suppressions --error-exitcode=1 \
	    -DWEIR_VERSION='"lint"' $(OUR_C)

# The largest first, so that none is left for one core alone at the end
lint-tidy: $(B)/gen/unit_suites.h
	@echo "  LINT clang-tidy"
	@ls -S $(OUR_C) | xargs -r -P$(JOBS) -I{} sh -c 'clang-tidy --quiet "$$0" -- -std=gnu17 $(INCLUDES) \
	    -DWEIR_VERSION=\"lint\" 2>$(BUILD)/tidy.$$$$; rc=$$?; if [ $$rc -ne 0 ]; then grep "error:" $(BUILD)/tidy.$$$$; fi; \
	    rm -f $(BUILD)/tidy.$$$$; [ $$rc -eq 0 ] || exit 1' {}

lint-includes:
	@echo "  LINT includes"
	@tests/lib/check-includes --self-test

lint-shell:
	@echo "  LINT scripts"
	@for f in $(SCRIPTS); do case $$(head -c 30 $$f) in *python*) $(PYTHON) -m py_compile $$f;; *) shellcheck $$f;; esac || exit 1; done

# A manual that exists must be what the program says of itself, and the README's configurations must load.
lint-docs: $(B)/weir
	@echo "  LINT docs"
	@tests/lib/check-docs
	@mkdir -p $(BUILD)/readme; awk -v to=$(BUILD)/readme '/^```/ { if (f) { close(f); f = "" } else f = to "/" ++n ".conf"; next } f { print > f }' README.md
	@for f in $$(grep -l '^pools' $(BUILD)/readme/*.conf); do $(B)/weir -t -c $$f || exit 1; done
	@for d in $(MANUALS); do [ ! -e docs/$$d.md ] || $(B)/weir --manual $$d | diff -u docs/$$d.md - || \
	    { echo "docs/$$d.md is not what the program says: make docs" >&2; exit 1; }; done

lint-packaging: $(BUILD)/packaging/weir.service
	@echo "  LINT packaging"
	@for f in packaging/*.[1-9]; do w=$$(groff -mandoc -ww -b -z -Tutf8 $$f 2>&1); [ -z "$$w" ] || { echo "$$w"; exit 1; }; done
	@if command -v systemd-analyze >/dev/null; then \
	    sed 's|^\(Exec[A-Za-z]*=\)[^ ]*|\1/bin/true|' $< > $(BUILD)/packaging/verify-weir.service && \
	    w=$$(systemd-analyze verify --man=no $(BUILD)/packaging/verify-weir.service 2>&1) && [ -z "$$w" ] || { echo "$$w"; exit 1; }; \
	    systemd-analyze security --offline=true --threshold=20 --no-pager $(BUILD)/packaging/verify-weir.service \
	        > $(BUILD)/packaging/security.txt 2>&1 || { tail -3 $(BUILD)/packaging/security.txt; exit 1; }; \
	fi

# ------------------------------------------------------------------------------------------------ manuals, installing, packages
MANUALS := config metrics
docs: $(B)/weir ## docs/config.md and docs/metrics.md from the program's own tables
	@for d in $(MANUALS); do $(B)/weir --manual $$d > $(BUILD)/$$d.md && mv $(BUILD)/$$d.md docs/$$d.md && echo "  DOCS docs/$$d.md" || exit 1; done

docs-strategies: $(B)/strategy_sim ## the table and the picture of docs/strategies.md, from a simulation of all strategies
	@$< table > $(BUILD)/strategies.table && $< svg > $(BUILD)/strategies.svg
	@sed -e '/^<!-- simulated -->$$/,/^<!-- end -->$$/{ /^<!-- /!d }' -e '/^<!-- simulated -->$$/r $(BUILD)/strategies.table' \
	    docs/strategies.md > $(BUILD)/strategies.md
	@mv $(BUILD)/strategies.md docs/strategies.md && mv $(BUILD)/strategies.svg docs/strategies.svg && echo "  DOCS docs/strategies.md"

SUBST = sed -e 's|@bindir@|$(BINDIR)|g' -e 's|@sysconfdir@|$(SYSCONFDIR)|g'
$(BUILD)/packaging/weir.service: packaging/weir.service.in FORCE
	@mkdir -p $(@D)
	@$(SUBST) $< > $@

INSTALL := install -p
install: all $(BUILD)/packaging/weir.service ## install program, unit, manual pages, header for plugins (DESTDIR, PREFIX=/usr/local)
	$(INSTALL) -D -m755 $(BUILD)/weir $(DESTDIR)$(BINDIR)/weir
	$(INSTALL) -D -m644 packaging/weir.8 $(DESTDIR)$(MANDIR)/man8/weir.8
	$(INSTALL) -D -m644 packaging/proxy.conf.5 $(DESTDIR)$(MANDIR)/man5/proxy.conf.5
	$(INSTALL) -D -m644 $(BUILD)/packaging/weir.service $(DESTDIR)$(UNITDIR)/weir.service
	$(INSTALL) -D -m644 packaging/weir.sysusers $(DESTDIR)$(SYSUSERSDIR)/weir.conf
	$(INSTALL) -D -m644 packaging/weir.logrotate $(DESTDIR)$(SYSCONFDIR)/logrotate.d/weir
	$(INSTALL) -D -m644 packaging/weir.bash-completion $(DESTDIR)$(COMPDIR)/weir
	$(INSTALL) -D -m644 src/upstream/strategy.h $(DESTDIR)$(INCLUDEDIR)/weir/strategy.h
	$(INSTALL) -d $(DESTDIR)$(DOCDIR)
	$(INSTALL) -m644 $(wildcard README.md LICENSE CHANGELOG.md proxy.conf.example docs/*.md docs/*.svg docs/*.c) $(DESTDIR)$(DOCDIR)
	@# never over a configuration that somebody wrote
	[ -e $(DESTDIR)$(SYSCONFDIR)/weir/proxy.conf ] || $(INSTALL) -D -m644 proxy.conf.example $(DESTDIR)$(SYSCONFDIR)/weir/proxy.conf

uninstall: ## remove what install put there, but for /etc/weir
	rm -f $(DESTDIR)$(BINDIR)/weir $(DESTDIR)$(MANDIR)/man8/weir.8 $(DESTDIR)$(MANDIR)/man5/proxy.conf.5 \
	    $(DESTDIR)$(UNITDIR)/weir.service $(DESTDIR)$(SYSUSERSDIR)/weir.conf $(DESTDIR)$(SYSCONFDIR)/logrotate.d/weir \
	    $(DESTDIR)$(COMPDIR)/weir $(DESTDIR)$(INCLUDEDIR)/weir/strategy.h
	rm -rf $(DESTDIR)$(DOCDIR)

deb: ## a Debian package in build/deb/
	@packaging/install-deps build test deb
	rm -rf $(BUILD)/deb && mkdir -p $(BUILD)/deb/weir
	tar -c --exclude=./build --exclude=./.git --exclude='__pycache__' . | tar -x -C $(BUILD)/deb/weir
	cp -r packaging/debian $(BUILD)/deb/weir/debian
	cd $(BUILD)/deb/weir && env -u MAKEFLAGS -u MFLAGS -u MAKELEVEL dpkg-buildpackage -us -uc -b
	@ls -l $(BUILD)/deb/*.deb

clean: ## remove what was built
	rm -rf $(BUILD)

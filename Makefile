# Holdfast. `make` builds build/holdfast, `make run` serves, `make test` runs what CI runs,
# `make help` lists everything else.
#
#   MODE=release|asan|ubsan|tsan   what to build; each has its own folder build/<mode>
#   ARGS=…                         handed to the program that a target runs
#   BUILD=folder                   instead of build/, for several builds at a time
#   DEBUG_FLAGS=-g                 variables for a debugger, not only lines for a backtrace
#   BATCH=1                        sources of src/ that are compiled together (6)

MODE ?= release
ARGS ?=
BUILD ?= build
BATCH ?= 6
PREFIX ?= /usr/local
SYSCONFDIR ?= /etc/holdfast
UNITDIR ?= $(PREFIX)/lib/systemd/system
DESTDIR ?=

# The fuzzers are built with the other users of AddressSanitizer.
ifeq ($(MODE),fuzz)
  override MODE := asan
endif
MODES := release asan ubsan tsan
ifeq ($(filter $(MODE),$(MODES)),)
$(error MODE=$(MODE) is unknown; use one of: $(MODES))
endif

MAKEFLAGS += --no-builtin-rules
# All CPUs, unless -j says otherwise or another make is in charge.
ifeq ($(MAKELEVEL)$(filter -j%,$(MAKEFLAGS)),0)
  MAKEFLAGS += -j$(shell nproc)
endif
.DEFAULT_GOAL := build
.DELETE_ON_ERROR:
.SECONDARY:

# --- Compiler and flags ------------------------------------------------------------------------

# g++ makes the release; the sanitizers and libFuzzer are clang's, whose runtimes see more.
ifeq ($(MODE),release)
  COMPILER ?= g++
else
  COMPILER ?= clang++
endif
CCACHE := $(shell command -v ccache 2>/dev/null)
LINKER := $(if $(shell command -v ld.lld 2>/dev/null),-fuse-ld=lld,$(if $(shell command -v ld.gold 2>/dev/null),-fuse-ld=gold))

PACKAGES := libuv hiredis libssl libcrypto lua5.1 lua5.1-cjson lua5.1-bitop libxxhash yaml-cpp spdlog fmt absl_flat_hash_map absl_flat_hash_set \
            absl_node_hash_map absl_inlined_vector absl_strings
PACKAGE_LIBS := $(shell pkg-config --libs $(PACKAGES) 2>/dev/null)

SANITIZE_release :=
SANITIZE_asan := -fsanitize=address,undefined,fuzzer-no-link
SANITIZE_ubsan := -fsanitize=undefined
SANITIZE_tsan := -fsanitize=thread
SANITIZE := $(SANITIZE_$(MODE)) $(if $(SANITIZE_$(MODE)),-fno-sanitize-recover=all -fno-omit-frame-pointer)

OPTIMIZE := $(if $(filter release,$(MODE)),-O2,-O1)
WARNINGS := -Wall -Wextra -Wpedantic -Wshadow -Wnon-virtual-dtor -Werror
# g++ 12 warns of impossible overlaps inside `"text" + std::string` (gcc bug 105651).
NOT_WARNED := $(if $(findstring g++,$(COMPILER:clang%=)),-Wno-restrict)
CPPFLAGS := -Isrc -DSPDLOG_COMPILED_LIB -DSPDLOG_FMT_EXTERNAL
# Line tables: enough for a backtrace and a profile, and a fifth less time to build.
DEBUG_FLAGS ?= -g1
CXXFLAGS := -std=c++20 $(OPTIMIZE) $(DEBUG_FLAGS) $(WARNINGS) $(NOT_WARNED) -pthread $(SANITIZE)
LDFLAGS := $(LINKER) -pthread $(SANITIZE)
# A sanitizer brings its own allocator.
LIBS := -lleveldb $(PACKAGE_LIBS) $(if $(filter release,$(MODE)),-ljemalloc)

# --- Sources and objects -----------------------------------------------------------------------

O := $(BUILD)/$(MODE)
BIN := $(if $(filter release,$(MODE)),$(BUILD)/holdfast,$(O)/holdfast)
LAYERS := $(shell sed '/^\#/d' utils/layers.txt)

walk = $(sort $(shell find $(1) -name '*.cc' 2>/dev/null))
objects = $(patsubst %.cc,$(O)/obj/%.o,$(1))

MAIN_SOURCE := $(wildcard src/server/main.cc)
SOURCES := $(filter-out src/server/main.cc,$(call walk,src))
# The twins of disks and stores that simulation and tests run on are no part of the server.
TWINS := src/storage/sim_file_system.cc src/storage/mem_store.cc
UNIT_SOURCES := $(call walk,tests/unit)
RAFT_SOURCES := $(call walk,tests/raft)
SIM_SOURCES := $(call walk,tests/sim)
LINEAR_SOURCES := $(filter-out tests/linear/linear.cc,$(call walk,tests/linear))
CHECKER_SOURCES := $(addprefix tests/linear/,checker.cc history.cc models.cc)
FUZZ_SOURCES := $(wildcard tests/fuzz/*_fuzz.cc)
FUZZERS := $(patsubst tests/fuzz/%_fuzz.cc,%,$(FUZZ_SOURCES))

LIBRARY := $(O)/libholdfast.a
UNIT := $(O)/unit
RAFT := $(if $(RAFT_SOURCES),$(O)/raft-scripts)
SIM := $(if $(SIM_SOURCES),$(O)/sim)
LINEAR := $(O)/linear $(O)/linear-tests
# Preloaded into nodes by tests/torture; of no use under a sanitizer, which wants to come first.
CC_OF_RELEASE := $(patsubst %g++,%gcc,$(COMPILER:clang++=clang))
SHIM := $(if $(filter release,$(MODE)),$(O)/shim.so)
REPLAYS := $(FUZZERS:%=$(O)/replay-%)

# Most of the time of a compilation goes into the headers, which the sources of a folder share, so
# up to BATCH of them are compiled together: build/<mode>/batch/<folder>/<first of them>.cc includes
# them one after the other. Names in anonymous namespaces are therefore unique within a folder.
define batch
$(O)/batch/$(1)/$(notdir $(firstword $(2))): FORCE
	@mkdir -p $$(@D); printf '#include "%s"\n' $(2:src/%=%) | cmp -s - $$@ || printf '#include "%s"\n' $(2:src/%=%) > $$@
BATCHES_$(1) += $(O)/batch/$(1)/$(notdir $(basename $(firstword $(2)))).o
endef
# $(1): folder, $(2): its sources
batch_rest = $(filter-out $(wordlist 1,$(BATCH),$(2)),$(2))
make_batches = $(if $(2),$(eval $(call batch,$(1),$(wordlist 1,$(BATCH),$(2))))$(call make_batches,$(1),$(batch_rest)))
$(foreach layer,$(LAYERS),$(call make_batches,$(layer),$(filter-out $(TWINS),$(filter src/$(layer)/%,$(SOURCES)))))
SERVER_OBJECTS := $(foreach layer,$(LAYERS),$(BATCHES_$(layer)))

DEPENDENCIES := $(patsubst %.o,%.d,$(SERVER_OBJECTS) $(call objects,$(TWINS) $(MAIN_SOURCE) \
                  $(UNIT_SOURCES) $(RAFT_SOURCES) $(SIM_SOURCES) $(LINEAR_SOURCES) tests/linear/linear.cc \
                  tests/bench/load.cc $(FUZZ_SOURCES) tests/fuzz/replay_main.cc))

# The folders that may be linked into a test of folder $(1): those above its line, and itself.
at_or_below = $(shell awk '/^\#/ { next } { for (i = 1; i <= NF; i++) if ($$i == "$(1)") { print $$i; exit } print }' utils/layers.txt)

# --- Building ----------------------------------------------------------------------------------

.PHONY: build all-tests
build: $(if $(MAIN_SOURCE),$(BIN),$(LIBRARY))
# Everything that the tests of this mode run.
all-tests: build $(UNIT) $(RAFT) $(SIM) $(LINEAR) $(SHIM) $(if $(SHIM),$(O)/load) $(REPLAYS) $(if $(filter asan,$(MODE)),$(FUZZERS:%=$(O)/fuzz-%))

link = @echo "link $@"; $(COMPILER) $(LDFLAGS) -o $@ $(filter %.o %.a,$^) $(LIBS)

$(BIN): $(call objects,src/server/main.cc) $(SERVER_OBJECTS) $(O)/sources.txt
	$(link)

# Thin and always made afresh, so that a deleted source leaves no member behind.
$(LIBRARY): $(SERVER_OBJECTS) $(call objects,$(TWINS)) $(O)/sources.txt
	@rm -f $@ && ar rcsT $@ $(filter %.o,$^)

$(UNIT): $(call objects,$(UNIT_SOURCES)) $(LIBRARY)
	$(link)

$(O)/raft-scripts: $(call objects,$(RAFT_SOURCES) tests/unit/main.cc) $(LIBRARY)
	$(link)

$(O)/sim: $(call objects,$(SIM_SOURCES) $(CHECKER_SOURCES)) $(LIBRARY)
	$(link)

# The checker of histories, and its own tests.
$(O)/linear: $(call objects,tests/linear/linear.cc $(filter-out %_test.cc,$(LINEAR_SOURCES))) $(LIBRARY)
	$(link)
$(O)/linear-tests: $(call objects,$(LINEAR_SOURCES) tests/unit/main.cc) $(LIBRARY)
	$(link)

# The load generator of tests/bench/cluster.
$(O)/load: $(call objects,tests/bench/load.cc) $(LIBRARY)
	$(link)

$(O)/shim.so: tests/torture/shim.c | $(O)/tools.txt
	@mkdir -p $(@D)
	@echo "cc   $<"
	@$(CC_OF_RELEASE) -O2 -g -Wall -Wextra -Werror -shared -fPIC -pthread -o $@ $< -ldl

$(O)/replay-%: $(O)/obj/tests/fuzz/%_fuzz.o $(O)/obj/tests/fuzz/replay_main.o $(LIBRARY)
	$(link)

$(O)/fuzz-%: $(O)/obj/tests/fuzz/%_fuzz.o $(LIBRARY)
	@echo "link $@"; $(COMPILER) $(LDFLAGS) -fsanitize=fuzzer -o $@ $(filter %.o %.a,$^) $(LIBS)

define compile
@mkdir -p $(@D)
@echo "c++  $<"
@$(CCACHE) $(COMPILER) $(CPPFLAGS) $(CXXFLAGS) -MMD -MP -c -o $@ $<
endef
$(O)/obj/%.o: %.cc $(O)/flags.txt | $(O)/tools.txt
	$(compile)
$(O)/batch/%.o: $(O)/batch/%.cc $(O)/flags.txt | $(O)/tools.txt
	$(compile)

# Other flags or another set of sources rebuild what depends on them.
.PHONY: FORCE
FORCE:
$(O)/flags.txt: FORCE
	@mkdir -p $(@D); echo '$(COMPILER) $(CPPFLAGS) $(CXXFLAGS)' | cmp -s - $@ || echo '$(COMPILER) $(CPPFLAGS) $(CXXFLAGS)' > $@
$(O)/sources.txt: FORCE
	@mkdir -p $(@D); echo '$(SOURCES)' | cmp -s - $@ || echo '$(SOURCES)' > $@

$(O)/tools.txt:
	@mkdir -p $(@D)
	@command -v $(COMPILER) >/dev/null && pkg-config --exists $(PACKAGES) || \
	  { echo 'Packages are missing: run deps/install.sh test' >&2; exit 1; }
	@touch $@

-include $(DEPENDENCIES)

# --- Tests of one folder -----------------------------------------------------------------------

# `make unit-storage`: only the objects of src/storage and of the layers below it, and only the
# tests in tests/unit/storage. `make build/release/unit-storage` builds without running.
define folder_unit
$(O)/unit-$(1): $$(foreach f,$$(call at_or_below,$(1)),$$(BATCHES_$$(f))) $$(call objects,tests/unit/main.cc \
    $$(call walk,tests/unit/$(1)) $$(filter $$(foreach f,$$(call at_or_below,$(1)),src/$$(f)/%),$(TWINS)))
	$$(link)
.PHONY: unit-$(1)
unit-$(1): $(O)/unit-$(1)
	$(O)/unit-$(1) $$(ARGS)
endef
$(foreach layer,$(LAYERS),$(eval $(call folder_unit,$(layer))))

# --- Tests -------------------------------------------------------------------------------------

.PHONY: unit raft sim sim-soak linear torture torture-soak test lint asan ubsan tsan fuzz integration clients \
        compat sequences bench bench-cluster
unit: $(UNIT)
	$(UNIT) $(ARGS)
raft: $(O)/raft-scripts
	$(O)/raft-scripts $(ARGS)

linear: $(LINEAR)
	$(O)/linear-tests $(ARGS)

# `make sim SEED=7` replays one seed, `make sim SEED=7 SEEDS=1000` runs as many from there on,
# `make sim SECONDS=300` runs new ones for a time.
sim: $(O)/sim
	$(O)/sim $(if $(SEED),--seed $(SEED)) $(if $(SEEDS),--seeds $(SEEDS)) $(if $(SECONDS),--seconds $(SECONDS)) $(ARGS)
# Groups only, seeds that never ran before, on two cores.
sim-soak: $(O)/sim
	$(O)/sim --groups --no-mutants --jobs 2 --seed $$(date +%s) --seconds $(or $(SECONDS),3600) $(ARGS)

# Everything that CI runs. The last line of the output is `N passed, N failed`.
test:
	@deps/install.sh test
	@utils/test-all

lint:
	@deps/install.sh test
	@utils/lint

fuzz: export FUZZ_SEED ?= 0
asan ubsan tsan fuzz:
	@deps/install.sh test
	@utils/test-all $@

integration clients:
	@utils/test-all $@

# Faults under load; `make torture ARGS='--nodes 5 --rounds 10'`.
torture: build $(LINEAR) $(SHIM)
	tests/torture/run $(ARGS)

# The same for as long as one likes; `make torture-soak ROUNDS=100`.
ROUNDS ?= 60
torture-soak: build $(LINEAR) $(SHIM)
	tests/torture/run --nodes 3 --rounds $(ROUNDS) --seconds 60 $(ARGS)
	tests/torture/run --nodes 5 --rounds $(ROUNDS) --seconds 60 $(ARGS)

compat: build
	redis-tests/run $(ARGS)

# New sequences of commands, beside redis-server, for SECONDS=n.
sequences: build
	tests/fuzz/sequences --seconds $(or $(SECONDS),600) $(ARGS)

bench: build
	tests/bench/run $(ARGS)

# Three nodes beside three of Redis and three of etcd; ARGS='--only sustained --seconds 600'.
bench-cluster: build $(O)/load
	@deps/install.sh bench
	tests/bench/cluster $(ARGS)

# --- Running and installing --------------------------------------------------------------------

.PHONY: run cluster install conf clean help print-flags
# A make of its own builds, because only then the libraries are there to be found.
run:
	@deps/install.sh run
	@$(MAKE) build
	exec $(BIN) --bind 127.0.0.1 --port 6379 --dir ./data $(ARGS)

# Three nodes on 127.0.0.1:7001 to 7003; `make cluster ARGS='--nodes 5'`, `utils/cluster stop --dir
# ./cluster`.
cluster:
	@deps/install.sh run
	@$(MAKE) build
	utils/cluster start --binary $(BIN) --port 7001 --dir ./cluster $(ARGS)

# An existing configuration stays.
install: build
	install -D -m 755 $(BIN) $(DESTDIR)$(PREFIX)/bin/holdfast
	test -e $(DESTDIR)$(SYSCONFDIR)/holdfast.yaml || \
	  install -D -m 640 conf/holdfast.yaml $(DESTDIR)$(SYSCONFDIR)/holdfast.yaml
	install -d $(DESTDIR)$(UNITDIR)
	for unit in holdfast.service holdfast@.service; do \
	  sed -e 's|@BINDIR@|$(PREFIX)/bin|' -e 's|@SYSCONFDIR@|$(SYSCONFDIR)|' utils/$$unit \
	    > $(DESTDIR)$(UNITDIR)/$$unit || exit 1; \
	done

# Writes the shipped configuration file anew from the table of options.
conf: build
	env -i $(BIN) --print-config > conf/holdfast.yaml.new
	mv conf/holdfast.yaml.new conf/holdfast.yaml

clean:
	rm -rf $(BUILD)

# For utils/lint and editors.
print-flags:
	@echo '$(CPPFLAGS) -std=c++20 $(WARNINGS) -pthread'

help:
	@echo 'make              build/holdfast'
	@echo 'make run          install what is missing, build, serve on 127.0.0.1:6379 from ./data'
	@echo 'make test         install what is missing, build, run everything that CI runs'
	@echo 'make cluster      the same, three nodes on ports 7001 to 7003 with data in ./cluster'
	@echo 'make unit         unit tests; unit-<folder> only those of a folder of src'
	@echo 'make raft         scripted raft scenarios'
	@echo 'make linear       build/<mode>/linear, which checks histories, and its tests'
	@echo 'make sim          simulation of nodes and of groups; SEED=n replays one, SEEDS=n, SECONDS=n'
	@echo 'make sim-soak     groups only, new seeds, for SECONDS=n'
	@echo 'make lint         formatting, include direction, banned calls, a compilation by clang++'
	@echo 'make asan ubsan tsan fuzz    the tests under that sanitizer; FUZZ_SECONDS=n, FUZZ_SEED=n'
	@echo 'make integration clients     tests with real processes; with real client libraries'
	@echo 'make torture      nodes under load with faults; their histories must be linearizable'
	@echo 'make torture-soak the same for hours, with three nodes and with five; ROUNDS=60'
	@echo 'make compat       Redis'"'"'s own test suite'
	@echo 'make sequences    new random commands, compared with redis-server, for SECONDS=n'
	@echo 'make bench        side by side with redis-server'
	@echo 'make bench-cluster three nodes beside three of Redis and of etcd'
	@echo 'make install      PREFIX=/usr/local SYSCONFDIR=/etc/holdfast DESTDIR='
	@echo 'make conf         write conf/holdfast.yaml from the table of options'
	@echo 'make clean        remove build/'

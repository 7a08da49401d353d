# Holdfast. `make` builds build/holdfast, `make run` serves, `make test` runs what CI runs,
# `make help` lists everything else.
#
#   MODE=release|asan|ubsan|tsan|fuzz   what to build; each has its own folder build/<mode>
#   ARGS=…                              handed to the test binary that a target runs
#   SEED=n SEEDS=n SECONDS=n            for `make sim`

MODE ?= release
ARGS ?=
PREFIX ?= /usr/local
DESTDIR ?=

MODES := release asan ubsan tsan fuzz
ifeq ($(filter $(MODE),$(MODES)),)
$(error MODE=$(MODE) is unknown; use one of: $(MODES))
endif

MAKEFLAGS += --no-builtin-rules
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

PACKAGES := libuv hiredis libxxhash yaml-cpp spdlog fmt absl_flat_hash_map absl_flat_hash_set \
            absl_node_hash_map absl_inlined_vector absl_strings
PACKAGE_LIBS := $(shell pkg-config --libs $(PACKAGES) 2>/dev/null)

SANITIZE_release :=
SANITIZE_asan := -fsanitize=address,undefined
SANITIZE_ubsan := -fsanitize=undefined
SANITIZE_tsan := -fsanitize=thread
SANITIZE_fuzz := -fsanitize=address,undefined,fuzzer-no-link
# Debian's LevelDB has no run-time type information, which the vptr check needs.
SANITIZE := $(SANITIZE_$(MODE)) $(if $(SANITIZE_$(MODE)),-fno-sanitize-recover=all -fno-sanitize=vptr -fno-omit-frame-pointer)

OPTIMIZE := $(if $(filter release,$(MODE)),-O2,-O1)
WARNINGS := -Wall -Wextra -Wpedantic -Wshadow -Wnon-virtual-dtor -Werror
CPPFLAGS := -Isrc -DSPDLOG_COMPILED_LIB -DSPDLOG_FMT_EXTERNAL
CXXFLAGS := -std=c++20 $(OPTIMIZE) -g $(WARNINGS) -pthread $(SANITIZE)
LDFLAGS := $(LINKER) -pthread $(SANITIZE)
# A sanitizer brings its own allocator.
LIBS := -lleveldb $(PACKAGE_LIBS) $(if $(filter release,$(MODE)),-ljemalloc)

# --- Sources and objects -----------------------------------------------------------------------

O := build/$(MODE)
BIN := $(if $(filter release,$(MODE)),build/holdfast,$(O)/holdfast)
LAYERS := $(shell sed '/^\#/d' utils/layers.txt)

walk = $(sort $(shell find $(1) -name '*.cc' 2>/dev/null))
objects = $(patsubst %.cc,$(O)/obj/%.o,$(1))

MAIN_SOURCE := $(wildcard src/server/main.cc)
SOURCES := $(filter-out src/server/main.cc,$(call walk,src))
UNIT_SOURCES := $(call walk,tests/unit)
RAFT_SOURCES := $(call walk,tests/raft)
SIM_SOURCES := $(call walk,tests/sim)
FUZZ_SOURCES := $(wildcard tests/fuzz/*_fuzz.cc)
FUZZERS := $(patsubst tests/fuzz/%_fuzz.cc,%,$(FUZZ_SOURCES))

LIBRARY := $(O)/libholdfast.a
UNIT := $(O)/unit
RAFT := $(if $(RAFT_SOURCES),$(O)/raft-scripts)
SIM := $(if $(SIM_SOURCES),$(O)/sim)
REPLAYS := $(FUZZERS:%=$(O)/replay-%)
DEPENDENCIES := $(patsubst %.o,%.d,$(call objects,$(SOURCES) $(MAIN_SOURCE) $(UNIT_SOURCES) \
                  $(RAFT_SOURCES) $(SIM_SOURCES) $(FUZZ_SOURCES) tests/fuzz/replay_main.cc))

# The folders that may be linked into a test of folder $(1): those above its line, and itself.
at_or_below = $(shell awk '/^\#/ { next } { for (i = 1; i <= NF; i++) if ($$i == "$(1)") { print $$i; exit } print }' utils/layers.txt)

# --- Building ----------------------------------------------------------------------------------

.PHONY: build all-tests
build: $(if $(MAIN_SOURCE),$(BIN),$(LIBRARY))
# Everything that the tests of this mode run.
all-tests: build $(UNIT) $(RAFT) $(SIM) $(if $(filter fuzz,$(MODE)),$(FUZZERS:%=$(O)/fuzz-%),$(REPLAYS))

link = @echo "link $@"; $(COMPILER) $(LDFLAGS) -o $@ $(filter %.o %.a,$^) $(LIBS)

$(BIN): $(call objects,src/server/main.cc) $(LIBRARY)
	$(link)

# Thin and always made afresh, so that a deleted source leaves no member behind.
$(LIBRARY): $(call objects,$(SOURCES)) $(O)/sources.txt
	@rm -f $@ && ar rcsT $@ $(filter %.o,$^)

$(UNIT): $(call objects,$(UNIT_SOURCES)) $(LIBRARY)
	$(link)

$(O)/raft-scripts: $(call objects,$(RAFT_SOURCES) tests/unit/main.cc) $(LIBRARY)
	$(link)

$(O)/sim: $(call objects,$(SIM_SOURCES)) $(LIBRARY)
	$(link)

$(O)/replay-%: $(O)/obj/tests/fuzz/%_fuzz.o $(O)/obj/tests/fuzz/replay_main.o $(LIBRARY)
	$(link)

$(O)/fuzz-%: $(O)/obj/tests/fuzz/%_fuzz.o $(LIBRARY)
	@echo "link $@"; $(COMPILER) $(LDFLAGS) -fsanitize=fuzzer -o $@ $(filter %.o %.a,$^) $(LIBS)

$(O)/obj/%.o: %.cc $(O)/flags.txt | $(O)/tools.txt
	@mkdir -p $(@D)
	@echo "c++  $<"
	@$(CCACHE) $(COMPILER) $(CPPFLAGS) $(CXXFLAGS) -MMD -MP -c -o $@ $<

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
$(O)/unit-$(1): $$(call objects,tests/unit/main.cc $$(call walk,tests/unit/$(1)) \
    $$(filter-out src/server/main.cc,$$(foreach f,$$(call at_or_below,$(1)),$$(call walk,src/$$(f)))))
	$$(link)
.PHONY: unit-$(1)
unit-$(1): $(O)/unit-$(1)
	$(O)/unit-$(1) $$(ARGS)
endef
$(foreach layer,$(LAYERS),$(eval $(call folder_unit,$(layer))))

.PHONY: unit raft
unit: $(UNIT)
	$(UNIT) $(ARGS)
raft: $(O)/raft-scripts
	$(O)/raft-scripts $(ARGS)

.PHONY: clean
clean:
	rm -rf build

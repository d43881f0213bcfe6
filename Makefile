# Ringstack. `make help` lists the targets; CONTRACT: `make run`, `make test`.
# Everything that is built goes under $(B).
B       ?= build
V       ?= 0
Q        = $(if $(filter 0,$(V)),@,)
ifeq ($(origin CC),default)
CC       = gcc
endif
SAN     ?=
ROOMS    = base proto ring storage control identity proxy sim cmd

DEPS     = libuv libprotobuf-c rocksdb libxxhash jansson openssl expat libargon2
LLHTTP  ?= /usr/share/llhttp
LLHTTP_INC ?= /usr/share/include/llhttp

OPT     ?= -O2
WARN     = -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith -Wvla -Werror
CPPFLAGS ?=
PKG_CFLAGS := $(shell pkg-config --cflags $(DEPS) libisal 2>/dev/null)
PKG_LIBS := $(shell pkg-config --libs $(DEPS) 2>/dev/null)
CPPFLAGS_ALL = $(CPPFLAGS) -D_GNU_SOURCE -I. -I$(B)/gen -I$(LLHTTP_INC) $(PKG_CFLAGS)
CFLAGS   = -std=gnu17 $(OPT) -g -fno-omit-frame-pointer -fno-strict-aliasing -pthread $(WARN) $(SANFLAGS)
LDLIBS   = $(PKG_LIBS) -lisal -lboost_context -lcrypt -lm -pthread -lstdc++
comma   := ,
ifneq ($(SAN),)
SANFLAGS = -fsanitize=$(SAN) -fno-sanitize-recover=all
B       := $(B)/san-$(subst $(comma),-,$(SAN))
endif
LDFLAGS  = $(SANFLAGS)

PROTOS   = $(wildcard proto/*.proto)
GEN_C    = $(PROTOS:proto/%.proto=$(B)/gen/proto/%.pb-c.c)
GEN_H    = $(GEN_C:.c=.h)
ROOM_C  := $(foreach r,$(filter-out cmd,$(ROOMS)),$(shell find $(r) -name '*.c' 2>/dev/null))
CMD_C   := $(wildcard cmd/*.c)
LIB_O    = $(ROOM_C:%.c=$(B)/obj/%.o) $(GEN_C:$(B)/gen/%.c=$(B)/obj/gen/%.o) $(B)/obj/llhttp/llhttp.o $(B)/obj/llhttp/api.o $(B)/obj/llhttp/http.o
LIB      = $(B)/libringstack.a
TESTLIB_O = $(patsubst %.c,$(B)/obj/%.o,$(filter-out tests/lib/replay_main.c,$(wildcard tests/lib/*.c)))
TESTS_C := $(shell find tests -name '*_test.c' 2>/dev/null | sort)
TESTS    = $(TESTS_C:tests/%.c=$(B)/tests/%)

FUZZ_C  := $(shell find tests/fuzz -name '*_fuzz.c' 2>/dev/null)
REPLAY   = $(FUZZ_C:tests/%.c=$(B)/tests/%)
FUZZER_B = $(B)/fuzz
API     := $(sort $(wildcard tests/api/*_test.sh tests/api/*_test.py))
T       ?=
N       ?= 200
J       ?= 2
PICK     = $(if $(T),$(foreach p,$(1),$(if $(findstring $(T),$(p)),$(p))),$(1))

.SECONDARY:
.DELETE_ON_ERROR:
.PHONY: all run test test-unit test-api test-api-san sanitized test-clients conformance-s3 programs lint fmt bench sim sim-mutants model fuzz fuzzers check clean help deps-build deps-test

## all: build bin/ringstack (installs nothing)
all: bin/ringstack

## run: install what is missing, build, start a whole cloud in the foreground (ARGS='--port-base 15000 ...')
run: deps-build
	$(Q)$(MAKE) --no-print-directory all
	$(Q)exec bin/ringstack dev --data data $(ARGS)

## test: install what is missing, build, run every test (T=pattern picks; SAN=address or undefined)
test: deps-build deps-test
	$(Q)$(MAKE) --no-print-directory -j$(J) all programs
	$(Q)B=$(B) tools/run-tests --jobs $(J) --log $(B)/logs $(call PICK,$(TESTS) $(REPLAY) $(API))

## test-unit: as test, without the API tests and without installing
test-unit:
	$(Q)$(MAKE) --no-print-directory -j$(J) programs
	$(Q)B=$(B) tools/run-tests --jobs $(J) --log $(B)/logs $(call PICK,$(TESTS) $(REPLAY))

test-api: all
	$(Q)B=$(B) tools/run-tests --log $(B)/logs $(call PICK,$(API))

## test-api-san: the API tests that stress the program most, on one built with AddressSanitizer and UndefinedBehaviorSanitizer
API_SAN  = $(foreach t,swift_rest swift_rest_nodes nodes nodes_tls drives crash s3_boto s3_config s3_multipart s3_encryption,tests/api/$(t)_test.py)
test-api-san:
	$(Q)$(MAKE) --no-print-directory -j$(J) SAN=address,undefined sanitized
	$(Q)RINGSTACK=$(CURDIR)/$(B)/san-address-undefined/ringstack B=$(B) tools/run-tests --log $(B)/logs/san $(call PICK,$(API_SAN))
sanitized: $(B)/ringstack

## test-clients: stock S3 and Swift clients do real work (CLIENTS='aws restic ...' picks)
test-clients: deps-build
	$(Q)tools/install-deps clients
	$(Q)$(MAKE) --no-print-directory -j$(J) all
	$(Q)tests/clients/clients_test.py $(CLIENTS)

## conformance-s3: ceph/s3-tests against a fresh cloud (S3TESTS=checkout, BOTO_PATH=newer client, PYTEST='...')
conformance-s3: deps-build
	$(Q)test -n "$(S3TESTS)" || { echo "conformance-s3: name a checkout of ceph/s3-tests with S3TESTS=" >&2; exit 2; }
	$(Q)tools/install-deps conformance
	$(Q)$(MAKE) --no-print-directory -j$(J) all
	$(Q)tests/conformance/s3/run $(S3TESTS) $(if $(BOTO_PATH),--boto $(BOTO_PATH)) -- $(PYTEST)

programs: $(call PICK,$(TESTS) $(REPLAY))

deps-build:
	$(Q)tools/install-deps build run
deps-test:
	$(Q)tools/install-deps test

## sim: explore N seeds of every scenario (N=1000), or replay one (SEED=..., T=scenario)
sim: all
	$(Q)bin/ringstack sim $(if $(SEED),--seed $(SEED),--count $(N)) $(if $(T),--scenario $(T))

## sim-mutants: the simulator must find each deliberately broken variant
sim-mutants:
	$(Q)$(MAKE) --no-print-directory B=$(B)/mutants CPPFLAGS=-DRINGSTACK_MUTANTS $(B)/mutants/ringstack
	$(Q)tests/sim/mutants $(B)/mutants/ringstack

## model: check the row protocol's Promela models with SPIN
model:
	$(Q)tools/install-deps model
	$(Q)tests/model/batch.sh tests/model/configs

## fuzz: run the libFuzzer target F for SECS seconds (F=ring_file SECS=600); 'make fuzzers' builds all
fuzz: fuzzers
	$(Q)for f in $(foreach c,$(FUZZ_C),$(if $(findstring $(F),$(c)),$(FUZZER_B)/$(notdir $(c:.c=)))); do \
	  n=$$(basename $$f _fuzz); mkdir -p $(B)/corpus/$$n tests/fuzz/corpus/$$n; echo "fuzz $$n"; \
	  $$f -max_total_time=$(or $(SECS),60) -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 $(B)/corpus/$$n tests/fuzz/corpus/$$n || exit 1; done
fuzzers:
	$(Q)tools/install-deps fuzz
	$(Q)$(MAKE) --no-print-directory -j$(J) B=$(FUZZER_B) CC=clang-14 SANFLAGS='-fsanitize=address,undefined,fuzzer-no-link -fno-sanitize-recover=all' FUZZING=1 $(FUZZ_C:tests/%.c=$(FUZZER_B)/tests/%)
	$(Q)for f in $(FUZZ_C:tests/%.c=tests/%); do ln -sf "$$(pwd)/$(FUZZER_B)/$$f" $(FUZZER_B)/$$(basename $$f); done

## bench: the numbers of docs/performance.md
bench: all
	$(Q)tools/bench

## lint: warnings as errors by gcc and clang, tools/tidy; fmt: clang-format
lint:
	$(Q)tools/tidy
	$(Q)$(MAKE) --no-print-directory B=$(B)/clang CC=clang-14 -j$(J) lint-compile
lint-compile: $(LIB)
fmt:
	$(Q)clang-format-14 -i $$(git diff --name-only HEAD -- '*.c' '*.h')

## check: what every commit passes
check: lint test

clean:
	$(Q)rm -rf build bin

help:
	@grep -h '^## ' Makefile | sed 's/^## //'

bin/ringstack: $(B)/ringstack
	$(Q)mkdir -p bin && cp $< $@.new && mv $@.new $@

$(B)/ringstack: $(CMD_C:%.c=$(B)/obj/%.o) $(LIB)
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $(CMD_C:%.c=$(B)/obj/%.o) $(LIB) $(LDLIBS)

$(LIB): $(LIB_O)
	$(Q)rm -f $@ && ar rcs $@ $(LIB_O)

$(B)/gen/%.pb-c.c $(B)/gen/%.pb-c.h: %.proto
	$(Q)mkdir -p $(B)/gen && protoc-c --c_out=$(B)/gen $<

$(B)/obj/gen/%.o: $(B)/gen/%.c
	$(Q)mkdir -p $(@D) && $(CC) $(CPPFLAGS_ALL) $(CFLAGS) -w -MMD -MP -c -o $@ $<

$(B)/obj/llhttp/%.o: $(LLHTTP)/%.c
	$(Q)mkdir -p $(@D) && $(CC) $(CPPFLAGS_ALL) $(CFLAGS) -w -c -o $@ $<

$(B)/obj/%.o: %.c | $(GEN_H)
	$(Q)mkdir -p $(@D) && $(CC) $(CPPFLAGS_ALL) $(CFLAGS) -MMD -MP -c -o $@ $<

# A fuzz target is linked with libFuzzer when FUZZING is set, else with a main() that replays files.
$(B)/tests/fuzz/%: $(B)/obj/tests/fuzz/%.o $(B)/obj/tests/lib/replay_main.o $(LIB)
	$(Q)mkdir -p $(@D) && $(CC) $(CFLAGS) $(LDFLAGS) $(if $(FUZZING),-fsanitize=fuzzer) -o $@ $< $(if $(FUZZING),,$(B)/obj/tests/lib/replay_main.o) $(LIB) $(LDLIBS)

$(B)/tests/bench/%: $(B)/obj/tests/bench/%.o $(LIB)
	$(Q)mkdir -p $(@D) && $(CC) $(CFLAGS) $(LDFLAGS) -o $@ $< $(LIB) $(LDLIBS)

$(B)/tests/%: $(B)/obj/tests/%.o $(TESTLIB_O) $(LIB)
	$(Q)mkdir -p $(@D) && $(CC) $(CFLAGS) $(LDFLAGS) -o $@ $< $(TESTLIB_O) $(LIB) $(LDLIBS) -lcmocka

-include $(shell find $(B)/obj -name '*.d' 2>/dev/null)

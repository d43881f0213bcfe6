# Ringstack. `make help` lists the targets; CONTRACT: `make run`, `make test`.
# Everything that is built goes under $(B).
B       ?= build
V       ?= 0
Q        = $(if $(filter 0,$(V)),@,)
CC      ?= gcc
SAN     ?=
ROOMS    = base proto ring storage control identity proxy sim cmd

DEPS     = libuv libprotobuf-c rocksdb libxxhash jansson openssl expat libargon2
LLHTTP  ?= /usr/share/llhttp
LLHTTP_INC ?= /usr/share/include/llhttp

OPT     ?= -O2
WARN     = -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith -Wvla -Werror
CPPFLAGS += -D_GNU_SOURCE -I. -I$(B)/gen -I$(LLHTTP_INC) $(shell pkg-config --cflags $(DEPS) libisal 2>/dev/null)
CFLAGS  += -std=gnu17 $(OPT) -g -fno-omit-frame-pointer -fno-strict-aliasing -pthread $(WARN) $(SANFLAGS)
LDLIBS  += $(shell pkg-config --libs $(DEPS) 2>/dev/null) -lisal -lboost_context -lcrypt -lm -pthread -lstdc++
ifneq ($(SAN),)
comma   := ,
SANFLAGS = -fsanitize=$(SAN) -fno-sanitize-recover=all
B       := $(B)/san-$(subst $(comma),-,$(SAN))
endif
LDFLAGS += $(SANFLAGS)

PROTOS   = $(wildcard proto/*.proto)
GEN_C    = $(PROTOS:proto/%.proto=$(B)/gen/proto/%.pb-c.c)
GEN_H    = $(GEN_C:.c=.h)
ROOM_C  := $(foreach r,$(filter-out cmd,$(ROOMS)),$(shell find $(r) -name '*.c' 2>/dev/null))
CMD_C   := $(wildcard cmd/*.c)
LIB_O    = $(ROOM_C:%.c=$(B)/obj/%.o) $(GEN_C:$(B)/gen/%.c=$(B)/obj/gen/%.o) $(B)/obj/llhttp/llhttp.o $(B)/obj/llhttp/api.o $(B)/obj/llhttp/http.o
LIB      = $(B)/libringstack.a
TESTLIB_C := $(wildcard tests/lib/*.c)
TESTS_C := $(shell find tests -name '*_test.c' 2>/dev/null)
TESTS    = $(TESTS_C:tests/%.c=$(B)/tests/%)

.SECONDARY:
.PHONY: all run test lint fmt bench sim model fuzz check clean help install-deps
all: bin/ringstack

bin/ringstack: $(B)/ringstack
	$(Q)mkdir -p bin && ln -f $< $@ 2>/dev/null || cp $< $@

$(B)/ringstack: $(CMD_C:%.c=$(B)/obj/%.o) $(LIB)
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $(CMD_C:%.c=$(B)/obj/%.o) $(LIB) $(LDLIBS)

$(LIB): $(LIB_O)
	$(Q)rm -f $@ && ar rcs $@ $(LIB_O)

$(B)/gen/%.pb-c.c $(B)/gen/%.pb-c.h: %.proto
	$(Q)mkdir -p $(B)/gen && protoc-c --c_out=$(B)/gen $<

$(B)/obj/gen/%.o: $(B)/gen/%.c
	$(Q)mkdir -p $(@D) && $(CC) $(CPPFLAGS) $(CFLAGS) -w -MMD -MP -c -o $@ $<

$(B)/obj/llhttp/%.o: $(LLHTTP)/%.c
	$(Q)mkdir -p $(@D) && $(CC) $(CPPFLAGS) $(CFLAGS) -w -c -o $@ $<

$(B)/obj/%.o: %.c | $(GEN_H)
	$(Q)mkdir -p $(@D) && $(CC) $(CPPFLAGS) $(CFLAGS) -MMD -MP -c -o $@ $<

$(B)/tests/%: $(B)/obj/tests/%.o $(TESTLIB_C:%.c=$(B)/obj/%.o) $(LIB)
	$(Q)mkdir -p $(@D) && $(CC) $(CFLAGS) $(LDFLAGS) -o $@ $< $(TESTLIB_C:%.c=$(B)/obj/%.o) $(LIB) $(LDLIBS) -lcmocka

-include $(shell find $(B)/obj -name '*.d' 2>/dev/null)

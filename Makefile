# Pith. `make` builds build/pith; `make demo` and `make check` install what they need first. V=1 shows commands.
CC ?= gcc
ifeq ($(origin CC),default)
CC := gcc
endif
B := build
PREFIX ?= /usr/local
Q := $(if $(V),,@)

WARN := -Wall -Wextra -Werror -Wshadow -Wundef -Wvla -Wstrict-prototypes -Wmissing-prototypes \
	-Wconversion -Wpointer-arith -Wcast-qual -Wwrite-strings -Wold-style-definition
COMMON := -std=c11 -O2 -g -I. $(WARN) -MMD -MP -fno-strict-aliasing -fno-common -fvisibility=hidden
# The library OS uses no SSE (the program's registers stay live) and depends on nothing.
OSFLAGS := $(COMMON) -ffreestanding -fPIE -mgeneral-regs-only -fcf-protection=none -fno-omit-frame-pointer \
	-fstack-protector-strong -mstack-protector-guard=global -ffunction-sections -fdata-sections \
	-fno-asynchronous-unwind-tables
HOSTFLAGS := $(COMMON) -D_GNU_SOURCE -fPIE -fstack-protector-strong
TESTFLAGS := $(COMMON) -D_GNU_SOURCE -DPITH_TEST -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=undefined

# LAYERS is the build list: os/*, base, arch and plat/proc make the library OS.
LAYER_MODULES := $(shell sed -n 's/^\([a-z0-9_/]*\) *:.*/\1/p' LAYERS)
OS_MODULES := $(filter base os/% plat/select plat/proc plat/exo,$(LAYER_MODULES)) arch/x86_64
HOST_MODULES := $(filter-out tender/net,$(filter base cli tender tender/%,$(LAYER_MODULES)))
TEST_MODULES := $(filter base os/% plat/sim,$(LAYER_MODULES))

srcs = $(foreach m,$(1),$(wildcard $(m)/*.c $(m)/*.S))
objs = $(patsubst %,$(B)/$(1)/%.o,$(basename $(call srcs,$(2))))

OS_OBJS := $(call objs,os,$(OS_MODULES))
HOST_OBJS := $(filter-out $(B)/host/base/string.o,$(call objs,host,$(HOST_MODULES))) $(B)/host/base/format.o
HOST_OBJS := $(sort $(HOST_OBJS))

.PHONY: all check demo bench fuzz install clean layers unit deps format
all: $(B)/pith $(B)/pith-net $(B)/exo.elf compile_commands.json

include exo/exo.mk
include test/test.mk

$(B)/os/%.o: %.c
	@mkdir -p $(@D)
	$(Q)$(CC) $(OSFLAGS) -c $< -o $@
$(B)/os/%.o: %.S
	@mkdir -p $(@D)
	$(Q)$(CC) $(OSFLAGS) -c $< -o $@
$(B)/host/%.o: %.c
	@mkdir -p $(@D)
	$(Q)$(CC) $(HOSTFLAGS) -c $< -o $@
$(B)/host/%.o: %.S
	@mkdir -p $(@D)
	$(Q)$(CC) $(HOSTFLAGS) -c $< -o $@

# The library OS: a static position-independent ELF file that needs only R_X86_64_RELATIVE.
$(B)/libos.elf: $(OS_OBJS)
	@echo "  LINK  $@"
	$(Q)$(CC) -nostdlib -static-pie -Wl,--no-dynamic-linker,-z,relro,-z,now,-z,noexecstack,-z,separate-code,-z,text \
		-Wl,--gc-sections,--build-id=none,-e,proc_start,--fatal-warnings -o $@ $^

$(B)/libos.stripped: $(B)/libos.elf
	$(Q)strip -o $@ $<

# pith carries the library OS and its symbols in a page-aligned section of its own.
$(B)/libos.symbols.s: $(B)/libos.elf tools/symbols
	$(Q)tools/symbols $< > $@
$(B)/host/tender/image/embedded_data.o: $(B)/libos.stripped $(B)/libos.symbols.s
$(B)/host/tender/image/embedded_data.o: HOSTFLAGS += -DLIBOS_FILE='"$(B)/libos.stripped"' -DSYMBOLS_FILE='"$(B)/libos.symbols.s"'

# tender/kvm carries exo.
$(B)/host/tender/kvm/exo_image.o: $(B)/exo.stripped
$(B)/host/tender/kvm/exo_image.o: HOSTFLAGS += -DEXO_FILE='"$(B)/exo.stripped"'

$(B)/pith: $(HOST_OBJS)
	@echo "  LINK  $@"
	$(Q)$(CC) -static-pie -Wl,-z,relro,-z,now,--gc-sections -o $@ $^

# The user-mode network helper is a program of its own: it alone needs libslirp.
$(B)/pith-net: $(call objs,host,tender/net tender) $(B)/host/base/format.o
	@echo "  LINK  $@"
	$(Q)$(CC) -pie -Wl,-z,relro,-z,now -o $@ $^ -lslirp

# Unit tests of the host side, test/unit/host_NAME_test.c: all of it but main and what needs the embedded library OS.
HOST_TEST_OBJS := $(patsubst %.c,$(B)/test/%.o,$(filter-out cli/main.c tender/image/embedded.c,\
	$(wildcard $(addsuffix /*.c,$(filter-out base,$(HOST_MODULES))))))
$(B)/test/libhost.a: $(HOST_TEST_OBJS)
	$(Q)rm -f $@ && ar rcs $@ $^
$(B)/unit/host_%: $(B)/test/test/unit/host_%.o $(B)/test/libhost.a $(B)/test/libtest.a
	@mkdir -p $(@D)
	$(Q)$(CC) -fsanitize=address,undefined -o $@ $^ -lcmocka
# Without the library OS, whose epoll_ctl is not the host's.
$(B)/unit/kvm_%: $(B)/test/test/unit/kvm_%.o $(B)/test/libhost.a $(B)/test/base/elf.o $(B)/test/base/format.o
	@mkdir -p $(@D)
	$(Q)$(CC) -fsanitize=address,undefined -o $@ $^ -lcmocka
# The machine in its jail: as it is shipped, for a sanitizer's shadow memory does not fit into the limits.
$(B)/unit/kvm_machine_test: $(B)/host/test/unit/kvm_machine_test.o $(B)/host/base/elf.o $(B)/host/base/format.o \
		$(filter-out %/exo_image.o,$(call objs,host,tender/kvm tender tender/gdb))
	@mkdir -p $(@D)
	$(Q)$(CC) -pie -o $@ $^ -lcmocka

compile_commands.json: Makefile LAYERS
	$(Q)tools/compile-commands "$(OSFLAGS)" "$(HOSTFLAGS)" $(OS_MODULES) -- $(HOST_MODULES) tender/net > $@

layers:
	$(Q)tools/layers

install: all
	install -D -m 755 $(B)/pith $(DESTDIR)$(PREFIX)/bin/pith
	install -D -m 755 $(B)/pith-net $(DESTDIR)$(PREFIX)/libexec/pith/pith-net
	install -D -m 644 $(B)/libos.elf $(DESTDIR)$(PREFIX)/lib/pith/libos.elf
	install -D -m 644 $(B)/exo.elf $(DESTDIR)$(PREFIX)/lib/pith/exo.elf
	install -D -m 644 doc/pith.1 $(DESTDIR)$(PREFIX)/share/man/man1/pith.1

clean:
	rm -rf $(B) compile_commands.json

-include $(shell find $(B) -name '*.d' 2>/dev/null)

# Tests. `make check` runs everything and ends with "N passed, N failed"; `make unit` only the cmocka tests.
# test/unit/NAME_test.c becomes $(B)/unit/NAME_test, linked with the modules built for the host with sanitizers.
deps:
	$(Q)tools/deps build check

# What is bound to the processor or the program's memory is replaced by test/host_*.c.
TEST_SKIP := $(wildcard os/mm/*.c os/sched/*.c os/vm/*.c os/load/*.c os/linux/*.c) base/string.c
TEST_SRCS := $(filter-out $(TEST_SKIP),$(filter %.c,$(call srcs,$(TEST_MODULES)))) $(wildcard test/host_*.c) \
	tender/net/frames.c tender/net/policy.c tender/net/seal.c \
	$(addprefix tender/kvm/ninep,.c _ask.c _fid.c _file.c _path.c)
TEST_OBJS := $(patsubst %.c,$(B)/test/%.o,$(TEST_SRCS))
UNIT_SRCS := $(wildcard test/unit/*_test.c)
UNIT_BINS := $(patsubst test/unit/%.c,$(B)/unit/%,$(UNIT_SRCS))

$(B)/test/%.o: %.c
	@mkdir -p $(@D)
	$(Q)$(CC) $(TESTFLAGS) -c $< -o $@
$(B)/test/libtest.a: $(TEST_OBJS)
	$(Q)rm -f $@ && ar rcs $@ $^
$(B)/unit/%: $(B)/test/test/unit/%.o $(B)/test/libtest.a
	@mkdir -p $(@D)
	$(Q)$(CC) -fsanitize=address,undefined -o $@ $^ -lcmocka

# The kernel that kvm_machine_test runs instead of exo: it drives the devices and ends with what it found.
$(B)/guest/kvm_guest.elf: test/unit/kvm_guest.c test/unit/kvm_guest_start.S test/unit/kvm_guest.ld
	@mkdir -p $(@D)
	$(Q)$(CC) $(COMMON) -MF $(B)/guest/kvm_guest.d -MT $@ -ffreestanding -fno-pie -static -nostdlib \
		-mgeneral-regs-only -mno-red-zone -fno-stack-protector -fcf-protection=none -Wl,--build-id=none \
		-Wl,--no-warn-rwx-segments -Wl,-T,test/unit/kvm_guest.ld -o $@ $(filter %.c %.S,$^)
$(B)/host/test/unit/kvm_machine_test.o: $(B)/guest/kvm_guest.elf
$(B)/host/test/unit/kvm_machine_test.o: HOSTFLAGS += -DGUEST_FILE='"$(B)/guest/kvm_guest.elf"'

.SECONDARY: $(UNIT_BINS:$(B)/unit/%=$(B)/test/test/unit/%.o)

unit: $(UNIT_BINS)
	$(Q)test/run unit

# test/abi: the same C program from five toolchains. test/integration and test/hostile: programs to be run under Pith.
ABI_FLAVOURS := glibc glibc-static glibc-static-pie musl-static musl
ABI_CC_glibc := gcc -fPIE -pie
ABI_CC_glibc-static := gcc -fno-pie -no-pie -static
ABI_CC_glibc-static-pie := gcc -fPIE -static-pie
ABI_CC_musl-static := musl-gcc -static
ABI_CC_musl := musl-gcc
ABI_FLAGS := -I. -O2 -g -D_GNU_SOURCE -pthread -w
ABI_NAMES := $(basename $(notdir $(wildcard test/abi/*.c)))
ABI_BINS := $(foreach f,$(ABI_FLAVOURS),$(addprefix $(B)/abi/$(f)/,$(ABI_NAMES)))

define abi_rule
$(B)/abi/$(1)/%: test/abi/%.c test/abi/t.h
	@mkdir -p $$(@D)
	$$(Q)$$(ABI_CC_$(1)) $$(ABI_FLAGS) $$< -o $$@
endef
$(foreach f,$(ABI_FLAVOURS),$(eval $(call abi_rule,$(f))))

GUEST_BINS := $(patsubst test/%.c,$(B)/guest/%,$(wildcard test/integration/*.c test/hostile/*.c test/conform/*.c)) \
	$(patsubst bench/%.c,$(B)/guest/bench/%,$(wildcard bench/*.c))
$(B)/guest/bench/%: bench/%.c
	@mkdir -p $(@D)
	$(Q)gcc -O2 -g -D_GNU_SOURCE -Wall -Wextra -Werror -static -o $@ $<
$(B)/guest/%: test/%.c
	@mkdir -p $(@D)
	$(Q)gcc -I. -O1 -g -D_GNU_SOURCE -Wall -Wextra -Werror -Wno-clobbered -Wno-infinite-recursion -static -pthread -o $@ $<

$(B)/guest/hostile/escape $(B)/guest/hostile/exocall: test/hostile/attack.h abi/exo.h

# gdb_cases.py: the program to be debugged in three kinds.
GUEST_BINS += $(B)/guest/integration/debuggee-pie $(B)/guest/integration/debuggee-static-pie
$(B)/guest/integration/debuggee-pie $(B)/guest/integration/debuggee-static-pie: \
$(B)/guest/integration/debuggee-%pie: test/integration/debuggee.c
	@mkdir -p $(@D)
	$(Q)gcc -O1 -g -D_GNU_SOURCE -Wall -Wextra -Werror -fPIE -$*pie -pthread -o $@ $<

abi integration hostile conform: all $(ABI_BINS) $(GUEST_BINS)
	$(Q)test/run $@

check-programs: all $(UNIT_BINS) $(ABI_BINS) $(GUEST_BINS)
check:
	$(Q)tools/deps build check
	$(Q)$(MAKE) -s --no-print-directory check-programs
	$(Q)test/run

demo:
	$(Q)tools/deps build check
	$(Q)$(MAKE) -s --no-print-directory all $(GUEST_BINS)
	$(Q)bench/run demo

bench:
	$(Q)tools/deps build check
	$(Q)$(MAKE) -s --no-print-directory all $(GUEST_BINS)
	$(Q)bench/run

.PHONY: abi integration hostile conform check-programs

include test/fuzz/fuzz.mk

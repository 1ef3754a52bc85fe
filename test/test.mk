# Tests. `make unit` runs the cmocka tests; `make check` everything.
# test/unit/NAME_test.c becomes $(B)/test/NAME_test, linked with the modules built for the host with sanitizers.
deps:
	$(Q)tools/deps

# What is bound to the processor or the program's memory is replaced by test/host_*.c.
TEST_SKIP := $(wildcard os/mm/*.c os/sched/*.c os/vm/*.c os/load/*.c os/linux/*.c) base/string.c
TEST_SRCS := $(filter-out $(TEST_SKIP),$(filter %.c,$(call srcs,$(TEST_MODULES)))) $(wildcard test/host_*.c)
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

unit: $(UNIT_BINS)
	$(Q)for t in $(UNIT_BINS); do $$t || exit 1; done

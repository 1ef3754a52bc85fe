# Fuzzing: every test/fuzz/NAME_fuzz.c is a libFuzzer target over the modules built for the host, with ASan and UBSan.
# `make fuzz` runs each FUZZ_SECONDS from its corpus in build/; a finding stays as build/fuzz/crash-*.
FUZZ_SECONDS ?= 20
FUZZ_CC := clang
FUZZ_FLAGS := $(COMMON) -D_GNU_SOURCE -DPITH_TEST -fno-omit-frame-pointer -fsanitize=address,undefined,fuzzer-no-link \
	-fno-sanitize-recover=undefined
FUZZ_OBJS := $(patsubst %.c,$(B)/fuzz/obj/%.o,$(TEST_SRCS))
FUZZ_BINS := $(patsubst test/fuzz/%.c,$(B)/fuzz/%,$(wildcard test/fuzz/*_fuzz.c))

$(B)/fuzz/obj/%.o: %.c
	@mkdir -p $(@D)
	$(Q)$(FUZZ_CC) $(FUZZ_FLAGS) -c $< -o $@
$(B)/fuzz/libfuzzed.a: $(FUZZ_OBJS)
	$(Q)rm -f $@ && ar rcs $@ $^
$(B)/fuzz/%_fuzz: $(B)/fuzz/obj/test/fuzz/%_fuzz.o $(B)/fuzz/libfuzzed.a
	$(Q)$(FUZZ_CC) -fsanitize=address,undefined,fuzzer -o $@ $^
# Without the library OS (see kvm_% in the Makefile).
VIRTIO_FUZZ_OBJS := $(patsubst %.c,$(B)/fuzz/obj/%.o,$(addprefix tender/kvm/,memory.c queue.c mmio.c console.c rng.c net.c blk.c))
$(B)/fuzz/virtio_fuzz: $(B)/fuzz/obj/test/fuzz/virtio_fuzz.o $(VIRTIO_FUZZ_OBJS)
	$(Q)$(FUZZ_CC) -fsanitize=address,undefined,fuzzer -o $@ $^
.SECONDARY: $(FUZZ_OBJS) $(VIRTIO_FUZZ_OBJS)

fuzz:
	$(Q)tools/deps fuzz
	$(Q)$(MAKE) -s --no-print-directory fuzz-run
fuzz-run: $(FUZZ_BINS)
	$(Q)for t in $(FUZZ_BINS); do \
		mkdir -p $(B)/fuzz/corpus/$${t##*/}; \
		echo "  FUZZ  $${t##*/} ($(FUZZ_SECONDS) s)"; \
		$$t -max_total_time=$(FUZZ_SECONDS) -max_len=70000 -artifact_prefix=$(B)/fuzz/ \
			$(B)/fuzz/corpus/$${t##*/} >$(B)/fuzz/$${t##*/}.log 2>&1 || { tail -n 50 $(B)/fuzz/$${t##*/}.log; exit 1; }; \
	done; echo "$(words $(FUZZ_BINS)) targets, nothing found"
.PHONY: fuzz-run

# SPDX-License-Identifier: ISC
# exo, the exokernel: one ELF file, linked twice, for the second link carries the names of the first one's functions.
EXOFLAGS := $(COMMON) -ffreestanding -fno-pie -mcmodel=kernel -mno-red-zone -mgeneral-regs-only -fcf-protection=none \
	-fno-omit-frame-pointer -fno-stack-protector -fno-asynchronous-unwind-tables -ffunction-sections -fdata-sections
# What runs with each fault and each interrupt is to take few instructions, the rest few bytes.
EXO_FAST := $(addprefix $(B)/exo/exo/,call.o map.o frame.o apic.o)
$(EXO_FAST): EXOFLAGS += -O2
EXO_SRCS := $(wildcard exo/*.c exo/*.S) base/string.c base/format.c
EXO_OBJS := $(patsubst %,$(B)/exo/%.o,$(basename $(EXO_SRCS)))

$(B)/exo/%.o: %.c
	@mkdir -p $(@D)
	$(Q)$(CC) -Os $(EXOFLAGS) -c $< -o $@
$(B)/exo/%.o: %.S
	@mkdir -p $(@D)
	$(Q)$(CC) $(EXOFLAGS) -c $< -o $@

EXO_LINK = $(CC) -nostdlib -static -Wl,-T,exo/exo.lds,--gc-sections,--build-id=none,--fatal-warnings,-z,noexecstack,-z,max-page-size=4096

$(B)/exo.first: $(EXO_OBJS) exo/exo.lds
	$(Q)$(EXO_LINK) -o $@ $(EXO_OBJS)
$(B)/exo/symbols_table.s: $(B)/exo.first tools/symbols
	$(Q){ printf '\t.section .symbols, "a"\n\t.balign 8\n\t.globl exo_symbols\nexo_symbols:\n'; tools/symbols $<; \
		printf '\t.section .note.GNU-stack, "", @progbits\n'; } > $@
$(B)/exo/symbols_table.o: $(B)/exo/symbols_table.s
	$(Q)$(CC) -c $< -o $@
$(B)/exo.elf: $(EXO_OBJS) $(B)/exo/symbols_table.o exo/exo.lds
	@echo "  LINK  $@"
	$(Q)$(EXO_LINK) -o $@ $(EXO_OBJS) $(B)/exo/symbols_table.o
$(B)/exo.stripped: $(B)/exo.elf
	$(Q)strip -o $@ $<

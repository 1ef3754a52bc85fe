/* SPDX-License-Identifier: ISC */
/* `pith build`: an image of a program, one file that every platform takes. */
#include "abi/pack.h"
#include "base/string.h"
#include "cli/cli.h"
#include "cli/pack_priv.h"
#include "cli/prepare.h"
#include "tender/report.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char build_help[] =
	"Usage: pith build [options] PROGRAM [ARGS...]\n"
	"\n"
	"Make an image: the program, its files, and the library OS, in one ELF file that\n"
	"`pith run` starts in a process or a virtual machine, and exo on bare hardware.\n"
	"\n"
	"  -o, --output IMAGE                 file to write (default PROGRAM.pith)\n"
	"  -e, --env NAME=VALUE | NAME        variable that it starts with\n"
	"  -w, --workdir DIR                  directory that it starts in (default /)\n"
	"  -m, --memory SIZE                  limit, for example 512m\n"
	"  -C, --rootfs DIR                   take all files from DIR, not from the host\n"
	"      --jit                          let the program make code\n"
	"\n"
	"ARGS are what the program gets when `pith run IMAGE` gives no others.\n";

/* The output with a slash in it: half_open wants to know the directory. */
static int output_name(const struct run_options *o, const char *program, char out[PACK_PATH_MAX])
{
	const char *slash = strrchr(program, '/');
	size_t n;

	if (!o->output)
		n = str_format(out, PACK_PATH_MAX, "./%s.pith", slash ? slash + 1 : program);
	else
		n = str_format(out, PACK_PATH_MAX, "%s%s", strchr(o->output, '/') ? "" : "./", o->output);
	return n < PACK_PATH_MAX ? 0 : -ENAMETOOLONG;
}

/* Only the cache asks for the inputs, and they tell of this host. */
static int inputs_forget(int pack_fd, int fd, uint64_t off)
{
	struct pack_header h;
	void *zero;
	int err;

	if (pread(pack_fd, &h, sizeof(h), 0) != (ssize_t)sizeof(h))
		return -EIO;
	zero = calloc(1, h.inputs_size + 1);
	if (!zero)
		return -ENOMEM;
	err = write_all(fd, zero, h.inputs_size, off + h.inputs_off);
	free(zero);
	h.inputs_off = 0;
	h.inputs_size = 0;
	return err ? err : write_all(fd, &h, sizeof(h), off);
}

static int image_write(int fd, const uint8_t *head, uint64_t head_bytes, const struct pack *pack)
{
	int err = ftruncate(fd, (off_t)(head_bytes + pack->size)) != 0 ? -errno : 0;

	if (!err)
		err = write_all(fd, head, head_bytes, 0);
	if (!err)
		err = copy_range(pack->fd, fd, head_bytes, pack->size);
	if (!err)
		err = inputs_forget(pack->fd, fd, head_bytes);
	return err || fchmod(fd, 0755) == 0 ? err : -errno;
}

static int image_make(const char *file, const uint8_t *head, uint64_t head_bytes, const struct pack *pack)
{
	char tmp[PACK_PATH_MAX];
	bool named;
	int fd = half_open(file, tmp, &named), err;

	if (fd < 0)
		return fd;
	err = image_write(fd, head, head_bytes, pack);
	if (!err)
		err = half_finish(fd, tmp, named, file);
	close(fd);
	if (err)
		half_drop(tmp, named);
	return err;
}

int command_build(int argc, char **argv)
{
	static struct run_options o;
	static char file[PACK_PATH_MAX];
	struct image image;
	struct pack pack;
	uint32_t arg_first;
	uint64_t head_bytes;
	uint8_t *head;
	int code, err;

	if (options_parse(OPTIONS_BUILD, argc, argv, &o) != 0)
		return EXIT_PITH;
	if (o.help) {
		print_text(STDOUT_FILENO, build_help);
		return 0;
	}
	code = program_prepare(&o, argv + o.program, argc - o.program, &pack, &arg_first);
	if (code)
		return code;
	if (!o.rootfs && image_open(o.tender.program, &image) == 0) {
		report_line("%s is an image already; copy it", o.tender.program);
		return EXIT_PITH;
	}
	head = head_make(&o, &pack, arg_first, &head_bytes);
	if (!head)
		return EXIT_PITH;
	err = output_name(&o, argv[o.program], file);
	if (!err)
		err = image_make(file, head, head_bytes, &pack);
	if (err)
		report_line("%s: %s; -o FILE names another place", file, report_errno(err));
	return err ? EXIT_PITH : 0;
}

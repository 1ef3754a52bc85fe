/* SPDX-License-Identifier: ISC */
/* pith: the command line. */
#include "base/string.h"
#include "cli/cli.h"
#include "tender/config.h"
#include "tender/report.h"

#include <string.h>
#include <unistd.h>

static const char help[] =
	"Usage: pith COMMAND [options]\n"
	"\n"
	"  run [options] PROGRAM|IMAGE [ARGS...]   run a program in a sealed instance\n"
	"  build [options] PROGRAM [ARGS...]       make an image of a program\n"
	"  gdb PORT PROGRAM|IMAGE                  debug what pith run --gdb PORT has started\n"
	"  doctor                                  what works on this host, what is missing\n"
	"  help [COMMAND]                          this, or a command's options\n"
	"\n"
	"Try: pith run python3 -c 'print(\"hello\")'\n"
	"     pith run -p 6379:6379 redis-server --protected-mode no\n";

void print_text(int fd, const char *text)
{
	size_t n = strlen(text);

	while (n) {
		ssize_t r = write(fd, text, n);

		if (r <= 0)
			return;
		text += r;
		n -= (size_t)r;
	}
}

int command_help(int argc, char **argv)
{
	char option[] = "--help";
	char *command_argv[] = {argc > 1 ? argv[1] : NULL, option, NULL};

	if (argc > 1 && strcmp(argv[1], "run") == 0)
		return command_run(2, command_argv);
	if (argc > 1 && strcmp(argv[1], "build") == 0)
		return command_build(2, command_argv);
	print_text(STDOUT_FILENO, help);
	return 0;
}

static int command_version(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	print_text(STDOUT_FILENO, "pith " PITH_VERSION "\n");
	return 0;
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		int (*run)(int argc, char **argv);
	} commands[] = {
		{"run", command_run}, {"build", command_build}, {"gdb", command_gdb}, {"doctor", command_doctor},
		{"help", command_help}, {"--help", command_help}, {"-h", command_help},
		{"--version", command_version}, {"version", command_version},
	};

	if (argc < 2) {
		print_text(STDERR_FILENO, help);
		return EXIT_PITH;
	}
	for (unsigned i = 0; i < ARRAY_LEN(commands); i++)
		if (strcmp(argv[1], commands[i].name) == 0)
			return commands[i].run(argc - 1, argv + 1);
	report_line("%s is no command; `pith help` lists them", argv[1]);
	return EXIT_PITH;
}

// SPDX-License-Identifier: ISC
/* Files and directories in /tmp: everything that a database or a shell does with them. */
#include "test/abi/t.h"

#include <dirent.h>
#include <sys/file.h>
#include <sys/sendfile.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <sys/uio.h>
#include <sys/xattr.h>

static void data(void)
{
	char buf[64] = "";
	struct stat st;
	struct iovec v[2] = {{"ab", 2}, {"cde", 3}}, r[2] = {{buf, 3}, {buf + 10, 5}};
	int fd = OK(open("a", O_RDWR | O_CREAT | O_EXCL, 0640)), fd2;

	C(open("a", O_RDWR | O_CREAT | O_EXCL, 0640));
	C(write(fd, "hello world", 11));
	C(lseek(fd, 6, SEEK_SET));
	C(read(fd, buf, 100 > sizeof(buf) ? sizeof(buf) : 100));
	printf("%s\n", buf);
	C(read(fd, buf, 1));
	C(lseek(fd, -3, SEEK_END));
	C(lseek(fd, -100, SEEK_CUR));
	C(lseek(fd, 5, 77));
	C(pwrite(fd, "HELLO", 5, 0));
	C(pread(fd, buf, 11, 0));
	printf("%.11s\n", buf);
	C(lseek(fd, 0, SEEK_CUR));
	C(writev(fd, v, 2));
	C(lseek(fd, 0, SEEK_SET));
	C(readv(fd, r, 2));
	printf("%.3s %.5s\n", buf, buf + 10);
	C(lseek(fd, 10000, SEEK_SET));
	C(write(fd, "x", 1));
	C(fstat(fd, &st));
	V(st.st_size);
	V(st.st_mode);
	V(st.st_nlink);
	C(pread(fd, buf, 4, 5000));
	V(buf[0] | buf[1] | buf[2] | buf[3]);
	C(ftruncate(fd, 5));
	C(fstat(fd, &st));
	V(st.st_size);
	C(ftruncate(fd, 20));
	C(pread(fd, buf, 20, 0));
	V(buf[4]);
	V(buf[5]);
	C(ftruncate(fd, -1));
	C(truncate("a", 3));
	C(truncate("none", 3));
	C(fsync(fd));
	C(fdatasync(fd));
	fd2 = OK(open("a", O_WRONLY | O_APPEND));
	C(write(fd2, "123", 3));
	C(lseek(fd2, 0, SEEK_CUR));
	C(read(fd2, buf, 1));
	C(pread(fd, buf, 10, 0));
	printf("%.6s\n", buf);
	close(fd2);
	fd2 = OK(open("a", O_RDONLY));
	C(write(fd2, "x", 1));
	close(fd2);
	fd2 = OK(open("a", O_RDWR | O_TRUNC));
	C(fstat(fd2, &st));
	V(st.st_size);
	C(fallocate(fd2, 0, 0, 100));
	C(fstat(fd2, &st));
	V(st.st_size);
	close(fd2);
	close(fd);
	C(unlink("a"));
	C(unlink("a"));
}

static void descriptors(void)
{
	char buf[16];
	int fd = open("d", O_RDWR | O_CREAT | O_CLOEXEC, 0600), fd2, fd3;

	C(fcntl(fd, F_GETFD));
	C(fcntl(fd, F_SETFD, 0));
	C(fcntl(fd, F_GETFD));
	V(fcntl(fd, F_GETFL) & (O_ACCMODE | O_APPEND | O_NONBLOCK));
	C(fcntl(fd, F_SETFL, O_APPEND | O_NONBLOCK));
	V(fcntl(fd, F_GETFL) & (O_ACCMODE | O_APPEND | O_NONBLOCK));
	C(fcntl(fd, F_SETFL, 0));
	fd2 = dup(fd);
	V(fd2 > fd);
	C(write(fd, "shared", 6));
	C(lseek(fd2, 0, SEEK_CUR));
	fd3 = fcntl(fd, F_DUPFD, 100);
	V(fd3);
	C(fcntl(fd, F_DUPFD_CLOEXEC, 200));
	C(dup2(fd, 50));
	C(dup2(fd, fd));
	C(dup3(fd, fd, 0));
	C(dup3(fd, 51, O_CLOEXEC));
	C(fcntl(51, F_GETFD));
	C(dup2(999, 52));
	C(dup2(fd, -1));
	close(fd);
	C(pread(fd3, buf, 6, 0));
	C(close(fd));
	V(open("d", O_RDONLY) == fd);
	C(fcntl(50, 12345));
	C(flock(50, LOCK_EX));
	C(flock(50, LOCK_UN));
	struct flock l = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 0, .l_len = 10};
	C(fcntl(50, F_SETLK, &l));
	C(fcntl(50, F_GETLK, &l));
	V(l.l_type == F_UNLCK);
	unlink("d");
	C(write(50, "still", 5));
	C(pread(50, buf, 5, 6));
	struct stat st;
	C(fstat(50, &st));
	V(st.st_nlink);
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static void list(const char *dir)
{
	DIR *d = opendir(dir);
	struct dirent *e;
	char *names[300];
	int n = 0;

	if (!d) {
		printf("opendir %s: errno %d\n", dir, errno);
		return;
	}
	while ((e = readdir(d)) && n < 300) {
		char line[300];

		snprintf(line, sizeof(line), "%s type %d", e->d_name, e->d_type);
		names[n++] = strdup(line);
	}
	rewinddir(d);
	V(readdir(d) != NULL);
	closedir(d);
	qsort(names, (size_t)n, sizeof(names[0]), by_name);
	for (int i = 0; i < n; i++)
		if (n < 20 || i < 3)
			printf("%s\n", names[i]);
	V(n);
}

static void directories(void)
{
	struct stat st;
	char buf[300], name[300];
	int fd;

	C(mkdir("dir", 0755));
	C(mkdir("dir", 0755));
	C(mkdir("no/dir", 0755));
	C(mkdir("dir/sub", 0700));
	close(open("dir/file", O_WRONLY | O_CREAT, 0600));
	C(symlink("file", "dir/link"));
	C(readlink("dir/link", buf, sizeof(buf)));
	C(readlink("dir/file", buf, sizeof(buf)));
	C(stat("dir/link", &st));
	V(S_ISREG(st.st_mode));
	C(lstat("dir/link", &st));
	V(S_ISLNK(st.st_mode));
	V(st.st_size);
	C(link("dir/file", "dir/hard"));
	C(stat("dir/hard", &st));
	V(st.st_nlink);
	C(stat("dir", &st));
	V(S_ISDIR(st.st_mode));
	list("dir");
	list("dir/file");
	list("none");
	C(rmdir("dir"));
	C(rmdir("dir/file"));
	C(unlink("dir/sub") == -1);
	C(rename("dir/file", "dir/sub"));
	C(rename("dir/sub", "dir/file"));
	C(rename("dir/file", "moved"));
	C(rename("none", "moved"));
	C(rename("dir", "dir/sub/x"));
	C(stat("dir/link", &st));
	C(open("dir/link", O_RDONLY | O_NOFOLLOW));
	C(symlink("loop2", "loop1"));
	C(symlink("loop1", "loop2"));
	C(open("loop1", O_RDONLY));
	C(open("moved/x", O_RDONLY));
	C(open("dir", O_WRONLY));
	C(open("dir", O_RDWR | O_CREAT, 0600));
	fd = OK(open("dir", O_RDONLY | O_DIRECTORY));
	C(read(fd, buf, 10));
	C(openat(fd, "none", O_RDONLY));
	C(mkdirat(fd, "at", 0700));
	C(faccessat(fd, "at", F_OK, 0));
	C(unlinkat(fd, "at", 0) == -1);
	C(unlinkat(fd, "at", AT_REMOVEDIR));
	C(fstatat(fd, "", &st, AT_EMPTY_PATH));
	C(openat(999, "x", O_RDONLY));
	C(fchdir(fd));
	C(access("sub", R_OK | X_OK));
	C(chdir(".."));
	C(open("moved", O_RDONLY | O_DIRECTORY));
	C(open("", O_RDONLY));
	memset(name, 'n', sizeof(name) - 1);
	name[299] = 0;
	C(open(name, O_RDWR | O_CREAT, 0600));
	name[255] = 0;
	C(close(open(name, O_RDWR | O_CREAT, 0600)));
	unlink(name);
	C(chmod("moved", 0444));
	C(stat("moved", &st));
	V(st.st_mode);
	for (int i = 0; i < 250; i++) {
		snprintf(name, sizeof(name), "dir/sub/n%03d", i);
		close(open(name, O_WRONLY | O_CREAT, 0600));
	}
	list("dir/sub");
	for (int i = 0; i < 250; i++) {
		snprintf(name, sizeof(name), "dir/sub/n%03d", i);
		unlink(name);
	}
	unlink("dir/hard"), unlink("dir/link"), rmdir("dir/sub"), unlink("moved"), unlink("loop1"), unlink("loop2");
	C(rmdir("dir"));
	C(chdir("/nonexistent"));
	C(chdir("/"));
	C(rmdir("/"));
	V(getcwd(buf, sizeof(buf)) && strcmp(buf, "/") == 0);
}

static void times(void)
{
	struct timespec t[2] = {{.tv_sec = 1000, .tv_nsec = 5}, {.tv_sec = 2000, .tv_nsec = 7}};
	struct stat st;
	int fd = open("t", O_RDWR | O_CREAT, 0600);

	C(futimens(fd, t));
	C(fstat(fd, &st));
	V(st.st_mtim.tv_sec);
	V(st.st_mtim.tv_nsec);
	C(utimensat(AT_FDCWD, "t", NULL, 0));
	C(stat("t", &st));
	V(llabs((long long)st.st_mtime - (long long)time(NULL)) < 10);
	close(fd);
	unlink("t");
}

static void copies(void)
{
	int a = open("s", O_RDWR | O_CREAT, 0600), b = open("s2", O_RDWR | O_CREAT, 0600);
	off_t off = 2;
	char buf[16];
	FILE *f;

	write(a, "0123456789", 10);
	C(sendfile(b, a, &off, 5));
	V(off);
	C(pread(b, buf, 16, 0));
	printf("%.5s\n", buf);
	close(a), close(b);
	f = fopen("s", "a+");
	fprintf(f, "%d-%s-%.2f\n", 42, "text", 1.5);
	rewind(f);
	V(fgetc(f));
	fseek(f, -3, SEEK_END);
	V(fgetc(f));
	V(ftell(f));
	fclose(f);
	f = tmpfile();
	V(f != NULL);
	if (f)
		fclose(f);
	unlink("s"), unlink("s2");
}

static void devices(void)
{
	char buf[16] = "junk";
	int fd = OK(open("/dev/zero", O_RDWR));

	C(read(fd, buf, 4));
	V(buf[0] | buf[3]);
	C(write(fd, buf, 16));
	close(fd);
	fd = OK(open("/dev/null", O_RDWR));
	C(read(fd, buf, 4));
	C(write(fd, buf, 16));
	C(lseek(fd, 100, SEEK_SET) >= 0);
	close(fd);
	fd = OK(open("/dev/urandom", O_RDONLY));
	C(read(fd, buf, 16));
	close(fd);
	fd = OK(open("/proc/self/stat", O_RDONLY));
	C(read(fd, buf, 2) > 0);
	V(atoi(buf) > 0);
	close(fd);
	C(access("/proc/self/maps", R_OK));
	C(isatty(fd));
}

int main(void)
{
	umask(022);
	tmp_enter();
	data();
	descriptors();
	times();
	copies();
	devices();
	char cwd[256];
	V(getcwd(cwd, sizeof(cwd)) != NULL);
	C(listxattr("/nowhere", NULL, 0));
	V(listxattr(".", NULL, 0) >= 0);
	directories();
	rmdir(cwd);
	return 0;
}

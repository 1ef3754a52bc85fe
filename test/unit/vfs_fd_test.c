/* SPDX-License-Identifier: ISC */
/* Descriptors and advisory locks. Oracle: dup(2), fcntl(2), flock(2). */
#include "os/fs/ram/ram.h"
#include "test/host_fs.h"
#include "test/host_mm.h"
#include "test/host_sched.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static struct fd_table table;
static unsigned released;
static size_t live_before;

static void count_release(struct file *f)
{
	(void)f;
	released++;
}

static const struct file_ops counted_ops = {.release = count_release};

static struct file *counted(void)
{
	struct file *f = file_new_anon(&counted_ops, NULL, LX_O_RDWR, "test");

	assert_non_null(f);
	return f;
}

static int setup(void **state)
{
	struct mount *m;

	(void)state;
	host_sched_reset();
	live_before = host_mm_live();
	released = 0;
	fd_table_init(&table);
	assert_int_equal(ram_fs_new(NULL, &m), 0);
	assert_int_equal(vfs_mount(m, "/"), 0);
	return t_put("/f", "0123456789");
}

static int teardown(void **state)
{
	(void)state;
	fd_table_release(&table);
	vfs_unmount_all();
	assert_int_equal(host_mm_live(), live_before);
	return 0;
}

static void the_lowest_free_number_is_taken(void **state)
{
	(void)state;
	for (int i = 0; i < 200; i++)
		assert_int_equal(fd_install(&table, counted(), 0, false), i);
	assert_int_equal(fd_close(&table, 7), 0);
	assert_int_equal(fd_close(&table, 3), 0);
	assert_int_equal(fd_close(&table, 3), -EBADF);
	assert_int_equal(fd_install(&table, counted(), 5, false), 7);
	assert_int_equal(fd_install(&table, counted(), 0, false), 3);
	assert_int_equal(fd_install(&table, counted(), 0, false), 200);
	assert_int_equal(released, 2);
}

static void dup2_closes_what_was_there(void **state)
{
	struct file *f = counted();

	(void)state;
	assert_int_equal(fd_install(&table, counted(), 0, false), 0);
	assert_int_equal(fd_install(&table, f, 0, true), 1);
	assert_int_equal(fd_install_at(&table, 0, file_get(f), false), 0);
	assert_int_equal(released, 1);
	assert_ptr_equal(fd_get(&table, 0), f);
	assert_true(fd_cloexec(&table, 1));
	assert_false(fd_cloexec(&table, 0));
	assert_int_equal(fd_install_at(&table, 1000, file_get(f), false), 1000);
	assert_int_equal(fd_install(&table, file_get(f), 0, false), 2);
}

static void the_limit_holds(void **state)
{
	struct file *f = counted();

	(void)state;
	table.limit = 2;
	assert_int_equal(fd_install(&table, file_get(f), 0, false), 0);
	assert_int_equal(fd_install(&table, file_get(f), 0, false), 1);
	assert_int_equal(fd_install(&table, f, 0, false), -EMFILE);
	assert_int_equal(fd_install_at(&table, 2, f, false), -EBADF);
	file_put(f);
	assert_null(fd_get(&table, -1));
	assert_null(fd_get(&table, 100000));
}

static void without_memory_the_caller_keeps_its_file(void **state)
{
	struct file *f = counted();

	(void)state;
	host_mm_fail_at(1);
	assert_int_equal(fd_install(&table, f, 0, false), -ENOMEM);
	host_mm_fail_at(0);
	assert_int_equal(released, 0);
	assert_int_equal(fd_install(&table, f, 0, false), 0);
}

static struct file *open_f(void)
{
	struct file *f;

	assert_int_equal(t_open("/f", LX_O_RDWR, &f), 0);
	return f;
}

static int lock(struct file *f, enum lock_kind kind, uint64_t start, uint64_t end, bool ofd)
{
	struct lock_range r = {kind, start, end};

	return lock_set(f, &r, ofd, false);
}

static void ofd_locks_conflict_and_the_process_does_not(void **state)
{
	struct file *a = open_f(), *b = open_f();
	struct lock_range r = {LOCK_EXCLUSIVE, 0, 100};
	bool ofd;

	(void)state;
	assert_int_equal(lock(a, LOCK_EXCLUSIVE, 10, 19, false), 0);
	assert_int_equal(lock(b, LOCK_EXCLUSIVE, 10, 19, false), 0);
	assert_int_equal(lock(b, LOCK_SHARED, 15, 15, true), -EAGAIN);
	assert_int_equal(lock(b, LOCK_EXCLUSIVE, 20, UINT64_MAX, true), 0);
	assert_int_equal(lock(a, LOCK_SHARED, 30, 30, true), -EAGAIN);
	assert_int_equal(lock_test(a, &r, true, &ofd), 0);
	assert_int_not_equal(r.kind, LOCK_UNLOCK);
	file_put(b);
	assert_int_equal(lock(a, LOCK_SHARED, 30, 30, true), 0);
	lock_on_close(a);
	r = (struct lock_range){LOCK_EXCLUSIVE, 0, 29};
	assert_int_equal(lock_test(a, &r, true, &ofd), 0);
	assert_int_equal(r.kind, LOCK_UNLOCK);
	file_put(a);
}

static void a_lock_can_be_cut_in_two(void **state)
{
	struct file *a = open_f(), *b = open_f();

	(void)state;
	assert_int_equal(lock(a, LOCK_EXCLUSIVE, 0, 99, true), 0);
	assert_int_equal(lock(a, LOCK_UNLOCK, 40, 59, true), 0);
	assert_int_equal(lock(b, LOCK_EXCLUSIVE, 40, 59, true), 0);
	assert_int_equal(lock(b, LOCK_SHARED, 39, 39, true), -EAGAIN);
	assert_int_equal(lock(b, LOCK_SHARED, 60, 60, true), -EAGAIN);
	assert_int_equal(lock(a, LOCK_SHARED, 0, 10, true), 0);
	assert_int_equal(lock(b, LOCK_SHARED, 5, 10, true), 0);
	assert_int_equal(lock(b, LOCK_SHARED, 5, 11, true), -EAGAIN);
	file_put(a);
	file_put(b);
}

static void unlock_other(void *arg)
{
	assert_int_equal(lock_flock(arg, LOCK_UNLOCK, false), 0);
}

static void flock_waits_for_the_other(void **state)
{
	struct file *a = open_f(), *b = open_f();

	(void)state;
	assert_int_equal(lock_flock(a, LOCK_SHARED, false), 0);
	assert_int_equal(lock_flock(b, LOCK_SHARED, false), 0);
	assert_int_equal(lock_flock(b, LOCK_EXCLUSIVE, false), -EAGAIN);
	host_sched_meanwhile(unlock_other, a);
	assert_int_equal(lock_flock(b, LOCK_EXCLUSIVE, true), 0);
	assert_int_equal(lock_flock(a, LOCK_SHARED, false), -EAGAIN);
	file_put(b);
	assert_int_equal(lock_flock(a, LOCK_SHARED, false), 0);
	file_put(a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(the_lowest_free_number_is_taken, setup, teardown),
		cmocka_unit_test_setup_teardown(dup2_closes_what_was_there, setup, teardown),
		cmocka_unit_test_setup_teardown(the_limit_holds, setup, teardown),
		cmocka_unit_test_setup_teardown(without_memory_the_caller_keeps_its_file, setup, teardown),
		cmocka_unit_test_setup_teardown(ofd_locks_conflict_and_the_process_does_not, setup, teardown),
		cmocka_unit_test_setup_teardown(a_lock_can_be_cut_in_two, setup, teardown),
		cmocka_unit_test_setup_teardown(flock_waits_for_the_other, setup, teardown),
	};

	return cmocka_run_group_tests_name("vfs_fd", tests, NULL, NULL);
}

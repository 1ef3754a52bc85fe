// SPDX-License-Identifier: ISC
/* pthreads: mutexes, conditions, barriers, locals, join, detach, cancel, robust, once, rwlock, semaphores. */
#include "test/abi/t.h"

#include <semaphore.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t cond = PTHREAD_COND_INITIALIZER;
static long counter;
static __thread int local = 11;

static void *count(void *arg)
{
	local += (int)(long)arg;
	for (int i = 0; i < 20000; i++) {
		pthread_mutex_lock(&lock);
		counter++;
		pthread_mutex_unlock(&lock);
	}
	return (void *)(long)local;
}

static void counting(void)
{
	pthread_t t[8];
	long sum = 0;

	for (long i = 0; i < 8; i++)
		pthread_create(&t[i], NULL, count, (void *)i);
	for (int i = 0; i < 8; i++) {
		void *r;

		pthread_join(t[i], &r);
		sum += (long)r;
	}
	V(counter);
	V(sum);
	V(local);
}

static int turn;

static void *ping(void *arg)
{
	int me = (int)(long)arg;

	for (int i = 0; i < 2000; i++) {
		pthread_mutex_lock(&lock);
		while (turn != me)
			pthread_cond_wait(&cond, &lock);
		turn = 1 - me;
		pthread_cond_signal(&cond);
		pthread_mutex_unlock(&lock);
	}
	return NULL;
}

static void conditions(void)
{
	struct timespec t;
	pthread_t a, b;
	uint64_t before = now_ns();

	pthread_create(&a, NULL, ping, (void *)0L);
	pthread_create(&b, NULL, ping, (void *)1L);
	pthread_join(a, NULL);
	pthread_join(b, NULL);
	V(turn);
	clock_gettime(CLOCK_REALTIME, &t);
	t.tv_nsec += 30000000;
	if (t.tv_nsec >= 1000000000)
		t.tv_sec++, t.tv_nsec -= 1000000000;
	pthread_mutex_lock(&lock);
	V(pthread_cond_timedwait(&cond, &lock, &t));
	V(now_ns() - before >= 30000000);
	pthread_mutex_unlock(&lock);
}

static pthread_barrier_t barrier;
static int serial;

static void *meet(void *arg)
{
	(void)arg;
	for (int i = 0; i < 50; i++)
		if (pthread_barrier_wait(&barrier) == PTHREAD_BARRIER_SERIAL_THREAD)
			__atomic_add_fetch(&serial, 1, __ATOMIC_SEQ_CST);
	return NULL;
}

static void barriers(void)
{
	pthread_t t[4];

	pthread_barrier_init(&barrier, NULL, 4);
	for (int i = 0; i < 4; i++)
		pthread_create(&t[i], NULL, meet, NULL);
	for (int i = 0; i < 4; i++)
		pthread_join(t[i], NULL);
	V(serial);
}

static sem_t sem;
static int cleaned;

static void cleanup(void *arg)
{
	cleaned += (int)(long)arg;
}

static void *cancelled(void *arg)
{
	pthread_cleanup_push(cleanup, (void *)5L);
	sem_post(&sem);
	if (arg)
		for (;;)
			pause();
	else
		for (;;)
			pthread_testcancel();
	pthread_cleanup_pop(0);
	return NULL;
}

static void *detached(void *arg)
{
	(void)arg;
	sem_post(&sem);
	return NULL;
}

static void ends(void)
{
	pthread_attr_t attr;
	pthread_t t;
	void *r;

	sem_init(&sem, 0, 0);
	for (long i = 0; i < 2; i++) {
		pthread_create(&t, NULL, cancelled, (void *)i);
		sem_wait(&sem);
		V(pthread_cancel(t));
		V(pthread_join(t, &r));
		V(r == PTHREAD_CANCELED);
	}
	V(cleaned);
	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	pthread_attr_setstacksize(&attr, 65536);
	for (int i = 0; i < 100; i++) {
		V(pthread_create(&t, &attr, detached, NULL) == 0 || i);
		sem_wait(&sem);
	}
	V(sem_trywait(&sem));
	V(errno);
}

static void *dies_holding(void *m)
{
	pthread_mutex_lock(m);
	return NULL;
}

static void *destroyed_value;
static void destructor(void *v)
{
	destroyed_value = v;
}

static void *with_key(void *key)
{
	pthread_setspecific(*(pthread_key_t *)key, (void *)77L);
	return NULL;
}

static int once_count;
static void once_run(void)
{
	once_count++;
}

static void kinds(void)
{
	pthread_mutexattr_t ma;
	pthread_mutex_t m;
	pthread_rwlock_t rw = PTHREAD_RWLOCK_INITIALIZER;
	pthread_once_t once = PTHREAD_ONCE_INIT;
	pthread_key_t key;
	pthread_t t;

	pthread_mutexattr_init(&ma);
	pthread_mutexattr_settype(&ma, PTHREAD_MUTEX_ERRORCHECK);
	pthread_mutex_init(&m, &ma);
	V(pthread_mutex_lock(&m));
	V(pthread_mutex_lock(&m));
	V(pthread_mutex_trylock(&m));
	V(pthread_mutex_unlock(&m));
	V(pthread_mutex_unlock(&m));
	pthread_mutexattr_settype(&ma, PTHREAD_MUTEX_RECURSIVE);
	pthread_mutex_init(&m, &ma);
	V(pthread_mutex_lock(&m));
	V(pthread_mutex_lock(&m));
	pthread_mutexattr_settype(&ma, PTHREAD_MUTEX_NORMAL);
	V(pthread_mutexattr_setrobust(&ma, PTHREAD_MUTEX_ROBUST));
	pthread_mutex_init(&m, &ma);
	pthread_create(&t, NULL, dies_holding, &m);
	pthread_join(t, NULL);
	V(pthread_mutex_lock(&m));
	V(pthread_mutex_consistent(&m));
	V(pthread_mutex_unlock(&m));
	V(pthread_rwlock_rdlock(&rw));
	V(pthread_rwlock_tryrdlock(&rw));
	V(pthread_rwlock_trywrlock(&rw));
	pthread_rwlock_unlock(&rw), pthread_rwlock_unlock(&rw);
	V(pthread_rwlock_trywrlock(&rw));
	pthread_once(&once, once_run), pthread_once(&once, once_run);
	V(once_count);
	pthread_key_create(&key, destructor);
	pthread_create(&t, NULL, with_key, &key);
	pthread_join(t, NULL);
	V((long)destroyed_value);
}

static void futexes(void)
{
	uint32_t word = 5;
	struct timespec t = {0, 20000000}, bad = {0, 2000000000};
	uint64_t before = now_ns();

	C(syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, 4, NULL));
	C(syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, 5, &t));
	V(now_ns() - before >= 20000000 && now_ns() - before < 2000000000);
	C(syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, 5, &bad));
	C(syscall(SYS_futex, &word, FUTEX_WAKE_PRIVATE, 1));
	C(syscall(SYS_futex, (char *)&word + 1, FUTEX_WAIT_PRIVATE, 5, &t));
	C(syscall(SYS_futex, NULL, FUTEX_WAIT_PRIVATE, 5, &t));
	C(syscall(SYS_futex, &word, 99, 5, &t));
	clock_gettime(CLOCK_MONOTONIC, &t);
	C(syscall(SYS_futex, &word, FUTEX_WAIT_BITSET_PRIVATE, 5, &t, NULL, ~0U));
	C(syscall(SYS_futex, &word, FUTEX_WAIT_BITSET_PRIVATE, 5, &t, NULL, 0));
}

static void *last_one(void *arg)
{
	(void)arg;
	usleep(10000);
	printf("the last thread ends the process\n");
	exit(23);
}

int main(void)
{
	pthread_t t;

	counting();
	conditions();
	barriers();
	ends();
	kinds();
	futexes();
	pthread_create(&t, NULL, last_one, NULL);
	pthread_exit(NULL);
}

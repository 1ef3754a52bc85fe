/* SPDX-License-Identifier: ISC */
/* Timers: the pairing heap against a plain array. */
#include "base/types.h"
#include "os/time/time.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static unsigned order[16], order_count;

struct numbered {
	struct timer t;
	unsigned nr;
};

static void note(struct timer *t)
{
	assert_false(t->armed);
	order[order_count++] = CONTAINER_OF(t, struct numbered, t)->nr;
}

static void timers_run_in_order_of_deadline_and_once(void **state)
{
	static const uint64_t at[] = {50, 10, 40, 20, 30};
	struct numbered n[5];

	(void)state;
	order_count = 0;
	for (unsigned i = 0; i < 5; i++) {
		n[i].nr = i;
		timer_init(&n[i].t, note);
		timer_arm(&n[i].t, at[i]);
	}
	assert_int_equal(time_next_deadline(), 10);
	assert_int_equal(time_run(9), 0);
	assert_int_equal(time_run(35), 3);
	assert_int_equal(time_next_deadline(), 40);
	assert_int_equal(time_run(100), 2);
	assert_int_equal(time_run(100), 0);
	assert_int_equal(time_next_deadline(), DEADLINE_NONE);
	assert_int_equal(order[0], 1);
	assert_int_equal(order[1], 3);
	assert_int_equal(order[2], 4);
	assert_int_equal(order[3], 2);
	assert_int_equal(order[4], 0);
}

static void a_cancelled_timer_does_not_run(void **state)
{
	struct numbered a = {.nr = 1}, b = {.nr = 2};

	(void)state;
	order_count = 0;
	timer_init(&a.t, note);
	timer_init(&b.t, note);
	timer_cancel(&a.t);
	timer_arm(&a.t, 5);
	timer_arm(&b.t, 6);
	timer_cancel(&a.t);
	timer_cancel(&a.t);
	assert_int_equal(time_run(10), 1);
	assert_int_equal(order[0], 2);
}

static void arm_again_moves_a_timer(void **state)
{
	struct numbered a = {.nr = 1}, b = {.nr = 2};

	(void)state;
	order_count = 0;
	timer_init(&a.t, note);
	timer_init(&b.t, note);
	timer_arm(&a.t, 5);
	timer_arm(&b.t, 6);
	timer_arm(&a.t, 7);
	assert_int_equal(time_next_deadline(), 6);
	assert_int_equal(time_run(10), 2);
	assert_int_equal(order[0], 2);
	assert_int_equal(order[1], 1);
}

static void note_and_arm_now(struct timer *t)
{
	note(t);
	timer_arm(t, 1);
}

static void a_timer_armed_in_the_past_by_itself_runs_in_the_next_run(void **state)
{
	struct numbered a = {.nr = 1};

	(void)state;
	order_count = 0;
	timer_init(&a.t, note_and_arm_now);
	timer_arm(&a.t, 5);
	assert_int_equal(time_run(10), 1);
	assert_true(a.t.armed);
	assert_int_equal(time_next_deadline(), 1);
	assert_int_equal(time_run(10), 1);
	timer_cancel(&a.t);
	assert_int_equal(time_next_deadline(), DEADLINE_NONE);
}

static void free_timer(struct timer *t)
{
	free(t);
}

static void a_timer_may_free_itself(void **state)
{
	struct timer *t = malloc(sizeof(*t));

	(void)state;
	timer_init(t, free_timer);
	timer_arm(t, 1);
	assert_int_equal(time_run(1), 1);
}

#define MODEL_TIMERS 200
static struct timer model[MODEL_TIMERS];
static bool model_armed[MODEL_TIMERS];
static uint64_t model_at[MODEL_TIMERS], model_now, model_last;
static unsigned model_ran;

static uint64_t random_next(uint64_t *s)
{
	*s ^= *s << 13;
	*s ^= *s >> 7;
	*s ^= *s << 17;
	return *s;
}

static void model_fn(struct timer *t)
{
	size_t i = (size_t)(t - model);

	assert_true(model_armed[i]);
	assert_true(model_at[i] <= model_now);
	assert_true(model_at[i] >= model_last);
	model_last = model_at[i];
	model_armed[i] = false;
	model_ran++;
	if (i % 7 == 0) { /* periodic */
		model_at[i] = model_now + 1 + i;
		model_armed[i] = true;
		timer_arm(t, model_at[i]);
	}
}

static uint64_t model_next(unsigned *due)
{
	uint64_t next = DEADLINE_NONE;

	*due = 0;
	for (unsigned i = 0; i < MODEL_TIMERS; i++) {
		if (!model_armed[i])
			continue;
		next = MIN(next, model_at[i]);
		*due += model_at[i] <= model_now;
	}
	return next;
}

static void a_hundred_thousand_random_operations_agree_with_an_array(void **state)
{
	uint64_t seed = 0x9e3779b97f4a7c15ULL;
	unsigned due;

	(void)state;
	for (unsigned i = 0; i < MODEL_TIMERS; i++)
		timer_init(&model[i], model_fn);
	for (unsigned op = 0; op < 100000; op++) {
		uint64_t r = random_next(&seed);
		unsigned i = (unsigned)(r >> 32) % MODEL_TIMERS;

		if (r % 8 < 5) {
			model_at[i] = model_now + (r >> 8) % 1000;
			model_armed[i] = true;
			timer_arm(&model[i], model_at[i]);
		} else if (r % 8 < 7) {
			model_armed[i] = false;
			timer_cancel(&model[i]);
		} else {
			model_now += (r >> 8) % 100;
			model_next(&due);
			model_ran = 0;
			model_last = 0;
			assert_int_equal(time_run(model_now), due);
			assert_int_equal(model_ran, due);
		}
		assert_int_equal(time_next_deadline(), model_next(&due));
		assert_int_equal(model[i].armed, model_armed[i]);
	}
	for (unsigned i = 0; i < MODEL_TIMERS; i++)
		timer_cancel(&model[i]);
	assert_int_equal(time_next_deadline(), DEADLINE_NONE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(timers_run_in_order_of_deadline_and_once),
		cmocka_unit_test(a_cancelled_timer_does_not_run),
		cmocka_unit_test(arm_again_moves_a_timer),
		cmocka_unit_test(a_timer_armed_in_the_past_by_itself_runs_in_the_next_run),
		cmocka_unit_test(a_timer_may_free_itself),
		cmocka_unit_test(a_hundred_thousand_random_operations_agree_with_an_array),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

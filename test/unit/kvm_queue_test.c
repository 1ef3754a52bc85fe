/* SPDX-License-Identifier: ISC */
/* The device's side of a split ring: good chains, and drivers that break the rules. */
#include "test/unit/kvm_ring.h"

struct fixture {
	struct driver d;
	struct queue q;
	struct queue_chain c;
};

static void start(struct fixture *f, bool event_idx)
{
	driver_init(&f->d);
	f->q = (struct queue){
		.size = RING_SIZE, .event_idx = event_idx, .desc_addr = 0, .avail_addr = AVAIL_AT, .used_addr = USED_AT
	};
	assert_true(queue_start(&f->q, &f->d.memory));
}

static bool next(struct fixture *f)
{
	return queue_next(&f->q, &f->d.memory, &f->c);
}

static void a_chain_is_a_gather_list_of_guest_memory(void **state)
{
	static const struct piece p[] = {{DATA, 10, false}, {DATA + 100, 20, false}, {DATA + 200, 30, true}};
	struct fixture f;

	(void)state;
	start(&f, false);
	assert_false(next(&f));
	driver_offer(&f.d, 0, p, 3);
	assert_true(next(&f));
	assert_int_equal(f.c.out_count, 2);
	assert_int_equal(f.c.out_bytes, 30);
	assert_int_equal(f.c.in_count, 1);
	assert_int_equal(f.c.in_bytes, 30);
	assert_ptr_equal(f.c.iov[1].iov_base, f.d.ram + DATA + 100);
	assert_ptr_equal(f.c.iov[2].iov_base, f.d.ram + DATA + 200);
	assert_false(next(&f));
	assert_false(f.q.broken);
	driver_release(&f.d);
}

static void indices_wrap(void **state)
{
	static const struct piece p = {DATA, 8, true};
	struct fixture f;

	(void)state;
	start(&f, false);
	for (unsigned i = 0; i < 70000; i++) {
		driver_offer(&f.d, 0, &p, 1);
		assert_true(next(&f));
		queue_put(&f.q, f.c.head, i % 9);
		assert_true(queue_publish(&f.q));
		assert_int_equal(driver_taken(&f.d, 0), i % 9);
	}
	driver_release(&f.d);
}

static void what_is_given_back_is_taken_again(void **state)
{
	static const struct piece p = {DATA, 8, true};
	struct fixture f;
	uint16_t first;

	(void)state;
	start(&f, false);
	for (unsigned i = 0; i < 3; i++)
		driver_offer(&f.d, 0, &p, 1);
	assert_true(next(&f) && next(&f) && next(&f));
	queue_back(&f.q, 3);
	assert_true(next(&f));
	first = f.c.head;
	assert_int_equal(first, 0);
	/* Nothing new has come: waiting for more may go to sleep, although two are there. */
	assert_false(queue_listen(&f.q, true));
	driver_release(&f.d);
}

static void ring_parts_must_lie_in_memory_and_be_aligned(void **state)
{
	static const struct {
		uint16_t size;
		uint64_t desc, avail, used;
	} bad[] = {
		{0, 0, AVAIL_AT, USED_AT}, {3, 0, AVAIL_AT, USED_AT}, {512, 0, AVAIL_AT, USED_AT},
		{16, 8, AVAIL_AT, USED_AT}, {16, 0, AVAIL_AT + 1, USED_AT}, {16, 0, AVAIL_AT, USED_AT + 2},
		{16, RAM_BYTES - 16, AVAIL_AT, USED_AT}, {16, 0, RAM_BYTES - 36, USED_AT},
		{16, 0, AVAIL_AT, RAM_BYTES - 132},
		{16, UINT64_MAX - 15, AVAIL_AT, USED_AT}, {16, 0, RAM_BYTES, USED_AT}, {16, 0, AVAIL_AT, 1ULL << 40},
	};
	struct fixture f;

	(void)state;
	start(&f, false);
	for (unsigned i = 0; i < ARRAY_LEN(bad); i++) {
		struct queue q = {.size = bad[i].size, .desc_addr = bad[i].desc, .avail_addr = bad[i].avail,
				  .used_addr = bad[i].used};

		assert_false(queue_start(&q, &f.d.memory));
		assert_false(q.ready);
	}
	driver_release(&f.d);
}

static void addresses_outside_of_memory_break_the_queue(void **state)
{
	static const struct piece bad[] = {
		{RAM_BYTES, 1, false}, {RAM_BYTES - 1, 2, false}, {UINT64_MAX, 1, true}, {UINT64_MAX - 3, 8, true},
		{0, UINT32_MAX, true}, {1ULL << 63, 16, false},
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(bad); i++) {
		struct fixture f;

		start(&f, false);
		driver_offer(&f.d, 0, &bad[i], 1);
		assert_false(next(&f));
		assert_true(f.q.broken);
		driver_offer(&f.d, 0, &(struct piece){DATA, 1, false}, 1);
		assert_false(next(&f));
		driver_release(&f.d);
	}
}

static void the_fence_is_outside_of_memory(void **state)
{
	struct guest_memory m = {.count = 1};
	uint8_t *ram = malloc(4 << 20);

	(void)state;
	m.slot[0] = (struct guest_slot){.addr = 0, .bytes = 4 << 20, .host = ram};
	assert_ptr_equal(guest_at(&m, 0x100000, 0x1000), ram + 0x100000);
	guest_fence(&m, 0x200000);
	guest_fence(&m, 0x180000); /* never lower */
	assert_null(guest_at(&m, 0x100000, 0x1000));
	assert_null(guest_at(&m, 0x1fffff, 1));
	assert_null(guest_at(&m, 0xfffff, 2));
	assert_null(guest_at(&m, 0x80000, 0x300000));
	assert_ptr_equal(guest_at(&m, 0xfffff, 1), ram + 0xfffff);
	assert_ptr_equal(guest_at(&m, 0x200000, 0x200000), ram + 0x200000);
	assert_null(guest_at(&m, 0x200000, 0x200001));
	assert_null(guest_at(&m, 0x300000, 0));
	free(ram);
}

static void a_loop_breaks_the_queue(void **state)
{
	struct fixture f;

	(void)state;
	start(&f, false);
	for (uint16_t i = 0; i < RING_SIZE; i++)
		ring_desc(&f.d, 0)[i] = (struct vring_desc){.addr = DATA, .len = 1, .flags = VRING_DESC_F_NEXT,
							     .next = (uint16_t)((i + 1) % RING_SIZE)};
	driver_offer_head(&f.d, 0, 3);
	assert_false(next(&f));
	assert_true(f.q.broken);
	driver_release(&f.d);
}

static void rules_of_descriptors_are_kept(void **state)
{
	static const struct vring_desc bad[] = {
		{DATA, 16, VRING_DESC_F_INDIRECT, 0},
		{DATA, 16, VRING_DESC_F_WRITE | VRING_DESC_F_NEXT, 1}, /* 1 is for reading */
		{DATA, 16, VRING_DESC_F_NEXT, RING_SIZE},
		{DATA, 16, VRING_DESC_F_NEXT, UINT16_MAX},
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(bad); i++) {
		struct fixture f;

		start(&f, false);
		ring_desc(&f.d, 0)[0] = bad[i];
		ring_desc(&f.d, 0)[1] = (struct vring_desc){.addr = DATA, .len = 1};
		driver_offer_head(&f.d, 0, 0);
		assert_false(next(&f));
		assert_true(f.q.broken);
		driver_release(&f.d);
	}
}

static void an_index_that_jumps_breaks_the_queue(void **state)
{
	struct fixture f;

	(void)state;
	start(&f, false);
	driver_offer(&f.d, 0, &(struct piece){DATA, 8, true}, 1);
	ring_avail(&f.d, 0)->idx = RING_SIZE + 1;
	assert_false(next(&f));
	assert_true(f.q.broken);
	driver_release(&f.d);

	start(&f, false);
	driver_offer_head(&f.d, 0, RING_SIZE); /* no such descriptor */
	assert_false(next(&f));
	assert_true(f.q.broken);
	driver_release(&f.d);
}

static void a_chain_may_have_as_many_pieces_as_the_ring(void **state)
{
	struct piece p[RING_SIZE];
	struct fixture f;

	(void)state;
	start(&f, false);
	for (unsigned i = 0; i < RING_SIZE; i++)
		p[i] = (struct piece){DATA + i, 1, i >= 8};
	driver_offer(&f.d, 0, p, RING_SIZE);
	assert_true(next(&f));
	assert_int_equal(f.c.out_count + f.c.in_count, RING_SIZE);
	driver_release(&f.d);
}

static void interrupts_come_only_when_the_driver_wants_them(void **state)
{
	struct fixture f;

	(void)state;
	start(&f, false);
	queue_put(&f.q, 0, 0);
	ring_avail(&f.d, 0)->flags = VRING_AVAIL_F_NO_INTERRUPT;
	assert_false(queue_publish(&f.q));
	assert_int_equal(ring_used(&f.d, 0)->idx, 1);
	queue_put(&f.q, 0, 0);
	ring_avail(&f.d, 0)->flags = 0;
	assert_true(queue_publish(&f.q));
	assert_false(queue_publish(&f.q)); /* nothing new */
	driver_release(&f.d);

	start(&f, true);
	ring_avail(&f.d, 0)->ring[RING_SIZE] = 2; /* used_event: after the third */
	queue_put(&f.q, 0, 0);
	assert_false(queue_publish(&f.q));
	queue_put(&f.q, 0, 0);
	queue_put(&f.q, 0, 0);
	assert_true(queue_publish(&f.q));
	driver_release(&f.d);
}

static void listening_sees_what_came_before_it(void **state)
{
	struct fixture f;

	(void)state;
	for (unsigned event_idx = 0; event_idx < 2; event_idx++) {
		start(&f, event_idx);
		queue_listen(&f.q, false);
		assert_int_equal(ring_used(&f.d, 0)->flags, event_idx ? 0 : VRING_USED_F_NO_NOTIFY);
		driver_offer(&f.d, 0, &(struct piece){DATA, 8, true}, 1);
		assert_true(queue_listen(&f.q, true));
		assert_true(next(&f));
		assert_false(queue_listen(&f.q, true));
		assert_int_equal(ring_used(&f.d, 0)->flags, 0);
		if (event_idx)
			assert_int_equal(*(uint16_t *)(void *)&ring_used(&f.d, 0)->ring[RING_SIZE], 1);
		driver_release(&f.d);
	}
}

static void gather_lists_are_copied_and_cut(void **state)
{
	char a[] = "abcd", b[] = "efgh", out[16] = {0};
	struct iovec v[] = {{a, 4}, {b, 4}}, cut[QUEUE_SIZE_MAX];

	(void)state;
	assert_int_equal(iov_read(v, 2, 2, out, 4), 4);
	assert_string_equal(out, "cdef");
	assert_int_equal(iov_read(v, 2, 6, out, 9), 2);
	assert_int_equal(iov_read(v, 2, 8, out, 9), 0);
	assert_int_equal(iov_write(v, 2, 3, "XYZ", 3), 3);
	assert_string_equal(a, "abcX");
	assert_string_equal(b, "YZgh");
	assert_int_equal(iov_slice(v, 2, 3, 2, cut), 2);
	assert_int_equal(cut[0].iov_len, 1);
	assert_int_equal(cut[1].iov_len, 1);
	assert_int_equal(iov_slice(v, 2, 8, SIZE_MAX, cut), 0);
	assert_int_equal(iov_slice(v, 2, 4, SIZE_MAX, cut), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_chain_is_a_gather_list_of_guest_memory),
		cmocka_unit_test(indices_wrap),
		cmocka_unit_test(what_is_given_back_is_taken_again),
		cmocka_unit_test(ring_parts_must_lie_in_memory_and_be_aligned),
		cmocka_unit_test(addresses_outside_of_memory_break_the_queue),
		cmocka_unit_test(the_fence_is_outside_of_memory),
		cmocka_unit_test(a_loop_breaks_the_queue),
		cmocka_unit_test(rules_of_descriptors_are_kept),
		cmocka_unit_test(an_index_that_jumps_breaks_the_queue),
		cmocka_unit_test(a_chain_may_have_as_many_pieces_as_the_ring),
		cmocka_unit_test(interrupts_come_only_when_the_driver_wants_them),
		cmocka_unit_test(listening_sees_what_came_before_it),
		cmocka_unit_test(gather_lists_are_copied_and_cut),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

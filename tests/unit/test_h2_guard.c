/* Tests of http/h2_guard: what is too much, what is earned, and frames' heads in any pieces. */
#include <check.h>
#include <string.h>

#include "base/clock.h"
#include "http/h2_guard.h"

Suite *h2_guard_suite(void);

static struct h2_guard g;
static int64_t now;

static void open_guard(void)
{
    now = 1000 * CLOCK_S;
    h2_guard_init(&g, 0, now);
}

static unsigned admitted(enum h2_event e, unsigned most)
{
    unsigned n = 0;

    while (n < most && h2_guard_admit(&g, e, now))
        n++;
    return n;
}

/* The word for what is wrong with a frame, or "" */
static const char *frame(uint8_t type, uint8_t flags, uint32_t length)
{
    static char bytes[70000];
    const char *wrong;

    memcpy(bytes, (char[9]){ (char)(length >> 16), (char)(length >> 8), (char)length, (char)type, (char)flags, 0, 0, 0, 1 }, 9);
    wrong = h2_guard_look(&g, bytes, 9 + length, now);
    return wrong == NULL ? "" : wrong;
}

START_TEST(settings_are_admitted_ten_times_in_ten_seconds)
{
    ck_assert_uint_eq(admitted(H2_EVENT_SETTINGS, 100), 10);
    now += 9 * CLOCK_S;
    ck_assert(!h2_guard_admit(&g, H2_EVENT_SETTINGS, now));
    now += CLOCK_S;
    ck_assert_uint_eq(admitted(H2_EVENT_SETTINGS, 100), 10);
}
END_TEST

START_TEST(the_201st_reset_is_one_too_many)
{
    for (int i = 0; i < 1000; i++)
        h2_guard_stream(&g, now);
    ck_assert_uint_eq(admitted(H2_EVENT_RESET, 1000), 200);
}
END_TEST

START_TEST(half_of_all_streams_may_be_reset_and_no_more)
{
    for (int i = 0; i < 300; i++) {
        h2_guard_stream(&g, now);
        now += CLOCK_S; /* never many in a window */
        if (i % 2 == 1)
            ck_assert(h2_guard_admit(&g, H2_EVENT_RESET, now));
    }
    h2_guard_stream(&g, now);
    ck_assert(!h2_guard_admit(&g, H2_EVENT_RESET, now)); /* 151 of 301 */
}
END_TEST

START_TEST(traffic_earns_pings)
{
    for (int i = 0; i < 500; i++)
        h2_guard_data(&g, now);
    ck_assert_uint_eq(admitted(H2_EVENT_PING, 10000), 600);
}
END_TEST

START_TEST(eight_continuations_are_admitted)
{
    ck_assert_str_eq(frame(1, 0, 10), "");
    for (int i = 0; i < 8; i++)
        ck_assert_str_eq(frame(9, 0, 0), "");
    ck_assert_str_eq(frame(9, 4, 0), "continuations");
}
END_TEST

START_TEST(a_block_has_32_kib)
{
    ck_assert_str_eq(frame(1, 0, 16384), "");
    ck_assert_str_eq(frame(9, 0, 16384), "");
    ck_assert_str_eq(frame(9, 4, 1), "header_block");
}
END_TEST

START_TEST(a_block_ends_with_the_last_byte_of_its_last_frame)
{
    static const char head[] = { 0, 0, 4, 1, 4, 0, 0, 0, 1 };

    ck_assert_ptr_null(h2_guard_look(&g, head, 9, now));
    ck_assert(g.in_block);
    now += CLOCK_S;
    ck_assert_ptr_null(h2_guard_look(&g, "abc", 3, now));
    ck_assert(g.in_block);
    ck_assert_int_eq(g.block_since, now - CLOCK_S);
    ck_assert_ptr_null(h2_guard_look(&g, "d", 1, now));
    ck_assert(!g.in_block);
}
END_TEST

START_TEST(pieces_of_frames_count_as_whole_ones)
{
    static const char pings[] = { 0, 0, 1, 6, 0, 0, 0, 0, 0, 'x', 0, 0, 0, 6, 0, 0, 0, 0, 0, 0, 0, 0, 6, 1, 0, 0, 0, 0 };

    h2_guard_init(&g, 3, now);
    h2_guard_asked(&g);
    ck_assert_ptr_null(h2_guard_look(&g, "pre", 3, now));
    for (size_t i = 0; i < sizeof pings; i++)
        ck_assert_ptr_null(h2_guard_look(&g, pings + i, 1, now));
    ck_assert_uint_eq(g.n[H2_EVENT_PING], 2); /* the third is an answer */
}
END_TEST

START_TEST(empty_data_that_ends_a_stream_is_no_empty_frame)
{
    ck_assert_str_eq(frame(0, 1, 0), "");
    ck_assert_uint_eq(g.n[H2_EVENT_EMPTY], 0);
    ck_assert_str_eq(frame(0, 0, 0), "");
    ck_assert_uint_eq(g.n[H2_EVENT_EMPTY], 1);
}
END_TEST

/* DATA of `content` and `padding` bytes, a byte at a time. */
static const char *padded(uint8_t flags, uint8_t content, uint8_t padding)
{
    char bytes[9 + 1 + 510] = {
        0, (char)((1 + content + padding) >> 8), (char)(1 + content + padding), 0, (char)(8 | flags), 0, 0, 0, 1, (char)padding
    };
    const char *wrong = NULL;

    for (int i = 0; i < 10 + content + padding && wrong == NULL; i++)
        wrong = h2_guard_look(&g, bytes + i, 1, now);
    return wrong == NULL ? "" : wrong;
}

START_TEST(padding_is_no_content)
{
    ck_assert_str_eq(padded(0, 0, 0), "");
    ck_assert_str_eq(padded(0, 0, 255), "");
    ck_assert_uint_eq(g.n[H2_EVENT_EMPTY], 2);
    ck_assert_uint_eq(g.data, 0);
    ck_assert_str_eq(padded(1, 0, 9), "");
    ck_assert_uint_eq(g.n[H2_EVENT_EMPTY], 2);
    ck_assert_str_eq(padded(0, 1, 255), "");
    ck_assert_uint_eq(g.data, 1);
    ck_assert_str_eq(frame(0, 0, 7), ""); /* frames are still told apart */
    ck_assert_uint_eq(g.data, 2);
}
END_TEST

START_TEST(padding_beyond_the_frame_is_no_content_either)
{
    static const char bytes[] = { 0, 0, 2, 0, 8, 0, 0, 0, 1, (char)200, 0 };

    ck_assert_ptr_null(h2_guard_look(&g, bytes, sizeof bytes, now));
    ck_assert_uint_eq(g.n[H2_EVENT_EMPTY], 1);
}
END_TEST

START_TEST(an_answer_to_no_ping_counts_as_one)
{
    h2_guard_asked(&g);
    ck_assert_str_eq(frame(6, 1, 8), "");
    ck_assert_uint_eq(g.n[H2_EVENT_PING], 0);
    ck_assert_str_eq(frame(6, 1, 8), "");
    ck_assert_uint_eq(g.n[H2_EVENT_PING], 1);
}
END_TEST

Suite *h2_guard_suite(void)
{
    Suite *s = suite_create("h2_guard");
    TCase *t = tcase_create("guard");

    tcase_add_checked_fixture(t, open_guard, NULL);
    tcase_add_test(t, settings_are_admitted_ten_times_in_ten_seconds);
    tcase_add_test(t, the_201st_reset_is_one_too_many);
    tcase_add_test(t, half_of_all_streams_may_be_reset_and_no_more);
    tcase_add_test(t, traffic_earns_pings);
    tcase_add_test(t, eight_continuations_are_admitted);
    tcase_add_test(t, a_block_has_32_kib);
    tcase_add_test(t, a_block_ends_with_the_last_byte_of_its_last_frame);
    tcase_add_test(t, pieces_of_frames_count_as_whole_ones);
    tcase_add_test(t, empty_data_that_ends_a_stream_is_no_empty_frame);
    tcase_add_test(t, padding_is_no_content);
    tcase_add_test(t, padding_beyond_the_frame_is_no_content_either);
    tcase_add_test(t, an_answer_to_no_ping_counts_as_one);
    suite_add_tcase(s, t);
    return s;
}

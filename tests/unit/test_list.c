/* Tests of base/list against an array that does the same. */
#include <check.h>
#include <string.h>

#include "base/list.h"
#include "base/rand.h"

Suite *list_suite(void);

struct item {
    int n;
    struct list link;
};

static int number(struct list *l) { return l == NULL ? -1 : LIST_ITEM(l, struct item, link)->n; }

START_TEST(an_empty_list_has_no_first_and_no_last)
{
    struct list l = LIST_INIT(l);

    ck_assert(list_is_empty(&l));
    ck_assert_ptr_null(list_first(&l));
    ck_assert_ptr_null(list_last(&l));
    ck_assert_ptr_null(list_pop_front(&l));
}
END_TEST

START_TEST(items_come_out_in_the_order_of_the_ends_they_went_in_at)
{
    struct item v[4] = { { .n = 0 }, { .n = 1 }, { .n = 2 }, { .n = 3 } };
    struct list l;

    list_init(&l);
    list_push_back(&l, &v[2].link);
    list_push_front(&l, &v[1].link);
    list_push_back(&l, &v[3].link);
    list_push_front(&l, &v[0].link);
    for (int i = 0; i < 4; i++)
        ck_assert_int_eq(number(list_pop_front(&l)), i);
    ck_assert(list_is_empty(&l));
}
END_TEST

START_TEST(removing_twice_does_no_harm)
{
    struct item a = { .n = 1 }, b = { .n = 2 };
    struct list l;

    list_init(&l);
    list_push_back(&l, &a.link);
    list_push_back(&l, &b.link);
    list_remove(&a.link);
    list_remove(&a.link);
    ck_assert(list_is_empty(&a.link));
    ck_assert_int_eq(number(list_first(&l)), 2);
    ck_assert_int_eq(number(list_last(&l)), 2);
}
END_TEST

START_TEST(the_item_at_hand_may_be_removed_while_walking)
{
    struct item v[10];
    struct list l;
    int seen = 0, left = 0;

    list_init(&l);
    for (int i = 0; i < 10; i++) {
        v[i].n = i;
        list_push_back(&l, &v[i].link);
    }
    LIST_EACH_SAFE(&l, it)
    {
        ck_assert_int_eq(number(it), seen++);
        if (number(it) % 3 == 0)
            list_remove(it);
    }
    LIST_EACH(&l, it)
    {
        ck_assert_int_ne(number(it) % 3, 0);
        left++;
    }
    ck_assert_int_eq(seen, 10);
    ck_assert_int_eq(left, 6);
}
END_TEST

START_TEST(whatever_is_done_the_list_is_as_the_array)
{
    enum { N = 16 };
    struct item v[N];
    int array[N], n = 0, at;
    struct list l;

    rand_seed(5);
    list_init(&l);
    for (int i = 0; i < N; i++) {
        v[i].n = i;
        list_init(&v[i].link);
    }
    for (int round = 0; round < 20000; round++) {
        int i = (int)rand_below(N);
        for (at = 0; at < n && array[at] != i; at++)
            continue;
        if (at < n) {
            list_remove(&v[i].link);
            memmove(&array[at], &array[at + 1], (size_t)(--n - at) * sizeof array[0]);
        } else if (round % 2 == 0) {
            list_push_back(&l, &v[i].link);
            array[n++] = i;
        } else {
            list_push_front(&l, &v[i].link);
            memmove(&array[1], &array[0], (size_t)n++ * sizeof array[0]);
            array[0] = i;
        }
        at = 0;
        LIST_EACH(&l, it)
        if (at >= n || number(it) != array[at++])
            ck_abort_msg("round %d", round);
        if (at != n || number(list_last(&l)) != (n == 0 ? -1 : array[n - 1]))
            ck_abort_msg("round %d", round);
    }
}
END_TEST

Suite *list_suite(void)
{
    Suite *s = suite_create("list");
    TCase *t = tcase_create("list");

    tcase_add_test(t, an_empty_list_has_no_first_and_no_last);
    tcase_add_test(t, items_come_out_in_the_order_of_the_ends_they_went_in_at);
    tcase_add_test(t, removing_twice_does_no_harm);
    tcase_add_test(t, the_item_at_hand_may_be_removed_while_walking);
    tcase_add_test(t, whatever_is_done_the_list_is_as_the_array);
    suite_add_tcase(s, t);
    return s;
}

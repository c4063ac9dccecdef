/* Tests of strategies/hashed and all strategies that hash: agreement, few keys that move, a bound that holds, retries, warming up. */
#include <check.h>
#include <math.h>

#include "base/rand.h"
#include "tests/lib/ready_set.h"

Suite *hashed_suite(void);

enum { N = 100, KEYS = 20000 };
static uint32_t equal[N], mixed[N];

static void setup(void)
{
    rand_seed(21);
    for (size_t i = 0; i < N; i++) {
        equal[i] = 1;
        mixed[i] = 1 + i % 5;
    }
}

#define EACH_THAT_HASHES(ops)                                    \
    for (size_t i_ = 0; ((ops) = strategy_at(i_)) != NULL; i_++) \
        if ((ops)->hashes)

static uint64_t key_of(size_t i) { return hash_u64(i + 1000); }

static void owners_of(struct ready_set *s, size_t *owner)
{
    for (size_t i = 0; i < KEYS; i++)
        owner[i] = ready_set_pick(s, key_of(i));
}

START_TEST(proxies_that_list_the_same_members_in_another_order_agree)
{
    const struct strategy_ops *ops;

    EACH_THAT_HASHES(ops)
    {
        static size_t here[KEYS], there[KEYS];
        struct ready_set s;

        ready_set_open(&s, ops, mixed, N);
        owners_of(&s, here);
        for (size_t i = 0; i < N; i++) {
            size_t k = rand_below(N);
            struct backend *swap = s.ready.v[i];
            s.ready.v[i] = s.ready.v[k];
            s.ready.v[k] = swap;
        }
        ready_set_rebuild(&s);
        owners_of(&s, there);
        ck_assert_mem_eq(here, there, sizeof here);
        ready_set_close(&s);
    }
}
END_TEST

/* Removing one; read backwards it is adding one. */
START_TEST(one_of_a_hundred_that_goes_moves_about_a_hundredth_of_the_keys)
{
    const struct strategy_ops *ops;

    EACH_THAT_HASHES(ops)
    {
        static size_t before[KEYS], after[KEYS];
        struct ready_set s;
        size_t moved = 0, owned = 0;

        ready_set_open(&s, ops, equal, N);
        owners_of(&s, before);
        ready_set_remove(&s, 37);
        owners_of(&s, after);
        for (size_t i = 0; i < KEYS; i++) {
            owned += before[i] == 37;
            moved += before[i] != after[i];
        }
        ck_assert_uint_ge(moved, owned);
        ck_assert_msg(moved <= owned + KEYS / 500, "%s moved %zu, of which %zu had to", ops->name, moved, owned);
        ck_assert_msg(owned < 1.4 * KEYS / N, "%s gave it %zu keys", ops->name, owned);
        ready_set_close(&s);
    }
}
END_TEST

START_TEST(a_changed_weight_moves_keys_in_proportion)
{
    const struct strategy_ops *ops;

    EACH_THAT_HASHES(ops)
    {
        static size_t before[KEYS], after[KEYS];
        struct ready_set s;
        size_t moved = 0;

        ready_set_open(&s, ops, equal, N);
        owners_of(&s, before);
        atomic_store(&s.backends[37].candidate.weight, 2);
        ready_set_rebuild(&s);
        owners_of(&s, after);
        for (size_t i = 0; i < KEYS; i++)
            moved += before[i] != after[i];
        ck_assert_msg(moved > KEYS / N / 2 && moved < 2 * KEYS / N, "%s moved %zu", ops->name, moved);
        ready_set_close(&s);
    }
}
END_TEST

/* After each request that begins: nobody has more than ceil(bound * average * its share of the weights), this one counted. */
static void bound_holds(const struct strategy_ops *ops, const uint32_t *weights, double bound)
{
    enum { FLYING = 700 };
    static size_t flying[FLYING];
    struct ready_set s;

    ready_set_open(&s, ops, weights, N);
    s.ready.bound = bound;
    for (size_t i = 0; i < 20 * FLYING; i++) {
        size_t slot = rand_below(FLYING), at;
        double most;
        if (i < FLYING)
            slot = i;
        else
            atomic_fetch_sub(&s.backends[flying[slot]].candidate.inflight, 1);
        atomic_store(&s.inflight, i < FLYING ? (uint32_t)i : FLYING - 1);
        /* Zipf's law: the k-th key as often as 1 / k, by turning an even number into 1 / number */
        at = flying[slot] = ready_set_pick(&s, key_of((size_t)exp((double)rand_below(1000000) / 1e6 * 9)));
        atomic_fetch_add(&s.backends[at].candidate.inflight, 1);
        most = ceil(bound * (atomic_load(&s.inflight) + 1) * weights[at] / (double)s.ready.weight);
        if (backend_inflight(&s.backends[at]) > most)
            ck_abort_msg("%s gave %u of %.0f", ops->name, backend_inflight(&s.backends[at]), most);
    }
    ready_set_close(&s);
}

START_TEST(no_backend_is_loaded_beyond_the_bound_whatever_the_keys)
{
    const struct strategy_ops *ops;

    EACH_THAT_HASHES(ops)
    {
        bound_holds(ops, equal, 1.25);
        bound_holds(ops, mixed, 1.25);
        bound_holds(ops, equal, 1.0);
        bound_holds(ops, mixed, 3);
    }
}
END_TEST

START_TEST(without_a_bound_one_key_has_one_backend_however_loaded)
{
    const struct strategy_ops *ops;

    EACH_THAT_HASHES(ops)
    {
        struct ready_set s;
        size_t first;

        ready_set_open(&s, ops, equal, N);
        first = ready_set_pick(&s, key_of(1));
        atomic_store(&s.backends[first].candidate.inflight, 100000);
        ck_assert_uint_eq(ready_set_pick(&s, key_of(1)), first);
        ready_set_close(&s);
    }
}
END_TEST

/* It has nothing in flight, since errors come at once. */
START_TEST(one_that_answers_with_errors_does_not_get_what_others_have_no_room_for)
{
    const struct strategy_ops *ops;

    EACH_THAT_HASHES(ops)
    {
        size_t overflow = 0, full = 0, left = 0;
        struct ready_set s;

        ready_set_open(&s, ops, equal, 4);
        atomic_store(&s.inflight, 100);
        atomic_store(&s.backends[0].candidate.inflight, 60); /* full */
        atomic_store(&s.backends[1].candidate.inflight, 20);
        atomic_store(&s.backends[2].candidate.inflight, 20);
        for (int i = 0; i < 30; i++)
            backend_note_outcome(&s.backends[3], 100, true, 0);
        for (size_t i = 0; i < 1000; i++) {
            size_t home, got;
            s.ready.bound = 0;
            home = ready_set_pick(&s, key_of(i));
            s.ready.bound = 1.25;
            got = ready_set_pick(&s, key_of(i));
            full += got == 0;
            overflow += got == 3 && home != 3;
            left += got != 3 && home == 3; /* its own keys stay: an error may be the key's and not the backend's */
        }
        ck_assert_uint_eq(full, 0);
        ck_assert_uint_eq(left, 0);
        ck_assert_msg(overflow == 0, "%s sent it %zu", ops->name, overflow);
        ready_set_close(&s);
    }
}
END_TEST

/* The bound lets go again: the key comes home. */
START_TEST(a_key_comes_back_when_its_backend_has_room)
{
    const struct strategy_ops *ops;

    EACH_THAT_HASHES(ops)
    {
        struct ready_set s;
        size_t home;

        ready_set_open(&s, ops, equal, N);
        s.ready.bound = 1.25;
        home = ready_set_pick(&s, key_of(1));
        atomic_store(&s.inflight, 100);
        atomic_store(&s.backends[home].candidate.inflight, 100);
        ck_assert_uint_ne(ready_set_pick(&s, key_of(1)), home);
        atomic_store(&s.backends[home].candidate.inflight, 1);
        ck_assert_uint_eq(ready_set_pick(&s, key_of(1)), home);
        ready_set_close(&s);
    }
}
END_TEST

/* So a retry warms the caches that the key will use if its backend stays away. */
START_TEST(a_retry_goes_where_the_key_would_be_without_the_first_one)
{
    const struct strategy_ops *ops;

    EACH_THAT_HASHES(ops)
    {
        size_t same = 0, asked = 0;
        struct ready_set s;

        ready_set_open(&s, ops, equal, N);
        for (size_t i = 0; i < 6; i++) {
            size_t first = ready_set_pick(&s, key_of(i));
            size_t second = ready_set_pick_by(&s, &(struct pick_key){ .hash = key_of(i), .attempt = 1 });
            struct ready_set without;
            ready_set_open(&without, ops, equal, N);
            ready_set_remove(&without, first);
            ck_assert_uint_ne(second, first);
            same += ready_set_pick(&without, key_of(i)) == second;
            asked++;
            ready_set_close(&without);
        }
        /* maglev's table is made anew, so there it is a matter of luck */
        ck_assert_msg(same == asked || ops == strategy_find("maglev"), "%s: %zu of %zu", ops->name, same, asked);
        ready_set_close(&s);
    }
}
END_TEST

START_TEST(attempts_beyond_the_number_of_backends_still_get_one)
{
    const struct strategy_ops *ops;

    EACH_THAT_HASHES(ops)
    {
        struct ready_set s;
        ready_set_open(&s, ops, equal, 3);
        for (unsigned attempt = 0; attempt < 40; attempt++)
            (void)ready_set_pick_by(&s, &(struct pick_key){ .hash = key_of(1), .attempt = attempt });
        ready_set_close(&s);
    }
}
END_TEST

START_TEST(keys_that_one_has_while_it_warms_up_stay_with_it)
{
    const struct strategy_ops *ops;

    EACH_THAT_HASHES(ops)
    {
        static bool had[KEYS];
        size_t few = 0, more = 0, all = 0;
        struct ready_set s;

        ready_set_open(&s, ops, equal, 10);
        atomic_store(&s.backends[3].candidate.share, SHARE_WHOLE / 5);
        for (size_t i = 0; i < KEYS; i++)
            few += had[i] = ready_set_pick(&s, key_of(i)) == 3;
        atomic_store(&s.backends[3].candidate.share, SHARE_WHOLE / 2);
        for (size_t i = 0; i < KEYS; i++) {
            bool has = ready_set_pick(&s, key_of(i)) == 3;
            if (had[i] && !has)
                ck_abort_msg("%s took a key away again", ops->name);
            more += has;
        }
        atomic_store(&s.backends[3].candidate.share, SHARE_WHOLE);
        for (size_t i = 0; i < KEYS; i++)
            all += ready_set_pick(&s, key_of(i)) == 3;
        ck_assert_msg(few > all / 6 && few < all / 4, "%s: %zu of %zu at a fifth", ops->name, few, all);
        ck_assert_msg(more > all * 2 / 5 && more < all * 3 / 5, "%s: %zu of %zu at a half", ops->name, more, all);
        ready_set_close(&s);
    }
}
END_TEST

Suite *hashed_suite(void)
{
    Suite *s = suite_create("hashed");
    TCase *t = tcase_create("hashed");

    tcase_add_checked_fixture(t, setup, NULL);
    tcase_add_test(t, proxies_that_list_the_same_members_in_another_order_agree);
    tcase_add_test(t, one_of_a_hundred_that_goes_moves_about_a_hundredth_of_the_keys);
    tcase_add_test(t, a_changed_weight_moves_keys_in_proportion);
    tcase_add_test(t, no_backend_is_loaded_beyond_the_bound_whatever_the_keys);
    tcase_add_test(t, without_a_bound_one_key_has_one_backend_however_loaded);
    tcase_add_test(t, one_that_answers_with_errors_does_not_get_what_others_have_no_room_for);
    tcase_add_test(t, a_key_comes_back_when_its_backend_has_room);
    tcase_add_test(t, a_retry_goes_where_the_key_would_be_without_the_first_one);
    tcase_add_test(t, attempts_beyond_the_number_of_backends_still_get_one);
    tcase_add_test(t, keys_that_one_has_while_it_warms_up_stay_with_it);
    suite_add_tcase(s, t);
    return s;
}

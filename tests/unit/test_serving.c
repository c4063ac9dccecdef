/* Tests of proxy/serving: what is built from a snapshot, and how long each part of it lives. */
#include <check.h>

#include "proxy/serving.h"
#include "tests/lib/proxy.h"

Suite *serving_suite(void);

#define LISTENER "listeners = ( { name = \"web\"; bind = \"127.0.0.1:8080\"; pool = \"app\"; } );\n"
#define APP      "{ name = \"app\"; backends = [ \"10.0.0.1:80\", \"10.0.0.2:80\" ]; }"
#define API      "{ name = \"api\"; backends = [ \"10.0.0.3:80\" ]; }"
#define ROUTE    "routes = ( { path = \"/api/*\"; pool = \"api\"; } );\n"
#define TWO      LISTENER "pools = ( " APP ", " API " );\n" ROUTE

static struct serving *serve(const char *text)
{
    struct snapshot *conf = proxy_conf(text);
    struct serving *s = serving_new(conf, 2, NULL);

    ck_assert_ptr_nonnull(s);
    snapshot_unref(&conf); /* it has its own reference */
    return s;
}

START_TEST(each_pool_of_the_snapshot_is_built)
{
    struct serving *s = serve(TWO);

    for (size_t i = 0; i < s->conf->n_pools; i++)
        ck_assert_ptr_eq(serving_pool(s, &s->conf->pools[i])->conf, &s->conf->pools[i]);
    ck_assert_uint_eq(pool_set_now(serving_pool(s, snapshot_pool(s->conf, "app")))->n_members, 2);
    ck_assert_uint_eq(pool_set_now(serving_pool(s, snapshot_pool(s->conf, "api")))->n_members, 1);
    serving_unref(&s);
}
END_TEST

START_TEST(without_pools_there_are_none)
{
    struct serving *s = serve("listeners = ( { name = \"web\"; bind = \"127.0.0.1:8080\"; } );\n"
                              "routes = ( { respond = { status = 200; }; } );\n");

    ck_assert_uint_eq(s->conf->n_pools, 0);
    serving_unref(&s);
    ck_assert_ptr_null(s);
}
END_TEST

START_TEST(it_lives_until_the_last_reference_goes)
{
    struct serving *s = serve(TWO), *other = serving_ref(s);

    serving_unref(&s);
    ck_assert_ptr_null(s);
    ck_assert_uint_eq(other->magic, SERVING_MAGIC);
    ck_assert_uint_eq(other->pools[0]->magic, POOL_MAGIC);
    serving_unref(&other);
    serving_unref(&other); /* nothing to be done */
}
END_TEST

START_TEST(backends_of_both_configurations_are_the_same_ones)
{
    struct serving *old = serve(TWO), *new = serve(TWO);
    struct backend *b = pool_set_now(new->pools[0])->members[0];

    ck_assert_ptr_eq(pool_set_now(old->pools[0])->members[0], b);
    atomic_store(&b->requests, 7);
    serving_unref(&old);
    ck_assert_uint_eq(atomic_load(&pool_set_now(new->pools[0])->members[0]->requests), 7);
    serving_unref(&new);
}
END_TEST

Suite *serving_suite(void)
{
    Suite *s = suite_create("serving");
    TCase *t = tcase_create("serving");

    tcase_add_test(t, each_pool_of_the_snapshot_is_built);
    tcase_add_test(t, without_pools_there_are_none);
    tcase_add_test(t, it_lives_until_the_last_reference_goes);
    tcase_add_test(t, backends_of_both_configurations_are_the_same_ones);
    suite_add_tcase(s, t);
    return s;
}

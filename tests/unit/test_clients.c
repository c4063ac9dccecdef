/* Tests of proxy/clients: connections are counted by address, exactly, whoever counts. */
#include <check.h>
#include <pthread.h>
#include <stdint.h>

#include "proxy/clients.h"

Suite *clients_suite(void);

static struct ip v4(uint32_t n)
{
    return (struct ip){ .family = 4, .bytes = { 10, (uint8_t)(n >> 16), (uint8_t)(n >> 8), (uint8_t)n } };
}

START_TEST(a_client_may_have_as_many_as_allowed_and_no_more)
{
    struct ip a = v4(1);

    ck_assert(clients_enter(&a, 2));
    ck_assert(clients_enter(&a, 2));
    ck_assert(!clients_enter(&a, 2));
    clients_leave(&a);
    clients_leave(&a);
}
END_TEST

START_TEST(whoever_leaves_makes_room)
{
    struct ip a = v4(1);

    ck_assert(clients_enter(&a, 1));
    ck_assert(!clients_enter(&a, 1));
    clients_leave(&a);
    ck_assert(clients_enter(&a, 1));
    clients_leave(&a);
}
END_TEST

START_TEST(the_port_does_not_tell_clients_apart)
{
    struct ip a = v4(1), b = a;

    a.port = 1000;
    b.port = 2000;
    ck_assert(clients_enter(&a, 1));
    ck_assert(!clients_enter(&b, 1));
    clients_leave(&b);
}
END_TEST

START_TEST(the_family_does)
{
    struct ip a = v4(1), b = a;

    b.family = 6;
    ck_assert(clients_enter(&a, 1));
    ck_assert(clients_enter(&b, 1));
    clients_leave(&a);
    ck_assert(!clients_enter(&b, 1));
    clients_leave(&b);
}
END_TEST

START_TEST(a_lower_limit_throws_nobody_out)
{
    struct ip a = v4(1);

    ck_assert(clients_enter(&a, 3));
    ck_assert(clients_enter(&a, 3));
    ck_assert(!clients_enter(&a, 1));
    clients_leave(&a);
    ck_assert(!clients_enter(&a, 1));
    clients_leave(&a);
    ck_assert(clients_enter(&a, 1));
    clients_leave(&a);
}
END_TEST

/* More than there are buckets: chains are walked, and unlinked in the middle. */
START_TEST(many_clients_are_told_apart)
{
    enum { N = 20000 };

    for (uint32_t i = 0; i < N; i++) {
        struct ip a = v4(i);
        ck_assert(clients_enter(&a, 1));
    }
    for (uint32_t i = 0; i < N; i += 2) {
        struct ip a = v4(i);
        clients_leave(&a);
    }
    for (uint32_t i = 0; i < N; i++) {
        struct ip a = v4(i);
        ck_assert_int_eq(clients_enter(&a, 1), i % 2 == 0);
    }
    for (uint32_t i = 0; i < N; i++) {
        struct ip a = v4(i);
        clients_leave(&a);
    }
}
END_TEST

static void *come_and_go(void *arg)
{
    (void)arg;
    for (uint32_t i = 0; i < 20000; i++) {
        struct ip a = v4(i % 7);

        if (clients_enter(&a, 2))
            clients_leave(&a);
    }
    return NULL;
}

START_TEST(threads_leave_the_count_as_they_found_it)
{
    pthread_t t[4];

    for (int i = 0; i < 4; i++)
        ck_assert_int_eq(pthread_create(&t[i], NULL, come_and_go, NULL), 0);
    for (int i = 0; i < 4; i++)
        ck_assert_int_eq(pthread_join(t[i], NULL), 0);
    for (uint32_t i = 0; i < 7; i++) {
        struct ip a = v4(i);
        ck_assert(clients_enter(&a, 1));
        ck_assert(!clients_enter(&a, 1));
        clients_leave(&a);
    }
}
END_TEST

Suite *clients_suite(void)
{
    Suite *s = suite_create("clients");
    TCase *t = tcase_create("clients");

    tcase_add_test(t, a_client_may_have_as_many_as_allowed_and_no_more);
    tcase_add_test(t, whoever_leaves_makes_room);
    tcase_add_test(t, the_port_does_not_tell_clients_apart);
    tcase_add_test(t, the_family_does);
    tcase_add_test(t, a_lower_limit_throws_nobody_out);
    tcase_add_test(t, many_clients_are_told_apart);
    tcase_add_test(t, threads_leave_the_count_as_they_found_it);
    suite_add_tcase(s, t);
    return s;
}

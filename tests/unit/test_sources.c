/*
 * test_sources.c - one suite for every kind of source: each has a small world outside, in which backends come, change and go, the
 * outside is down for minutes, and talks nonsense.
 */
#include "tests/lib/fiber_test.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "discovery/heartbeat.h"
#include "tests/lib/dns_server.h"
#include "tests/lib/etcd_process.h"
#include "tests/lib/source_owner.h"

Suite *sources_suite(void);

#define MINUTE (60 * CLOCK_S)

struct world {
    const char *name;
    bool has_weights;
    const char *empty;         /* why an empty list is a failure; NULL: it is an answer */
    bool (*is_possible)(void); /* NULL: always */
    void (*open)(struct discovery_conf *c);
    void (*close)(void);
    void (*set)(const struct want *v, size_t n); /* exactly these backends there are now */
    void (*down)(void);                          /* NULL: it has no outside that could be */
    void (*up)(void);
    void (*garbage)(void); /* NULL: nothing of it comes from outside unchecked */
};

#define SET(w, ...) \
    (w)->set((const struct want[]){ __VA_ARGS__ }, sizeof((const struct want[]){ __VA_ARGS__ }) / sizeof(struct want))

/* ---- dns, dns-srv ---- */

static struct dns_server dns;
static char dns_address[32];
static const char *dns_servers[] = { dns_address };

static void dns_open(struct discovery_conf *c, const char *type)
{
    dns_server_start(&dns);
    (void)snprintf(dns_address, sizeof dns_address, "127.0.0.1:%u", dns.port);
    *c = (struct discovery_conf){
        .type = type, .name = "app.test", .max_age = 10 * MINUTE, .ttl_least = 50 * CLOCK_MS, .ttl_most = CLOCK_S
    };
    c->servers = (struct conf_strs){ dns_servers, 1 };
}

static void dns_a_open(struct discovery_conf *c)
{
    dns_open(c, "dns");
    c->port = 80;
}

static void dns_srv_open(struct discovery_conf *c) { dns_open(c, "dns-srv"); }
static void dns_close(void) { dns_server_stop(&dns); }
static void dns_down(void) { dns_server_mode(&dns, DNS_SERVFAIL); }
static void dns_up(void) { dns_server_mode(&dns, DNS_ANSWERS); }
static void dns_garbage(void) { dns_server_mode(&dns, DNS_GARBAGE); }

__attribute__((format(printf, 1, 2))) static const char *numbered(const char *format, ...)
{
    static char text[64];
    va_list ap;

    va_start(ap, format);
    (void)vsnprintf(text, sizeof text, format, ap);
    va_end(ap);
    return text;
}

static void dns_a_set(const struct want *v, size_t n)
{
    dns_server_begin(&dns);
    for (size_t i = 0; i < n; i++)
        dns_server_a(&dns, "app.test", numbered("10.0.0.%u", v[i].id));
    dns_server_commit(&dns);
    dns_up();
}

static void dns_srv_set(const struct want *v, size_t n)
{
    dns_server_begin(&dns);
    for (size_t i = 0; i < n; i++) {
        char target[16];
        (void)snprintf(target, sizeof target, "b%u.test", v[i].id);
        dns_server_srv(&dns, "app.test", 10 + v[i].priority, v[i].weight, 80, target);
        dns_server_a(&dns, target, numbered("10.0.0.%u", v[i].id));
    }
    if (n == 0)
        dns_server_srv(&dns, "app.test", 0, 0, 0, "");
    dns_server_commit(&dns);
    dns_up();
}

/* ---- documents ---- */

static const char *document(const struct want *w)
{
    static char text[160];

    (void)snprintf(text, sizeof text, "{ \"address\": \"10.0.0.%u:80\", \"weight\": %u, \"priority\": %u }", w->id,
                   w->weight == 0 ? 1 : w->weight, w->priority);
    return text;
}

/* ---- file ---- */

static char folder[32], file_path[64], file_new[64];

static void file_open(struct discovery_conf *c)
{
    (void)snprintf(folder, sizeof folder, "/tmp/weir-file-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(folder));
    (void)snprintf(file_path, sizeof file_path, "%s/backends.json", folder);
    (void)snprintf(file_new, sizeof file_new, "%s/new", folder);
    *c = (struct discovery_conf){ .type = "file", .path = file_path, .max_age = 10 * MINUTE };
}

static void file_down(void) { (void)unlink(file_path); }

static void file_close(void)
{
    file_down();
    ck_assert_int_eq(rmdir(folder), 0);
}

static void file_replace(const char *text)
{
    FILE *f = fopen(file_new, "w");

    ck_assert_ptr_nonnull(f);
    ck_assert_int_ge(fputs(text, f), 0);
    ck_assert_int_eq(fclose(f), 0);
    ck_assert_int_eq(rename(file_new, file_path), 0);
}

static void file_set(const struct want *v, size_t n)
{
    char text[4096] = "[";

    for (size_t i = 0; i < n; i++) {
        strcat(text, i > 0 ? ",\n" : "\n");
        strcat(text, document(&v[i]));
    }
    strcat(text, "\n]\n");
    file_replace(text);
}

static void file_garbage(void) { file_replace("[\n  { \"address\": \"10.0.0.1:80\" ]\n"); }
static void nothing(void) {}

/* ---- etcd ---- */

static struct etcd_process etcd;
static char etcd_address[32];
static const char *etcd_endpoints[] = { etcd_address };
static struct want etcd_has[OWNER_MOST];
static size_t etcd_n;

static void etcd_open(struct discovery_conf *c)
{
    etcd_start(&etcd);
    etcd_n = 0;
    (void)snprintf(etcd_address, sizeof etcd_address, "127.0.0.1:%u", etcd.port);
    *c = (struct discovery_conf){ .type = "etcd", .prefix = "/weir/app/", .max_age = 10 * MINUTE };
    c->endpoints = (struct conf_strs){ etcd_endpoints, 1 };
    etcd_put(&etcd, "/weir/other/1", "{ \"address\": \"10.0.0.99:80\" }");
}

static void etcd_close(void) { etcd_stop(&etcd); }
static void etcd_down(void) { etcd_kill(&etcd); }
static void etcd_up(void) { etcd_restart(&etcd); }
static void etcd_garbage(void) { etcd_put(&etcd, numbered("/weir/app/%u", etcd_has[0].id), "{ \"address\": "); }

static void etcd_set(const struct want *v, size_t n)
{
    for (size_t i = 0; i < n; i++)
        etcd_put(&etcd, numbered("/weir/app/%u", v[i].id), document(&v[i]));
    for (size_t i = 0; i < etcd_n; i++) {
        bool stays = false;
        for (size_t k = 0; k < n; k++)
            stays = stays || v[k].id == etcd_has[i].id;
        if (!stays)
            etcd_delete(&etcd, numbered("/weir/app/%u", etcd_has[i].id));
    }
    if (n > 0)
        memcpy(etcd_has, v, n * sizeof *v);
    etcd_n = n;
}

/* ---- heartbeat ---- */

static struct want beating[OWNER_MOST];
static size_t n_beating;

static struct addr addr_of(unsigned id)
{
    struct addr a;

    ck_assert_ptr_null(addr_parse(numbered("10.0.0.%u:80", id), &a, NULL));
    return a;
}

static void heartbeat_set(const struct want *v, size_t n)
{
    for (size_t i = 0; i < n_beating; i++) {
        struct addr a = addr_of(beating[i].id);
        bool stays = false;
        for (size_t k = 0; k < n; k++)
            stays = stays || v[k].id == beating[i].id;
        if (!stays)
            ck_assert_int_eq(heartbeat_remove("app", &a, in_ms(1000)), 1);
    }
    for (size_t i = 0; i < n; i++) {
        struct found f = { .addr = addr_of(v[i].id), .weight = v[i].weight == 0 ? 1 : v[i].weight, .priority = v[i].priority };
        ck_assert_int_ge(heartbeat_put("app", &f, 60 * MINUTE, in_ms(1000)), 0);
        beating[i] = v[i];
    }
    n_beating = n;
}

static void heartbeat_open(struct discovery_conf *c) { *c = (struct discovery_conf){ .type = "heartbeat", .ttl = 10 * CLOCK_S }; }
static void heartbeat_close(void) { heartbeat_set(NULL, 0); }

static const struct world worlds[] = {
    { "dns", false, "not found", NULL, dns_a_open, dns_close, dns_a_set, dns_down, dns_up, dns_garbage },
    { "dns-srv", true, NULL, NULL, dns_srv_open, dns_close, dns_srv_set, dns_down, dns_up, dns_garbage },
    { "file", true, "empty", NULL, file_open, file_close, file_set, file_down, nothing, file_garbage },
    { "etcd", true, "empty", etcd_is_installed, etcd_open, etcd_close, etcd_set, etcd_down, etcd_up, etcd_garbage },
    { "heartbeat", true, NULL, NULL, heartbeat_open, heartbeat_close, heartbeat_set, NULL, NULL, NULL },
};

/* ---- the suite ---- */

/* A world with that number, opened, and an owner beside it. */
struct scene {
    const struct world *w;
    struct discovery_conf conf;
    struct owner owner;
};

static void scene_close(struct scene *s)
{
    owner_stop(&s->owner);
    s->w->close();
    owner_clock_restore();
}

/* The body of a test for the world at hand, in a fiber. */
static const struct world *at_hand;

#define WORLD_TEST(name)                                             \
    static void name##_body(struct scene *s, const struct world *w); \
    static void name##_fiber(void *arg)                              \
    {                                                                \
        struct scene *s = arg;                                       \
        s->w = at_hand;                                              \
        at_hand->open(&s->conf);                                     \
        name##_body(s, at_hand);                                     \
        scene_close(s);                                              \
    }                                                                \
    START_TEST(name)                                                 \
    {                                                                \
        struct scene s = { 0 };                                      \
        at_hand = &worlds[_i];                                       \
        if (at_hand->is_possible == NULL || at_hand->is_possible())  \
            fiber_test_run(name##_fiber, &s);                        \
    }                                                                \
    END_TEST                                                         \
    static void name##_body(struct scene *s, const struct world *w)

WORLD_TEST(what_is_there_at_the_start_is_published)
{
    SET(w, { 1, 0, 0 }, { 2, 0, 0 });
    owner_start(&s->owner, &s->conf);
    AWAIT(&s->owner, { 1, 0, 0 }, { 2, 0, 0 });
}

WORLD_TEST(a_backend_that_appears_is_published)
{
    SET(w, { 1, 0, 0 });
    owner_start(&s->owner, &s->conf);
    AWAIT(&s->owner, { 1, 0, 0 });
    SET(w, { 1, 0, 0 }, { 2, 0, 0 });
    AWAIT(&s->owner, { 1, 0, 0 }, { 2, 0, 0 });
}

WORLD_TEST(a_changed_weight_is_published)
{
    SET(w, { 1, 1, 0 }, { 2, 1, 0 });
    owner_start(&s->owner, &s->conf);
    AWAIT(&s->owner, { 1, 1, 0 }, { 2, 1, 0 });
    if (!w->has_weights)
        return;
    SET(w, { 1, 1, 0 }, { 2, 7, 0 });
    AWAIT(&s->owner, { 1, 1, 0 }, { 2, 7, 0 });
}

WORLD_TEST(a_backend_may_wait_behind_others)
{
    if (!w->has_weights) {
        owner_start(&s->owner, &s->conf);
        return;
    }
    SET(w, { 1, 1, 0 }, { 2, 1, 1 }, { 3, 1, 2 });
    owner_start(&s->owner, &s->conf);
    AWAIT(&s->owner, { 1, 1, 0 }, { 2, 1, 1 }, { 3, 1, 2 });
}

WORLD_TEST(a_backend_that_vanishes_is_published_no_more)
{
    SET(w, { 1, 0, 0 }, { 2, 0, 0 });
    owner_start(&s->owner, &s->conf);
    AWAIT(&s->owner, { 1, 0, 0 }, { 2, 0, 0 });
    SET(w, { 2, 0, 0 });
    AWAIT(&s->owner, { 2, 0, 0 });
}

WORLD_TEST(the_last_backend_vanishes_where_that_can_be_told_from_a_fault)
{
    SET(w, { 1, 0, 0 });
    owner_start(&s->owner, &s->conf);
    AWAIT(&s->owner, { 1, 0, 0 });
    w->set(NULL, 0);
    if (w->empty == NULL) {
        AWAIT_NONE(&s->owner);
        return;
    }
    owner_await_failure(&s->owner, w->empty);
    ck_assert(HAS(&s->owner, { 1, 0, 0 }));
    owner_clock_jump(s->conf.max_age - 2 * MINUTE);
    ck_assert(HAS(&s->owner, { 1, 0, 0 }));
    owner_clock_jump(3 * MINUTE);
    AWAIT_NONE(&s->owner);
    SET(w, { 2, 0, 0 });
    owner_clock_jump(MINUTE);
    AWAIT(&s->owner, { 2, 0, 0 });
}

WORLD_TEST(after_flapping_the_last_state_holds)
{
    SET(w, { 1, 0, 0 }, { 2, 0, 0 });
    owner_start(&s->owner, &s->conf);
    AWAIT(&s->owner, { 1, 0, 0 }, { 2, 0, 0 });
    for (int i = 0; i < 20; i++) {
        SET(w, { 2, 0, 0 });
        fiber_yield();
        SET(w, { 1, 0, 0 }, { 2, 0, 0 }, { 3, 0, 0 });
        fiber_yield();
    }
    AWAIT(&s->owner, { 1, 0, 0 }, { 2, 0, 0 }, { 3, 0, 0 });
    SET(w, { 3, 0, 0 });
    AWAIT(&s->owner, { 3, 0, 0 });
}

WORLD_TEST(it_starts_though_the_outside_is_down_and_finds_it_later)
{
    if (w->down == NULL) {
        owner_start(&s->owner, &s->conf);
        return;
    }
    SET(w, { 1, 0, 0 });
    w->down();
    owner_start(&s->owner, &s->conf);
    owner_await_failure(&s->owner, "");
    while (s->owner.failed == 0)
        ck_assert_int_eq(fiber_sleep(in_ms(1)), 0);
    ck_assert_uint_eq(s->owner.published, 0);
    w->up();
    SET(w, { 2, 0, 0 });
    AWAIT(&s->owner, { 2, 0, 0 });
}

static void await_failures(struct owner *o, unsigned before)
{
    int64_t deadline = in_ms(15000);

    ck_assert_int_eq(fiber_mutex_lock(&o->mutex, CLOCK_NEVER), 0);
    while (o->failed == before)
        ck_assert_msg(fiber_cond_wait(&o->told, &o->mutex, deadline) == 0, "no failure in time; the last: %s", o->why);
    fiber_mutex_unlock(&o->mutex);
}

static void await_another_failure(struct owner *o) { await_failures(o, o->failed); }

/* So much later it has failed again. */
static void jump_to_failure(struct owner *o, int64_t by)
{
    unsigned before = o->failed;

    owner_clock_jump(by);
    await_failures(o, before);
}

WORLD_TEST(while_the_outside_is_down_for_minutes_the_last_list_stays)
{
    SET(w, { 1, 0, 0 }, { 2, 0, 0 });
    owner_start(&s->owner, &s->conf);
    AWAIT(&s->owner, { 1, 0, 0 }, { 2, 0, 0 });
    if (w->down == NULL)
        return;
    w->down();
    await_another_failure(&s->owner);
    for (int i = 0; i < 9; i++) {
        jump_to_failure(&s->owner, MINUTE);
        ck_assert(HAS(&s->owner, { 1, 0, 0 }, { 2, 0, 0 }));
    }
    w->up();
    SET(w, { 2, 0, 0 }, { 3, 0, 0 });
    owner_clock_jump(MINUTE / 2);
    AWAIT(&s->owner, { 2, 0, 0 }, { 3, 0, 0 });
}

WORLD_TEST(a_list_that_is_too_old_is_taken_away_and_comes_back)
{
    SET(w, { 1, 0, 0 });
    owner_start(&s->owner, &s->conf);
    AWAIT(&s->owner, { 1, 0, 0 });
    if (w->down == NULL)
        return;
    w->down();
    await_another_failure(&s->owner);
    owner_clock_jump(s->conf.max_age);
    AWAIT_NONE(&s->owner);
    w->up();
    SET(w, { 2, 0, 0 });
    owner_clock_jump(MINUTE);
    AWAIT(&s->owner, { 2, 0, 0 });
}

WORLD_TEST(a_list_may_be_kept_for_ever)
{
    s->conf.max_age = 0;
    SET(w, { 1, 0, 0 });
    owner_start(&s->owner, &s->conf);
    AWAIT(&s->owner, { 1, 0, 0 });
    if (w->down == NULL)
        return;
    w->down();
    await_another_failure(&s->owner);
    jump_to_failure(&s->owner, 1000 * 24 * 60 * MINUTE);
    ck_assert(HAS(&s->owner, { 1, 0, 0 }));
}

WORLD_TEST(garbage_leaves_the_last_list_in_place_and_says_why)
{
    SET(w, { 1, 0, 0 }, { 2, 0, 0 });
    owner_start(&s->owner, &s->conf);
    AWAIT(&s->owner, { 1, 0, 0 }, { 2, 0, 0 });
    if (w->garbage == NULL)
        return;
    w->garbage();
    await_another_failure(&s->owner);
    ck_assert(HAS(&s->owner, { 1, 0, 0 }, { 2, 0, 0 }));
    ck_assert_uint_gt(strlen(s->owner.why), 10);
    SET(w, { 1, 5, 0 });
    if (w->has_weights)
        AWAIT(&s->owner, { 1, 5, 0 });
    else
        AWAIT(&s->owner, { 1, 0, 0 });
}

WORLD_TEST(it_ends_at_once_in_whatever_it_was_doing)
{
    SET(w, { 1, 0, 0 });
    owner_start(&s->owner, &s->conf);
    owner_stop(&s->owner); /* it has not run yet */
    for (int i = 0; i < 10; i++) {
        owner_start(&s->owner, &s->conf);
        for (int k = 0; k < i; k++)
            fiber_yield();
        owner_stop(&s->owner);
    }
    owner_start(&s->owner, &s->conf);
    AWAIT(&s->owner, { 1, 0, 0 });
    if (w->down == NULL)
        return;
    w->down();
    await_another_failure(&s->owner);
}

Suite *sources_suite(void)
{
    Suite *s = suite_create("sources");
    TCase *t = tcase_create("every kind");
    const int n = (int)(sizeof worlds / sizeof worlds[0]);

    tcase_add_loop_test(t, what_is_there_at_the_start_is_published, 0, n);
    tcase_add_loop_test(t, a_backend_that_appears_is_published, 0, n);
    tcase_add_loop_test(t, a_changed_weight_is_published, 0, n);
    tcase_add_loop_test(t, a_backend_may_wait_behind_others, 0, n);
    tcase_add_loop_test(t, a_backend_that_vanishes_is_published_no_more, 0, n);
    tcase_add_loop_test(t, the_last_backend_vanishes_where_that_can_be_told_from_a_fault, 0, n);
    tcase_add_loop_test(t, after_flapping_the_last_state_holds, 0, n);
    tcase_add_loop_test(t, it_starts_though_the_outside_is_down_and_finds_it_later, 0, n);
    tcase_add_loop_test(t, while_the_outside_is_down_for_minutes_the_last_list_stays, 0, n);
    tcase_add_loop_test(t, a_list_that_is_too_old_is_taken_away_and_comes_back, 0, n);
    tcase_add_loop_test(t, a_list_may_be_kept_for_ever, 0, n);
    tcase_add_loop_test(t, garbage_leaves_the_last_list_in_place_and_says_why, 0, n);
    tcase_add_loop_test(t, it_ends_at_once_in_whatever_it_was_doing, 0, n);
    suite_add_tcase(s, t);
    return s;
}

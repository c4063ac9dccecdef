/* source_owner.c - hooks that record, and a condition for those who wait. */
#include "tests/lib/source_owner.h"

#include <check.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"

#define PATIENCE (15 * CLOCK_S)

static const struct clock_source *real;
static int64_t ahead;

static int64_t monotonic_ahead(void) { return real->monotonic() + ahead; }
static int64_t wall(void) { return real->wall(); }
static const struct clock_source shifted = { .monotonic = monotonic_ahead, .wall = wall };

void owner_clock_jump(int64_t by)
{
    if (real == NULL) {
        real = clock_source;
        clock_source = &shifted;
    }
    ahead += by;
    ck_assert_int_eq(fiber_sleep(clock_now() + 20 * CLOCK_MS), 0);
}

void owner_clock_restore(void)
{
    if (real != NULL)
        clock_source = real;
    real = NULL;
    ahead = 0;
}

static void on_publish(struct source *s, const struct found *v, size_t n)
{
    struct owner *o = s->owner;

    ck_assert_uint_le(n, OWNER_MOST);
    for (size_t i = 0; i < n; i++) {
        char text[ADDR_TEXT_MAX];
        ck_assert_str_eq(v[i].name, addr_format(&v[i].addr, text));
        o->v[i] = v[i];
    }
    o->n = n;
    o->published++;
    fiber_cond_broadcast(&o->told);
}

static void on_failed(struct source *s, const char *why)
{
    struct owner *o = s->owner;

    for (const char *p = why; *p != '\0'; p++)
        ck_assert_msg((unsigned char)*p >= 0x20 && (unsigned char)*p < 0x7f, "not printable: %s", why);
    (void)snprintf(o->why, sizeof o->why, "%s", why);
    o->failed++;
    fiber_cond_broadcast(&o->told);
}

static void run(void *arg)
{
    struct owner *o = arg;

    o->source.conf->ops->run(&o->source);
}

void owner_start(struct owner *o, struct discovery_conf *conf)
{
    *o = (struct owner){ .source = { .conf = conf, .pool = "app", .publish = on_publish, .failed = on_failed, .owner = o } };
    ck_assert(discovery_find(conf));
    ck_assert_ptr_null(discovery_check(conf));
    group_init(&o->group);
    ck_assert_int_eq(fiber_go(&o->group, "source", run, o), 0);
}

void owner_stop(struct owner *o)
{
    group_cancel(&o->group, ERR_CANCELED);
    ck_assert_int_eq(group_join(&o->group, clock_now() + CLOCK_S), 0);
}

static bool is_there(const struct owner *o, const struct want *w)
{
    char text[32];
    struct addr a;

    (void)snprintf(text, sizeof text, "10.0.0.%u:80", w->id);
    ck_assert_ptr_null(addr_parse(text, &a, NULL));
    for (size_t i = 0; i < o->n; i++)
        if (addr_equal(&o->v[i].addr, &a))
            return o->v[i].weight == (w->weight == 0 ? 1 : w->weight) && o->v[i].priority == w->priority;
    return false;
}

bool owner_has(const struct owner *o, const struct want *v, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!is_there(o, &v[i]))
            return false;
    return o->published > 0 && o->n == n;
}

void owner_await(struct owner *o, const struct want *v, size_t n)
{
    int64_t deadline = clock_now() + PATIENCE;

    ck_assert_int_eq(fiber_mutex_lock(&o->mutex, CLOCK_NEVER), 0);
    while (!owner_has(o, v, n))
        ck_assert_msg(fiber_cond_wait(&o->told, &o->mutex, deadline) == 0,
                      "not published in time; %zu are there, last failure: %s", o->n, o->why);
    fiber_mutex_unlock(&o->mutex);
}

void owner_await_failure(struct owner *o, const char *part)
{
    int64_t deadline = clock_now() + PATIENCE;

    ck_assert_int_eq(fiber_mutex_lock(&o->mutex, CLOCK_NEVER), 0);
    while (strstr(o->why, part) == NULL)
        ck_assert_msg(fiber_cond_wait(&o->told, &o->mutex, deadline) == 0, "no failure with \"%s\"; the last: %s", part, o->why);
    fiber_mutex_unlock(&o->mutex);
}

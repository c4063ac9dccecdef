/* source.c - every source, and what they have in common: the age of what was found, and patience. */
#include "discovery/source.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/must.h"
#include "base/rand.h"
#include "discovery/found_list.h"
#include "fiber/fiber.h"

#define PAUSE_LEAST (250 * CLOCK_MS)
#define PAUSE_MOST  (30 * CLOCK_S)

/* To add one: write its file, add its lines. */
extern const struct source_ops source_dns, source_dns_srv, source_etcd, source_file, source_heartbeat;

static const struct source_ops *const all[] = {
    &source_dns, &source_dns_srv, &source_file, &source_etcd, &source_heartbeat,
};

const struct source_ops *source_at(size_t i) { return i < ARRAY_LEN(all) ? all[i] : NULL; }

const struct source_ops *source_find(const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(all); i++)
        if (strcmp(all[i]->name, name) == 0)
            return all[i];
    return NULL;
}

/* What a library or a peer said may hold anything. */
static void make_printable(char *text)
{
    for (; *text != '\0'; text++)
        if ((unsigned char)*text < 0x20 || (unsigned char)*text >= 0x7f)
            *text = '?';
}

int64_t source_expiry(const struct source *s)
{
    if (s->conf->max_age == 0 || s->expired || s->failing_since == 0)
        return CLOCK_NEVER;
    return clock_after(s->failing_since, s->conf->max_age);
}

void source_failed(struct source *s, const char *fmt, ...)
{
    char why[SOURCE_WHY];
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(why, sizeof why, fmt, ap);
    va_end(ap);
    make_printable(why);
    if (s->failing_since == 0)
        s->failing_since = clock_now();
    s->failed(s, why);
    if (clock_now() < source_expiry(s))
        return;
    s->expired = true;
    s->failed(s, "for longer than max_age; what was found before is used no more");
    s->publish(s, NULL, 0);
}

void source_found(struct source *s, const struct found_list *l)
{
    if (l->n == 0 && !s->conf->ops->may_be_empty) {
        source_failed(s, "the list is empty; what was found before stays");
        return;
    }
    s->failing_since = 0;
    s->pause = 0;
    s->expired = false;
    s->publish(s, l->v, l->n);
}

int64_t source_next_try(struct source *s)
{
    int64_t now = clock_now(), until;

    s->pause = s->pause == 0 ? PAUSE_LEAST : s->pause * 2;
    if (s->pause > PAUSE_MOST)
        s->pause = PAUSE_MOST;
    until = now + s->pause * 3 / 4 + (int64_t)rand_below((uint64_t)s->pause / 2);
    return until < source_expiry(s) || source_expiry(s) <= now ? until : source_expiry(s);
}

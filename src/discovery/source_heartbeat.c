/* source_heartbeat.c - the backends that register themselves: what the pool has in the register. */
#include "base/clock.h"
#include "base/err.h"
#include "discovery/heartbeat.h"
#include "discovery/source.h"
#include "fiber/fiber.h"

/* One look; returns when to look again at the latest. */
static int64_t look(struct source *s, uint64_t *version, bool *told)
{
    struct heartbeat_view v;
    int64_t until;
    int rc = heartbeat_look(s->pool, &v, CLOCK_NEVER);

    if (rc == -ERR_CANCELED)
        return 0;
    if (rc < 0) {
        source_failed(s, "%s", err_text(rc));
        return source_next_try(s);
    }
    if (!*told || v.version != *version || s->failing_since != 0)
        source_found(s, &v.list);
    *told = true;
    *version = v.version;
    until = v.next;
    heartbeat_view_free(&v);
    return until;
}

static void heartbeat_run(struct source *s)
{
    uint64_t version = 0;
    bool told = false;
    int rc;

    fiber_doing("waiting for registrations");
    do {
        int64_t until = look(s, &version, &told);
        rc = s->failing_since != 0 ? fiber_sleep(until) : heartbeat_wait(s->pool, version, until);
    } while (rc != -ERR_CANCELED);
}

static const char *check_heartbeat(const struct discovery_conf *c)
{
    (void)c;
    return NULL;
}

const struct source_ops source_heartbeat = {
    .name = "heartbeat", .may_be_empty = true, .check = check_heartbeat, .run = heartbeat_run
};

/*
 * source_etcd.c - the keys below a prefix of an etcd, by its JSON gateway over HTTP/1.1.
 *
 * A session is a connection to one member: first all keys are read, page by page at one revision, then a watch tells what changed
 * from the next revision on.  Whatever ends it (a lost connection, a compaction that took the revision away, a member without
 * its leader, a minute of silence that a dead member would also keep) begins the next session with a whole reading, so there is
 * one way to be right again, and a change can't be missed for longer than that minute.
 */
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/base64.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "discovery/etcd_answer.h"
#include "discovery/etcd_keys.h"
#include "discovery/json_doc.h"
#include "discovery/source.h"
#include "fiber/fiber.h"
#include "http/h1_codec.h"
#include "net/sys.h"

#define CONNECT_MOST (3 * CLOCK_S)
#define ANSWER_MOST  (10 * CLOCK_S)
#define SILENCE_MOST (60 * CLOCK_S)
#define GATHER       (50 * CLOCK_MS) /* events that come together are published together */

enum { PAGE = 500 }; /* keys of one request */

static const struct head_limits limits = { .head = 16384, .line = 4096, .headers = 100 };

struct etcd {
    struct source *source;
    struct etcd_keys keys;
    size_t endpoint;  /* the one at hand */
    size_t tried;     /* without success in a row */
    int64_t revision; /* of the last reading */
    /* the session */
    struct stream stream;
    struct h1_codec codec;
    struct arena arena; /* of the request at hand */
    char why[SOURCE_WHY];
};

/* How a session ended. */
enum ending {
    ENDED_CANCELED, /* we are called off */
    ENDED_UNREAD,   /* the keys could not be read */
    ENDED_BROKEN,   /* they could, but the watch failed */
    ENDED_QUIETLY,  /* nothing is wrong: it is time to read anew */
};

static int say(struct etcd *e, int rc, const char *text)
{
    (void)snprintf(e->why, sizeof e->why, "%s", text);
    return rc;
}

/* ---- requests ---- */

static int connect_member(struct etcd *e)
{
    static const int on = 1, idle = 15, every = 5, probes = 3;
    const char *text = e->source->conf->endpoints.v[e->endpoint];
    struct addr to;
    int rc = addr_parse(text, &to, NULL) == NULL ? 0 : -ERR_INVALID;

    if (rc == 0)
        rc = stream_connect(&e->stream, &to, fiber_now() + CONNECT_MOST);
    if (rc < 0)
        return say(e, rc, err_text(rc));
    (void)sys->setsockopt(e->stream.pd.fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
    (void)sys->setsockopt(e->stream.pd.fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof idle);
    (void)sys->setsockopt(e->stream.pd.fd, IPPROTO_TCP, TCP_KEEPINTVL, &every, sizeof every);
    (void)sys->setsockopt(e->stream.pd.fd, IPPROTO_TCP, TCP_KEEPCNT, &probes, sizeof probes);
    h1_codec_open(&e->codec, &e->stream);
    return 0;
}

/* Sends `json` and reads the head of the answer. */
static int post(struct etcd *e, const char *path, const struct buf *json, unsigned *status)
{
    struct header fields[2];
    struct message m = {
        .method_name = SLICE("POST"), .method = METHOD_POST, .path = slice_str(path), .headers = fields, .cap_headers = 2
    };
    struct head_frame frame = { .framing = FRAMING_LENGTH, .content_length = json->n };
    struct body body = { .data = buf_slice(json), .last = true };
    struct codec *c = &e->codec.codec;
    int64_t deadline = fiber_now() + ANSWER_MOST;
    int rc;

    if (json->failed)
        return -ERR_NOMEM;
    arena_free(&e->arena);
    h1_codec_next(&e->codec, &e->arena);
    m.authority = slice_str(e->source->conf->endpoints.v[e->endpoint]);
    (void)message_add(&m, SLICE("Content-Type"), SLICE("application/json"));
    (void)message_add(&m, SLICE("Grpc-Metadata-hasleader"), SLICE("true")); /* a watch on a member that lost its leader ends */
    rc = c->ops->write_head(c, &m, &frame, &body, deadline);
    if (rc < 0)
        return rc;
    m = (struct message){ 0 };
    rc = c->ops->read_response(c, &m, METHOD_POST, &limits, deadline);
    *status = m.status;
    return rc;
}

/* The rest of the answer. */
static int read_whole(struct etcd *e, struct buf *out)
{
    struct codec *c = &e->codec.codec;
    int64_t deadline = fiber_now() + ANSWER_MOST;
    struct body b = { .last = false };

    while (!b.last) {
        int rc = c->ops->read_body(c, &b, deadline);
        if (rc < 0)
            return rc;
        if (out->n + b.data.n > JSON_DOC_MOST)
            return -ERR_RESPONSE_TOO_LARGE;
        buf_add_slice(out, b.data);
    }
    return out->failed ? -ERR_NOMEM : 0;
}

static void add_base64(struct buf *json, const char *name, struct slice bytes)
{
    buf_printf(json, "\"%s\":\"", name);
    base64_encode(json, bytes);
    buf_add(json, "\"");
}

/* From `from` (NULL: the first key) to the last key with the prefix. */
static void add_range(const struct etcd *e, struct buf *json, const struct buf *from)
{
    struct slice prefix = slice_str(e->source->conf->prefix);
    char end[256];
    size_t n = prefix.n;

    memcpy(end, prefix.p, n); /* check_etcd() has looked at its length */
    while (n > 0 && (unsigned char)end[n - 1] == 0xff)
        n--;
    if (n > 0)
        end[n - 1]++;
    else
        end[n++] = '\0'; /* all keys behind the first */
    add_base64(json, "key", from != NULL && from->n > 0 ? buf_slice(from) : prefix);
    buf_add(json, ",");
    add_base64(json, "range_end", slice_of(end, n));
}

/* ---- reading all ---- */

static int take_pairs(struct etcd *e, const struct etcd_answer *a)
{
    char why[SOURCE_WHY];

    for (size_t i = 0; i < a->n; i++) {
        const struct etcd_pair *p = &a->v[i];
        int rc = 0;

        if (p->deleted)
            etcd_keys_remove(&e->keys, p->key);
        else
            rc = etcd_keys_put(&e->keys, p->key, p->value, why);
        if (rc == -ERR_NOMEM)
            return say(e, rc, err_text(rc));
        if (rc < 0 && why[0] != '\0')
            source_failed(e->source, "key " SLICE_FMT ": %s", p->key.n > 100 ? 100 : (int)p->key.n, p->key.p, why);
    }
    if (e->keys.n > FOUND_MOST)
        return say(e, -ERR_INVALID, "there are too many keys below the prefix");
    return 0;
}

static int understand(struct etcd *e, unsigned status, struct slice text, struct etcd_answer *a)
{
    int rc = etcd_read_range(text, a, &e->arena, e->why, sizeof e->why);

    if (status == 200 || (rc < 0 && strncmp(e->why, ETCD_SAYS, strlen(ETCD_SAYS)) == 0))
        return rc;
    (void)snprintf(e->why, sizeof e->why, "the answer has the status %u", status);
    return -ERR_INVALID;
}

/* One page; *from becomes where the next one begins. */
static int read_page(struct etcd *e, struct buf *from, bool *more)
{
    struct buf json = { 0 }, text = { 0 };
    struct etcd_answer a = { 0 };
    unsigned status = 0;
    int rc;

    buf_add(&json, "{");
    add_range(e, &json, from);
    buf_printf(&json, ",\"limit\":\"%d\"", PAGE);
    if (from->n > 0)
        buf_printf(&json, ",\"revision\":\"%lld\"", (long long)e->revision);
    buf_add(&json, "}");
    rc = post(e, "/v3/kv/range", &json, &status);
    if (rc == 0)
        rc = read_whole(e, &text);
    if (rc < 0)
        rc = say(e, rc, err_text(rc));
    else
        rc = understand(e, status, buf_slice(&text), &a);
    if (rc == 0)
        rc = take_pairs(e, &a);
    if (rc == 0) {
        *more = a.more && a.n > 0;
        if (from->n == 0)
            e->revision = a.revision;
        from->n = 0;
        if (*more) {
            buf_add_slice(from, a.v[a.n - 1].key);
            buf_append(from, "", 1); /* the key behind it */
        }
    }
    buf_free(&json);
    buf_free(&text);
    return rc == 0 && from->failed ? say(e, -ERR_NOMEM, err_text(-ERR_NOMEM)) : rc;
}

static int publish(struct etcd *e)
{
    struct found_list l = { 0 };
    int rc = etcd_keys_list(&e->keys, &l, &e->source->flawed);

    if (rc == 0)
        source_found(e->source, &l);
    else
        (void)say(e, rc, rc == -ERR_NOMEM ? err_text(rc) : "there are too many backends below the prefix");
    found_list_free(&l);
    return rc;
}

static int read_all(struct etcd *e)
{
    struct buf from = { 0 };
    bool more = true;
    int rc = 0;

    etcd_keys_begin(&e->keys);
    while (rc == 0 && more)
        rc = read_page(e, &from, &more);
    buf_free(&from);
    if (rc < 0)
        return rc;
    etcd_keys_commit(&e->keys);
    return publish(e);
}

/* ---- the watch ---- */

struct watch {
    struct buf text;    /* of the line that has not ended yet */
    bool began;         /* etcd has answered */
    bool ended;         /* it has canceled the watch, since what is wanted is gone */
    int64_t publish_at; /* CLOCK_NEVER: nothing is new, and nothing gets too old */
};

static int open_watch(struct etcd *e)
{
    struct buf json = { 0 };
    unsigned status = 0;
    int rc;

    buf_add(&json, "{\"create_request\":{");
    add_range(e, &json, NULL);
    buf_printf(&json, ",\"start_revision\":\"%lld\"}}", (long long)e->revision + 1);
    rc = post(e, "/v3/watch", &json, &status);
    buf_free(&json);
    if (rc < 0)
        return say(e, rc, err_text(rc));
    return status == 200 ? 0 : say(e, -ERR_INVALID, "etcd refuses the watch");
}

static int take_line(struct etcd *e, struct watch *w, struct slice line)
{
    struct etcd_answer a;
    struct arena arena;
    int rc;

    arena_init(&arena, NULL, 0);
    rc = etcd_read_watch(line, &a, &arena, e->why, sizeof e->why);
    if (rc == 0)
        rc = take_pairs(e, &a);
    if (rc == 0 && a.n > 0 && w->publish_at > clock_now() + GATHER)
        w->publish_at = clock_now() + GATHER;
    if (rc == 0 && a.canceled) {
        w->ended = a.compacted > 0;
        rc = w->ended ? 0 : say(e, -ERR_CLOSED, "etcd has ended the watch");
    }
    w->began = true;
    arena_free(&arena);
    return rc;
}

static int take_bytes(struct etcd *e, struct watch *w, struct slice bytes)
{
    size_t done = 0, from = w->text.n;
    int rc = 0;

    buf_add_slice(&w->text, bytes);
    if (w->text.failed)
        return say(e, -ERR_NOMEM, err_text(-ERR_NOMEM));
    while (rc == 0 && from < w->text.n) {
        const char *end = memchr(w->text.p + from, '\n', w->text.n - from);
        if (end == NULL)
            break;
        rc = take_line(e, w, slice_of(w->text.p + done, (size_t)(end - w->text.p) - done));
        done = from = (size_t)(end - w->text.p) + 1;
    }
    if (done > 0)
        memmove(w->text.p, w->text.p + done, w->text.n - done);
    w->text.n -= done;
    if (rc == 0 && w->text.n > JSON_DOC_MOST)
        rc = say(e, -ERR_RESPONSE_TOO_LARGE, err_text(-ERR_RESPONSE_TOO_LARGE));
    return rc;
}

/* One piece of the stream, or the time to publish.  1: go on; 0: the end, and nothing is wrong; or a code. */
static int watch_step(struct etcd *e, struct watch *w, int64_t *quiet_until)
{
    struct codec *c = &e->codec.codec;
    struct body b;
    int64_t until = w->publish_at < *quiet_until ? w->publish_at : *quiet_until;
    int rc = c->ops->read_body(c, &b, until);

    if (rc == 0) {
        rc = take_bytes(e, w, b.data);
        if (rc == 0 && b.last && !w->ended)
            rc = say(e, -ERR_CLOSED, "etcd has ended the watch");
        *quiet_until = clock_now() + SILENCE_MOST;
    } else if (rc != -ERR_TIMEOUT) {
        (void)say(e, rc, err_text(rc));
    }
    if (clock_now() >= w->publish_at) {
        int published = publish(e);
        w->publish_at = source_expiry(e->source);
        if (published < 0)
            return published;
    }
    if (rc < 0 && rc != -ERR_TIMEOUT)
        return rc;
    if (clock_now() >= *quiet_until)
        return w->began ? 0 : say(e, -ERR_TIMEOUT, err_text(-ERR_TIMEOUT));
    return !w->ended;
}

static enum ending watch_keys(struct etcd *e)
{
    struct watch w = { .publish_at = source_expiry(e->source) };
    int64_t quiet_until = clock_now() + ANSWER_MOST;
    int rc = open_watch(e);

    fiber_doing("watching etcd");
    if (rc == 0)
        do
            rc = watch_step(e, &w, &quiet_until);
        while (rc > 0);
    buf_free(&w.text);
    return rc == -ERR_CANCELED ? ENDED_CANCELED : rc < 0 ? ENDED_BROKEN : ENDED_QUIETLY;
}

/* ---- sessions ---- */

static enum ending session(struct etcd *e)
{
    enum ending how;
    int rc;

    fiber_doing("reading etcd");
    rc = connect_member(e);
    if (rc < 0)
        return rc == -ERR_CANCELED ? ENDED_CANCELED : ENDED_UNREAD;
    rc = read_all(e);
    if (rc == 0)
        how = watch_keys(e);
    else
        how = rc == -ERR_CANCELED ? ENDED_CANCELED : ENDED_UNREAD;
    h1_codec_close(&e->codec);
    stream_close(&e->stream);
    arena_free(&e->arena);
    return how;
}

/* Waits as long as it should after a session.  False: called off. */
static bool rest(struct etcd *e, enum ending how)
{
    const struct conf_strs *all = &e->source->conf->endpoints;
    const char *member = all->v[e->endpoint];

    if (how == ENDED_CANCELED)
        return false;
    e->tried = how == ENDED_UNREAD ? e->tried + 1 : 0;
    if (how != ENDED_QUIETLY)
        e->endpoint = (e->endpoint + 1) % all->n;
    if (how == ENDED_UNREAD && e->tried % all->n != 0)
        return true; /* another member may be well */
    if (how != ENDED_QUIETLY)
        source_failed(e->source, "%s: %s", member, e->why);
    fiber_doing("waiting to ask etcd again");
    return fiber_sleep(source_next_try(e->source)) == 0;
}

static void etcd_run(struct source *s)
{
    struct etcd *e; /* its table of keys is too large for a fiber's stack */

    while ((e = calloc(1, sizeof *e)) == NULL) {
        source_failed(s, "%s", err_text(-ERR_NOMEM));
        if (fiber_sleep(source_next_try(s)) < 0)
            return;
    }
    e->source = s;
    etcd_keys_init(&e->keys);
    while (rest(e, session(e)))
        ;
    etcd_keys_free(&e->keys);
    free(e);
}

static const char *check_etcd(const struct discovery_conf *c)
{
    struct addr ignored;

    if (c->endpoints.n == 0)
        return "endpoints is missing; write endpoints = [ \"10.0.0.5:2379\" ]";
    for (size_t i = 0; i < c->endpoints.n; i++)
        if (addr_parse(c->endpoints.v[i], &ignored, NULL) != NULL || ignored.sa.sa_family == AF_UNIX)
            return "endpoints has what is no address with a port; write \"10.0.0.5:2379\"";
    if (c->prefix == NULL || c->prefix[0] == '\0')
        return "prefix is missing; write prefix = \"/weir/api/\"";
    return strlen(c->prefix) > 255 ? "prefix is longer than 255 bytes" : NULL;
}

const struct source_ops source_etcd = {
    .name = "etcd",
    .keys = DISCOVERY_ENDPOINTS | DISCOVERY_PREFIX,
    .check = check_etcd,
    .run = etcd_run,
};

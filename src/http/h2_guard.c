/* h2_guard.c - counts in a window, against what the window allows. */
#include "http/h2_guard.h"

#include <string.h>

#include "base/clock.h"

#define WINDOW (10 * CLOCK_S)
enum {
    RATIO_FROM = 200, /* requests, from which on half of them reset is too many */
    BLOCK_MOST = 32 * 1024,
    CONTINUATIONS_MOST = 8,
};
/* RFC 9113 6 */
enum frame_type { DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION };
enum { END_STREAM = 1, ACK = 1, END_HEADERS = 4, PADDED = 8 };

/* PING and WINDOW_UPDATE come with traffic: gRPC measures with a ping as fast as they return. */
static const struct {
    const char *name;
    uint32_t least, a_stream, a_data_frame;
} allowed[H2_EVENT_COUNT] = {
    [H2_EVENT_RESET] = { "resets", 200, 0, 0 },
    [H2_EVENT_SETTINGS] = { "settings", 10, 0, 0 },
    [H2_EVENT_PING] = { "pings", 100, 1, 1 },
    [H2_EVENT_PRIORITY] = { "priorities", 100, 10, 0 },
    [H2_EVENT_WINDOW_UPDATE] = { "window_updates", 1000, 10, 10 },
    [H2_EVENT_EMPTY] = { "empty_frames", 100, 1, 0 },
    [H2_EVENT_UNKNOWN] = { "unknown_frames", 100, 10, 1 },
};

const char *h2_event_name(enum h2_event e) { return allowed[e].name; }

static void turn_window(struct h2_guard *g, int64_t now)
{
    if (now - g->window < WINDOW)
        return;
    g->window = now;
    memset(g->n, 0, sizeof g->n);
    g->streams = g->data = 0;
}

void h2_guard_stream(struct h2_guard *g, int64_t now)
{
    turn_window(g, now);
    g->streams++;
    g->requests++;
}

void h2_guard_data(struct h2_guard *g, int64_t now)
{
    turn_window(g, now);
    g->data++;
}

bool h2_guard_admit(struct h2_guard *g, enum h2_event e, int64_t now)
{
    uint64_t most;

    turn_window(g, now);
    most = allowed[e].least + (uint64_t)g->streams * allowed[e].a_stream + (uint64_t)g->data * allowed[e].a_data_frame;
    if (++g->n[e] > most)
        return false;
    if (e != H2_EVENT_RESET)
        return true;
    g->resets++;
    return g->requests <= RATIO_FROM || g->resets * 2 <= g->requests;
}

/* ---- frames ---- */

void h2_guard_init(struct h2_guard *g, uint32_t skip, int64_t now)
{
    memset(g, 0, sizeof *g);
    g->skip = skip;
    g->window = now;
}

static const char *block_grows(struct h2_guard *g, bool first, uint32_t length, uint8_t flags, int64_t now)
{
    if (first) {
        g->block = 0;
        g->continuations = 0;
        g->block_since = now;
    } else if (++g->continuations > CONTINUATIONS_MOST) {
        return "continuations";
    }
    g->in_block = true;
    g->block_ends = (flags & END_HEADERS) != 0;
    g->block += length;
    return g->block > BLOCK_MOST ? "header_block" : NULL;
}

static const char *admit(struct h2_guard *g, enum h2_event e, int64_t now)
{
    return h2_guard_admit(g, e, now) ? NULL : h2_event_name(e);
}

/* Padding is nothing to anybody. */
static const char *data_comes(struct h2_guard *g, uint32_t content, uint8_t flags, int64_t now)
{
    if (content > 0)
        h2_guard_data(g, now);
    return content > 0 || (flags & END_STREAM) != 0 ? NULL : admit(g, H2_EVENT_EMPTY, now);
}

static const char *padding_comes(struct h2_guard *g, uint8_t padding, int64_t now)
{
    uint32_t rest = g->skip - 1;

    g->padded = false;
    return data_comes(g, rest > padding ? rest - padding : 0, g->head[4], now);
}

/* An answer that nobody waits for is as good as a question. */
static const char *ping_comes(struct h2_guard *g, bool answer, int64_t now)
{
    if (!answer || g->asked == 0)
        return admit(g, H2_EVENT_PING, now);
    g->asked--;
    return NULL;
}

void h2_guard_asked(struct h2_guard *g) { g->asked++; }

static const char *frame_begins(struct h2_guard *g, uint32_t length, uint8_t type, uint8_t flags, int64_t now)
{
    switch (type) {
    case DATA: g->padded = (flags & PADDED) != 0 && length > 0; return g->padded ? NULL : data_comes(g, length, flags, now);
    case HEADERS: return block_grows(g, true, length, flags, now);
    case CONTINUATION: return block_grows(g, false, length, flags, now);
    case SETTINGS: return (flags & ACK) != 0 ? NULL : admit(g, H2_EVENT_SETTINGS, now);
    case PING: return ping_comes(g, (flags & ACK) != 0, now);
    case PRIORITY: return admit(g, H2_EVENT_PRIORITY, now);
    case WINDOW_UPDATE: return admit(g, H2_EVENT_WINDOW_UPDATE, now);
    case RST_STREAM: /* counted where a stream closes, if that was early */
    case GOAWAY: return NULL;
    default: return admit(g, H2_EVENT_UNKNOWN, now);
    }
}

static void frame_ended(struct h2_guard *g)
{
    if (g->block_ends)
        g->in_block = g->block_ends = false;
}

const char *h2_guard_look(struct h2_guard *g, const char *bytes, size_t n, int64_t now)
{
    const char *wrong = NULL;
    size_t at = 0;

    while (at < n && wrong == NULL) {
        size_t take = sizeof g->head - g->n_head;

        if (g->skip > 0) {
            if (g->padded)
                wrong = padding_comes(g, (uint8_t)bytes[at], now);
            take = n - at < g->skip ? n - at : g->skip;
            at += take;
            g->skip -= (uint32_t)take;
            if (g->skip == 0)
                frame_ended(g);
            continue;
        }
        take = n - at < take ? n - at : take;
        memcpy(g->head + g->n_head, bytes + at, take);
        at += take;
        g->n_head += (uint8_t)take;
        if (g->n_head < sizeof g->head)
            break;
        g->n_head = 0;
        g->skip = (uint32_t)g->head[0] << 16 | (uint32_t)g->head[1] << 8 | g->head[2];
        wrong = frame_begins(g, g->skip, g->head[3], g->head[4], now);
        if (g->skip == 0)
            frame_ended(g);
    }
    return wrong;
}

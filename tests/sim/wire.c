/* wire.c - a parser of HTTP/1 for the actors: its own, and strict, so that it shares no mistake with the proxy's. */
#include <stdlib.h>
#include <string.h>

#include "tests/sim/world.h"

ssize_t wire_more(struct wire *w)
{
    ssize_t got;

    if (w->at > 0) {
        memmove(w->buf, w->buf + w->at, w->n);
        w->at = 0;
    }
    if (w->cap - w->n < 4096) {
        w->cap = w->cap * 2 + 8192;
        w->buf = sim_grow(w->buf, w->cap);
    }
    got = sim_recv(w->s, w->buf + w->n, w->cap - w->n, w->deadline == CLOCK_NEVER ? CLOCK_NEVER : sim_now() + w->deadline);
    if (got > 0)
        w->n += (size_t)got;
    return got;
}

static void take(struct wire *w, size_t n)
{
    w->at += n;
    w->n -= n;
}

int wire_head(struct wire *w, struct head *h)
{
    for (;;) {
        char *start = w->buf + w->at, *end = w->n > 0 ? memmem(start, w->n, "\r\n\r\n", 4) : NULL;
        ssize_t got;

        if (end != NULL) {
            h->n = (size_t)(end - start) + 2;
            if (h->n >= sizeof h->text)
                return WIRE_BAD;
            memcpy(h->text, start, h->n);
            h->text[h->n] = '\0';
            take(w, h->n + 2);
            h->status = strncmp(h->text, "HTTP/1.", 7) == 0 && h->text[8] == ' ' ? atoi(h->text + 9) : 0;
            return 1;
        }
        if (w->n > sizeof h->text)
            return WIRE_BAD;
        got = wire_more(w);
        if (got <= 0)
            return got == 0 && w->n > 0 ? WIRE_CUT : (int)got;
    }
}

const char *head_field(const struct head *h, const char *name, char *out, size_t size)
{
    size_t len = strlen(name);

    for (const char *line = strstr(h->text, "\r\n"); line != NULL && line[2] != '\0'; line = strstr(line + 2, "\r\n")) {
        const char *value, *end;
        if (strncasecmp(line + 2, name, len) != 0 || line[2 + len] != ':')
            continue;
        value = line + 2 + len + 1;
        while (*value == ' ')
            value++;
        end = strstr(value, "\r\n");
        if (end == NULL || (size_t)(end - value) >= size)
            return NULL;
        memcpy(out, value, (size_t)(end - value));
        out[end - value] = '\0';
        return out;
    }
    return NULL;
}

void body_in_of(struct body_in *b, const struct head *h, bool none, bool is_answer)
{
    char value[64];

    *b = (struct body_in){ 0 };
    if (none) {
        b->last = true;
    } else if (head_field(h, "Transfer-Encoding", value, sizeof value) != NULL) {
        b->framing = 2;
    } else if (head_field(h, "Content-Length", value, sizeof value) != NULL) {
        b->framing = 1;
        b->left = strtoul(value, NULL, 10);
        b->last = b->left == 0;
    } else if (is_answer) {
        b->framing = 3;
    } else {
        b->last = true;
    }
}

static ssize_t piece(struct wire *w, size_t most, char *out, size_t n)
{
    if (n > w->n)
        n = w->n;
    if (n > most)
        n = most;
    memcpy(out, w->buf + w->at, n);
    take(w, n);
    return (ssize_t)n;
}

/* A line without its end; 1 or what more() said. */
static int line(struct wire *w, char *out, size_t size)
{
    for (;;) {
        char *start = w->buf + w->at, *end = w->n > 0 ? memmem(start, w->n, "\r\n", 2) : NULL;
        ssize_t got;

        if (end != NULL) {
            size_t n = (size_t)(end - start);
            if (n >= size)
                return WIRE_BAD;
            memcpy(out, start, n);
            out[n] = '\0';
            take(w, n + 2);
            return 1;
        }
        if (w->n > size)
            return WIRE_BAD;
        got = wire_more(w);
        if (got <= 0)
            return got == 0 ? WIRE_CUT : (int)got;
    }
}

/* The next chunk's size, or the end with its trailers. */
static int chunk_begins(struct wire *w, struct body_in *b)
{
    char text[256], *end;
    int rc;

    if (b->first_chunk_seen) { /* the last one's end */
        rc = line(w, text, sizeof text);
        if (rc != 1)
            return rc;
        if (text[0] != '\0')
            return WIRE_BAD;
    }
    rc = line(w, text, sizeof text);
    if (rc != 1)
        return rc;
    b->left = strtoul(text, &end, 16);
    if (end == text || (*end != '\0' && *end != ';'))
        return WIRE_BAD;
    b->first_chunk_seen = true;
    if (b->left > 0)
        return 1;
    do {
        rc = line(w, text, sizeof text);
        if (rc != 1)
            return rc;
    } while (text[0] != '\0');
    b->last = true;
    return 1;
}

ssize_t wire_body(struct wire *w, struct body_in *b, char *out, size_t n)
{
    while (!b->last) {
        ssize_t got;

        if (b->framing == 2 && b->left == 0) {
            int rc = chunk_begins(w, b);
            if (rc != 1)
                return rc;
            continue;
        }
        if (w->n > 0) {
            got = piece(w, b->framing == 3 ? SIZE_MAX : b->left, out, n);
            if (b->framing != 3) {
                b->left -= (size_t)got;
                b->last = b->framing == 1 && b->left == 0;
            }
            return got;
        }
        got = wire_more(w);
        if (got == 0 && b->framing == 3) {
            b->last = true;
            return 0;
        }
        if (got <= 0)
            return got == 0 ? WIRE_CUT : got;
    }
    return 0;
}

void wire_free(struct wire *w)
{
    sim_free(w->buf);
    w->buf = NULL;
    w->cap = w->n = w->at = 0;
}

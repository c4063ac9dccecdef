/* source.c - reads a configuration and the files that it includes. */
#include "conf/source.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/must.h"

#define INCLUDE_DEPTH_MOST 10u
#define TOTAL_MOST         (64u * 1024u * 1024u) /* of text: includes of includes multiply */

/* A file that is being read, and the one that included it. */
struct opened {
    const struct opened *by;
    const char *path;
    unsigned depth;
};

struct reader {
    struct source *out;
    size_t breaks; /* line feeds written so far */
    struct arena *names;
    struct messages *m;
};

const char *source_beside(struct arena *a, const char *file, const char *name)
{
    const char *slash = strrchr(file, '/');

    if (name[0] == '/' || slash == NULL)
        return arena_strdup(a, name);
    return arena_printf(a, "%.*s/%s", (int)(slash - file), file, name);
}

static int read_all(int fd, size_t most, char **text, size_t *n)
{
    size_t room = 16384, have = 0;
    char *buf = malloc(room + 1), *larger;
    ssize_t got;

    while (buf != NULL) {
        got = read(fd, buf + have, room - have);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0 || have > most) {
            int error = got < 0 ? errno : EFBIG;
            free(buf);
            return -error;
        }
        if (got == 0)
            break;
        have += (size_t)got;
        if (have < room)
            continue;
        room *= 2;
        larger = realloc(buf, room + 1);
        if (larger == NULL)
            free(buf);
        buf = larger;
    }
    if (buf == NULL)
        return -ENOMEM;
    buf[have] = '\0';
    *text = buf;
    *n = have;
    return 0;
}

int source_read_file(const char *path, size_t most, char **text, size_t *n)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC), rc;

    if (fd < 0)
        return -errno;
    rc = read_all(fd, most, text, n);
    (void)close(fd);
    return rc;
}

static void *grown(void *p, size_t *room, size_t need, size_t each, struct messages *m)
{
    size_t more = *room == 0 ? 1024 : *room;
    void *larger;

    while (more < need)
        more *= 2;
    larger = reallocarray(p, more, each);
    if (larger == NULL) {
        m->no_memory = true;
        return p;
    }
    *room = more;
    return larger;
}

/* Says where the current line of the text was written; the last word counts (an @include's line becomes the included
 * file's first). */
static void begin_line(struct reader *r, const char *file, unsigned line)
{
    struct source *s = r->out;

    if (r->breaks >= s->lines_room)
        s->lines = grown(s->lines, &s->lines_room, r->breaks + 1, sizeof *s->lines, r->m);
    if (r->breaks >= s->lines_room)
        return;
    s->lines[r->breaks] = (struct place){ file, line };
    s->n_lines = r->breaks + 1;
}

static void emit(struct reader *r, const char *p, size_t n)
{
    struct source *s = r->out;

    if (s->n + n + 1 > s->room)
        s->text = grown(s->text, &s->room, s->n + n + 1, 1, r->m);
    if (s->n + n + 1 > s->room)
        return;
    memcpy(s->text + s->n, p, n);
    r->breaks += *p == '\n'; /* at most one at a time, and then first */
    s->n += n;
    s->text[s->n] = '\0';
}

static void splice_in(struct reader *r, const char *text, size_t n, const struct opened *me);

static bool may_include(struct reader *r, struct place at, const struct opened *it)
{
    for (const struct opened *o = it->by; o != NULL; o = o->by) {
        if (strcmp(o->path, it->path) == 0) {
            messages_error(r->m, at, "@include: %s includes itself", it->path);
            return false;
        }
    }
    if (it->depth > INCLUDE_DEPTH_MOST)
        messages_error(r->m, at, "@include: files are included more than %u deep", INCLUDE_DEPTH_MOST);
    return it->depth <= INCLUDE_DEPTH_MOST;
}

/* An @include at p (behind blanks); returns what stands behind it, or NULL when it is none. */
static const char *include(struct reader *r, const char *p, unsigned line, const struct opened *me)
{
    struct opened it = { .by = me, .depth = me->depth + 1 };
    struct place at = { me->path, line };
    const char *close, *name;
    char *text = NULL;
    size_t n = 0;
    int rc;

    if (strncmp(p, "@include", 8) != 0 || (p[8] != ' ' && p[8] != '\t'))
        return NULL;
    p += 8 + strspn(p + 8, " \t");
    if (*p != '"')
        return NULL;
    close = p + 1 + strcspn(p + 1, "\"\\\n");
    if (*close != '"')
        return NULL;
    name = arena_printf(r->names, "%.*s", (int)(close - p - 1), p + 1);
    it.path = name == NULL ? NULL : source_beside(r->names, me->path, name);
    if (it.path == NULL) {
        r->m->no_memory = true;
        return close + 1;
    }
    if (!may_include(r, at, &it))
        return close + 1;
    rc = source_read_file(it.path, TOTAL_MOST - r->out->n, &text, &n);
    if (rc < 0) {
        messages_error(r->m, at, "@include: can't read %s: %s", it.path, strerror(-rc));
        return close + 1;
    }
    while (r->out->n > 0 && (r->out->text[r->out->n - 1] == ' ' || r->out->text[r->out->n - 1] == '\t'))
        r->out->n--; /* the blanks before it are not the included file's */
    splice_in(r, text, n, &it);
    free(text);
    begin_line(r, me->path, line); /* what stands behind the closing quote */
    return close + 1;
}

enum state { PLAIN, IN_STRING, IN_COMMENT, IN_LINE_COMMENT };

/* The state behind the byte (or two) at p; *taken says how many. */
static enum state next_state(enum state st, const char *p, size_t *taken)
{
    *taken = 1;
    if (*p == '\n')
        return st == IN_COMMENT ? st : PLAIN; /* a string ends with its line: the lexer reports it */
    switch (st) {
    case IN_STRING:
        if (*p == '\\' && p[1] != '\n' && p[1] != '\0')
            *taken = 2;
        return *p == '"' ? PLAIN : st;
    case IN_COMMENT:
        if (*p != '*' || p[1] != '/')
            return st;
        *taken = 2;
        return PLAIN;
    case PLAIN:
        if (*p == '"')
            return IN_STRING;
        if (*p == '#')
            return IN_LINE_COMMENT;
        if (*p != '/' || (p[1] != '/' && p[1] != '*'))
            return st;
        *taken = 2;
        return p[1] == '/' ? IN_LINE_COMMENT : IN_COMMENT;
    default: return st;
    }
}

/* Copies the text of one file into the source, replacing its includes. */
static void splice_in(struct reader *r, const char *text, size_t n, const struct opened *me)
{
    const char *p = text, *end;
    unsigned line = 1, opened_at = 0;
    enum state st = PLAIN, next;
    bool fresh = true; /* only blanks so far on this line */
    size_t taken;

    MUST(text != NULL);
    end = text + n;
    if (memchr(text, '\0', n) != NULL) {
        messages_error(r->m, (struct place){ me->path, 0 }, "holds a NUL byte, so it is no configuration");
        return;
    }
    if (strncmp(p, "\xef\xbb\xbf", 3) == 0)
        p += 3; /* a byte order mark */
    begin_line(r, me->path, line);
    while (p < end) {
        const char *behind = fresh && st == PLAIN && *p == '@' ? include(r, p, line, me) : NULL;
        if (behind != NULL) {
            p = behind;
            fresh = false;
            continue;
        }
        next = next_state(st, p, &taken);
        if (next == IN_COMMENT && st != IN_COMMENT)
            opened_at = line;
        st = next;
        emit(r, p, taken);
        fresh = *p == '\n' || (fresh && (*p == ' ' || *p == '\t'));
        if (*p == '\n' && p + 1 < end)
            begin_line(r, me->path, ++line);
        p += taken;
    }
    if (st == IN_COMMENT)
        messages_error(r->m, (struct place){ me->path, opened_at }, "/* opened at line %u is never closed", opened_at);
    if (r->out->n == 0 || r->out->text[r->out->n - 1] != '\n')
        emit(r, "\n", 1); /* libconfig takes a comment only when a line feed ends it */
}

void source_open(struct source *s, const char *text, const char *path, struct arena *names, struct messages *m)
{
    struct opened it = { .path = arena_strdup(names, path), .depth = 0 };
    struct reader r = { .out = s, .names = names, .m = m };
    char *read = NULL;
    size_t n = 0;
    int rc;

    *s = (struct source){ 0 };
    if (it.path == NULL) {
        m->no_memory = true;
        return;
    }
    if (text != NULL) {
        splice_in(&r, text, strlen(text), &it);
        return;
    }
    rc = source_read_file(path, TOTAL_MOST, &read, &n);
    if (rc < 0) {
        messages_error(m, (struct place){ it.path, 0 }, "can't be read: %s", strerror(-rc));
        return;
    }
    splice_in(&r, read, n, &it);
    free(read);
}

void source_mark(struct source *s, size_t line, struct messages *m)
{
    if (s->n_starts == s->starts_room)
        s->starts = grown(s->starts, &s->starts_room, s->n_starts + 1, sizeof *s->starts, m);
    if (s->n_starts < s->starts_room)
        s->starts[s->n_starts++] = line;
}

void source_free(struct source *s)
{
    free(s->starts);
    free(s->text);
    free(s->lines);
    *s = (struct source){ 0 };
}

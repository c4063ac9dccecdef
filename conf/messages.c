/* messages.c - what is wrong with a configuration, collected and sorted. */
#include "conf/messages.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"

#define QUOTE_MOST   80u  /* bytes of a value that a message repeats */
#define EXCERPT_MOST 100u /* bytes of a source line that are shown */

struct message {
    struct message *next;
    struct place at;
    size_t file_rank, number;
    bool warning;
    const char *text, *excerpt;
};

void messages_init(struct messages *m)
{
    *m = (struct messages){ 0 };
    arena_init(&m->arena, NULL, 0);
    m->last = &m->first;
}

void messages_free(struct messages *m)
{
    arena_free(&m->arena);
    *m = (struct messages){ 0 };
}

void conf_report_free(struct conf_report *r)
{
    free(r->text);
    *r = (struct conf_report){ 0 };
}

static bool is_control(unsigned char c) { return c < 0x20 || c == 0x7f; }

static const char *without_controls(struct arena *a, const char *text)
{
    size_t n = 0;
    char *out, *p;

    for (const char *q = text; *q != '\0'; q++)
        n += is_control((unsigned char)*q) ? 4 : 1;
    out = p = arena_take(a, n + 1);
    if (out == NULL)
        return NULL;
    for (const char *q = text; *q != '\0'; q++) {
        if (is_control((unsigned char)*q))
            p += sprintf(p, "\\x%02x", (unsigned char)*q);
        else
            *p++ = *q;
    }
    *p = '\0';
    return out;
}

/* Files stand in the report in the order in which they were first complained about. */
static size_t rank_of_file(const struct messages *m, const char *file)
{
    size_t next = 0;

    for (const struct message *i = m->first; i != NULL; i = i->next) {
        if (strcmp(i->at.file, file) == 0)
            return i->file_rank;
        if (i->file_rank >= next)
            next = i->file_rank + 1;
    }
    return next;
}

/* What printf would print, in the arena. */
static __attribute__((format(printf, 2, 0))) const char *formatted(struct arena *a, const char *fmt, va_list ap)
{
    va_list again;
    char *text;
    int n;

    va_copy(again, ap);
    n = vsnprintf(NULL, 0, fmt, again);
    va_end(again);
    text = n < 0 ? NULL : arena_take(a, (size_t)n + 1);
    if (text != NULL)
        (void)vsnprintf(text, (size_t)n + 1, fmt, ap);
    return text;
}

static __attribute__((format(printf, 5, 0))) void add(struct messages *m, struct place at, bool warning, const char *excerpt,
                                                      const char *fmt, va_list ap)
{
    const char *text;
    struct message *i;

    if (warning)
        m->n_warnings++;
    else
        m->n_errors++;
    if (m->n_kept >= MESSAGES_MOST)
        return;
    i = arena_take_zero(&m->arena, sizeof *i);
    text = formatted(&m->arena, fmt, ap);
    if (text != NULL)
        text = without_controls(&m->arena, text);
    if (i == NULL || text == NULL) {
        m->no_memory = true;
        return;
    }
    *i = (struct message){ .at = at, .warning = warning, .text = text, .excerpt = excerpt, .number = m->n_kept };
    i->file_rank = rank_of_file(m, at.file);
    m->n_kept++;
    *m->last = i;
    m->last = &i->next;
}

void messages_error(struct messages *m, struct place at, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    add(m, at, false, NULL, fmt, ap);
    va_end(ap);
}

void messages_warning(struct messages *m, struct place at, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    add(m, at, true, NULL, fmt, ap);
    va_end(ap);
}

/* "    the line\n        ^\n": of a long line the part around the caret. */
static const char *excerpt_of(struct messages *m, struct slice line, size_t column)
{
    size_t from = column > EXCERPT_MOST / 2 && line.n > EXCERPT_MOST ? column - EXCERPT_MOST / 2 : 0;
    char shown[EXCERPT_MOST + 1];
    const char *text;
    size_t n = 0;

    for (size_t i = from; i < line.n && n < EXCERPT_MOST; i++)
        shown[n++] = is_control((unsigned char)line.p[i]) ? ' ' : line.p[i];
    shown[n] = '\0';
    text = arena_printf(&m->arena, "    %s\n    %*s^\n", shown, (int)(column - from), "");
    if (text == NULL)
        m->no_memory = true;
    return text;
}

void messages_error_at(struct messages *m, struct place at, struct slice source_line, size_t column, const char *fmt, ...)
{
    const char *excerpt = m->n_kept < MESSAGES_MOST ? excerpt_of(m, source_line, column) : NULL;
    va_list ap;

    va_start(ap, fmt);
    add(m, at, false, excerpt, fmt, ap);
    va_end(ap);
}

const char *messages_quote(struct messages *m, const char *text)
{
    size_t n = strlen(text);
    const char *q;

    if (n <= QUOTE_MOST)
        q = arena_printf(&m->arena, "\"%s\"", text);
    else
        q = arena_printf(&m->arena, "\"%.*s...\"", (int)QUOTE_MOST, text);
    if (q == NULL)
        m->no_memory = true;
    return q == NULL ? "\"...\"" : q;
}

static int in_order(const void *a, const void *b)
{
    const struct message *x = *(const struct message *const *)a, *y = *(const struct message *const *)b;

    if (x->warning != y->warning)
        return x->warning ? 1 : -1;
    if (x->file_rank != y->file_rank)
        return x->file_rank < y->file_rank ? -1 : 1;
    if (x->at.line != y->at.line)
        return x->at.line < y->at.line ? -1 : 1;
    return x->number < y->number ? -1 : 1;
}

static void write_one(FILE *f, const struct message *i)
{
    fputs(i->at.file, f);
    if (i->at.line > 0)
        fprintf(f, ":%u", i->at.line);
    fprintf(f, ": %s%s\n%s", i->warning ? "warning: " : "", i->text, i->excerpt == NULL ? "" : i->excerpt);
}

static int write_all(struct messages *m, FILE *f)
{
    const struct message **sorted = arena_take(&m->arena, (m->n_kept + 1) * sizeof *sorted);
    size_t n = 0, left_out = m->n_errors + m->n_warnings - m->n_kept;

    if (sorted == NULL)
        return -ERR_NOMEM;
    for (const struct message *i = m->first; i != NULL; i = i->next)
        sorted[n++] = i;
    qsort(sorted, n, sizeof *sorted, in_order);
    for (size_t i = 0; i < n; i++)
        write_one(f, sorted[i]);
    if (left_out > 0)
        fprintf(f, "and %zu more\n", left_out);
    return 0;
}

int messages_report(struct messages *m, struct conf_report *out)
{
    struct conf_report r = { .n_errors = m->n_errors, .n_warnings = m->n_warnings };
    size_t size;
    FILE *f;
    int rc;

    *out = (struct conf_report){ 0 };
    if (m->no_memory)
        return -ERR_NOMEM;
    f = open_memstream(&r.text, &size);
    if (f == NULL)
        return -ERR_NOMEM;
    rc = write_all(m, f);
    if (fclose(f) != 0)
        rc = -ERR_NOMEM;
    if (rc < 0) {
        free(r.text);
        return rc;
    }
    *out = r;
    return r.n_errors > 0 ? -ERR_INVALID : 0;
}

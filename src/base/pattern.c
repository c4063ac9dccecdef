/* pattern.c - an expression is translated into steps; a search keeps the set of steps that may come next. */
#include "base/pattern.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/must.h"

enum op { OP_BYTE, OP_ANY, OP_SET, OP_TEXT_BEGIN, OP_TEXT_END, OP_JUMP, OP_SPLIT, OP_FOUND };

/* Where a step leads to is relative, so that steps can be moved and copied. */
struct step {
    uint8_t op;
    uint8_t arg;  /* the byte; which set */
    int16_t a, b; /* JUMP: a; SPLIT: both; the others lead to the next step */
};

struct pattern {
    size_t n, n_sets;
    struct step steps[PATTERN_STEPS];
    uint64_t sets[PATTERN_SETS][4]; /* a bit a byte */
};

/* ---- translating ---- */

struct translation {
    struct pattern *p;
    const char *at;
    const char *why; /* NULL: all is well so far */
    unsigned depth;
};

static void wrong(struct translation *t, const char *why)
{
    if (t->why == NULL)
        t->why = why;
}

/* Makes room for `n` steps at `at`.  False: there is none. */
static bool insert(struct translation *t, size_t at, size_t n)
{
    struct pattern *p = t->p;

    if (t->why == NULL && n > PATTERN_STEPS - p->n)
        wrong(t, "too large: an expression has at most 1000 bytes, and x{9} counts nine times");
    if (t->why != NULL)
        return false;
    memmove(&p->steps[at + n], &p->steps[at], (p->n - at) * sizeof p->steps[0]);
    p->n += n;
    return true;
}

static void put_at(struct translation *t, size_t at, struct step s)
{
    if (insert(t, at, 1))
        t->p->steps[at] = s;
}

static void put(struct translation *t, struct step s) { put_at(t, t->p->n, s); }

static void put_copy(struct translation *t, size_t from, size_t n)
{
    size_t at = t->p->n;

    if (insert(t, at, n))
        memcpy(&t->p->steps[at], &t->p->steps[from], n * sizeof t->p->steps[0]);
}

static void put_optional(struct translation *t, size_t at, size_t n)
{
    put_at(t, at, (struct step){ .op = OP_SPLIT, .a = 1, .b = (int16_t)(n + 1) });
}

/* ---- sets ---- */

static void set_add(uint64_t set[4], unsigned char c) { set[c / 64] |= UINT64_C(1) << c % 64; }
static bool set_has(const uint64_t set[4], unsigned char c) { return (set[c / 64] >> c % 64 & 1) != 0; }

static void set_turn(uint64_t set[4])
{
    for (int i = 0; i < 4; i++)
        set[i] = ~set[i];
}

static void put_set(struct translation *t, uint64_t set[4], bool turned)
{
    struct pattern *p = t->p;

    if (p->n_sets == PATTERN_SETS)
        wrong(t, "too many bracket expressions; there are at most 64");
    if (t->why != NULL)
        return;
    if (turned)
        set_turn(set);
    memcpy(p->sets[p->n_sets], set, sizeof p->sets[0]);
    put(t, (struct step){ .op = OP_SET, .arg = (uint8_t)p->n_sets++ });
}

static bool is_between(unsigned char c, char from, char to) { return c >= (unsigned char)from && c <= (unsigned char)to; }
static bool is_alpha(unsigned char c) { return is_between(c, 'a', 'z') || is_between(c, 'A', 'Z'); }
static bool is_digit(unsigned char c) { return is_between(c, '0', '9'); }
static bool is_alnum(unsigned char c) { return is_alpha(c) || is_digit(c); }
static bool is_word(unsigned char c) { return is_alnum(c) || c == '_'; }
static bool is_upper(unsigned char c) { return is_between(c, 'A', 'Z'); }
static bool is_lower(unsigned char c) { return is_between(c, 'a', 'z'); }
static bool is_blank(unsigned char c) { return c == ' ' || c == '\t'; }
static bool is_space(unsigned char c) { return c == ' ' || is_between(c, '\t', '\r'); }
static bool is_graph(unsigned char c) { return is_between(c, '!', '~'); }
static bool is_print(unsigned char c) { return c == ' ' || is_graph(c); }
static bool is_punct(unsigned char c) { return is_graph(c) && !is_alnum(c); }
static bool is_cntrl(unsigned char c) { return c < 0x20 || c == 0x7f; }
static bool is_hex(unsigned char c) { return is_digit(c) || is_between(c, 'a', 'f') || is_between(c, 'A', 'F'); }

static void set_add_class(uint64_t set[4], bool (*has)(unsigned char))
{
    for (unsigned c = 0; c < 256; c++)
        if (has((unsigned char)c))
            set_add(set, (unsigned char)c);
}

/* "[:alpha:]" inside of brackets; t->at stands at its "[". */
static void add_named_class(struct translation *t, uint64_t set[4])
{
    static const struct {
        const char *name;
        bool (*has)(unsigned char);
    } classes[] = {
        { "[:alpha:]", is_alpha }, { "[:digit:]", is_digit }, { "[:alnum:]", is_alnum }, { "[:upper:]", is_upper },
        { "[:lower:]", is_lower }, { "[:blank:]", is_blank }, { "[:space:]", is_space }, { "[:graph:]", is_graph },
        { "[:print:]", is_print }, { "[:punct:]", is_punct }, { "[:xdigit:]", is_hex },  { "[:cntrl:]", is_cntrl },
    };

    for (size_t i = 0; i < ARRAY_LEN(classes); i++) {
        size_t n = strlen(classes[i].name);
        if (strncmp(t->at, classes[i].name, n) == 0) {
            set_add_class(set, classes[i].has);
            t->at += n;
            return;
        }
    }
    wrong(t, "no such class; write one like [[:alpha:]]");
}

/* A byte or a range of them. */
static void add_range(struct translation *t, uint64_t set[4])
{
    unsigned from = (unsigned char)*t->at++, to = from;

    if (t->at[0] == '-' && t->at[1] != ']' && t->at[1] != '\0') {
        to = (unsigned char)t->at[1];
        t->at += 2;
    }
    if (to < from)
        wrong(t, "a range goes backwards; write the lower byte first");
    for (unsigned c = from; c <= to; c++)
        set_add(set, (unsigned char)c);
}

/* t->at stands behind the "[". */
static void brackets(struct translation *t)
{
    uint64_t set[4] = { 0 };
    bool turned = *t->at == '^', first = true;

    t->at += turned;
    for (; t->why == NULL && (first || *t->at != ']'); first = false) {
        if (*t->at == '\0')
            wrong(t, "a [ has no ]");
        else if (t->at[0] == '[' && t->at[1] == ':')
            add_named_class(t, set);
        else if (t->at[0] == '[' && (t->at[1] == '.' || t->at[1] == '='))
            wrong(t, "collating elements are not available");
        else
            add_range(t, set);
    }
    if (t->why == NULL)
        t->at++;
    put_set(t, set, turned);
}

/* t->at stands behind the "\". */
static void escape(struct translation *t)
{
    uint64_t set[4] = { 0 };
    char c = *t->at;

    if (c == '\0') {
        wrong(t, "nothing stands behind the last \\");
        return;
    }
    t->at++;
    if (c == 'w' || c == 'W' || c == 's' || c == 'S') {
        set_add_class(set, c == 'w' || c == 'W' ? is_word : is_space);
        put_set(t, set, c == 'W' || c == 'S');
    } else if (is_digit((unsigned char)c)) {
        wrong(t, "back-references are not available: matching them may take for ever");
    } else if (is_alpha((unsigned char)c)) {
        wrong(t, "\\ before a letter means something only as \\w, \\W, \\s and \\S");
    } else {
        put(t, (struct step){ .op = OP_BYTE, .arg = (uint8_t)c });
    }
}

/* ---- structure ---- */

static void alternatives(struct translation *t);

static void group(struct translation *t)
{
    if (++t->depth > PATTERN_DEPTH) {
        wrong(t, "too many ( in one another; there are at most 20");
        return;
    }
    alternatives(t);
    t->depth--;
    if (*t->at != ')')
        wrong(t, "a ( has no )");
    else
        t->at++;
}

/* What can be repeated. */
static void atom(struct translation *t)
{
    char c = *t->at++;

    switch (c) {
    case '(': group(t); break;
    case '[': brackets(t); break;
    case '\\': escape(t); break;
    case '.': put(t, (struct step){ .op = OP_ANY }); break;
    case '^': put(t, (struct step){ .op = OP_TEXT_BEGIN }); break;
    case '$': put(t, (struct step){ .op = OP_TEXT_END }); break;
    case '*':
    case '+':
    case '?': wrong(t, "nothing stands before the * + or ? that could be repeated"); break;
    case '{': wrong(t, "nothing stands before the { that could be repeated; a brace itself is written \\{"); break;
    default: put(t, (struct step){ .op = OP_BYTE, .arg = (uint8_t)c }); break;
    }
}

#define NO_END UINT32_MAX

/* The steps from `start` on, `least` to `most` times. */
static void repeat(struct translation *t, size_t start, uint32_t least, uint32_t most)
{
    size_t n = t->p->n - start, from = start;

    if (most == 0) {
        t->p->n = start;
        return;
    }
    if (least == 0 && most == NO_END) {
        put(t, (struct step){ .op = OP_JUMP, .a = (int16_t) - (int)(n + 1) });
        put_optional(t, start, n + 1);
        return;
    }
    if (least == 0) {
        put_optional(t, start, n);
        from++;
        least = 1;
    }
    for (uint32_t i = 1; i < least && t->why == NULL; i++)
        put_copy(t, from, n);
    if (most == NO_END)
        put(t, (struct step){ .op = OP_SPLIT, .a = (int16_t) - (int)n, .b = 1 });
    for (uint32_t i = least; most != NO_END && i < most && t->why == NULL; i++) {
        put_optional(t, t->p->n, n);
        put_copy(t, from, n);
    }
}

/* False: there are no digits.  What is too large stays too large. */
static bool number(struct translation *t, uint32_t *out)
{
    const char *from = t->at;

    for (*out = 0; is_digit((unsigned char)*t->at); t->at++)
        if (*out <= PATTERN_STEPS)
            *out = *out * 10 + (uint32_t)(*t->at - '0');
    return t->at > from;
}

/* t->at stands behind the "{". */
static void counted(struct translation *t, size_t start)
{
    uint32_t least = 0, most;
    bool good = number(t, &least);

    most = least;
    if (good && *t->at == ',') {
        t->at++;
        if (!number(t, &most))
            most = NO_END;
    }
    if (!good || *t->at != '}' || most < least)
        wrong(t, "a { stands before no numbers; write x{3}, x{3,} or x{3,5}, and \\{ for a brace itself");
    else if (least > PATTERN_STEPS || (most > PATTERN_STEPS && most != NO_END))
        wrong(t, "more than 1000 times");
    else
        repeat(t, start, least, most);
    t->at += *t->at == '}';
}

/* One thing after the other, up to a | or ) or the end. */
static void sequence(struct translation *t)
{
    while (t->why == NULL && *t->at != '\0' && *t->at != '|' && *t->at != ')') {
        size_t start = t->p->n;

        atom(t);
        while (t->why == NULL && *t->at != '\0' && strchr("*+?{", *t->at) != NULL) {
            char c = *t->at++;
            if (c == '{')
                counted(t, start);
            else
                repeat(t, start, c == '+', c == '?' ? 1 : NO_END);
        }
    }
}

/* a|b|c is: SPLIT to a or on; a; JUMP to the end; SPLIT to b or on; b; JUMP to the end; c. */
static void alternatives(struct translation *t)
{
    size_t start = t->p->n, first = start;

    sequence(t);
    while (t->why == NULL && *t->at == '|') {
        t->at++;
        put_optional(t, start, t->p->n - start + 1);
        put(t, (struct step){ .op = OP_JUMP }); /* 0: its end is not known yet */
        start = t->p->n;
        sequence(t);
    }
    for (size_t i = first; t->why == NULL && i < start; i++)
        if (t->p->steps[i].op == OP_JUMP && t->p->steps[i].a == 0)
            t->p->steps[i].a = (int16_t)(t->p->n - i);
}

int pattern_new(struct pattern **out, const char *text, const char **why)
{
    struct pattern *p = calloc(1, sizeof *p);
    struct translation t = { .p = p, .at = text };

    if (p == NULL)
        return -ERR_NOMEM;
    alternatives(&t);
    if (t.why == NULL && *t.at == ')')
        wrong(&t, "a ) has no (; a parenthesis itself is written \\)");
    put(&t, (struct step){ .op = OP_FOUND });
    if (t.why != NULL) {
        *why = t.why;
        pattern_free(&p);
        return -ERR_INVALID;
    }
    *out = p;
    return 0;
}

void pattern_free(struct pattern **pp)
{
    free(*pp);
    *pp = NULL;
}

/* ---- searching ---- */

struct pattern_search {
    const struct pattern *p;
    uint64_t round;               /* grows with each byte */
    bool at_begin, at_end, found; /* no byte has come yet, none will */
    size_t n, n_next;
    uint16_t *now, *next; /* the steps that wait for a byte, or for the end */
    uint16_t *todo;
    uint64_t seen[]; /* the last round in which a step was come to */
};

struct pattern_search *pattern_search_new(const struct pattern *p)
{
    struct pattern_search *s = calloc(1, sizeof *s + p->n * (sizeof s->seen[0] + 3 * sizeof s->now[0]));

    if (s == NULL)
        return NULL;
    s->p = p;
    s->now = (uint16_t *)(void *)&s->seen[p->n];
    s->next = s->now + p->n;
    s->todo = s->next + p->n;
    s->at_begin = true;
    return s;
}

void pattern_search_free(struct pattern_search **sp)
{
    free(*sp);
    *sp = NULL;
}

static void come_to(struct pattern_search *s, size_t step, size_t *n_todo)
{
    if (s->seen[step] == s->round)
        return;
    s->seen[step] = s->round;
    s->todo[(*n_todo)++] = (uint16_t)step;
}

/* All that can be come to from there without a byte. */
static void follow(struct pattern_search *s, size_t from)
{
    size_t n_todo = 0;

    come_to(s, from, &n_todo);
    while (n_todo > 0) {
        size_t i = s->todo[--n_todo];
        const struct step *step = &s->p->steps[i];

        switch ((enum op)step->op) {
        case OP_FOUND: s->found = true; break;
        case OP_SPLIT:
            come_to(s, i + (size_t)step->a, &n_todo);
            come_to(s, i + (size_t)step->b, &n_todo);
            break;
        case OP_JUMP: come_to(s, i + (size_t)step->a, &n_todo); break;
        case OP_TEXT_BEGIN:
            if (s->at_begin)
                come_to(s, i + 1, &n_todo);
            break;
        case OP_TEXT_END:
            if (s->at_end)
                come_to(s, i + 1, &n_todo);
            else
                s->next[s->n_next++] = (uint16_t)i;
            break;
        default: s->next[s->n_next++] = (uint16_t)i; break;
        }
    }
}

static void next_round(struct pattern_search *s)
{
    uint16_t *was = s->now;

    s->now = s->next;
    s->n = s->n_next;
    s->next = was;
    s->n_next = 0;
    s->round++;
}

static bool takes(const struct pattern *p, const struct step *step, unsigned char c)
{
    switch ((enum op)step->op) {
    case OP_BYTE: return step->arg == c;
    case OP_ANY: return true;
    case OP_SET: return set_has(p->sets[step->arg], c);
    default: return false;
    }
}

/* A match may begin at each byte, and at the end. */
static void begin_here(struct pattern_search *s)
{
    if (s->round == 0)
        s->round = 1;
    follow(s, 0);
    next_round(s);
}

bool pattern_search_feed(struct pattern_search *s, struct slice piece)
{
    for (size_t at = 0; at < piece.n && !s->found; at++) {
        unsigned char c = (unsigned char)piece.p[at];

        begin_here(s);
        s->at_begin = false;
        for (size_t i = 0; i < s->n; i++)
            if (takes(s->p, &s->p->steps[s->now[i]], c))
                follow(s, s->now[i] + 1u);
    }
    return s->found;
}

bool pattern_search_end(struct pattern_search *s)
{
    s->at_end = true;
    begin_here(s);
    for (size_t i = 0; i < s->n && !s->found; i++)
        if (s->p->steps[s->now[i]].op == OP_TEXT_END)
            follow(s, s->now[i] + 1u);
    return s->found;
}

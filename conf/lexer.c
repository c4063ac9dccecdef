/* lexer.c - one pass over the text, with the brackets that are open as its only memory. */
#include "conf/lexer.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

enum kind { T_END, T_NAME, T_ASSIGN, T_STRING, T_NUMBER, T_BOOL, T_WORD, T_OPEN, T_CLOSE, T_COMMA, T_SEMICOLON, T_BAD };

struct token {
    enum kind kind;
    const char *p; /* into the source */
    size_t n;
};

/* What may come next. */
enum expect {
    KEY,        /* a key, or the end of the group */
    ASSIGN,     /* = behind a key */
    VALUE,      /* the value of a key */
    TERMINATOR, /* ; or , (both may be left out) or the next key */
    FIRST,      /* an item of a list, or its end */
    ITEM,       /* an item must follow: a comma stood before */
    SEPARATOR,  /* a comma, or the end of the list */
};

struct key_seen {
    struct key_seen *next;
    struct slice name;
    struct place at;
};

struct bracket {
    char open; /* '{' '(' '[', or '\0' for the file itself */
    struct place at;
    enum kind items; /* of an array: what its first item is; libconfig wants all alike */
    struct key_seen *keys;
    struct slice key; /* the last one: what the value belongs to */
};

struct lexer {
    struct source *s;
    struct messages *m;
    const char *p;
    size_t line; /* of p, in the spliced text, from 0 */
    const char *line_start;
    struct bracket stack[LEXER_DEPTH_MOST + 1];
    size_t depth;
    enum expect expect;
    bool given_up;
};

static bool is_blank(char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\f'; }
static bool is_digit(char c) { return c >= '0' && c <= '9'; }
static bool is_name_start(char c) { return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '*'; }
static bool is_name(char c) { return is_name_start(c) || is_digit(c) || c == '-' || c == '_'; }

static struct place here(const struct lexer *l)
{
    return l->line < l->s->n_lines ? l->s->lines[l->line] : l->s->lines[l->s->n_lines - 1];
}

static struct slice line_text(const struct lexer *l) { return slice_of(l->line_start, strcspn(l->line_start, "\n")); }

#define complain(l, where, ...) messages_error_at((l)->m, here(l), line_text(l), (size_t)((where) - (l)->line_start), __VA_ARGS__)

static void next_line(struct lexer *l)
{
    l->p++;
    l->line++;
    l->line_start = l->p;
}

static void skip_comment(struct lexer *l)
{
    for (l->p += 2; *l->p != '\0'; l->p++) {
        while (*l->p == '\n')
            next_line(l);
        if (l->p[0] == '*' && l->p[1] == '/') {
            l->p += 2;
            return;
        }
        if (*l->p == '\0')
            return;
    }
}

static void skip_blanks(struct lexer *l)
{
    for (;;) {
        if (*l->p == '\n')
            next_line(l);
        else if (is_blank(*l->p))
            l->p++;
        else if (*l->p == '#' || (l->p[0] == '/' && l->p[1] == '/'))
            l->p += strcspn(l->p, "\n");
        else if (l->p[0] == '/' && l->p[1] == '*')
            skip_comment(l);
        else
            return;
    }
}

static struct token string_token(struct lexer *l)
{
    const char *p = l->p + 1;

    while (*p != '"' && *p != '\n' && *p != '\0') {
        if (p[0] == '\\' && (p[1] == 'x' || p[1] == 'X') && p[2] == '0' && p[3] == '0')
            complain(l, p, "\\x00 in a string; a NUL byte would cut it off there");
        p += *p == '\\' && p[1] != '\n' && p[1] != '\0' ? 2 : 1;
    }
    if (*p != '"') {
        complain(l, l->p, "the string opened here is not closed on its line; write \\n for a line break, \\\" for a quote");
        l->given_up = true; /* what stands behind it may have been meant to be inside */
        return (struct token){ T_STRING, l->p, (size_t)(p - l->p) };
    }
    return (struct token){ T_STRING, l->p, (size_t)(p + 1 - l->p) };
}

/* Everything up to a blank, a bracket, a comma or a comment: a number, a bool, or what lacks its quotes. */
static struct token word_token(const struct lexer *l)
{
    const char *p = l->p;

    while (*p != '\0' && strchr(" \t\r\f\n,;(){}[]\"#=", *p) == NULL && !(p[0] == '/' && (p[1] == '/' || p[1] == '*')))
        p++;
    return (struct token){ p == l->p ? T_BAD : T_WORD, l->p, p == l->p ? 1 : (size_t)(p - l->p) };
}

static struct token name_token(const struct lexer *l)
{
    const char *p = l->p;

    if (!is_name_start(*p))
        return word_token(l);
    while (is_name(*p))
        p++;
    return (struct token){ T_NAME, l->p, (size_t)(p - l->p) };
}

static struct token next_token(struct lexer *l)
{
    bool value_expected = l->expect == VALUE || l->expect == FIRST || l->expect == ITEM || l->expect == SEPARATOR;

    skip_blanks(l);
    switch (*l->p) {
    case '\0': return (struct token){ T_END, l->p, 0 };
    case '"': return string_token(l);
    case '{':
    case '(':
    case '[': return (struct token){ T_OPEN, l->p, 1 };
    case '}':
    case ')':
    case ']': return (struct token){ T_CLOSE, l->p, 1 };
    case ',': return (struct token){ T_COMMA, l->p, 1 };
    case ';': return (struct token){ T_SEMICOLON, l->p, 1 };
    case '=': return (struct token){ T_ASSIGN, l->p, 1 };
    case ':':
        if (!value_expected)
            return (struct token){ T_ASSIGN, l->p, 1 };
        break;
    default: break;
    }
    return value_expected ? word_token(l) : name_token(l);
}

static bool is_float(const char *p, size_t n)
{
    size_t i = 0, digits = 0;

    if (i < n && (p[i] == '-' || p[i] == '+'))
        i++;
    for (; i < n && is_digit(p[i]); i++)
        digits++;
    if (i == n || p[i++] != '.')
        return false;
    for (; i < n && is_digit(p[i]); i++)
        digits++;
    if (digits == 0)
        return false;
    if (i < n && (p[i] == 'e' || p[i] == 'E')) {
        i++;
        if (i < n && (p[i] == '-' || p[i] == '+'))
            i++;
        if (i == n)
            return false;
        while (i < n && is_digit(p[i]))
            i++;
    }
    return i == n;
}

/* An integer literal, with its range checked: libconfig wraps what does not fit and says nothing. */
static bool is_integer(struct lexer *l, const struct token *t)
{
    bool hex = t->n > 2 && t->p[0] == '0' && (t->p[1] == 'x' || t->p[1] == 'X');
    size_t i = hex ? 2 : t->p[0] == '-' || t->p[0] == '+' ? 1 : 0, first = i, len = t->n;
    bool negative = t->p[0] == '-', wide = false;
    unsigned long long n;

    for (int k = 0; k < 2 && len > first && t->p[len - 1] == 'L'; k++) {
        wide = true;
        len--;
    }
    for (; i < len; i++)
        if (!is_digit(t->p[i]) && !(hex && strchr("abcdefABCDEF", t->p[i]) != NULL))
            return false;
    if (len == first)
        return false;
    errno = 0;
    n = strtoull(t->p + first, NULL, hex ? 16 : 10);
    if (errno != 0 || n > (unsigned long long)LLONG_MAX + negative)
        complain(l, t->p, "%.*s does not fit into 64 bits", (int)t->n, t->p);
    else if (!wide && n > (unsigned long long)INT_MAX + negative)
        complain(l, t->p,
                 "%.*s does not fit into 32 bits; write %.*sL, or a string with a unit where a size or a duration is meant",
                 (int)t->n, t->p, (int)t->n, t->p);
    return true;
}

static bool is_word(const struct token *t, const char *word)
{
    return t->n == strlen(word) && strncasecmp(t->p, word, t->n) == 0;
}

static void check_word(struct lexer *l, const struct token *t)
{
    if (is_word(t, "true") || is_word(t, "false") || is_float(t->p, t->n) || is_integer(l, t))
        return;
    if (t->n > 60)
        complain(l, t->p, "%.60s... is no number and no bool; a string stands in quotes", t->p);
    else
        complain(l, t->p, "%.*s is no number and no bool; quote it: \"%.*s\"", (int)t->n, t->p, (int)t->n, t->p);
}

static char closer(char open) { return open == '{' ? '}' : open == '(' ? ')' : ']'; }

static void open_bracket(struct lexer *l, const struct token *t)
{
    if (l->stack[l->depth].open == '[') {
        complain(l, t->p, "%c in an array; an array holds only strings, numbers or bools, a list is written ( ... )", *t->p);
        l->given_up = true;
        return;
    }
    if (l->depth == LEXER_DEPTH_MOST) {
        complain(l, t->p, "brackets nest more than %u deep", LEXER_DEPTH_MOST);
        l->given_up = true;
        return;
    }
    l->stack[++l->depth] = (struct bracket){ .open = *t->p, .at = here(l) };
    l->expect = *t->p == '{' ? KEY : FIRST;
}

static enum expect after_value(const struct lexer *l)
{
    char open = l->stack[l->depth].open;

    return open == '(' || open == '[' ? SEPARATOR : TERMINATOR;
}

/* "line 3", or "other.conf:3" when the bracket was opened in another file than the one we are in. */
static const char *opened_at(struct lexer *l, const struct bracket *b)
{
    const char *text = strcmp(b->at.file, here(l).file) == 0 ? arena_printf(&l->m->arena, "line %u", b->at.line)
                                                             : arena_printf(&l->m->arena, "%s:%u", b->at.file, b->at.line);

    if (text == NULL)
        l->m->no_memory = true;
    return text == NULL ? "?" : text;
}

static void close_bracket(struct lexer *l, const struct token *t)
{
    struct bracket *b = &l->stack[l->depth];

    if (b->open == '\0') {
        complain(l, t->p, "%c closes nothing", *t->p);
        l->given_up = true;
        return;
    }
    if (*t->p != closer(b->open)) {
        complain(l, t->p, "%c found, but %c opened at %s is still open; write %c first", *t->p, b->open, opened_at(l, b),
                 closer(b->open));
        l->given_up = true;
        return;
    }
    l->depth--;
    l->expect = after_value(l);
}

static void check_twice(struct lexer *l, const struct token *t)
{
    struct bracket *b = &l->stack[l->depth];
    struct key_seen *k;

    source_mark(l->s, l->line, l->m);
    b->key = slice_of(t->p, t->n);
    for (k = b->keys; k != NULL; k = k->next) {
        if (!slice_eq(k->name, b->key))
            continue;
        complain(l, t->p, "%.*s stands twice in this group; first at line %u%s%s", (int)t->n, t->p, k->at.line,
                 strcmp(k->at.file, here(l).file) == 0 ? "" : " of ", strcmp(k->at.file, here(l).file) == 0 ? "" : k->at.file);
        return;
    }
    k = arena_take(&l->m->arena, sizeof *k);
    if (k == NULL) {
        l->m->no_memory = true;
        return;
    }
    *k = (struct key_seen){ b->keys, b->key, here(l) };
    b->keys = k;
}

static void found_instead(struct lexer *l, const struct token *t, const char *right)
{
    if (t->kind == T_END)
        complain(l, t->p, "the file ends here, but %s", right);
    else
        complain(l, t->p, "%.*s found, but %s", t->n > 60 ? 60 : (int)t->n, t->p, right);
    l->given_up = true;
}

static void in_group(struct lexer *l, const struct token *t)
{
    switch (t->kind) {
    case T_NAME:
        check_twice(l, t);
        l->expect = ASSIGN;
        return;
    case T_CLOSE: close_bracket(l, t); return;
    case T_SEMICOLON:
    case T_COMMA:
        if (l->expect == TERMINATOR)
            l->expect = KEY;
        else
            complain(l, t->p, "extra %c", *t->p);
        return;
    default:
        if (strncmp(t->p, "@include", 8) == 0)
            found_instead(l, t, "@include \"FILE\" stands alone on its line");
        else
            found_instead(l, t, "a key is right here: NAME = VALUE;");
    }
}

static void in_list(struct lexer *l, const struct token *t)
{
    char open = l->stack[l->depth].open;

    if (t->kind == T_CLOSE) {
        if (l->expect == ITEM && *t->p == closer(open))
            complain(l, t->p, "extra comma before %c", *t->p);
        close_bracket(l, t);
    } else if (t->kind == T_COMMA) {
        if (l->expect != SEPARATOR)
            complain(l, t->p, "extra comma");
        l->expect = ITEM;
    } else if (t->kind == T_SEMICOLON) {
        if (l->expect == SEPARATOR)
            complain(l, t->p, "; found between the items of %s; write a comma", open == '(' ? "a list" : "an array");
        else
            complain(l, t->p, "extra ;");
        l->expect = ITEM;
    } else if (t->kind == T_ASSIGN || t->kind == T_BAD) {
        found_instead(
            l, t, open == '(' ? "an item of a list is right here; keys stand inside { }" : "an item of an array is right here");
    } else { /* a value without the comma before it */
        complain(l, t->p, "a comma is missing before this item");
        l->expect = ITEM;
    }
}

/* Strings that follow each other are one. */
static bool continues_string(const struct lexer *l, enum kind last, const struct token *t)
{
    return t->kind == T_STRING && last == T_STRING && (l->expect == SEPARATOR || l->expect == TERMINATOR);
}

static void check_alike(struct lexer *l, const struct token *t)
{
    struct bracket *b = &l->stack[l->depth];
    enum kind kind = t->kind;

    if (kind == T_WORD)
        kind = is_word(t, "true") || is_word(t, "false") ? T_BOOL : T_NUMBER;
    if (b->items == T_END)
        b->items = kind;
    if (b->open == '[' && b->items != kind)
        complain(l, t->p, "the items of an array are all of one type; a list, ( ... ), may mix them");
}

static void value(struct lexer *l, const struct token *t)
{
    bool is_value = t->kind == T_STRING || t->kind == T_WORD || t->kind == T_OPEN;

    if (is_value && l->expect != VALUE)
        source_mark(l->s, l->line, l->m); /* an item; a key was marked by its name */
    if (is_value && t->kind != T_OPEN)
        check_alike(l, t);
    if (t->kind == T_OPEN) {
        open_bracket(l, t);
    } else if (t->kind == T_STRING) {
        l->expect = after_value(l);
    } else if (t->kind == T_WORD) {
        check_word(l, t);
        l->expect = after_value(l);
    } else if (l->expect == VALUE) {
        complain(l, t->p, "%.*s has no value", SLICE_ARG(l->stack[l->depth].key));
        if (t->kind != T_SEMICOLON && t->kind != T_COMMA)
            l->given_up = true;
        else
            l->expect = KEY;
    } else {
        in_list(l, t);
    }
}

static void take(struct lexer *l, const struct token *t)
{
    switch (l->expect) {
    case KEY:
    case TERMINATOR: in_group(l, t); return;
    case ASSIGN:
        l->expect = VALUE;
        if (l->given_up)
            return;
        if (t->kind != T_ASSIGN) {
            complain(l, t->p, "= is missing behind %.*s", SLICE_ARG(l->stack[l->depth].key));
            l->given_up = true;
        }
        return;
    case SEPARATOR:
        in_list(l, t);
        if (!l->given_up && l->expect == ITEM && t->kind != T_COMMA && t->kind != T_SEMICOLON)
            value(l, t);
        return;
    default: value(l, t);
    }
}

static void check_end(struct lexer *l)
{
    const struct bracket *b = &l->stack[l->depth];

    if (l->depth > 0)
        messages_error(l->m, b->at, "%c opened at line %u is never closed", b->open, b->at.line);
    else if (l->expect != KEY && l->expect != TERMINATOR)
        messages_error(l->m, l->s->lines[l->s->n_lines - 1], "the file ends behind %.*s, which has no value", SLICE_ARG(b->key));
}

static void scan(struct lexer *l)
{
    enum kind last = T_END;
    struct token t;

    while (!l->given_up && !l->m->no_memory) {
        t = next_token(l);
        if (t.kind == T_END) {
            check_end(l);
            return;
        }
        if (!continues_string(l, last, &t))
            take(l, &t);
        l->p += t.n;
        last = t.kind;
    }
}

void lexer_check(struct source *s, struct messages *m)
{
    struct lexer *l = arena_take_zero(&m->arena, sizeof *l); /* large for a small stack */

    if (l == NULL) {
        m->no_memory = true;
        return;
    }
    *l = (struct lexer){ .s = s, .m = m, .p = s->text, .line_start = s->text, .expect = KEY };
    if (s->n > 0)
        scan(l);
}

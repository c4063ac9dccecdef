/*
 * conf_key.h - a configuration key as a row: the module that uses a setting declares it beside the struct it fills.
 *
 * The row feeds parsing, range check, `weir --dump-config` and the manual.  The key's name is the field's name; default
 * and limits are written as a user would write them, so one parser serves file and default.  Field types by kind:
 *     BOOL bool          UINT uint32_t       TIME int64_t (microseconds)   SIZE uint64_t (bytes)   RATE double (a second)
 *     FLOAT double
 *     STR const char *   WORD int (index into words)      STRS struct conf_strs
 *     ADDR struct addr (net/addr.h), through a parser that conf registers
 *     GROUP struct       OPTIONAL struct * (NULL when the group is absent)  LIST struct conf_list of structs
 * Texts: "true", "10", "1.25", "1500ms", "64K", "100/s", any string, one of the words.
 *
 * Threads: rows are constant.  Memory: strings and lists belong to the snapshot's arena.
 */
#ifndef BASE_CONF_KEY_H
#define BASE_CONF_KEY_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"

enum conf_type {
    CONF_TYPE_END,
    CONF_TYPE_BOOL,
    CONF_TYPE_UINT,
    CONF_TYPE_FLOAT,
    CONF_TYPE_TIME,
    CONF_TYPE_SIZE,
    CONF_TYPE_RATE,
    CONF_TYPE_STR,
    CONF_TYPE_WORD,
    CONF_TYPE_STRS,
    CONF_TYPE_CUSTOM,
    CONF_TYPE_GROUP,
    CONF_TYPE_OPTIONAL,
    CONF_TYPE_LIST,
};

struct conf_strs {
    const char **v;
    size_t n;
};

struct conf_list {
    void *v; /* n structs, one after the other */
    size_t n;
};

/* Turns a string into a field of the module's own kind.  NULL: done; else a sentence that says what is wrong and what is
 * right ("no port; write 10.0.0.1:8080").  Pieces that outlive the call come from `a`. */
typedef const char *conf_parse_fn(const char *text, void *field, struct arena *a);

struct conf_key {
    const char *name;
    size_t offset;
    enum conf_type type;
    const char *def;             /* NULL: the key must be written (or, for STR and CUSTOM with `optional`, stays zero) */
    const char *min, *max;       /* NULL: no limit */
    const char *doc;             /* one or two sentences for the manual */
    const char *const *words;    /* WORD: ended by NULL */
    const struct conf_key *sub;  /* GROUP, OPTIONAL, LIST: the rows inside */
    size_t sub_size;             /* OPTIONAL, LIST: size of the struct that the rows fill */
    conf_parse_fn *parse;        /* CUSTOM */
    bool optional;               /* STR, STRS, CUSTOM, LIST: may be left out; then NULL, empty or zero */
    bool one_will_do;            /* STRS: a single string stands for an array of one */
    bool hidden;                 /* STRS: neither a dump nor a message shows what is written */
};

#define CONF_FIELD(s, f) .name = #f, .offset = offsetof(struct s, f)
/* CONF_KEY(struct's tag, field, BOOL|UINT|FLOAT|TIME|SIZE|RATE|STR, default, least, most, "What it does.") */
#define CONF_KEY(s, f, kind, d, lo, hi, text) { CONF_FIELD(s, f), .type = CONF_TYPE_##kind, .def = (d), .min = (lo), .max = (hi), .doc = (text) }
#define CONF_WORD(s, f, w, d, text) { CONF_FIELD(s, f), .type = CONF_TYPE_WORD, .def = (d), .words = (w), .doc = (text) }
#define CONF_STR_OPTIONAL(s, f, text) { CONF_FIELD(s, f), .type = CONF_TYPE_STR, .optional = true, .doc = (text) }
#define CONF_STRINGS(s, f, text) { CONF_FIELD(s, f), .type = CONF_TYPE_STRS, .optional = true, .doc = (text) }
#define CONF_CUSTOM(s, f, fn, d, opt, text) { CONF_FIELD(s, f), .type = CONF_TYPE_CUSTOM, .parse = (fn), .def = (d), .optional = (opt), .doc = (text) }
#define CONF_GROUP(s, f, keys, text) { CONF_FIELD(s, f), .type = CONF_TYPE_GROUP, .sub = (keys), .doc = (text) }
#define CONF_OPTIONAL(s, f, tag, keys, text) { CONF_FIELD(s, f), .type = CONF_TYPE_OPTIONAL, .sub = (keys), .sub_size = sizeof(struct tag), .doc = (text), .optional = true }
#define CONF_LIST(s, f, tag, keys, text) { CONF_FIELD(s, f), .type = CONF_TYPE_LIST, .sub = (keys), .sub_size = sizeof(struct tag), .doc = (text), .optional = true }
#define CONF_END { .name = NULL, .type = CONF_TYPE_END }

/* The parsers of texts, also used outside the file (admin commands).  NULL: done; else a sentence. */
const char *conf_parse_bool(const char *text, bool *out);
const char *conf_parse_uint(const char *text, uint32_t *out);
const char *conf_parse_float(const char *text, double *out); /* "1.25" "2"; no sign, no exponent */
const char *conf_parse_time(const char *text, int64_t *out); /* "250us" "1500ms" "10s" "5m" "1h" "2d"; a unit is a must but for "0" */
const char *conf_parse_size(const char *text, uint64_t *out); /* "512" "64K" "10M" "1G": powers of 1024 */
const char *conf_parse_rate(const char *text, double *out);   /* "100/s" "600/m" "3600/h" */

/* For who compares two configurations: are the texts, or lists of them in this order, the same?  NULL is no text, and an empty list. */
bool conf_same_text(const char *a, const char *b);
bool conf_same_texts(const struct conf_strs *a, const struct conf_strs *b);
#endif

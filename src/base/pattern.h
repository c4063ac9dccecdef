/*
 * pattern.h - does a POSIX extended regular expression match somewhere in a text?  In time that is proportional to the text.
 *
 * Promise: a byte costs at most PATTERN_STEPS steps, whatever stands in text and expression; nothing is ever tried again.  The
 * C library's regexec() takes seconds for 64 KiB of some text, and expressions that go back cannot be bounded at all.
 * The text may come in pieces.  All is bytes: "." is each of them, "^" and "$" are the text's ends, classes are ASCII's.
 * Known: . [ ] [^ ] [:alpha:] ( ) | * + ? {m,n} ^ $ \w \W \s \S, and \ before what is neither letter nor digit.  No groups are
 * told, and there are no back-references.
 *
 * Method: all states that the expression can be in are kept side by side (K. Thompson, Regular Expression Search Algorithm, 1968).
 * Threads: a pattern is constant once made; a search is one thread's.  Memory: the caller's, by new and free.
 */
#ifndef BASE_PATTERN_H
#define BASE_PATTERN_H
#include <stdbool.h>
#include <stddef.h>

#include "base/slice.h"

enum {
    PATTERN_STEPS = 1000, /* of a compiled expression; each byte of it is about one, and {m,n} counts n times */
    PATTERN_SETS = 64,    /* bracket expressions and \w \W \s \S */
    PATTERN_DEPTH = 20,   /* parentheses in parentheses */
};

struct pattern;
/* 0; -ERR_NOMEM; -ERR_INVALID: *why is a sentence that says what is wrong with it. */
int pattern_new(struct pattern **out, const char *text, const char **why);
void pattern_free(struct pattern **pp);

struct pattern_search;
struct pattern_search *pattern_search_new(const struct pattern *p); /* NULL: out of memory */
void pattern_search_free(struct pattern_search **sp);
/* The next piece of the text, and its end.  True: it matches; what comes then doesn't matter. */
bool pattern_search_feed(struct pattern_search *s, struct slice piece);
bool pattern_search_end(struct pattern_search *s);
#endif

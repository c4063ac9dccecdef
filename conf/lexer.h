/*
 * lexer.h - finds what libconfig would report as a bare "syntax error", and says what it is.
 *
 * Knows brackets (with the line that opened them), strings, commas, bare words and units (`30s`), integers that libconfig
 * would wrap silently, keys that stand twice in a group.  Goes on behind an error where it can.
 * Promise: a text that passes nests at most LEXER_DEPTH_MOST deep, so what walks the tree may recurse.
 * Stricter than libconfig in one thing: a string ends on the line where it began (a line break is written \n).
 * Threads: any.  Memory: none kept.
 */
#ifndef CONF_LEXER_H
#define CONF_LEXER_H
#include "conf/messages.h"
#include "conf/source.h"

#define LEXER_DEPTH_MOST 32u

/* Also marks in the source where each setting and each item begins: libconfig's own line of a string in an array is that
 * of the next token. */
void lexer_check(struct source *s, struct messages *m);
#endif

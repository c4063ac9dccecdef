/*
 * ctl.h - `weir ctl`: the client of the control socket.
 *
 * Threads: the only one.  Memory: none kept.
 */
#ifndef ADMIN_CTL_H
#define ADMIN_CTL_H

/* Sends the words as one line and prints the answer: to standard output when it is "ok", else to standard error.
 * The exit status: 0 ok, 1 error, 2 nobody to talk to. */
int ctl_run(const char *path, int n_words, char **words);
/* Prints the list of commands, of which nobody need be asked.  The exit status. */
int ctl_help(void);
#endif

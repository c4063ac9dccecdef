/*
 * checker.h - one backend's health check: probes it again and again, and says when its state changes.
 *
 * One probe at a time for a backend and definition, whatever the number of workers.  Probes are spread: the first ones of a
 * thread's checkers come evenly over the interval, and each interval is stretched or shortened by chance.  While the state is
 * changing, probes come at the fast interval; while down they back off to down_interval; while live traffic succeeds the
 * interval stretches to three times its length (health/state.h).  Intervals are counted from one probe's begin to the next's.
 * The first result decides alone; from then on `rise` and `fall` count.
 *
 * Cost: a checker that waits is a timer and half a kilobyte; a fiber and a descriptor are there only while it probes.
 * Threads: the health thread's.  Memory: a checker is the caller's from checker_start() to checker_stop(); hooks are never
 * called after that.
 */
#ifndef HEALTH_CHECKER_H
#define HEALTH_CHECKER_H
#include "health/check_type.h"

enum health_state { HEALTH_UNKNOWN, HEALTH_UP, HEALTH_DOWN };
const char *health_state_word(enum health_state s);

struct health_change {
    enum health_state from, to;
    enum probe_result reason;  /* of the last probe */
    const char *detail;        /* as probe.detail; good for the call */
    uint32_t passes, failures; /* in a row */
};

/* What is known of a backend's health; read by listings on the same thread. */
struct health_record {
    enum health_state state;
    uint32_t passes, failures; /* in a row; PROBE_LOCAL doesn't count */
    uint64_t probes, failed;   /* in all */
    int64_t since;             /* of the state; 0: from the start */
    int64_t last_probe;        /* when the last one ended; 0: none yet */
    int64_t last_took;         /* microseconds */
    enum probe_result last;    /* also PROBE_LOCAL */
    char detail[PROBE_DETAIL_MAX];
};

struct checker_hooks {
    /* The state is another one now.  On a fiber of the health thread; may not call checker_stop() or checker_reconfigure()
     * for this checker. */
    void (*changed)(void *arg, const struct health_change *c);
    /* Have live requests succeeded, and none failed, since it was last asked?  Optional. */
    bool (*traffic_is_well)(void *arg);
};

struct checker;
/* Begins.  `conf` and `host` must live until checker_stop(); `backend` is copied (the conf says where it is asked).  `record`
 * (NULL: nothing is known) is what an earlier checker of the same definition had learned: a reload goes on with it, and with
 * its rhythm.  `at_once`: the first probe comes now, as far as that is good for the machine: a thousand of them take a tenth of a
 * second.  NULL: out of memory. */
struct checker *checker_start(const struct check_conf *conf, const struct addr *backend, const char *host,
                              const struct health_record *record, bool at_once, const struct checker_hooks *hooks, void *arg);
/* Ends it; a probe in progress is called off.  From a fiber: waits until it has ended.  Takes the address, accepts NULL inside. */
void checker_stop(struct checker **cp);
/* Something is suspicious (a refused connection, an ejection): probe now, and at the fast interval until the state is sure.
 * May be called for each failed request: there is never more than one probe a fast interval. */
void checker_hurry(struct checker *c);
/* From now on by this conf, which asks the same (check_conf_same) but may say other times.  From a fiber: a probe in progress is
 * called off and made anew, so the old conf may go when this returns. */
void checker_reconfigure(struct checker *c, const struct check_conf *conf);
const struct health_record *checker_record(const struct checker *c);
#endif

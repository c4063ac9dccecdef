/*
 * world.h - one seed's plan: what the proxy is told, who talks to it, and what may go wrong; and the ledger of requests, by
 * which answers are judged.
 *
 * Threads: one.  Memory: until world_close().
 */
#ifndef SIM_WORLD_H
#define SIM_WORLD_H
#include "tests/sim/net.h"

enum {
    HTTP_PORT = 80,
    TCP_PORT = 81,
    BACKEND_PORT = 9000,
    ECHO_PORT = 9900,
    BACKENDS_MOST = 4,
    CLIENTS_MOST = 12,
    SCRIPT_MOST = 8,
    TRIES_SEEN = 16,
};

/* What a backend did with one receipt of a request. */
enum answer_kind {
    ANSWER_NONE,      /* nothing, or not a whole head */
    ANSWER_GOOD,      /* all of it, if nothing else goes wrong */
    ANSWER_CUT,       /* less than its framing says, or reset before the end */
    ANSWER_BAD_HEAD,  /* must not be passed on */
    ANSWER_BAD_BODY,  /* must not end well */
    ANSWER_UPGRADE,
};
struct receipt {
    uint8_t kind; /* enum answer_kind */
    uint16_t status;
    size_t length; /* of the body that it means to send */
};

enum body_framing { BODY_NONE, BODY_LENGTH, BODY_CHUNKED };
struct request {
    uint32_t id;
    const char *method;
    bool idempotent, head, old; /* HTTP/1.0 */
    bool expect, close, upgrade, malformed;
    uint8_t framing; /* enum body_framing */
    size_t length;   /* of the body */
    /* what became of it */
    bool sent;                       /* all of it has left the client */
    bool owed;                       /* it lay in the proxy's socket when the drain began */
    unsigned n_receipts;             /* whole heads that backends have got */
    struct receipt receipt[TRIES_SEEN];
    bool answered;                   /* a final head came back */
    bool ok;                         /* and the answer was a backend's, and complete */
};

enum client_end { CLIENT_STAYS, CLIENT_HALF_CLOSES, CLIENT_RESETS, CLIENT_STALLS };
struct client {
    unsigned index;
    bool tcp, pipelines, slow;
    uint8_t end;       /* enum client_end */
    size_t end_after;  /* RESETS, STALLS: bytes sent; TCP mode: bytes to send */
    int64_t starts;
    struct request script[SCRIPT_MOST];
    unsigned n;
    /* while it runs */
    struct sock *sock;
    unsigned done;     /* answers read to their end */
    unsigned may_send_body; /* index + 1 of the request whose 100 came */
    bool over, writer_over, tunnel;
    struct fiber *waiting; /* the writer, for `done` */
    int64_t finished;
};

struct backend_plan {
    bool down;          /* refuses */
    bool flaps;         /* is down for a while, now and then */
    unsigned close_idle;/* of 1000: closes after an answer, at some moment */
    unsigned bad;       /* of 1000 answers go wrong */
    unsigned weight;
    bool backup;
    unsigned max_connections;
};

struct world {
    bool calm;        /* only backends that are down or close idle connections: then no request may fail that can be repeated */
    bool stops;       /* the worker is stopped in the middle of it all */
    bool reloads;
    bool drains;
    bool draining;    /* it has begun: new requests may fail */
    unsigned alloc_faults;
    struct net_plan net;
    struct backend_plan backend[BACKENDS_MOST + 1]; /* the last: echoes */
    unsigned n_backends;
    struct client client[CLIENTS_MOST];
    unsigned n_clients;
    /* while it runs */
    unsigned clients_left;
    bool ending;
    unsigned actors; /* fibers */
    struct sock *backend_sock[BACKENDS_MOST + 1];
};
extern struct world world;

void world_plan(void);
/* Writes the configuration; the second time a bit different. */
void world_conf(char *out, size_t size, bool again);
struct request *world_request(uint32_t id); /* NULL: there is none */

/* The bytes of a body: no two requests, and no two receipts of one, have the same. */
enum { TO_BACKEND = 1000, ECHO = 2000 };
void pattern(char *out, size_t n, uint32_t id, unsigned which, size_t at);
/* How many of the bytes are as they should be. */
size_t pattern_agrees(const char *bytes, size_t n, uint32_t id, unsigned which, size_t at);

void client_start(struct client *c);
void client_note_drain(struct client *c);
void backends_start(void);
void backends_end(void);
void sim_go(const char *name, void (*fn)(void *), void *arg);

/* ---- wire.c: reading HTTP as the actors do ---- */
struct wire {
    struct sock *s;
    char *buf;
    size_t at, n, cap;
    int64_t deadline; /* of each read */
};
struct head {
    char text[8192]; /* ended by NUL; first line, then fields */
    size_t n;
    int status;
};
struct body_in {
    uint8_t framing; /* 0 none, 1 length, 2 chunked, 3 until the end */
    size_t left;     /* of the length, or of the chunk */
    bool last;
    bool first_chunk_seen;
};
/* 1, or SIM_END, SIM_RESET, SIM_LATE; -9: longer than can be. */
int wire_head(struct wire *w, struct head *h);
/* The value of a field, or NULL. */
const char *head_field(const struct head *h, const char *name, char *out, size_t size);
void body_in_of(struct body_in *b, const struct head *h, bool none, bool is_answer);
/* >0 bytes; 0: it has ended as it should; SIM_RESET, SIM_LATE; -9: malformed; -10: the stream ended too soon. */
enum { WIRE_BAD = -9, WIRE_CUT = -10 };
ssize_t wire_body(struct wire *w, struct body_in *b, char *out, size_t n);
ssize_t wire_more(struct wire *w); /* behind what is there already: as sim_recv() */
void wire_free(struct wire *w);
#endif

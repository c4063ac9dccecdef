/* etcd_process.c - fork, exec, and HTTP by hand. */
#include "tests/lib/etcd_process.h"

#include <arpa/inet.h>
#include <check.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/base64.h"
#include "base/buf.h"
#include "net/addr.h"
#include "tests/lib/sockets.h"

#define PROGRAM "/usr/bin/etcd"

bool etcd_is_installed(void) { return access(PROGRAM, X_OK) == 0; }

static unsigned free_port(void)
{
    struct addr a;
    int fd = listen_anywhere(&a);

    close(fd);
    return ntohs(a.in.sin_port);
}

static int connect_to(unsigned port)
{
    static const struct timeval patience = { 10, 0 };
    struct sockaddr_in a = { .sin_family = AF_INET,
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                             .sin_port = htons((uint16_t)port) };
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    ck_assert_int_ge(fd, 0);
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    if (connect(fd, (struct sockaddr *)&a, sizeof a) == 0)
        return fd;
    close(fd);
    return -1;
}

/* False: no connection, or another answer than 200. */
static bool post(const struct etcd_process *p, const char *path, const char *json, struct buf *answer)
{
    struct buf b = { 0 };
    int fd = connect_to(p->port);
    bool ok;

    if (fd < 0)
        return false;
    buf_printf(&b, "POST %s HTTP/1.1\r\nHost: etcd\r\nConnection: close\r\nContent-Length: %zu\r\n\r\n%s", path, strlen(json),
               json);
    ok = send(fd, b.p, b.n, MSG_NOSIGNAL) == (ssize_t)b.n;
    b.n = 0;
    for (ssize_t n = 1; ok && n > 0; b.n += n > 0 ? (size_t)n : 0)
        n = recv(fd, buf_reserve(&b, 4096), 4095, 0);
    close(fd);
    ok = ok && b.n > 12 && memcmp(b.p + 9, "200", 3) == 0;
    if (answer != NULL)
        buf_append(answer, b.p, b.n);
    buf_free(&b);
    return ok;
}

static void run(const struct etcd_process *p)
{
    char client[48], peer[48], cluster[64];
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);

    (void)snprintf(client, sizeof client, "http://127.0.0.1:%u", p->port);
    (void)snprintf(peer, sizeof peer, "http://127.0.0.1:%u", p->peer_port);
    (void)snprintf(cluster, sizeof cluster, "default=%s", peer);
    for (int fd = 0; fd < 3; fd++)
        (void)dup2(null, fd);
    execl(PROGRAM, PROGRAM, "--data-dir", p->dir, "--listen-client-urls", client, "--advertise-client-urls", client,
          "--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer, "--initial-cluster", cluster, "--unsafe-no-fsync",
          (char *)NULL);
    _exit(127);
}

void etcd_restart(struct etcd_process *p)
{
    static const char question[] = "{\"key\":\"AA==\"}";

    p->pid = fork();
    ck_assert_int_ge(p->pid, 0);
    if (p->pid == 0)
        run(p);
    for (int i = 0; !post(p, "/v3/kv/range", question, NULL); i++) {
        ck_assert_msg(i < 1500, "etcd does not begin to answer");
        ck_assert_int_eq(waitpid(p->pid, NULL, WNOHANG), 0);
        usleep(10000);
    }
}

void etcd_start(struct etcd_process *p)
{
    *p = (struct etcd_process){ .dir = "/tmp/weir-etcd-XXXXXX" };
    ck_assert_ptr_nonnull(mkdtemp(p->dir));
    p->port = free_port();
    p->peer_port = free_port();
    etcd_restart(p);
}

void etcd_kill(struct etcd_process *p)
{
    if (p->pid == 0)
        return;
    (void)kill(p->pid, SIGKILL);
    ck_assert_int_eq(waitpid(p->pid, NULL, 0), p->pid);
    p->pid = 0;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *where)
{
    (void)st;
    (void)type;
    (void)where;
    return remove(path);
}

void etcd_stop(struct etcd_process *p)
{
    etcd_kill(p);
    ck_assert_int_eq(nftw(p->dir, remove_one, 16, FTW_DEPTH | FTW_PHYS), 0);
}

/* POST { "key": ..., more } */
static void must(const struct etcd_process *p, const char *path, const char *key, const char *value)
{
    struct buf b = { 0 };

    buf_add(&b, "{\"key\":\"");
    base64_encode(&b, slice_str(key));
    if (value != NULL) {
        buf_add(&b, "\",\"value\":\"");
        base64_encode(&b, slice_str(value));
    }
    buf_add(&b, "\"}");
    ck_assert_msg(post(p, path, b.p, NULL), "etcd refuses %s", path);
    buf_free(&b);
}

void etcd_put(const struct etcd_process *p, const char *key, const char *value) { must(p, "/v3/kv/put", key, value); }
void etcd_delete(const struct etcd_process *p, const char *key) { must(p, "/v3/kv/deleterange", key, NULL); }

void etcd_compact(const struct etcd_process *p)
{
    struct buf answer = { 0 };
    char json[80];
    const char *at;

    ck_assert(post(p, "/v3/kv/range", "{\"key\":\"AA==\"}", &answer));
    at = strstr(answer.p, "\"revision\":\"");
    ck_assert_ptr_nonnull(at);
    (void)snprintf(json, sizeof json, "{\"revision\":\"%lld\",\"physical\":true}", atoll(at + 12));
    ck_assert(post(p, "/v3/kv/compaction", json, NULL));
    buf_free(&answer);
}

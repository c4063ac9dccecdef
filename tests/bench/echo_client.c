/* echo_client.c - drives an echo server: `echo_client PORT CONNECTIONS REQUESTS`; 128 bytes there and back, one under way on
 * each connection. */
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { SIZE = 128, MOST = 1000 };

static int fds[MOST];

static int connected(int port)
{
    struct sockaddr_in sa = { .sin_family = AF_INET,
                              .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                              .sin_port = htons((uint16_t)port) };
    int fd = socket(AF_INET, SOCK_STREAM, 0), one = 1;

    if (fd < 0 || connect(fd, (struct sockaddr *)&sa, sizeof sa) < 0) {
        perror("echo_client");
        exit(1);
    }
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    return fd;
}

int main(int argc, char **argv)
{
    int n = argc > 3 ? atoi(argv[2]) : 0, ep = epoll_create1(0);
    long left = argc > 3 ? atol(argv[3]) : 0, answers = 0, want = left;
    char buf[SIZE * 4] = { 0 };
    struct epoll_event ev[64];

    if (n < 1 || n > MOST || left < n || ep < 0)
        return 2;
    for (int i = 0; i < n; i++)
        fds[i] = connected(atoi(argv[1]));
    for (int i = 0; i < n; i++) {
        struct epoll_event e = { .events = EPOLLIN, .data.fd = fds[i] };

        epoll_ctl(ep, EPOLL_CTL_ADD, fds[i], &e);
        left -= write(fds[i], buf, SIZE) == SIZE;
    }
    while (answers < want) {
        int ready = epoll_wait(ep, ev, 64, 10000);

        if (ready <= 0)
            return 1;
        for (int i = 0; i < ready; i++) {
            ssize_t r = read(ev[i].data.fd, buf, sizeof buf);

            if (r != SIZE)
                return 1;
            answers++;
            if (left > 0)
                left -= write(ev[i].data.fd, buf, SIZE) == SIZE;
        }
    }
    return 0;
}

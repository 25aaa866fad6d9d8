/* SPDX-License-Identifier: MIT */
/* vestry-bench floor: what floor.c and floor_tls.c share. */
#ifndef BENCH_FLOOR_H
#define BENCH_FLOOR_H

/* Serve HTTP/2 over TLS. listener: in the epoll. Returns only if it cannot begin: the exit status. */
int floor_tls_serve(int epoll, int listener, unsigned port);

#endif

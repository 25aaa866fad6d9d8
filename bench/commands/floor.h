/* SPDX-License-Identifier: MIT */
/* vestry-bench floor: what floor.c, floor_cells.c and floor_tls.c share. */
#ifndef BENCH_FLOOR_H
#define BENCH_FLOOR_H

#include <stdbool.h>
#include <stddef.h>

struct floor_server;

/* Send an event to streams, and drop those that do not accept it. The array may change meanwhile, as the streams are
 * dropped. */
void floor_send(struct floor_server *s, const int *streams, size_t count, const char *event, size_t len);

/* The board of vestry-bench cells. is_encoded: with brotli. file: a database without ticked boxes; created if there is
 * none. false: the error was reported. */
bool floor_cells_begin(bool is_encoded, const char *file);
/* Answer a request. false: close the connection. */
bool floor_cells_answer(struct floor_server *s, int fd, const char *request);
/* Forget a connection, which is about to be closed. */
void floor_cells_drop(int fd);

/* Serve HTTP/2 over TLS. listener: in the epoll. Returns only if it cannot begin: the exit status. */
int floor_tls_serve(int epoll, int listener, unsigned port);

#endif

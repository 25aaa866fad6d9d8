/* SPDX-License-Identifier: MIT */
/* Requests to a server on this machine. */
#ifndef BENCH_CLIENT_H
#define BENCH_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Connect to 127.0.0.1:port (TCP_NODELAY) from 127.0.0.1 + source; receive_bytes is SO_RCVBUF, 0: the system's.
 * -1: errno says why. */
int bench_connect(int port, unsigned source, int receive_bytes);
bool bench_send_all(int fd, const char *data, size_t len);

/* A connection that is kept from one request to the next. */
typedef struct bench_client {
  int port, fd; /* fd -1: none yet */
} bench_client;

/* One POST, blocking. headers: whole lines with their ends, "" for none. Returns the status, -1 on failure. A
 * connection that was kept and says nothing has been ended by its server: the request is sent again, on another one. */
int bench_post(bench_client *client, const char *path, const char *headers, const char *body, size_t len);
void bench_client_finish(bench_client *client);

/* One request on a connection of its own, blocking. Returns the status, -1 on failure; body: its answer, cut and
 * terminated, may be NULL. */
int bench_request(int port, const char *method, const char *path, const char *send, size_t send_len, char *body,
                  size_t body_capacity);
/* A number in the JSON of GET /stats, such as "open" or "store.put"; -1: none. */
int64_t bench_server_stat(int port, const char *path);

#endif

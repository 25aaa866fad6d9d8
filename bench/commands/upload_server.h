/* SPDX-License-Identifier: MIT */
/* Servers for uploads, each in a separate process, so that the cost of a server is that of its process. */
#ifndef BENCH_UPLOAD_SERVER_H
#define BENCH_UPLOAD_SERVER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* The first server does not use vestry: it only copies bytes from a socket to a file, for one upload at a time. */
typedef enum upload_kind { UPLOAD_BARE, UPLOAD_CIVETWEB, UPLOAD_MICROHTTPD, UPLOAD_KINDS } upload_kind;
extern const char *const upload_kinds[UPLOAD_KINDS];

typedef struct upload_server_options {
  upload_kind kind;
  const char *folder;     /* folder for files without a name */
  uint64_t file_bytes;    /* maximum size of a file */
  uint64_t uploads_count; /* maximum number of concurrent uploads */
  uint64_t pages_count;   /* number of live pages; 0: none */
  uint64_t memory_bytes;  /* libmicrohttpd: of a connection; 0: the adapter's default */
  uint64_t piece_bytes;   /* bare: bytes of a read */
} upload_server_options;

typedef struct upload_server {
  pid_t pid;
  int port;
} upload_server;

/* Start a server. POST /upload takes a file as its body, or as a form; GET /stats returns for vestry: open, failed,
 * done, written, memory (allocated). Call it before this process has threads. false: it did not start. */
bool upload_server_start(const upload_server_options *options, upload_server *server);
void upload_server_stop(upload_server *server);

#endif

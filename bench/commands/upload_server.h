/* SPDX-License-Identifier: MIT */
/* Servers that take uploads, each in a process of its own: what one costs is what its process costs. */
#ifndef BENCH_UPLOAD_SERVER_H
#define BENCH_UPLOAD_SERVER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* The first is no vestry: a socket's bytes, piece by piece, into a file, and nothing else; one upload at a time. */
typedef enum upload_kind { UPLOAD_BARE, UPLOAD_CIVETWEB, UPLOAD_MICROHTTPD, UPLOAD_KINDS } upload_kind;
extern const char *const upload_kinds[UPLOAD_KINDS];

typedef struct upload_server_options {
  upload_kind kind;
  const char *folder;     /* files are written there, without a name */
  uint64_t file_bytes;    /* at most */
  uint64_t uploads_count; /* at once */
  uint64_t pages_count;   /* live pages at once; 0: none are there */
  uint64_t memory_bytes;  /* libmicrohttpd: of a connection; 0: the adapter's default */
  uint64_t piece_bytes;   /* bare: of a read */
} upload_server_options;

typedef struct upload_server {
  pid_t pid;
  int port;
} upload_server;

/* POST /upload takes a file as its body, or as a form; GET /stats says of vestry's: open, failed, done, written, memory
 * (allocated). Before the first thread of this process. false: it did not start. */
bool upload_server_start(const upload_server_options *options, upload_server *server);
void upload_server_stop(upload_server *server);
/* CPU time so far; 0: unknown. */
uint64_t upload_server_cpu_ns(const upload_server *server);

#endif

/* SPDX-License-Identifier: MIT */
/* A request without a socket, which benchmarks pass to vestry_serve. */
#ifndef BENCH_REQUEST_H
#define BENCH_REQUEST_H

#include "vestry/adapter.h"

typedef struct bench_request {
  const char *method, *path;
  const char *header, *value; /* its only header; NULL: none */
  const char *peer;           /* NULL: not known */
  int status;                 /* status of its answer; 0: none */
} bench_request;

/* Functions of the request. It has neither a query nor a body, and its answer is not a stream. */
extern const vestry_request_ops bench_request_ops;

#endif

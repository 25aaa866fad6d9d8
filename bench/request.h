/* SPDX-License-Identifier: MIT */
/* A request as a server has it, with no socket under it: what benchmarks hand to vestry_serve. */
#ifndef BENCH_REQUEST_H
#define BENCH_REQUEST_H

#include "vestry/adapter.h"

typedef struct bench_request {
  const char *method, *path;
  const char *header, *value; /* its one header; NULL: it has none */
  const char *peer;           /* NULL: not known */
  int status;                 /* what it was answered; 0: nothing */
} bench_request;

/* It has neither a query nor a body, and its answer is no stream. */
extern const vestry_request_ops bench_request_ops;

#endif

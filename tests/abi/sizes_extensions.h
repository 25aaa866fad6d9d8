/* SPDX-License-Identifier: MIT */
/* Structs of extensions that functions read or fill. */
#ifndef TESTS_ABI_SIZES_EXTENSIONS_H
#define TESTS_ABI_SIZES_EXTENSIONS_H

#include "vestry/app/application.h"
#include "vestry/app/bus.h"
#include "vestry/app/csp.h"
#include "vestry/app/csrf.h"
#include "vestry/app/files.h"
#include "vestry/app/form.h"
#include "vestry/app/history.h"
#include "vestry/app/once.h"
#include "vestry/app/page.h"
#include "vestry/app/presence.h"
#include "vestry/app/rate.h"
#include "vestry/app/secret.h"
#include "vestry/app/session.h"
#include "vestry/app/stream.h"
#include "vestry/app/upload.h"
#include "vestry/app/upload_view.h"
#include "vestry/app/watch.h"
#include "vestry/app/window.h"
#include "vestry/cluster/cluster.h"
#include "vestry/ops/metrics.h"
#include "vestry/ops/observe.h"
#include "vestry/testing/contract.h"

/* A struct that a function reads. */
typedef struct sizes_taken {
  const char *name;
  vestry_err (*take)(const void *given);
  const void *good; /* its first `size` bytes are valid */
  size_t size;
} sizes_taken;

/* A struct that a function fills. */
typedef struct sizes_filled {
  const char *name;
  void (*fill)(void *ret);
  size_t size;
} sizes_filled;

extern const sizes_taken sizes_extensions_taken[];
extern const size_t sizes_extensions_taken_count;
extern const sizes_filled sizes_extensions_filled[];
extern const size_t sizes_extensions_filled_count;

/* Set the instance to which the functions pass their structs, and one of its streams; NULL: none is open. */
void sizes_use(vestry *of, vestry_connection *with);
extern char sizes_folder[];                 /* a folder of the test, once mkdtemp has made it */
extern const unsigned char sizes_zero[512]; /* options that are all default */

#endif

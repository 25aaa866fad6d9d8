/* SPDX-License-Identifier: MIT */
/* PgBouncer between a program and a test's server, if Debian's package is installed. */
#ifndef TESTS_POSTGRES_POOLER_H
#define TESTS_POSTGRES_POOLER_H

#include <stdbool.h>

#include "postgres/server.h"

typedef struct postgres_pooler {
  pid_t pid; /* 0: not running */
  int port;
  char url[96];
} postgres_pooler;

bool postgres_pooler_is_installed(void);
/* Return whether PgBouncer keeps its server connections after a mode change: from 1.24.0 on, by its change log.
 * Older versions close them. */
bool postgres_pooler_keeps_servers(void);
/* Start it, and wait until it accepts clients. It opens at most 4 server connections. mode: its pool_mode; more lines
 * of settings may follow. */
void postgres_pooler_start(postgres_pooler *pooler, const postgres_server *server, const char *mode);
/* Change the mode while it runs. */
void postgres_pooler_change(postgres_pooler *pooler, const postgres_server *server, const char *mode);
void postgres_pooler_finish(postgres_pooler *pooler);

#endif

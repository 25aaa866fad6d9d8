/* SPDX-License-Identifier: MIT */
/* PgBouncer between a program and a server of the test's, where Debian's package is installed. */
#ifndef TESTS_POSTGRES_POOLER_H
#define TESTS_POSTGRES_POOLER_H

#include <stdbool.h>

#include "postgres/server.h"

typedef struct postgres_pooler {
  pid_t pid; /* 0: it does not run */
  int port;
  char url[96];
} postgres_pooler;

bool postgres_pooler_is_installed(void);
/* It keeps its connections to the server when it gets another mode: from 1.24.0 on, by its change log. Older ones close
 * them. */
bool postgres_pooler_keeps_servers(void);
/* Run it, until it lets clients in. It has at most 4 connections to the server. mode: its pool_mode */
void postgres_pooler_start(postgres_pooler *pooler, const postgres_server *server, const char *mode);
/* It gets another mode while it runs. */
void postgres_pooler_change(postgres_pooler *pooler, const postgres_server *server, const char *mode);
void postgres_pooler_finish(postgres_pooler *pooler);

#endif

/* SPDX-License-Identifier: MIT */
/* A PostgreSQL server of the test's own: a process with a temporary folder, on a UNIX socket there and on a free port
 * of the loopback, without fsync. Its programs are Debian's, in /usr/lib/postgresql/MAJOR/bin. PostgreSQL does not run
 * as root: then its user, and the folder's, is postgres, or nobody. */
#ifndef TESTS_POSTGRES_SERVER_H
#define TESTS_POSTGRES_SERVER_H

#include <libpq-fe.h>
#include <stdint.h>
#include <sys/types.h>

enum { POSTGRES_SKIPPED = 77 }; /* what a program returns where PostgreSQL is not installed: ctest passes it over */

typedef struct postgres_server {
  pid_t pid; /* 0: it does not run */
  int port;
  unsigned major;
  uid_t user; /* 0: this process's own */
  gid_t group;
  char programs[64];
  char folder[64];
  char url[192];   /* for libpq: by the socket, as the superuser postgres */
  char by_tcp[96]; /* the same by the loopback */
} postgres_server;

/* The newest major version that is installed here; 0: none. */
unsigned postgres_server_newest(void);
/* Make a folder with a new database in it; it does not run yet. major: 0: the newest. */
void postgres_server_init(postgres_server *server, unsigned major);
/* Make a folder with a copy of a server that runs, as a standby of it; it does not run yet. */
void postgres_server_init_standby(postgres_server *server, const postgres_server *of);
/* Run it, until it answers. settings: as "-c" has them, with a NULL at the end; NULL: none. */
void postgres_server_start(postgres_server *server, const char *const *settings);
/* End it at once, as in a crash: what it starts with next is recovery. What does not run is left alone. */
void postgres_server_kill(postgres_server *server);
/* End it in good order: what it starts with next is no recovery. */
void postgres_server_stop(postgres_server *server);
/* Run one of PostgreSQL's programs in the server's folder; it is to succeed. arguments: its name first, NULL last. */
void postgres_server_call(const postgres_server *server, const char *const *arguments);
/* Begin one, or another program by its path, as the server's user; it ends with this process. Its caller waits
 * for it. */
pid_t postgres_server_launch(const postgres_server *server, const char *const *arguments);
/* Kill, and remove the folder. */
void postgres_server_finish(postgres_server *server);

/* A connection of the test's own: without the settings of PGOPTIONS, which connections of vestry's have. */
PGconn *postgres_server_connect(const postgres_server *server);
/* Run statements with a connection of their own; each is to succeed. */
void postgres_server_run(const postgres_server *server, const char *sql);
/* The one number that a query finds. */
int64_t postgres_server_number(const postgres_server *server, const char *sql);

#endif

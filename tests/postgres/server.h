/* SPDX-License-Identifier: MIT */
/* A PostgreSQL server for a test: a process with a temporary folder, on a UNIX socket there and on a free loopback
 * port, without fsync. It uses Debian's programs in /usr/lib/postgresql/MAJOR/bin. PostgreSQL does not run as root;
 * then the user postgres, or nobody, runs the server and owns the folder. */
#ifndef TESTS_POSTGRES_SERVER_H
#define TESTS_POSTGRES_SERVER_H

#include <libpq-fe.h>
#include <stdint.h>
#include <sys/types.h>

enum { POSTGRES_SKIPPED = 77 }; /* exit status if PostgreSQL is not installed: ctest skips the test */

typedef struct postgres_server {
  pid_t pid; /* 0: not running */
  int port;
  unsigned major;
  uid_t user; /* 0: this process's user */
  gid_t group;
  char programs[64];
  char folder[64];
  char url[192];   /* for libpq: over the socket, as the superuser postgres */
  char by_tcp[96]; /* the same over the loopback */
} postgres_server;

/* Return the newest installed major version; 0: none. */
unsigned postgres_server_newest(void);
/* Make a folder with a new database, without starting it. major: 0: the newest. */
void postgres_server_init(postgres_server *server, unsigned major);
/* Make a folder with a copy of a running server, as its standby, without starting it. */
void postgres_server_init_standby(postgres_server *server, const postgres_server *of);
/* Start the server, and wait until it answers. settings: arguments of "-c", terminated by NULL; NULL: none. */
void postgres_server_start(postgres_server *server, const char *const *settings);
/* End the server at once, as in a crash; the next start begins with recovery. Does nothing if it does not run. */
void postgres_server_kill(postgres_server *server);
/* Shut the server down; the next start needs no recovery. */
void postgres_server_stop(postgres_server *server);
/* Run one of PostgreSQL's programs in the server's folder, which must succeed. arguments: its name first, NULL last. */
void postgres_server_call(const postgres_server *server, const char *const *arguments);
/* Start one of PostgreSQL's programs, or another one by its path, as the server's user. It ends with this process;
 * the caller waits for it. */
pid_t postgres_server_launch(const postgres_server *server, const char *const *arguments);
/* Let a socket in a folder (port 1) lead to a server, as a host name leads to another server when its address
 * changes. */
void postgres_server_lead(const char *folder, const postgres_server *to);
/* Kill the server, and remove its folder. */
void postgres_server_finish(postgres_server *server);

/* Open a connection for the test, without the settings of PGOPTIONS, which vestry's connections use. */
PGconn *postgres_server_connect(const postgres_server *server);
/* Run statements on a new connection; each must succeed. */
void postgres_server_run(const postgres_server *server, const char *sql);
/* Return the number that a query finds. */
int64_t postgres_server_number(const postgres_server *server, const char *sql);

#endif

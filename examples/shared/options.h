/* SPDX-License-Identifier: MIT */
/* The command line: what all examples understand, and a way to understand more. */
#ifndef EXAMPLES_OPTIONS_H
#define EXAMPLES_OPTIONS_H

#include <getopt.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "console.h"
#include "trace.h"
#include "vestry/app/files.h"
#include "vestry/vestry.h"

enum { STYLES_MAX = 2 };

struct server_options {
  const char *program;    /* its name, ahead of what it complains about */
  unsigned port;          /* 0: any free one */
  const char *address;    /* to listen on; NULL: 127.0.0.1 */
  const char *adapter;    /* civetweb or microhttpd */
  const char *unix_path;  /* a UNIX socket to listen on, instead of the port; NULL: none */
  unsigned threads_count; /* 0: the adapter's default */
  char *file;             /* what --datastar-file names: its text, to be freed; NULL: not given */
  const void *client; /* the client that is served here: that text, or the one built in; NULL: the CDN's is loaded */
  size_t client_len;
  bool has_version;                           /* by --datastar-version */
  bool client_needs_eval;                     /* it is one before 1.0.3 */
  char client_url[128];                       /* where pages load it from */
  void (*on_ready)(unsigned port, void *ctx); /* it listens there; 0: on a UNIX socket. NULL: none */
  void *ready_ctx;
  const vestry_host *host;           /* of the instance; NULL: the default one */
  struct trace trace;                /* which the host has, if --trace is given */
  bool has_console;                  /* by --console: it is there while options_serve serves, */
  vestry_observe_options shown;      /* and shows this of the program, which has set it before */
  struct console_metrics metrics;    /* and these */
  vestry_file table[STYLES_MAX + 1]; /* what options_files serves */
  vestry_files *files;
};

/* For the table of names that a program has. Its own values begin at OPTION_OWN. */
enum {
  OPTION_PORT = 1,
  OPTION_LISTEN,
  OPTION_ADAPTER,
  OPTION_THREADS,
  OPTION_UNIX_SOCKET,
  OPTION_DATASTAR_FILE,
  OPTION_DATASTAR_VERSION,
  OPTION_TRACE,
  OPTION_CONSOLE,
  OPTION_HELP,
  OPTION_OWN
};
#define OPTIONS_OF_ALL                                                                                                 \
  {"port", required_argument, NULL, OPTION_PORT}, {"listen", required_argument, NULL, OPTION_LISTEN},                  \
      {"adapter", required_argument, NULL, OPTION_ADAPTER}, {"threads", required_argument, NULL, OPTION_THREADS},      \
      {"unix-socket", required_argument, NULL, OPTION_UNIX_SOCKET},                                                    \
      {"datastar-file", required_argument, NULL, OPTION_DATASTAR_FILE},                                                \
      {"datastar-version", required_argument, NULL, OPTION_DATASTAR_VERSION},                                          \
      {"trace", required_argument, NULL, OPTION_TRACE}, {"console", no_argument, NULL, OPTION_CONSOLE}, {              \
    "help", no_argument, NULL, OPTION_HELP                                                                             \
  }

/* Takes the value of an option of the program's own. Returns 0, or what options_refuse returns. */
typedef int (*options_own_fn)(int option, const char *value, void *ctx);

/* names: ended by zeros, as getopt_long wants them; own: NULL with no more than OPTIONS_OF_ALL.
 * Returns -1: run; otherwise the status to exit with (--help 0, a bad value 2), everything being said already. */
int options_parse(int argc, char **argv, const struct option *names, const char *help, options_own_fn own, void *ctx,
                  struct server_options *ret_options);
/* When the instance is gone. */
void options_finish(struct server_options *options);

/* Serve style sheets, at most STYLES_MAX, each at the path that it has, and the client, if it is one of a file, at
 * /datastar.js. Their bytes are borrowed until options_finish, which comes after vestry_destroy. OK | NO_MEMORY */
vestry_err options_files(struct server_options *options, vestry *v, const vestry_file *styles, size_t count);

/* Serve until SIGINT or SIGTERM; where is printed when it listens. In a second and a bit behind the signal the process
 * has ended. OK | what vestry_server_run returns; it has been said. */
vestry_err options_serve(const struct server_options *options, vestry *v);

/* One clear line; returns the status for bad values. */
int options_refuse(const char *program, const char *option, const char *value, const char *wanted);
/* Digits and nothing else: no sign, no space, no 0x. */
bool options_number(const char *text, uint64_t least, uint64_t most, uint64_t *ret_value);

#endif

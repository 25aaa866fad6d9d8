/* SPDX-License-Identifier: MIT */
/* The command line: options of all examples, and an interface for further options. */
#ifndef EXAMPLES_OPTIONS_H
#define EXAMPLES_OPTIONS_H

#include <getopt.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vestry/app/application.h"
#include "vestry/ops/observe.h"
#include "vestry/ops/trace_file.h"
#include "vestry/vestry.h"

enum { STYLES_MAX = 2, CERTIFICATE_BYTES = 16384, CONSOLE_URL_BYTES = 64 };

struct server_options {
  const char *program;                 /* its name, the prefix of messages */
  unsigned port;                       /* 0: any free one */
  const char *address;                 /* to listen on; NULL: 127.0.0.1 */
  const char *adapter;                 /* civetweb, microhttpd or h2 */
  bool has_tls;                        /* h2: neither --no-tls nor --unix-socket was given */
  char certificate[CERTIFICATE_BYTES]; /* with its key, for TLS: of --certificate, or made at the start */
  const char *unix_path;               /* a UNIX socket to listen on, instead of the port; NULL: none */
  unsigned threads_count;              /* 0: the adapter's default */
  char *file;                          /* text of the file that --datastar-file names, to be freed; NULL: not given */
  const void *client; /* the served client: that text, or the built-in one; NULL: browsers load it from the CDN */
  size_t client_len;
  bool has_version;       /* set by --datastar-version */
  bool client_needs_eval; /* the client is older than 1.0.3 */
  char client_url[128];   /* from which pages load the client */
  /* Called when the server listens on this port; 0: on a UNIX socket. NULL: none. */
  void (*on_ready)(unsigned port, void *ctx);
  void *ready_ctx;
  vestry_application *app;           /* set by program_create; NULL: there is none */
  const vestry_host *host;           /* of the instance: that of spans; NULL: the default one */
  vestry_trace_file *spans;          /* of --trace; NULL: not given */
  bool has_console;                  /* set by --console, which exists while options_serve serves */
  vestry_observe_options shown;      /* objects that the console shows, set before by the program */
  vestry_file table[STYLES_MAX + 1]; /* files of options_files */
  vestry_files *files;
};

/* For the program's table of names, whose own values begin at OPTION_OWN. */
enum {
  OPTION_PORT = 1,
  OPTION_LISTEN,
  OPTION_ADAPTER,
  OPTION_THREADS,
  OPTION_UNIX_SOCKET,
  OPTION_CERTIFICATE,
  OPTION_NO_TLS,
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
      {"certificate", required_argument, NULL, OPTION_CERTIFICATE}, {"no-tls", no_argument, NULL, OPTION_NO_TLS},      \
      {"datastar-file", required_argument, NULL, OPTION_DATASTAR_FILE},                                                \
      {"datastar-version", required_argument, NULL, OPTION_DATASTAR_VERSION},                                          \
      {"trace", required_argument, NULL, OPTION_TRACE}, {"console", no_argument, NULL, OPTION_CONSOLE}, {              \
    "help", no_argument, NULL, OPTION_HELP                                                                             \
  }
/* Lines of the help that describe some of these options. */
#define HELP_OF_ADAPTER                                                                                                \
  "  --adapter civetweb|microhttpd|h2\n"                                                                               \
  "                        server: one thread per stream, one thread for many streams, or the same with HTTP/2 over\n" \
  "                        TLS, which browsers open any number of tabs with [civetweb]\n"                              \
  "  --certificate FILE    h2: file with a key and its certificate, in PEM [one is made at each start, of which\n"     \
  "                        browsers warn]\n"                                                                           \
  "  --no-tls              h2: HTTP without TLS, for a proxy on this machine [TLS]\n"
#define HELP_OF_UNIX_SOCKET                                                                                            \
  "  --unix-socket PATH    UNIX socket to listen on instead of the port, for a proxy; with h2,\n"                      \
  "                        without TLS [none; not with civetweb]\n"

/* Reads the value of an option of the program. Returns 0, or the result of options_refuse. */
typedef int (*options_own_fn)(int option, const char *value, void *ctx);

/* Read the command line. names: terminated by zeros, as for getopt_long. own: NULL if there is nothing but
 * OPTIONS_OF_ALL. Returns -1: run; otherwise the exit status (--help 0, a bad value 2), after the message was
 * printed. */
int options_parse(int argc, char **argv, const struct option *names, const char *help, options_own_fn own, void *ctx,
                  struct server_options *ret_options);
/* Free the options. Call it after the instance was destroyed. */
void options_finish(struct server_options *options);

/* Serve style sheets, at most STYLES_MAX, each at its path, and a client from a file at /datastar.js. Their bytes are
 * borrowed until options_finish, which comes after vestry_destroy. OK | NO_MEMORY */
vestry_err options_files(struct server_options *options, vestry *v, const vestry_file *styles, size_t count);

/* Serve until SIGINT or SIGTERM. Prints the URL when the server listens. The process ends slightly more than a second
 * after the signal. OK | errors of vestry_server_run, after a message was printed. */
vestry_err options_serve(const struct server_options *options, vestry *v);

/* Return "https" if the server has TLS, otherwise "http". */
const char *options_scheme(const struct server_options *options);

/* Return whether the console may be mounted; if not, print a message. It serves requests of this machine only, so these
 * must be possible and distinguishable. passes_on: a process of this machine forwards the connections, so that all of
 * them seem to come from this machine */
bool options_allow_console(const struct server_options *options, bool passes_on);
/* Write the URL of the console, for browsers on this machine. */
void options_console_url(const struct server_options *options, unsigned port, char url[CONSOLE_URL_BYTES]);

/* Print a message of one line; returns the exit status for bad values. */
int options_refuse(const char *program, const char *option, const char *value, const char *wanted);
/* Parse a number of digits only: no sign, no space, no 0x. */
bool options_number(const char *text, uint64_t least, uint64_t most, uint64_t *ret_value);

#endif

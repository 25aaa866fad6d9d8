/* SPDX-License-Identifier: MIT */
/* The option --console: /observe/console and the other routes of vestry/ops/observe.h, for browsers on this machine
 * only. */
#ifndef EXAMPLES_CONSOLE_H
#define EXAMPLES_CONSOLE_H

#include <stdbool.h>

#include "vestry/ops/observe.h"

/* Further sources of metrics: a database, its pool, a broker. */
enum { CONSOLE_METRICS_MAX = 4 };
struct console_metrics {
  vestry_metrics_fn all[CONSOLE_METRICS_MAX];
  void *ctxs[CONSOLE_METRICS_MAX];
  size_t count;
};
/* Add a source. of: passed to add at each scrape, until the server has stopped; NULL: nothing is added */
void console_metrics_of(struct console_metrics *metrics, vestry_metrics_fn add, void *of);

/* Mount the console, before the server starts. shown: pages and cluster of the program; each may be NULL. metrics:
 * borrowed until vestry_observe_destroy. ret_console: destroy it by vestry_observe_destroy after the server has
 * stopped, before the objects that it shows. Returns as vestry_observe_mount, after a message was printed */
vestry_err console_begin(const char *program, vestry *v, const vestry_observe_options *shown,
                         const struct console_metrics *metrics, vestry_observe **ret_console);
enum { CONSOLE_URL_BYTES = 64 };
/* Write the URL of the console, for browsers on this machine. scheme: http or https. address: as in the options; NULL:
 * 127.0.0.1 */
void console_url(const char *scheme, const char *address, unsigned port, char url[CONSOLE_URL_BYTES]);
/* Print the URL. node: 0: there is only one */
void console_say(const char *program, const char *scheme, const char *address, unsigned node, unsigned port);
/* Return whether the console may be mounted on a server with this address (NULL: 127.0.0.1) or UNIX socket (NULL:
 * none). It serves requests from this machine only, so such requests must be possible and distinguishable. If not,
 * prints a message and returns false. passes_on: a process of this machine forwards the connections, so that all of
 * them seem to come from this machine */
bool console_check(const char *program, const char *address, const char *unix_path, bool passes_on);

#endif

/* SPDX-License-Identifier: MIT */
/* What a program does, for this machine's eyes: /observe/console and what else vestry/ops/observe.h has, by
 * --console. */
#ifndef EXAMPLES_CONSOLE_H
#define EXAMPLES_CONSOLE_H

#include <stdbool.h>

#include "vestry/ops/observe.h"

/* What has metrics beside vestry's own: a database, its pool, a broker. */
enum { CONSOLE_METRICS_MAX = 4 };
struct console_metrics {
  vestry_metrics_fn all[CONSOLE_METRICS_MAX];
  void *ctxs[CONSOLE_METRICS_MAX];
  size_t count;
};
/* One more of them. of: given to add at each scrape, until the server has stopped; NULL: there is none of it */
void console_metrics_of(struct console_metrics *metrics, vestry_metrics_fn add, void *of);

/* Mount it, before the server starts.
 * shown: pages and cluster of the program's own; each may be NULL.
 * metrics: borrowed until vestry_observe_destroy.
 * ret_console: to be given to vestry_observe_destroy once nothing is answered any more, ahead of what it shows.
 * Returns what vestry_observe_mount returns; it has been said */
vestry_err console_begin(const char *program, vestry *v, const vestry_observe_options *shown,
                         const struct console_metrics *metrics, vestry_observe **ret_console);
enum { CONSOLE_URL_BYTES = 64 };
/* Where it is, for browsers on this machine. address: as options have it: NULL: 127.0.0.1 */
void console_url(const char *address, unsigned port, char url[CONSOLE_URL_BYTES]);
/* Print that. node: 0: there is but one */
void console_say(const char *program, const char *address, unsigned node, unsigned port);
/* Whether it may be mounted where a server listens there (NULL: on 127.0.0.1), or on a UNIX socket (NULL: on none). It
 * is for requests that come from this machine, so they must be able to. Otherwise false, and why has been said.
 * passes_on: a process of this machine takes the connections and hands them on, so that all seem to come from here */
bool console_check(const char *program, const char *address, const char *unix_path, bool passes_on);

#endif

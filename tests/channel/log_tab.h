/* SPDX-License-Identifier: MIT */
/* A tab that shows a log: a model of the client. Lines are numbered from 1, and appended one by one; the state is all
 * of them. It applies each event when its empty line has come, and remembers an id as soon as its line has. */
#ifndef TESTS_CHANNEL_LOG_TAB_H
#define TESTS_CHANNEL_LOG_TAB_H

#include "vestry/testing/memory.h"
#include "vestry/vestry.h"

typedef struct log_tab {
  vestry_memory_exchange *stream; /* NULL: none */
  size_t read;                    /* of the stream, bytes */
  char id[200];                   /* that it has seen last; "": none */
  const char *given;              /* what it says instead, once; NULL: that */
  uint64_t last;                  /* the last line that it shows */
  unsigned wrong;                 /* lines that came twice, or behind others that are missing, since the last state */
  bool awaits;                    /* it is to be sent the state, as far as it can tell by ids */
  unsigned broken;                /* lines that were wrong when it was not */
  unsigned twice;                 /* of which the id was cut off: they come again */
  uint64_t unclaimed;             /* the line that was applied last, whose id has not come; 0: none */
} log_tab;

/* Broadcast a line: append it. As vestry_broadcast. */
vestry_err log_write(vestry *v, const vestry_key *key, uint64_t line);
/* Send the state: all lines up to that one. */
vestry_err log_send_state(vestry_connection *connection, uint64_t last);

/* Come, or come back, with what it has seen; with `try`, it may fail. */
void log_tab_connect(log_tab *t, vestry *v, vestry_handler_fn handler, void *app);
void log_tab_try(log_tab *t, vestry *v, vestry_handler_fn handler, void *app);
/* Take at most so many bytes of what has come. */
void log_tab_read(log_tab *t, size_t most);
/* The stream breaks: what was not read is lost. */
void log_tab_cut(log_tab *t);
void log_tab_end(log_tab *t);

#endif

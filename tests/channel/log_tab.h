/* SPDX-License-Identifier: MIT */
/* A model of a client that shows a log. Lines are numbered from 1 and appended one by one; the state contains all of
 * them. The client applies an event at its empty line, and stores an id as soon as the id's line is complete. */
#ifndef TESTS_CHANNEL_LOG_TAB_H
#define TESTS_CHANNEL_LOG_TAB_H

#include "vestry/testing/memory.h"
#include "vestry/vestry.h"

typedef struct log_tab {
  vestry_memory_exchange *stream; /* NULL: none */
  size_t read;                    /* bytes of the stream */
  char id[200];                   /* the last one seen; "": none */
  const char *given;              /* an id that is sent once in its place; NULL: none */
  uint64_t last;                  /* the last line shown */
  unsigned wrong;                 /* lines since the last state that came twice, or after missing lines */
  bool awaits;                    /* by its ids, the client expects to receive the state */
  unsigned broken;                /* wrong lines while no state was expected */
  unsigned twice;                 /* repeated lines whose id was cut off */
  uint64_t unclaimed;             /* the last line applied, whose id has not arrived; 0: none */
} log_tab;

/* Broadcast a line to be appended. Returns the result of vestry_broadcast. */
vestry_err log_write(vestry *v, const vestry_key *key, uint64_t line);
/* Send the state: all lines up to `last`. */
vestry_err log_send_state(vestry_connection *connection, uint64_t last);

/* Connect or reconnect with the last id seen; log_tab_try may fail. */
void log_tab_connect(log_tab *t, vestry *v, vestry_handler_fn handler, void *app);
void log_tab_try(log_tab *t, vestry *v, vestry_handler_fn handler, void *app);
/* Read at most this number of received bytes. */
void log_tab_read(log_tab *t, size_t most);
/* Break the stream: the unread bytes are lost. */
void log_tab_cut(log_tab *t);
void log_tab_end(log_tab *t);

#endif

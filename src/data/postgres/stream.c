/* SPDX-License-Identifier: MIT */
/* Receiving the WAL by the server's protocol for replication: messages with WAL, and reports of the position. */
#include "data/postgres/stream.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/wait.h"

enum {
  REPORT_EACH_MS = 10000, /* a server ends the connection after a minute without reports */
  MESSAGES_MAX = 64,      /* read at once */
  DATA_HEAD = 25,         /* of a message with WAL: its type, position, end, time */
  KEEP_ALIVE = 18,
  SINCE_S = 946684800 /* seconds from 1970 to 2000 */
};

static uint64_t load(const char *at) {
  uint64_t value = 0;
  for (int i = 0; i < 8; i++) value = value << 8 | (unsigned char)at[i];
  return value;
}

static void store(char *at, uint64_t value) {
  for (int i = 7; i >= 0; i--, value >>= 8) at[i] = (char)value;
}

static bool read_place(const PGresult *row, vsi_postgres_place *ret_place) {
  unsigned high, low;
  if (sscanf(PQgetvalue(row, 0, 2), "%X/%X", &high, &low) != 2) return false;
  ret_place->timeline = (uint32_t)strtoul(PQgetvalue(row, 0, 1), NULL, 10);
  ret_place->at = (uint64_t)high << 32 | low;
  return true;
}

vestry_err vsi_postgres_stream_open(vsi_postgres_stream *stream, const vsi_call *call, const char *url,
                                    vsi_postgres_place *ret_place) {
  PGresult *row = NULL;
  vestry_err error =
      vsi_postgres_connect(call, url, true, "database", vsi_monotonic_in_ms(VSI_POSTGRES_ASK_MS), &stream->db);
  if (!error) error = vsi_postgres_ask_own(call, stream->db, "SELECT pg_postmaster_start_time()", 1, &row);
  if (error) return error;
  snprintf(ret_place->started, sizeof ret_place->started, "%s", PQgetvalue(row, 0, 0));
  PQclear(row);
  error = vsi_postgres_ask_own(call, stream->db, "IDENTIFY_SYSTEM", 3, &row);
  if (error) return error;
  if (!read_place(row, ret_place))
    error = vsi_refuse(call, VESTRY_IO, "the server does not report the position of its WAL");
  PQclear(row);
  return error;
}

vestry_err vsi_postgres_stream_start(vsi_postgres_stream *stream, const vsi_call *call, const vsi_postgres_place *place,
                                     const vsi_postgres_wal_options *given) {
  vsi_postgres_wal_options options = *given;
  char sql[96];
  options.at = place->at & ~(uint64_t)(options.page_bytes - 1);
  if (vsi_postgres_wal_init(&stream->wal, &options))
    return vsi_refuse(call, VESTRY_IO, "the WAL has an invalid size of pages or segments");
  stream->end = options.at;
  snprintf(sql, sizeof sql, "START_REPLICATION PHYSICAL %" PRIX32 "/%" PRIX32 " TIMELINE %" PRIu32,
           (uint32_t)(options.at >> 32), (uint32_t)options.at, place->timeline);
  vestry_err error = vsi_postgres_ask_own(call, stream->db, sql, 0, NULL);
  if (error) return error;
  stream->heard_at_ns = vsi_monotonic_ns();
  vsi_postgres_stream_report(stream, true);
  return VESTRY_OK;
}

/* Return the time since 2000, as the server counts. pg_stat_replication shows it. */
static uint64_t now_us(void) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  return (uint64_t)(now.tv_sec - SINCE_S) * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

/* Report the read position as written. Flushed and applied stay 0, because this is no standby, and no commit waits for
 * it. */
static void report(vsi_postgres_stream *stream, bool asks) {
  char answer[34] = "r";
  stream->reported_at_ns = vsi_monotonic_ns();
  store(answer + 1, stream->wal.at);
  store(answer + 25, now_us());
  answer[sizeof answer - 1] = asks;
  if (PQputCopyData(stream->db, answer, sizeof answer) == 1) (void)PQflush(stream->db);
}

void vsi_postgres_stream_report(vsi_postgres_stream *stream, bool is_asked) {
  if (is_asked || vsi_monotonic_ns() - stream->reported_at_ns >= (uint64_t)REPORT_EACH_MS * 1000000)
    report(stream, false);
}

/* The time since the request counts, because this process may have been suspended for long. */
vestry_err vsi_postgres_stream_rouse(vsi_postgres_stream *stream, uint32_t silence_ms, uint32_t *ret_ms) {
  const uint64_t now_ns = vsi_monotonic_ns();
  const uint64_t since_ns = stream->asked_at_ns ? stream->asked_at_ns : stream->heard_at_ns;
  const uint64_t passed_ms = (now_ns - since_ns) / 1000000;
  *ret_ms = silence_ms;
  if (passed_ms < silence_ms) {
    *ret_ms = silence_ms - (uint32_t)passed_ms;
  } else if (!stream->asked_at_ns) {
    report(stream, true);
    stream->asked_at_ns = now_ns;
  } else {
    snprintf(stream->wal.reason, sizeof stream->wal.reason, "the server has sent nothing for %" PRIu32 " ms",
             silence_ms);
    return VESTRY_TIMEOUT;
  }
  return VESTRY_OK;
}

static vestry_err take(vsi_postgres_stream *stream, const char *message, size_t len) {
  stream->heard_at_ns = vsi_monotonic_ns();
  stream->asked_at_ns = 0;
  if (len >= KEEP_ALIVE && message[0] == 'k') {
    stream->end = load(message + 1);
    if (message[KEEP_ALIVE - 1]) vsi_postgres_stream_report(stream, true);
    return VESTRY_OK;
  }
  if (len < DATA_HEAD || message[0] != 'w') return VESTRY_OK;
  stream->end = load(message + 9);
  if (load(message + 1) == stream->wal.at)
    return vsi_postgres_wal_feed(&stream->wal, message + DATA_HEAD, len - DATA_HEAD);
  snprintf(stream->wal.reason, sizeof stream->wal.reason, "a part of the WAL is missing");
  return VESTRY_MALFORMED;
}

vestry_err vsi_postgres_stream_read(vsi_postgres_stream *stream, bool *ret_more) {
  vestry_err error = VESTRY_OK;
  *ret_more = false;
  if (!PQconsumeInput(stream->db)) return VESTRY_CLOSED;
  for (int i = 0; i < MESSAGES_MAX && !error; i++) {
    char *message = NULL;
    int len = PQgetCopyData(stream->db, &message, 1);
    if (len == 0) return VESTRY_OK;
    if (len < 0) return VESTRY_CLOSED;
    error = take(stream, message, (size_t)len);
    PQfreemem(message);
  }
  *ret_more = true;
  return error;
}

void vsi_postgres_stream_finish(vsi_postgres_stream *stream) {
  if (stream->wal.is.host) vsi_postgres_wal_finish(&stream->wal);
  PQfinish(stream->db);
  *stream = (vsi_postgres_stream){.db = NULL};
}

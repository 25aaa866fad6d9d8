/* SPDX-License-Identifier: MIT */
/* The default host. A host is the set of functions by which the library reaches its surroundings: memory, clocks,
 * random bytes and the log (vestry/host.h). */
#include "vestry/host.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "base/held_log.h"
#include "base/log.h"

static void *default_reallocate(void *ctx, void *memory, size_t size_bytes) {
  (void)ctx;
  if (size_bytes == 0) {
    free(memory);
    return NULL;
  }
  return realloc(memory, size_bytes);
}

static uint64_t read_clock(clockid_t clock) {
  struct timespec now;
  clock_gettime(clock, &now); /* cannot fail: the clocks exist and the pointer is valid */
  return (uint64_t)now.tv_sec * UINT64_C(1000000000) + (uint64_t)now.tv_nsec;
}

static uint64_t default_now_ns(void *ctx) {
  (void)ctx;
  return read_clock(CLOCK_MONOTONIC);
}

/* The time of the kernel's last timer tick: 1 to 10 ms late, at a seventh of the cost. */
static uint64_t default_coarse_ns(void *ctx) {
  (void)ctx;
  return read_clock(CLOCK_MONOTONIC_COARSE);
}

static vestry_err default_random(void *ctx, void *buffer, size_t len) {
  (void)ctx;
  for (unsigned char *at = buffer; len;) {
    ssize_t got = getrandom(at, len, 0);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return VESTRY_IO;
    at += got;
    len -= (size_t)got;
  }
  return VESTRY_OK;
}

/* ------------------------------------------------------------------------------------------------- the log -------- */

/* Clients can cause log lines, so their number is limited. The limit applies to the lines with the same first word,
 * which names their source (request, page, nats, vestry_sql_run) and never comes from a client. So the lines that
 * requests cause do not displace those of other sources, many of which are logged only once. If ten sources exceed the
 * rate, the log grows by 10 MB a day. */
enum { TABLES = 64, PREFIX_BYTES = 64, LINE_BYTES = 1024 };
static const vsi_log_rate of_source = {.each_ns = UINT64_C(10000000000), .burst = 20};

bool vestry_log_is_due(const char *line, uint64_t *ret_omitted_count) {
  static vsi_repeated_log tables[TABLES]; /* of sources, by their hashes */
  static _Atomic(uint64_t) omitted_count; /* relaxed: a counter */
  char word[PREFIX_BYTES];
  snprintf(word, sizeof word, "%.*s", (int)strcspn(line, " :"), line);
  const uint32_t source = vsi_log_reason(word);
  const bool is_due = vsi_log_is_due(&tables[source % TABLES], of_source, source, default_now_ns(NULL), NULL);
  *ret_omitted_count = is_due ? atomic_exchange_explicit(&omitted_count, 0, memory_order_relaxed) : 0;
  if (!is_due) atomic_fetch_add_explicit(&omitted_count, 1, memory_order_relaxed);
  return is_due;
}

static void default_log(void *ctx, vestry_log_level level, const char *line) {
  (void)ctx;
  char text[PREFIX_BYTES + LINE_BYTES], before[PREFIX_BYTES] = "";
  uint64_t missing;
  if (level > VESTRY_LOG_WARN || !vestry_log_is_due(line, &missing)) return;
  if (missing) snprintf(before, sizeof before, " (%" PRIu64 " earlier lines omitted)", missing);
  int len = snprintf(text, sizeof text, "vestry: %s%s: %.*s\n", level == VESTRY_LOG_ERROR ? "error" : "warning", before,
                     LINE_BYTES - 1, line);
  const int kept = errno;
  if (len > 0) (void)!vsi_write_quietly(STDERR_FILENO, text, (size_t)len < sizeof text ? (size_t)len : sizeof text - 1);
  errno = kept;
}

/* If a program is started with closed standard descriptors (cmd 2>&-), its first sockets and files get their numbers,
 * and the log would be written into a connection or a database. /dev/null takes these numbers instead. */
static void open_standard(void) {
  const int kept = errno;
  for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
    const int opened = fcntl(fd, F_GETFD) < 0 ? open("/dev/null", O_RDWR) : fd;
    if (opened > STDERR_FILENO) (void)close(opened); /* another thread was faster */
  }
  errno = kept;
}

const vestry_host *vestry_host_default(void) {
  static pthread_once_t once = PTHREAD_ONCE_INIT;
  static const vestry_host host = {.reallocate = default_reallocate,
                                   .now_ns = default_now_ns,
                                   .random = default_random,
                                   .log = default_log,
                                   .coarse_ns = default_coarse_ns};
  (void)pthread_once(&once, open_standard);
  return &host;
}

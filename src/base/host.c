#include "vestry/host.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/random.h>
#include <time.h>

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
  clock_gettime(clock, &now); /* cannot fail: the clocks exist and the pointer is ours */
  return (uint64_t)now.tv_sec * UINT64_C(1000000000) + (uint64_t)now.tv_nsec;
}

static uint64_t default_now_ns(void *ctx) {
  (void)ctx;
  return read_clock(CLOCK_MONOTONIC);
}

/* The kernel's last timer tick: 1 to 10 ms behind, at a seventh of the price. */
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

const vestry_host *vestry_host_default(void) {
  static const vestry_host host = {.reallocate = default_reallocate,
                                   .now_ns = default_now_ns,
                                   .random = default_random,
                                   .coarse_ns = default_coarse_ns};
  return &host;
}

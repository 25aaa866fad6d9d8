/* SPDX-License-Identifier: MIT */
/* The default host's log: its lines on stderr, and their maximum rate. */
#include "vestry/host.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "support/test.h"

typedef struct capture {
  int reader, stderr_before;
} capture;

static void begin(capture *c) {
  int ends[2];
  assert_int_equal(pipe2(ends, O_NONBLOCK), 0);
  c->reader = ends[0];
  c->stderr_before = dup(STDERR_FILENO);
  assert_true(dup2(ends[1], STDERR_FILENO) >= 0);
  close(ends[1]);
}

/* Return the number of lines written since the last call. */
static size_t take(const capture *c, char *to, size_t size) {
  ssize_t len = read(c->reader, to, size - 1);
  to[len > 0 ? len : 0] = '\0';
  size_t lines = 0;
  for (const char *at = to; (at = strchr(at, '\n')); at++) lines++;
  return lines;
}

static void end(const capture *c) {
  dup2(c->stderr_before, STDERR_FILENO);
  close(c->stderr_before);
  if (c->reader >= 0) close(c->reader);
}

TEST_CASE(warnings_and_errors_go_to_stderr) {
  const vestry_host *host = vestry_host_default();
  char logged[4096];
  capture c;
  begin(&c);
  host->log(host->ctx, VESTRY_LOG_DEBUG, "d");
  host->log(host->ctx, VESTRY_LOG_INFO, "i");
  host->log(host->ctx, VESTRY_LOG_WARN, "it is late");
  host->log(host->ctx, VESTRY_LOG_ERROR, "100 % lost");
  take(&c, logged, sizeof logged);
  end(&c);
  assert_string_equal(logged, "vestry: warning: it is late\nvestry: error: 100 % lost\n");
}

/* A write to such a pipe sends SIGPIPE, which would end this process. */
TEST_CASE(log_survives_a_closed_stderr) {
  const vestry_host *host = vestry_host_default();
  struct sigaction before;
  sigset_t pipe_only, mask_before, pending;
  char logged[4096];
  capture c;
  sigaction(SIGPIPE, &(struct sigaction){.sa_handler = SIG_DFL}, &before);
  sigemptyset(&pipe_only);
  sigaddset(&pipe_only, SIGPIPE);
  pthread_sigmask(SIG_UNBLOCK, &pipe_only, &mask_before);
  begin(&c);
  close(c.reader);
  c.reader = -1;
  struct pollfd broken = {.fd = STDERR_FILENO, .events = POLLOUT};
  assert_int_equal(poll(&broken, 1, 0), 1);
  host->log(host->ctx, VESTRY_LOG_ERROR, "nobody hears");
  end(&c);
  assert_true(broken.revents & POLLERR);
  sigpending(&pending);
  assert_false(sigismember(&pending, SIGPIPE));
  /* The line was written: the next one reports no omitted lines. */
  begin(&c);
  host->log(host->ctx, VESTRY_LOG_ERROR, "nobody hears");
  take(&c, logged, sizeof logged);
  end(&c);
  assert_string_equal(logged, "vestry: error: nobody hears\n");
  pthread_sigmask(SIG_SETMASK, &mask_before, NULL);
  sigaction(SIGPIPE, &before, NULL);
}

/* Log lines that clients cause must not fill a disk. */
TEST_CASE(log_rate_is_limited) {
  enum { FLOOD = 100000, BURST = 20 };
  const vestry_host *host = vestry_host_default();
  static char logged[64 * 1024];
  capture c;
  begin(&c);
  uint64_t from_ns = host->now_ns(host->ctx);
  size_t lines = 0;
  for (int i = 0; i < FLOOD; i++) host->log(host->ctx, VESTRY_LOG_WARN, "flood");
  lines = take(&c, logged, sizeof logged);
  uint64_t seconds = (host->now_ns(host->ctx) - from_ns) / 1000000000;
  assert_in_range(lines, 1, BURST + seconds / 10 + 1);
  /* The next line that is written reports the number of omitted lines. */
  do host->log(host->ctx, VESTRY_LOG_WARN, "at last");
  while (!take(&c, logged, sizeof logged));
  end(&c);
  assert_non_null(strstr(logged, " earlier lines omitted): at last\n"));
}

/* Lines that requests cause do not displace a line that is logged only once. */
TEST_CASE(each_source_has_its_own_rate) {
  static const char *const sources[] = {"nats",   "cluster",           "sessions", "SQLite",
                                        "server", "vestry_once_guard", "100 %"};
  const vestry_host *host = vestry_host_default();
  static char logged[64 * 1024];
  char line[100];
  capture c;
  begin(&c);
  for (int i = 0; i < 200; i++) {
    snprintf(line, sizeof line, "request: GET /%d: answered 500", i); /* the path comes from a client */
    host->log(host->ctx, VESTRY_LOG_ERROR, line);
    host->log(host->ctx, VESTRY_LOG_ERROR, "html: an attribute has no value");
    host->log(host->ctx, VESTRY_LOG_ERROR, "dispatch for a reply: FAILED");
  }
  assert_in_range(take(&c, logged, sizeof logged), 30, 200);
  for (size_t i = 0; i < sizeof sources / sizeof *sources; i++) {
    snprintf(line, sizeof line, "%s: said once", sources[i]);
    host->log(host->ctx, VESTRY_LOG_WARN, line);
    assert_int_equal(take(&c, logged, sizeof logged), 1);
    assert_non_null(strstr(logged, line));
  }
  end(&c);
}

/* A log of the program has the same limit. */
TEST_CASE(log_of_the_program_is_limited_too) {
  uint64_t omitted, omitted_before;
  unsigned lines = 0, omitted_lines = 0;
  (void)vestry_log_is_due("first: ends the count of other tests", &omitted_before);
  for (unsigned i = 0; i < 100; i++) {
    if (vestry_log_is_due(i % 2 ? "broker: a line" : "broker: another line", &omitted))
      lines++;
    else
      omitted_lines++;
    assert_int_equal(omitted, 0);
  }
  assert_int_equal(lines, 20);
  assert_true(vestry_log_is_due("once: said", &omitted));
  assert_int_equal(omitted, omitted_lines);
  assert_true(vestry_log_is_due("once: said", &omitted));
  assert_int_equal(omitted, 0);
}

/* SPDX-License-Identifier: MIT */
#include "testing/contract/check.h"

#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/wait.h"

enum { SKIPPED = 77, TIMES_PATIENCE = 10, PAUSE_NS = 50000, PAUSES_MAX = 20, YIELDS = 10 };

unsigned vsi_patience_s = 60;
const char *vsi_last_log;
static bool is_child; /* this process runs one case, and its status is the result */

/* -------------------------------------------------------------------------------------------------- checks -------- */

/* Print a message without the prefixes of the functions that a checked expression calls. */
static void print(const char *message) {
  static const char prefix[] = "vsi_";
  for (const char *at = message; *at; at++) {
    if (strncmp(at, prefix, sizeof prefix - 1) == 0) at += sizeof prefix - 1;
    fputc(*at, stderr);
  }
}

void vsi_fail(const char *file, int line, const char *format, ...) {
  char *message = NULL;
  va_list arguments;
  va_start(arguments, format);
  if (vasprintf(&message, format, arguments) < 0) message = NULL;
  va_end(arguments);
  fflush(stdout);
  fprintf(stderr, "%s:%d: ", file, line);
  print(message ? message : format);
  free(message);
  fputc('\n', stderr);
  if (vsi_last_log && *vsi_last_log) fprintf(stderr, "  the last line of the log: %s\n", vsi_last_log);
  if (!is_child) abort(); /* for a debugger */
  _exit(EXIT_FAILURE);
}

void vsi_case_skip(const char *reason) {
  printf("skipped: %s\n", reason);
  fflush(stdout);
  _exit(is_child ? SKIPPED : EXIT_SUCCESS); /* the server may still run */
}

void vsi_check_int(const char *file, int line, const char *text, intmax_t value, intmax_t wanted) {
  if (value != wanted) vsi_fail(file, line, "%s is %jd, not %jd", text, value, wanted);
}

void vsi_check_error(const char *file, int line, const char *text, vestry_err value, vestry_err wanted) {
  if (value != wanted)
    vsi_fail(file, line, "%s is VESTRY_%s, not VESTRY_%s", text, vestry_err_name(value), vestry_err_name(wanted));
}

void vsi_check_cause(const char *file, int line, const char *text, vestry_cause value, vestry_cause wanted) {
  if (value != wanted)
    vsi_fail(file, line, "%s is the cause \"%s\", not \"%s\"", text, vestry_cause_name(value),
             vestry_cause_name(wanted));
}

void vsi_check_text(const char *file, int line, const char *text, const char *value, const char *wanted) {
  if (!value) vsi_fail(file, line, "%s is absent, not \"%.2000s\"", text, wanted);
  if (strcmp(value, wanted) != 0) vsi_fail(file, line, "%s is \"%.2000s\", not \"%.2000s\"", text, value, wanted);
}

void vsi_check_bytes(const char *file, int line, const char *text, const void *value, const void *wanted, size_t len) {
  const unsigned char *one = value, *other = wanted;
  for (size_t i = 0; i < len; i++)
    if (one[i] != other[i]) vsi_fail(file, line, "%s: byte %zu is %#x, not %#x", text, i, one[i], other[i]);
}

/* ------------------------------------------------------------------------------------------------- waiting -------- */

double vsi_seconds_now(void) {
  return (double)vsi_monotonic_ns() * 1e-9;
}

void vsi_pause(unsigned looks) {
  if (looks < YIELDS) {
    sched_yield();
    return;
  }
  const unsigned pauses = looks - YIELDS + 1;
  const struct timespec pause = {.tv_nsec = PAUSE_NS * (pauses < PAUSES_MAX ? pauses : PAUSES_MAX)};
  ppoll(NULL, 0, &pause, NULL);
}

void vsi_wait_look(const char *file, int line, const char *condition, unsigned looks, time_t *begun_s) {
  const time_t now_s = (time_t)vsi_seconds_now();
  if (!*begun_s) *begun_s = now_s;
  if (now_s - *begun_s > (time_t)vsi_patience_s)
    vsi_fail(file, line, "this has not become true within %u s: %s", vsi_patience_s, condition);
  vsi_pause(looks);
}

/* --------------------------------------------------------------------------------------------------- cases -------- */

static void run(const vsi_runner *runner, const vsi_case *of) {
  of->run();
  if (of->has_tls && runner->begin_tls && runner->begin_tls()) of->run();
}

static void print_rule(const vsi_case *of) {
  printf("  the rule: %s\n", of->rule);
  if (of->flags) printf("  flags that change it: %s\n", of->flags);
  printf("  all rules, flags and exceptions: docs/guide/adapters.md\n");
}

/* Run a case in a child, and return its status as of waitpid. */
static int run_in_child(const vsi_runner *runner, const vsi_case *of) {
  fflush(NULL);
  const pid_t child = fork();
  if (child == 0) {
    is_child = true;
    alarm(TIMES_PATIENCE * vsi_patience_s);
    run(runner, of);
    exit(EXIT_SUCCESS); /* sanitizers look for leaks */
  }
  int status = -1;
  if (child < 0) return status;
  while (waitpid(child, &status, 0) < 0 && errno == EINTR) continue;
  return status;
}

/* Run a case, and print the result. Returns whether it has failed. */
static bool has_failed(const vsi_runner *runner, const vsi_suite *suite, const vsi_case *of) {
  const char *reason = runner->why_not ? runner->why_not(suite->name, of->name) : NULL;
  printf("[ RUN      ] %s\n", of->name);
  if (reason) printf("skipped: %s\n", reason);
  const int status = reason ? 0 : run_in_child(runner, of);
  const bool is_skipped = reason || (WIFEXITED(status) && WEXITSTATUS(status) == SKIPPED);
  const bool has_passed = is_skipped || (WIFEXITED(status) && !WEXITSTATUS(status));
  printf("[  %s ] %s", is_skipped ? "SKIPPED" : has_passed ? "     OK" : "FAILED ", of->name);
  if (!has_passed && WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM)
    printf(": it did not end within %u s", TIMES_PATIENCE * vsi_patience_s);
  else if (!has_passed && WIFSIGNALED(status))
    printf(": signal %d, %s", WTERMSIG(status), strsignal(WTERMSIG(status)));
  printf("\n");
  if (!has_passed) print_rule(of);
  fflush(stdout);
  return !has_passed;
}

unsigned vsi_suite_run(const vsi_suite *suite, const vsi_runner *runner) {
  unsigned failed = 0;
  const char *reason = runner->why_not && !runner->only ? runner->why_not(suite->name, NULL) : NULL;
  printf("[==========] %s: %s\n", runner->title, suite->name);
  if (reason) return printf("skipped: %s\n[  SKIPPED ] %s\n", reason, suite->name), 0;
  for (size_t i = 0; i < suite->count; i++) {
    const vsi_case *of = &suite->cases[i];
    if (!runner->only)
      failed += has_failed(runner, suite, of);
    else if (strcmp(runner->only, of->name) == 0)
      print_rule(of), run(runner, of); /* a failed check ends the process */
  }
  printf("[==========] %s: %s: %u failed\n", runner->title, suite->name, failed);
  fflush(stdout);
  return failed;
}

/* SPDX-License-Identifier: MIT */
/* Checks, and the cases and suites that they belong to. Each case runs in a child process, so that a crash, a hang or
 * the rest of a failed case does not reach the next case. A check that fails prints its place and ends the process, on
 * any thread. */
#ifndef VSI_TESTING_CONTRACT_CHECK_H
#define VSI_TESTING_CONTRACT_CHECK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "vestry/cause.h"

typedef struct vsi_case {
  const char *name;
  void (*run)(void);
  bool has_tls;      /* it runs once more over TLS, if the adapter offers that */
  const char *rule;  /* of testing/contract/rules.h */
  const char *flags; /* of vestry_contract_adapter, that change what the case expects; NULL: none */
} vsi_case;

typedef struct vsi_suite {
  const char *name;
  const vsi_case *cases;
  size_t count;
} vsi_suite;

#define VSI_CASE(function, rule, flags)                                                                                \
  { #function, function, false, rule, flags }
#define VSI_CASE_TLS(function, rule, flags)                                                                            \
  { #function, function, true, rule, flags }
#define VSI_SUITE(title, table)                                                                                        \
  { title, table, sizeof(table) / sizeof *(table) }

typedef struct vsi_runner {
  const char *title; /* of the adapter */
  const char *only;  /* the single case to run, in this process; NULL: all */
  /* Each may be NULL. Return why a case is skipped, or the whole suite for a name NULL; NULL: it is not. */
  const char *(*why_not)(const char *suite, const char *name);
  /* Switch to TLS. false: it is not offered. */
  bool (*begin_tls)(void);
} vsi_runner;

/* Run the cases of a suite, and print a line for each. Returns the number of failed cases. */
unsigned vsi_suite_run(const vsi_suite *suite, const vsi_runner *runner);

/* How long a check waits before it fails. It is long because the machine may be slow and busy, and a wait that succeeds
 * ends at once. */
extern unsigned vsi_patience_s;
/* The last log line of the instance, which a failed check prints; NULL: none. */
extern const char *vsi_last_log;

/* Print the place and the message, in which prefixes of private names are left out. */
_Noreturn void vsi_fail(const char *file, int line, const char *format, ...) VESTRY_PRINTF(3, 4);
/* End the case, with the reason why it cannot run. */
_Noreturn void vsi_case_skip(const char *reason);

void vsi_check_int(const char *file, int line, const char *text, intmax_t value, intmax_t wanted);
/* The values are errors or causes, and are printed by their names. */
void vsi_check_error(const char *file, int line, const char *text, vestry_err value, vestry_err wanted);
void vsi_check_cause(const char *file, int line, const char *text, vestry_cause value, vestry_cause wanted);
void vsi_check_text(const char *file, int line, const char *text, const char *value, const char *wanted);
void vsi_check_bytes(const char *file, int line, const char *text, const void *value, const void *wanted, size_t len);

#define CHECK(value)                    ((value) ? (void)0 : vsi_fail(__FILE__, __LINE__, "%s is false", #value))
#define CHECK_NOT(value)                ((value) ? vsi_fail(__FILE__, __LINE__, "%s is not false", #value) : (void)0)
#define CHECK_EQUAL(value, wanted)      vsi_check_int(__FILE__, __LINE__, #value, (intmax_t)(value), (intmax_t)(wanted))
#define CHECK_ERROR(value, wanted)      vsi_check_error(__FILE__, __LINE__, #value, value, wanted)
#define CHECK_CAUSE(value, wanted)      vsi_check_cause(__FILE__, __LINE__, #value, value, wanted)
#define CHECK_TEXT(value, wanted)       vsi_check_text(__FILE__, __LINE__, #value, value, wanted)
#define CHECK_BYTES(value, wanted, len) vsi_check_bytes(__FILE__, __LINE__, #value, value, wanted, len)
#define FAIL(...)                       vsi_fail(__FILE__, __LINE__, __VA_ARGS__)
#define SKIP(reason)                    vsi_case_skip(reason)

/* ---- waiting ----------------------------------------------------------------------------------------------------- */

/* The pause between two looks at a condition: short at first, then up to a millisecond. */
void vsi_pause(unsigned looks);
/* Fail if the patience is over. begun_s: 0 at the first call. */
void vsi_wait_look(const char *file, int line, const char *condition, unsigned looks, time_t *begun_s);

/* Wait until a condition without side effects is true. */
#define CHECK_UNTIL(condition)                                                                                         \
  do {                                                                                                                 \
    time_t begun_s_ = 0;                                                                                               \
    for (unsigned looks_ = 0; !(condition); looks_++)                                                                  \
      vsi_wait_look(__FILE__, __LINE__, #condition, looks_, &begun_s_);                                                \
  } while (0)

/* Check that a time stays below a limit that is not much longer. Code that waits is slow in each try, and a busy
 * machine does not delay all tries. took_s is evaluated for each try. */
enum { VSI_TRIES = 20 };
#define CHECK_BELOW_S(limit_s, took_s)                                                                                 \
  do {                                                                                                                 \
    for (int tries_ = 1; (took_s) >= (limit_s); tries_++)                                                              \
      if (tries_ == VSI_TRIES) FAIL("%s: not below %g s in any of %d tries", #took_s, (double)(limit_s), VSI_TRIES);   \
  } while (0)

/* Seconds of the monotonic clock. */
double vsi_seconds_now(void);

#endif

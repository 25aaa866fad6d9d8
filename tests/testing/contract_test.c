/* SPDX-License-Identifier: MIT */
/* The report of the contract of adapters: an adapter with faults fails the cases that they concern, and no others. */
#include "vestry/testing/contract.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/test.h"
#include "testing/contract/suites.h"

enum { WATCHES = 5 }; /* cases of the suite `watches` */

static vestry_err start_nothing(vestry *v, const vestry_contract_settings *settings, void **ret_server,
                                uint16_t *ret_port) {
  return VESTRY_UNSUPPORTED;
}

static vestry_err crash(vestry *v, const vestry_contract_settings *settings, void **ret_server, uint16_t *ret_port) {
  abort();
}

static vestry_err stop(void *server, uint64_t timeout_ms) {
  return VESTRY_OK;
}

static void destroy(void *server) {}

static const vestry_contract_adapter broken = {
    .name = "broken", .start = start_nothing, .stop = stop, .destroy = destroy};

static char report[65536]; /* of the last run */

/* Run suites, and keep what they print. */
static unsigned failed_cases(const vestry_contract_adapter *adapter, const char *suites) {
  int channel[2];
  assert_int_equal(pipe2(channel, O_CLOEXEC), 0);
  assert_true(fcntl(channel[1], F_SETPIPE_SZ, sizeof report) > 0);
  fflush(stdout);
  const int out = dup(STDOUT_FILENO), errors = dup(STDERR_FILENO);
  dup2(channel[1], STDOUT_FILENO);
  dup2(channel[1], STDERR_FILENO);
  const unsigned failed = vestry_contract_run(adapter, suites);
  fflush(stdout);
  dup2(out, STDOUT_FILENO);
  dup2(errors, STDERR_FILENO);
  close(out);
  close(errors);
  close(channel[1]);
  size_t len = 0;
  for (ssize_t got; (got = read(channel[0], report + len, sizeof report - 1 - len)) > 0;) len += (size_t)got;
  close(channel[0]);
  report[len] = '\0';
  return failed;
}

TEST_CASE(failed_check_fails_its_case) {
  assert_int_equal(failed_cases(&broken, "watches"), WATCHES);
  assert_non_null(strstr(report, "[  FAILED  ] stop_ends_all_watches"));
  assert_non_null(strstr(report, "server.c:")); /* the place of the check */
  assert_int_equal(failed_cases(&broken, "watches,watches"), 2 * WATCHES);
  assert_int_equal(failed_cases(&broken, ""), 0);
}

TEST_CASE(failed_case_shows_its_rule_and_flags) {
  failed_cases(&broken, "readings");
  assert_non_null(strstr(report, "is VESTRY_UNSUPPORTED, not VESTRY_OK"));
  assert_null(strstr(report, "vsi_")); /* names that no public header has */
  const char *failed = strstr(report, "[  FAILED  ] handlers_see_the_only_valid_reading\n");
  assert_non_null(failed);
  assert_non_null(strstr(failed, "  the rule: each request is served with its only valid reading"));
  assert_non_null(strstr(failed, "  flags that change it: takes_feeds, has_own_paths, "));
}

/* Return the row of the table of rules that has this rule; NULL: none. It is terminated. */
static char *row_of(char *page, const char *rule) {
  char begin[512];
  snprintf(begin, sizeof begin, "\n| %s | ", rule);
  char *row = strstr(page, begin);
  if (row) row[1 + strcspn(row + 1, "\n")] = '\0';
  return row;
}

static char *read_guide(void) {
  FILE *file = fopen(ADAPTERS_GUIDE, "r");
  assert_non_null(file);
  char *page = calloc(1, 1 << 18);
  assert_non_null(page);
  const size_t len = fread(page, 1, (1 << 18) - 1, file);
  assert_true(len && feof(file));
  fclose(file);
  return page;
}

static void assert_word(const char *row, const char *word, size_t len, const char *name) {
  char marked[64];
  snprintf(marked, sizeof marked, "`%.*s`", (int)len, word);
  if (!strstr(row, marked)) fail_msg("%s: the row of its rule lacks %s: %s", name, marked, row);
}

TEST_CASE(guide_lists_the_rule_of_each_case) {
  static const vsi_suite *const suites[] = {&vsi_requests_suite, &vsi_wire_suite,      &vsi_hostile_suite,
                                            &vsi_readings_suite, &vsi_lifecycle_suite, &vsi_peers_suite,
                                            &vsi_watches_suite,  &vsi_answers_suite,   &vsi_uploads_suite,
                                            &vsi_resumed_suite,  &vsi_heads_suite};
  for (size_t i = 0; i < sizeof suites / sizeof *suites; i++)
    for (size_t j = 0; j < suites[i]->count; j++) {
      const vsi_case *of = &suites[i]->cases[j];
      char *page = read_guide();
      const char *row = row_of(page, of->rule);
      if (!row) fail_msg("%s/%s: docs/guide/adapters.md has no row for: %s", suites[i]->name, of->name, of->rule);
      assert_word(row, suites[i]->name, strlen(suites[i]->name), of->name);
      for (const char *at = of->flags; at && *at; at += strspn(at, ", ")) {
        const size_t len = strcspn(at, ",");
        assert_word(row, at, len, of->name);
        at += len;
      }
      free(page);
    }
}

TEST_CASE(crash_fails_only_its_case) {
  vestry_contract_adapter crashes = broken;
  crashes.start = crash;
  assert_int_equal(failed_cases(&crashes, "watches"), WATCHES);
  assert_non_null(strstr(report, "[  FAILED  ] watch_sends_steps_until_it_ends: signal 6"));
}

TEST_CASE(excepted_cases_are_skipped_with_their_reason) {
  const vestry_contract_exception exceptions[] = {
      {"watches/stop_ends_all_watches", "it has no end"}, {"peers", "it has no peers"}, {NULL, NULL}};
  vestry_contract_adapter excepted = broken;
  excepted.exceptions = exceptions;
  assert_int_equal(failed_cases(&excepted, "peers,watches"), WATCHES - 1);
  assert_non_null(strstr(report, "skipped: it has no end\n[  SKIPPED ] stop_ends_all_watches"));
  assert_non_null(strstr(report, "skipped: it has no peers\n[  SKIPPED ] peers"));
}

TEST_CASE(unknown_suites_and_incomplete_adapters_fail) {
  assert_int_equal(failed_cases(&broken, "wire ,none"), 2);
  assert_non_null(strstr(report, "there is no suite \"none\""));
  assert_int_equal(failed_cases(NULL, ""), 1);
  for (int i = 0; i < 4; i++) {
    vestry_contract_adapter incomplete = broken;
    if (i == 0) incomplete.name = NULL;
    if (i == 1) incomplete.start = NULL;
    if (i == 2) incomplete.stop = NULL;
    if (i == 3) incomplete.destroy = NULL;
    assert_int_equal(failed_cases(&incomplete, ""), 1);
  }
}

TEST_CASE(single_case_is_selected_by_the_environment) {
  setenv("VESTRY_CONTRACT_CASE", "watches/none", 1);
  assert_int_equal(failed_cases(&broken, "watches"), 1);
  assert_non_null(strstr(report, "there is no case watches/none"));
  setenv("VESTRY_CONTRACT_CASE", "watches", 1);
  assert_int_equal(failed_cases(&broken, NULL), 1);
  unsetenv("VESTRY_CONTRACT_CASE");
}

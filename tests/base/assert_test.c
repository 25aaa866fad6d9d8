/* SPDX-License-Identifier: MIT */
/* A false assertion ends the process in builds with assertions, and is not evaluated in builds without. */
#include "base/assert.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/refs.h"
#include "support/test.h"

static int status_of(void (*what)(void)) {
  int status;
  pid_t child = fork();
  assert_true(child >= 0);
  if (!child) {
    signal(SIGABRT, SIG_DFL); /* cmocka's handler reports a failed test */
    int nothing = open("/dev/null", O_WRONLY);
    dup2(nothing, STDERR_FILENO);
    what();
    _exit(7);
  }
  assert_int_equal(waitpid(child, &status, 0), child);
  return status;
}

static void exit_inside(void) {
  VSI_ASSERT((_exit(3), true));
}

static void drop_once_more(void) {
  vsi_refs refs;
  VSI_REFS_INIT(&refs, 1);
  (void)VSI_REFS_DROP(&refs);
  (void)VSI_REFS_DROP(&refs);
}

TEST_CASE(false_assertions_end_the_process) {
  const int evaluated = status_of(exit_inside), dropped = status_of(drop_once_more);
  assert_true(WIFEXITED(evaluated));
#ifdef NDEBUG
  assert_int_equal(WEXITSTATUS(evaluated), 7);
  assert_true(WIFEXITED(dropped) && WEXITSTATUS(dropped) == 7);
#else
  assert_int_equal(WEXITSTATUS(evaluated), 3);
  assert_true(WIFSIGNALED(dropped) && WTERMSIG(dropped) == SIGABRT);
#endif
}

/* SPDX-License-Identifier: MIT */
/* The counter as a separate process, started like by a user. */
#ifndef TESTS_EXAMPLES_PROCESS_H
#define TESTS_EXAMPLES_PROCESS_H

#include <stdint.h>
#include <sys/types.h>

struct process {
  pid_t pid;
  int out, err; /* its output; -1 once read to the end */
  unsigned port;
  const char *warning; /* a text that its log must have, in its only line; NULL: no line */
};

/* The program under test, set once by main. */
extern const char *process_path;
/* Its server, for process_start. */
extern const char *process_adapter;

uint64_t now_ms(void);

/* Start it with --port 0 and these arguments (NULL at the end), and wait until it prints its address. */
void process_start(struct process *process, const char *const *arguments);
/* Send a signal, wait for the end, and check that the status is 0 and nothing was printed to stderr. Returns the time
 * this took, in milliseconds. */
uint64_t process_stop(struct process *process, int signal_number);

/* Kill the process in any state, for failed tests. Has no effect if it was stopped. */
void process_kill(struct process *process);

/* Run it to its end with only these arguments. Returns its exit status. out, err: its output, 4,096 bytes. */
int process_run(const char *const *arguments, char *out, char *err);

#endif

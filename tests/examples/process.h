/* SPDX-License-Identifier: MIT */
/* The counter as a process of its own, as a user starts it. */
#ifndef TESTS_EXAMPLES_PROCESS_H
#define TESTS_EXAMPLES_PROCESS_H

#include <stdint.h>
#include <sys/types.h>

struct process {
  pid_t pid;
  int out, err; /* what it prints; -1 once read to the end */
  unsigned port;
};

/* The program under test, set once by main. */
extern const char *process_path;
/* Its server, for process_start. */
extern const char *process_adapter;

uint64_t now_ms(void);

/* Start it with --port 0 and these arguments (NULL at the end), and wait until it says where it listens. */
void process_start(struct process *process, const char *const *arguments);
/* Send a signal, wait until it has ended, and check that it ends with status 0 and has complained about nothing.
 * Returns how long that took, in milliseconds. */
uint64_t process_stop(struct process *process, int signal_number);

/* End it, whatever its state: for tests that failed. Nothing happens when it was stopped. */
void process_kill(struct process *process);

/* Run it to its end with these arguments alone. Returns its exit status. out, err: what it printed, 4,096 bytes. */
int process_run(const char *const *arguments, char *out, char *err);

#endif

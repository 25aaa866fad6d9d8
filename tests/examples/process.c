/* SPDX-License-Identifier: MIT */
#include "examples/process.h"

#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "support/patience.h"
#include "support/test.h"

const char *process_path;
const char *process_adapter = "civetweb";

enum { ARGUMENTS_MAX = 24, PRINTED_MAX = 4096, PATIENCE_MS = PATIENCE_S * 1000 };

uint64_t now_ms(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* before: arguments ahead of the others, or NULL */
static void spawn(struct process *process, const char *const *before, const char *const *arguments) {
  const char *argv[ARGUMENTS_MAX] = {process_path};
  int argc = 1;
  for (; before && *before; before++) argv[argc++] = *before;
  for (; *arguments && argc < ARGUMENTS_MAX - 1; arguments++) argv[argc++] = *arguments;
  int out[2], err[2];
  assert_int_equal(pipe(out), 0);
  assert_int_equal(pipe(err), 0);
  process->pid = fork();
  assert_true(process->pid >= 0);
  if (process->pid == 0) {
    dup2(out[1], STDOUT_FILENO);
    dup2(err[1], STDERR_FILENO);
    for (int fd = STDERR_FILENO + 1; fd < 256; fd++) close(fd);
    execv(process_path, (char *const *)argv);
    _exit(127);
  }
  close(out[1]);
  close(err[1]);
  process->out = out[0];
  process->err = err[0];
}

/* Read until the text contains `end`, or to the end of the output. */
static void read_text(int fd, char *text, const char *end) {
  size_t len = 0;
  uint64_t deadline = now_ms() + PATIENCE_MS;
  for (;;) {
    text[len] = '\0';
    if (end && strstr(text, end)) return;
    struct pollfd waiting = {.fd = fd, .events = POLLIN};
    uint64_t now = now_ms();
    if (now >= deadline || poll(&waiting, 1, (int)(deadline - now)) <= 0) fail_msg("it prints nothing more: %s", text);
    ssize_t got = read(fd, text + len, PRINTED_MAX - 1 - len);
    if (got <= 0) return;
    len += (size_t)got;
  }
}

/* Wait at most PATIENCE_MS until the process has ended, as its output then ends. Returns its wait status. */
static int finish(struct process *process, char *out, char *err) {
  int status;
  read_text(process->out, out, NULL);
  read_text(process->err, err, NULL);
  assert_int_equal(waitpid(process->pid, &status, 0), process->pid);
  close(process->out);
  close(process->err);
  process->pid = 0;
  return status;
}

void process_start(struct process *process, const char *const *arguments) {
  char line[PRINTED_MAX], err[PRINTED_MAX];
  process->warning = NULL;
  /* Civetweb's threads, up to 1024, take most of the time of a start and a stop. The last of two options counts. */
  const char *threads = strcmp(process_adapter, "civetweb") == 0 ? "--threads" : NULL;
  spawn(process, (const char *const[]){"--port", "0", "--adapter", process_adapter, threads, "32", NULL}, arguments);
  read_text(process->out, line, "\n");
  if (sscanf(line, "counter: http://127.0.0.1:%u\n", &process->port) != 1) {
    read_text(process->err, err, NULL);
    fail_msg("it does not start: %s%s", line, err);
  }
}

uint64_t process_stop(struct process *process, int signal_number) {
  char out[PRINTED_MAX], err[PRINTED_MAX];
  uint64_t before = now_ms();
  kill(process->pid, signal_number);
  int status = finish(process, out, err);
  uint64_t took = now_ms() - before;
  if (process->warning)
    assert_true(strstr(err, process->warning) && strchr(err, '\n') == err + strlen(err) - 1);
  else
    assert_string_equal(err, "");
  assert_string_equal(out, "");
  assert_true(WIFEXITED(status));
  assert_int_equal(WEXITSTATUS(status), 0);
  return took;
}

void process_kill(struct process *process) {
  if (process->pid <= 0) return;
  kill(process->pid, SIGKILL);
  waitpid(process->pid, NULL, 0);
  close(process->out);
  close(process->err);
  process->pid = 0;
}

int process_run(const char *const *arguments, char *out, char *err) {
  struct process process;
  spawn(&process, NULL, arguments);
  int status = finish(&process, out, err);
  assert_true(WIFEXITED(status));
  return WEXITSTATUS(status);
}

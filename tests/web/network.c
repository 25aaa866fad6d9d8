/* SPDX-License-Identifier: MIT */
#include "web/network.h"

#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support/test.h"
#include "vestry/error.h"

extern char **environ;

const char *network_address;

/* Run a command without output. Returns whether it succeeded. */
static bool run(const char *format, ...) VESTRY_PRINTF(1, 2);
static bool run(const char *format, ...) {
  char line[256], *words[24] = {NULL}, *state = NULL;
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(line, sizeof line, format, arguments);
  va_end(arguments);
  size_t count = 0;
  for (char *word = strtok_r(line, " ", &state); word && count < 23; word = strtok_r(NULL, " ", &state))
    words[count++] = word;
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
  pid_t child;
  int status = -1;
  bool started = posix_spawnp(&child, words[0], &actions, NULL, words, environ) == 0;
  posix_spawn_file_actions_destroy(&actions);
  return started && waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

bool network_open(network *n) {
  /* The name contains the process id, because several tests may run at once. */
  snprintf(n->name, sizeof n->name, "vestry%u", (unsigned)getpid());
  network_address = "10.213.0.1";
  const char *name = n->name;
  /* The near end has its own namespace as well, because a browser beside this test treats any new interface as a change
   * of network, and drops its requests. */
  n->home = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
  if (geteuid() == 0 && n->home >= 0 && unshare(CLONE_NEWNET) == 0 && run("ip link set lo up") &&
      run("ip netns add %s", name) && run("ip link add near type veth peer name far netns %s", name) &&
      run("ip addr add %s/30 dev near", network_address) && run("ip link set near up") &&
      run("ip -n %s addr add 10.213.0.2/30 dev far", name) && run("ip -n %s link set far up", name))
    return true;
  network_close(n);
  print_message("skipped: a network to cut takes root and the program ip\n");
  return false;
}

void network_close(network *n) {
  network_address = NULL;
  run("ip netns del %s", n->name); /* removes the interfaces as well */
  if (n->home < 0) return;
  if (geteuid() == 0) setns(n->home, CLONE_NEWNET);
  close(n->home);
}

typedef struct errand {
  const network *network;
  void (*run)(void *ctx);
  void *ctx;
} errand;

static void *go_there(void *argument) {
  errand *e = argument;
  char path[64];
  snprintf(path, sizeof path, "/run/netns/%s", e->network->name);
  int there = open(path, O_RDONLY | O_CLOEXEC);
  if (there < 0 || setns(there, CLONE_NEWNET) != 0) abort();
  close(there);
  e->run(e->ctx);
  return NULL;
}

void network_at_far_end(const network *n, void (*errand_run)(void *ctx), void *ctx) {
  errand e = {n, errand_run, ctx};
  pthread_t thread;
  assert_int_equal(pthread_create(&thread, NULL, go_there, &e), 0);
  pthread_join(thread, NULL);
}

void network_cut(const network *n) {
  assert_true(run("ip -n %s link set far down", n->name));
}

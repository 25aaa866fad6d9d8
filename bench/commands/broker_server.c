/* SPDX-License-Identifier: MIT */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench.h"
#include "broker.h"

enum { PATIENCE_NS = 2000000000 };

static struct sockaddr_in address_of(int port) {
  return (struct sockaddr_in){
      .sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

static int free_port(void) {
  struct sockaddr_in address = address_of(0);
  socklen_t size = sizeof address;
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  bool has_one =
      fd >= 0 && !bind(fd, (struct sockaddr *)&address, size) && !getsockname(fd, (struct sockaddr *)&address, &size);
  if (fd >= 0) close(fd);
  return has_one ? ntohs(address.sin_port) : 0;
}

static bool listens(int port) {
  struct sockaddr_in address = address_of(port);
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  bool is_there = connect(fd, (struct sockaddr *)&address, sizeof address) == 0;
  close(fd);
  return is_there;
}

static void run_server(int port) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  char number[16];
  snprintf(number, sizeof number, "%d", port);
  int nowhere = open("/dev/null", O_RDWR);
  dup2(nowhere, STDOUT_FILENO);
  dup2(nowhere, STDERR_FILENO);
  execlp("nats-server", "nats-server", "-a", "127.0.0.1", "-p", number, (char *)NULL);
  execl("/usr/sbin/nats-server", "nats-server", "-a", "127.0.0.1", "-p", number, (char *)NULL);
  _exit(127);
}

const char *broker_server_start(broker_server *server) {
  int port = free_port();
  server->pid = fork();
  if (server->pid == 0) run_server(port);
  for (uint64_t until_ns = bench_now_ns() + 30 * (uint64_t)PATIENCE_NS; !listens(port); sched_yield()) {
    if (server->pid > 0 && waitpid(server->pid, NULL, WNOHANG) == 0 && bench_now_ns() < until_ns) continue;
    fprintf(stderr, "vestry-bench: cannot start nats-server; is it installed?\n");
    server->pid = 0;
    return NULL;
  }
  snprintf(server->url, sizeof server->url, "nats://127.0.0.1:%d", port);
  return server->url;
}

void broker_server_stop(broker_server *server) {
  if (!server->pid) return;
  kill(server->pid, SIGKILL);
  while (waitpid(server->pid, NULL, 0) < 0 && errno == EINTR) continue;
  server->pid = 0;
}

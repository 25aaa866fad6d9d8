/* SPDX-License-Identifier: MIT */
#include "nats/server.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "support/folder.h"
#include "support/patience.h"
#include "support/port.h"
#include "support/test.h"
#include "support/until.h"

static struct sockaddr_in address_of(int port) {
  return (struct sockaddr_in){
      .sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

void nats_server_init(nats_server *server) {
  *server = (nats_server){.port = port_reserve()};
  snprintf(server->url, sizeof server->url, "nats://127.0.0.1:%d", server->port);
  snprintf(server->folder, sizeof server->folder, "/tmp/vestry-nats-XXXXXX");
  assert_non_null(mkdtemp(server->folder));
}

static bool listens(int port) {
  struct sockaddr_in address = address_of(port);
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  bool is_there = connect(fd, (struct sockaddr *)&address, sizeof address) == 0;
  close(fd);
  return is_there;
}

static void write_config(const nats_server *server, const char *path, const char *config) {
  FILE *file = fopen(path, "w");
  assert_non_null(file);
  fprintf(file, "listen: 127.0.0.1:%d\njetstream {\n  store_dir: \"%s\"\n}\n%s\n", server->port, server->folder,
          config ? config : "");
  assert_int_equal(fclose(file), 0);
}

static void show(const char *path) {
  char line[512];
  FILE *file = fopen(path, "r");
  while (file && fgets(line, sizeof line, file)) fputs(line, stderr);
  if (file) fclose(file);
}

bool nats_server_listens(const nats_server *server) {
  return listens(server->port);
}

void nats_server_reload(const nats_server *server, const char *config) {
  char path[128];
  snprintf(path, sizeof path, "%s/server.conf", server->folder);
  write_config(server, path, config);
  assert_int_equal(kill(server->pid, SIGHUP), 0);
}

void nats_server_launch(nats_server *server, const char *config) {
  char path[128], log[128];
  snprintf(path, sizeof path, "%s/server.conf", server->folder);
  snprintf(log, sizeof log, "%s/server.log", server->folder);
  write_config(server, path, config);
  pid_t parent = getpid(), pid = fork();
  assert_true(pid >= 0);
  if (pid == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL); /* a failed test leaves no process behind */
    setpgid(0, 0); /* so that a SIGCONT to the test's group does not continue a server that the test has stopped */
    if (getppid() != parent) _exit(1);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    int out = open(log, O_WRONLY | O_CREAT | O_APPEND, 0600);
    dup2(out, STDOUT_FILENO);
    dup2(out, STDERR_FILENO);
    execl(NATS_SERVER, "nats-server", "-c", path, (char *)NULL);
    _exit(127);
  }
  server->pid = pid;
}

void nats_server_start(nats_server *server, const char *config) {
  char log[128];
  snprintf(log, sizeof log, "%s/server.log", server->folder);
  nats_server_launch(server, config);
  unsigned looks = 0;
  for (time_t until = time(NULL) + PATIENCE_S; !listens(server->port); until_pause(looks++)) {
    if (waitpid(server->pid, NULL, WNOHANG) == server->pid || time(NULL) > until) {
      server->pid = 0;
      show(log);
      fail_msg("nats-server did not start");
    }
  }
}

void nats_server_kill(nats_server *server) {
  if (!server->pid) return;
  kill(server->pid, SIGKILL);
  while (waitpid(server->pid, NULL, 0) < 0 && errno == EINTR) continue;
  server->pid = 0;
}

void nats_server_freeze(nats_server *server, bool frozen) {
  assert_int_equal(kill(server->pid, frozen ? SIGSTOP : SIGCONT), 0);
}

void nats_server_finish(nats_server *server) {
  nats_server_kill(server);
  folder_remove(server->folder);
}

unsigned threads_of_process(void) {
  unsigned count = 0;
  DIR *tasks = opendir("/proc/self/task");
  assert_non_null(tasks);
  for (const struct dirent *entry; (entry = readdir(tasks));) count += entry->d_name[0] != '.';
  closedir(tasks);
  return count;
}

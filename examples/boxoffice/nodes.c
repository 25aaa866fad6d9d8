/* SPDX-License-Identifier: MIT */
#include "nodes.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { CONNECTIONS_MAX = 2000, BUFFER_BYTES = 16384, BACK_MS = 8000, STOP_MS = 1500, ARGUMENTS_MAX = 64 };
static const char plug[] = "plug ";

/* Data in one direction. */
struct way {
  char bytes[BUFFER_BYTES];
  size_t from, to;
  bool is_at_end; /* end of input */
  bool is_ended;  /* the end was passed on */
};
struct connection {
  int sockets[2]; /* the browser's and the node's */
  struct way ways[2];
  bool is_over;
};
struct process {
  pid_t pid; /* 0: it has ended */
  int said;  /* its standard output */
  unsigned port;
  uint64_t back_ms; /* time of its restart */
};
struct nodes {
  const struct program *program;
  char **argv;
  char door[QR_DOOR_BYTES];
  struct process all[NODES_MAX];
  unsigned count, next, port;
  bool is_ready, is_over, has_failed;
  int listener, signals;
  char
      certificate[64]; /* an argument that gives all nodes the same certificate, because browsers ask for each; or "" */
  struct connection *connections[CONNECTIONS_MAX];
  size_t connections_count;
};

/* -------------------------------------------------------------------------------------------- in a node ----------- */

bool node_read(const char *words, struct node *ret_node) {
  *ret_node = (struct node){0};
  const bool is_good = sscanf(words, "%u/%u/%63s", &ret_node->number, &ret_node->count, ret_node->door) >= 2 &&
                       ret_node->number >= 1 && ret_node->number <= ret_node->count && ret_node->count <= NODES_MAX;
  return is_good && prctl(PR_SET_PDEATHSIG, SIGKILL) == 0;
}

void nodes_pull_the_plug(unsigned number) {
  printf("%s%u\n", plug, number);
  fflush(stdout);
}

/* ------------------------------------------------------------------------------------------ in the parent --------- */

static uint64_t clock_ms(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static void start(struct nodes *nodes, unsigned i) {
  extern char **environ;
  struct process *process = &nodes->all[i];
  char words[QR_DOOR_BYTES + 32], *argv[ARGUMENTS_MAX + 10];
  int said[2], count = 0;
  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
  sigset_t none;
  snprintf(words, sizeof words, "%u/%u/%s", i + 1, nodes->count, nodes->door);
  for (; nodes->argv[count] && count < ARGUMENTS_MAX; count++) argv[count] = nodes->argv[count];
  static char port[] = "--port=0", listen[] = "--listen=127.0.0.1", node[] = "--node";
  char *const own[] = {port, listen, node, words, *nodes->certificate ? nodes->certificate : NULL,
                       NULL}; /* the last value of an option counts */
  memcpy(argv + count, own, sizeof own);
  process->back_ms = clock_ms() + BACK_MS;
  if (pipe2(said, O_CLOEXEC)) return;
  sigemptyset(&none);
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, said[1], STDOUT_FILENO);
  posix_spawnattr_init(&attributes); /* only the parent receives Ctrl-C */
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK);
  posix_spawnattr_setsigmask(&attributes, &none);
  if (posix_spawn(&process->pid, "/proc/self/exe", &actions, &attributes, argv, environ)) process->pid = 0;
  posix_spawn_file_actions_destroy(&actions);
  posix_spawnattr_destroy(&attributes);
  close(said[1]);
  process->said = said[0];
  process->port = 0;
}

static bool listens(struct nodes *nodes) {
  const vestry_server_options *options = nodes->program->is->server;
  struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons((uint16_t)options->port)};
  socklen_t len = sizeof at;
  const int on = 1;
  const char *address = options->address ? options->address : "127.0.0.1";
  nodes->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  (void)inet_pton(AF_INET, address, &at.sin_addr);
  (void)setsockopt(nodes->listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (nodes->listener < 0 || bind(nodes->listener, (struct sockaddr *)&at, sizeof at) ||
      listen(nodes->listener, SOMAXCONN) || getsockname(nodes->listener, (struct sockaddr *)&at, &len)) {
    fprintf(stderr, "%s: cannot listen on port %u: %s; choose another port: --port N\n", nodes->program->is->name,
            options->port, strerror(errno));
    return false;
  }
  nodes->port = ntohs(at.sin_port);
  qr_door(program_scheme(nodes->program), address, nodes->port, nodes->door);
  return true;
}

/* Write the certificate to a file in memory, which the nodes inherit. */
static bool share_certificate(struct nodes *nodes) {
  const char *text = nodes->program->is->server->tls_certificate;
  if (!text) return true;
  const int file = memfd_create("certificate", 0);
  if (file < 0 || write(file, text, strlen(text)) != (ssize_t)strlen(text)) {
    fprintf(stderr, "%s: no file in memory for the certificate: %s\n", nodes->program->is->name, strerror(errno));
    return false;
  }
  snprintf(nodes->certificate, sizeof nodes->certificate, "--certificate=/proc/self/fd/%d", file);
  return true;
}

/* Print the URL of a node's own console, on the node's own port. */
static void say_console(const struct nodes *nodes, const struct process *process) {
  char url[CONSOLE_URL_BYTES];
  program_console_url(nodes->program, NULL, process->port, url);
  if (nodes->program->has_console)
    printf("%s: console of node %u: %s\n", nodes->program->is->name, (unsigned)(process - nodes->all) + 1, url),
        fflush(stdout);
}

/* Read the output of a node: its URL, and requests to kill a node. */
static void hear(struct nodes *nodes, struct process *process) {
  char text[512], *at;
  const ssize_t len = read(process->said, text, sizeof text - 1);
  if (len <= 0) {
    close(process->said);
    process->said = -1;
    return;
  }
  text[len] = '\0';
  const bool is_new = !process->port && (at = strstr(text, "127.0.0.1:")) != NULL;
  if (is_new) process->port = (unsigned)atoi(at + sizeof "127.0.0.1:" - 1);
  for (at = text; (at = strstr(at, plug)) != NULL; at++) {
    const unsigned number = (unsigned)atoi(at + sizeof plug - 1) - 1;
    if (number < nodes->count && nodes->all[number].pid) kill(nodes->all[number].pid, SIGKILL);
  }
  unsigned up = 0;
  for (unsigned i = 0; i < nodes->count; i++) up += nodes->all[i].port != 0;
  if (nodes->is_ready && is_new) say_console(nodes, process);
  if (nodes->is_ready || up < nodes->count) return;
  nodes->is_ready = true;
  const char *address = nodes->program->is->server->address;
  printf("%s: %s://%s:%u\n", nodes->program->is->name, program_scheme(nodes->program),
         address && strcmp(address, "0.0.0.0") ? address : "127.0.0.1", nodes->port);
  fflush(stdout);
  for (unsigned i = 0; i < nodes->count; i++) say_console(nodes, &nodes->all[i]);
  nodes->program->on_ready(&(vestry_server){.port = (uint16_t)nodes->port}, nodes->program->application->own);
}

/* If a node ends before all nodes have listened once, it could not start, and has printed the reason. */
static void reap(struct nodes *nodes) {
  int status;
  for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG)) > 0;)
    for (unsigned i = 0; i < nodes->count; i++)
      if (nodes->all[i].pid == pid) {
        nodes->all[i].pid = 0;
        nodes->all[i].port = 0;
        nodes->all[i].back_ms = clock_ms() + BACK_MS;
        if (!nodes->is_ready && !nodes->is_over) nodes->is_over = nodes->has_failed = true;
      }
}

static int reach(struct nodes *nodes) {
  for (unsigned tries = 0; tries < nodes->count; tries++) {
    const struct process *process = &nodes->all[nodes->next++ % nodes->count];
    const struct sockaddr_in at = {
        .sin_family = AF_INET, .sin_port = htons((uint16_t)process->port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    const int to = process->port ? socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0) : -1;
    if (to >= 0 && connect(to, (const struct sockaddr *)&at, sizeof at) == 0) {
      (void)fcntl(to, F_SETFL, O_NONBLOCK);
      return to;
    }
    if (to >= 0) close(to);
  }
  return -1;
}

static void welcome(struct nodes *nodes) {
  while (nodes->connections_count < CONNECTIONS_MAX) {
    const int from = accept4(nodes->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (from < 0) return;
    struct connection *connection = malloc(sizeof *connection);
    const int to = connection ? reach(nodes) : -1;
    if (to < 0) {
      close(from);
      free(connection);
      continue;
    }
    connection->sockets[0] = from, connection->sockets[1] = to, connection->is_over = false;
    for (int i = 0; i < 2; i++) {
      struct way *way = &connection->ways[i];
      way->from = way->to = 0, way->is_at_end = way->is_ended = false;
    }
    nodes->connections[nodes->connections_count++] = connection;
  }
}

static bool is_later(void) {
  return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR;
}

/* Pass on data in direction i without blocking, from socket i to the other one. */
static void pass(struct connection *connection, int i) {
  struct way *way = &connection->ways[i];
  if (way->from == way->to && !way->is_at_end) {
    const ssize_t got = recv(connection->sockets[i], way->bytes, sizeof way->bytes, 0);
    if (got < 0 && !is_later()) connection->is_over = true;
    way->from = 0, way->to = got > 0 ? (size_t)got : 0;
    way->is_at_end = got == 0;
  }
  if (way->from < way->to) {
    const ssize_t sent = send(connection->sockets[!i], way->bytes + way->from, way->to - way->from, MSG_NOSIGNAL);
    if (sent < 0 && !is_later()) connection->is_over = true;
    way->from += sent > 0 ? (size_t)sent : 0;
  }
  if (way->from == way->to && way->is_at_end && !way->is_ended) {
    way->is_ended = true;
    if (i == 1) connection->is_over = true; /* the node has ended the connection: end it at the browser at once */
    (void)shutdown(connection->sockets[!i], SHUT_WR);
  }
}

static void close_those_that_are_over(struct nodes *nodes, bool all) {
  size_t kept = 0;
  for (size_t i = 0; i < nodes->connections_count; i++) {
    struct connection *connection = nodes->connections[i];
    if (!connection->is_over && !all) {
      nodes->connections[kept++] = connection;
      continue;
    }
    close(connection->sockets[0]);
    close(connection->sockets[1]);
    free(connection);
  }
  nodes->connections_count = kept;
}

static short wanted(const struct connection *connection, int i) {
  const struct way *in = &connection->ways[i], *out = &connection->ways[!i];
  return (short)((in->from == in->to && !in->is_at_end ? POLLIN : 0) | (out->from < out->to ? POLLOUT : 0));
}

static void turn(struct nodes *nodes, struct pollfd *polled) {
  size_t count = 0;
  polled[count++] = (struct pollfd){.fd = nodes->signals, .events = POLLIN};
  polled[count++] = (struct pollfd){.fd = nodes->is_ready ? nodes->listener : -1, .events = POLLIN};
  for (unsigned i = 0; i < nodes->count; i++)
    polled[count++] = (struct pollfd){.fd = nodes->all[i].said, .events = POLLIN};
  const size_t first = count;
  for (size_t i = 0; i < nodes->connections_count; i++)
    for (int side = 0; side < 2; side++) {
      const short events = wanted(nodes->connections[i], side);
      polled[count++] = (struct pollfd){.fd = events ? nodes->connections[i]->sockets[side] : -1, .events = events};
    }
  if (poll(polled, count, 200) < 0) return;
  for (size_t i = 0; i < nodes->connections_count; i++)
    if (polled[first + 2 * i].revents || polled[first + 2 * i + 1].revents)
      for (int side = 0; side < 2; side++) pass(nodes->connections[i], side);
  close_those_that_are_over(nodes, false);
  for (unsigned i = 0; i < nodes->count; i++)
    if (polled[2 + i].revents) hear(nodes, &nodes->all[i]);
  if (polled[1].revents) welcome(nodes);
  struct signalfd_siginfo signal;
  while (read(nodes->signals, &signal, sizeof signal) == (ssize_t)sizeof signal)
    if (signal.ssi_signo != SIGCHLD) nodes->is_over = true;
  reap(nodes);
  for (unsigned i = 0; i < nodes->count && !nodes->is_over; i++)
    if (!nodes->all[i].pid && clock_ms() >= nodes->all[i].back_ms) {
      if (nodes->all[i].said >= 0) close(nodes->all[i].said);
      nodes->all[i].said = -1;
      start(nodes, i);
    }
}

/* Stop all nodes by SIGTERM, and kill those that do not end in time. */
static void stop_all(struct nodes *nodes) {
  const uint64_t end_ms = clock_ms() + STOP_MS;
  close_those_that_are_over(nodes, true);
  for (unsigned i = 0; i < nodes->count; i++)
    if (nodes->all[i].pid) kill(nodes->all[i].pid, SIGTERM);
  for (bool is_late = false, is_alive = true; is_alive;) {
    reap(nodes);
    is_alive = false;
    for (unsigned i = 0; i < nodes->count; i++) is_alive |= nodes->all[i].pid != 0;
    if (is_alive && !is_late && clock_ms() > end_ms) {
      is_late = true;
      for (unsigned i = 0; i < nodes->count; i++)
        if (nodes->all[i].pid) kill(nodes->all[i].pid, SIGKILL);
    }
    struct pollfd polled = {.fd = nodes->signals, .events = POLLIN};
    struct signalfd_siginfo signal;
    if (is_alive && poll(&polled, 1, 50) > 0) (void)!read(nodes->signals, &signal, sizeof signal);
  }
}

int nodes_run(const struct program *program, char **argv, unsigned count, void (*on_end)(void *ctx)) {
  static struct nodes nodes;
  static struct pollfd polled[2 + NODES_MAX + 2 * CONNECTIONS_MAX];
  sigset_t heard;
  nodes = (struct nodes){.program = program, .argv = argv, .count = count};
  for (unsigned i = 0; i < count; i++) nodes.all[i].said = -1;
  sigemptyset(&heard);
  sigaddset(&heard, SIGINT);
  sigaddset(&heard, SIGTERM);
  sigaddset(&heard, SIGCHLD);
  sigprocmask(SIG_BLOCK, &heard, NULL);
  nodes.signals = signalfd(-1, &heard, SFD_CLOEXEC | SFD_NONBLOCK);
  if (program->has_console && !program_allows_console(program, true)) return 2;
  if (nodes.signals < 0 || !share_certificate(&nodes) || !listens(&nodes)) return 1;
  for (unsigned i = 0; i < count; i++) start(&nodes, i);
  while (!nodes.is_over) turn(&nodes, polled);
  close(nodes.listener);
  stop_all(&nodes);
  if (on_end) on_end(program->application->own);
  close(nodes.signals);
  return nodes.has_failed ? 1 : 0;
}

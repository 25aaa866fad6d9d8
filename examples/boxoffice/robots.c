/* SPDX-License-Identifier: MIT */
#include "robots.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "house.h"

enum { WORKERS = 4, ANSWER_BYTES = 512 * 1024, AGAIN_MS = 300, PATIENCE_S = 8 };

struct robots {
  pthread_mutex_t lock;
  pthread_cond_t changed; /* is_over */
  pthread_t threads[WORKERS];
  unsigned port, count, started;
  uint64_t pace_ms;
  robot_fn step;
  void *ctx;
  bool is_over;
  struct robot all[];
};

uint64_t robot_any(const struct robot *robot, uint64_t below) {
  uint64_t x = robot->number;
  (void)!getrandom(&x, sizeof x, 0);
  return x % below;
}

void robot_press(struct robot *robot, const char *path, const char *type, const char *body) {
  snprintf(robot->request, sizeof robot->request,
           "POST %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nDatastar-Request: true\r\nX-Once: %s.%u\r\n"
           "Content-Type: %s\r\nContent-Length: %zu\r\n\r\n%s",
           path, robot->nonce, ++robot->presses, type, strlen(body), body);
}

const char *robot_nonce(const struct robot *robot, char nonce[160]) {
  snprintf(nonce, 160, "%s.%u", robot->nonce, robot->presses);
  return nonce;
}

/* Send one request on a new connection. Returns the status; 0: no answer */
static int ask(unsigned port, const char *request, char *answer) {
  const struct sockaddr_in address = {
      .sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  const struct timeval patience = {.tv_sec = PATIENCE_S};
  const int to = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  size_t len = 0;
  ssize_t got = -1;
  int status = 0;
  if (to < 0) return 0;
  (void)setsockopt(to, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  (void)setsockopt(to, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
  if (connect(to, (const struct sockaddr *)&address, sizeof address) == 0 &&
      send(to, request, strlen(request), MSG_NOSIGNAL) == (ssize_t)strlen(request))
    while (len < ANSWER_BYTES - 1 && (got = recv(to, answer + len, ANSWER_BYTES - 1 - len, 0)) > 0) len += (size_t)got;
  close(to);
  answer[len] = '\0';
  return got == 0 && sscanf(answer, "HTTP/1.1 %3d", &status) == 1 ? status : 0;
}

/* Copy the text of a page between a mark and a quote. */
static bool find(const char *page, const char *mark, char into[128]) {
  const char *at = strstr(page, mark);
  const size_t len = at ? strcspn(at + strlen(mark), "'") : 0;
  if (!len || len >= 128) return false;
  memcpy(into, at + strlen(mark), len);
  into[len] = '\0';
  return true;
}

static uint64_t live(struct robots *robots, struct robot *robot, char *answer) {
  static const char load[] = "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
  if (!*robot->nonce) {
    if (ask(robots->port, load, answer) != 200) return AGAIN_MS;
    if (!find(answer, "take() || '", robot->tab) || !find(answer, "_once=\"'", robot->nonce)) *robot->nonce = '\0';
    return robot_any(robot, robots->pace_ms + 1);
  }
  if (!*robot->request) return robots->step(robot, NULL, robots->ctx);
  const int status = ask(robots->port, robot->request, answer);
  if (!status || status >= 500) return AGAIN_MS; /* repeat the request */
  if (status >= 400) *robot->nonce = '\0';       /* its page is too old */
  *robot->request = '\0';
  return robots->step(robot, answer, robots->ctx);
}

/* Return a robot that is due; otherwise the milliseconds until one is due. */
static struct robot *next_locked(struct robots *robots, int64_t *ret_wait_ms) {
  struct robot *first = NULL;
  const int64_t now = vestry_clock_ms(NULL);
  for (unsigned i = 0; i < robots->count; i++)
    if (!robots->all[i].is_busy && (!first || robots->all[i].due_ms < first->due_ms)) first = &robots->all[i];
  *ret_wait_ms = !first ? AGAIN_MS : first->due_ms > now ? first->due_ms - now : 0;
  return *ret_wait_ms ? NULL : first;
}

static void *work(void *ctx) {
  struct robots *robots = ctx;
  char *answer = malloc(ANSWER_BYTES);
  pthread_mutex_lock(&robots->lock);
  while (answer && !robots->is_over) {
    int64_t wait_ms;
    struct robot *robot = next_locked(robots, &wait_ms);
    if (!robot) {
      const int64_t until = vestry_clock_ms(NULL) + wait_ms;
      const struct timespec at = {.tv_sec = until / 1000, .tv_nsec = until % 1000 * 1000000};
      pthread_cond_timedwait(&robots->changed, &robots->lock, &at);
      continue;
    }
    robot->is_busy = true;
    pthread_mutex_unlock(&robots->lock);
    const uint64_t after_ms = live(robots, robot, answer);
    pthread_mutex_lock(&robots->lock);
    robot->is_busy = false;
    robot->due_ms = vestry_clock_ms(NULL) + (int64_t)after_ms;
  }
  pthread_mutex_unlock(&robots->lock);
  free(answer);
  return NULL;
}

struct robots *robots_start(unsigned port, unsigned count, uint64_t pace_ms, robot_fn step, void *ctx) {
  struct robots *robots = count && port ? calloc(1, sizeof *robots + count * sizeof *robots->all) : NULL;
  if (!robots) return NULL;
  robots->port = port, robots->count = count, robots->pace_ms = pace_ms, robots->step = step, robots->ctx = ctx;
  pthread_mutex_init(&robots->lock, NULL);
  pthread_cond_init(&robots->changed, NULL);
  for (unsigned i = 0; i < count; i++) {
    robots->all[i].number = i + 1;
    robots->all[i].due_ms = vestry_clock_ms(NULL) + (int64_t)robot_any(&robots->all[i], pace_ms + 1);
  }
  while (robots->started < WORKERS && !pthread_create(&robots->threads[robots->started], NULL, work, robots))
    robots->started++;
  return robots;
}

void robots_stop(struct robots *robots) {
  if (!robots) return;
  pthread_mutex_lock(&robots->lock);
  robots->is_over = true;
  pthread_cond_broadcast(&robots->changed);
  pthread_mutex_unlock(&robots->lock);
  for (unsigned i = 0; i < robots->started; i++) pthread_join(robots->threads[i], NULL);
  pthread_cond_destroy(&robots->changed);
  pthread_mutex_destroy(&robots->lock);
  free(robots);
}

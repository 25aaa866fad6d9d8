/* SPDX-License-Identifier: MIT */
#include "rounds/world.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "runtime/random.h"
#include "support/test.h"

enum { LATE_MS = 15, ASK_EVERY_MS = 10, READ_BYTES = 65536, LINE_MOST = 8192, VECTOR_FIRST = 256, SPANS_MOST = 512 };

/* Make room for one more element in an array with room for VECTOR_FIRST, twice that, and so on. */
static void *grown(void *all, size_t count, size_t size) {
  if (count && (count < VECTOR_FIRST || (count & (count - 1)))) return all;
  void *more = realloc(all, (count < VECTOR_FIRST ? VECTOR_FIRST : count * 2) * size);
  assert_non_null(more);
  return more;
}

/* ---------------------------------------------------------------------------------------------------- notes ------- */

void world_note(world *w, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  fprintf(w->trace, "%llu.%03llu ", (unsigned long long)(clock_ns() / 1000000 % 1000000),
          (unsigned long long)(clock_ns() / 1000 % 1000));
  vfprintf(w->trace, format, arguments);
  fputc('\n', w->trace);
  va_end(arguments);
}

void world_fail(world *w, const char *format, ...) {
  char text[512];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(text, sizeof text, format, arguments);
  va_end(arguments);
  fprintf(stderr, "seed %llu: %s\n", (unsigned long long)w->seed, text);
  world_note(w, "FAILED %s", text);
  w->failures++;
}

void world_forget_story(world *w) {
  if (w->trace) fclose(w->trace);
  free(w->story);
  w->trace = open_memstream(&w->story, &w->story_len);
  assert_non_null(w->trace);
}

/* ---------------------------------------------------------------------------------------------------- times ------- */

static span *add_span(spans *s, uint64_t from_ns, uint64_t to_ns, unsigned places) {
  s->all = grown(s->all, s->count, sizeof *s->all);
  s->all[s->count] = (span){from_ns, to_ns, places};
  return &s->all[s->count++];
}

static void stalled(world *w, const char *user, uint64_t from_ns, uint64_t to_ns) {
  (void)add_span(&w->stalls, from_ns, to_ns, 0);
  world_note(w, "%s: not run for %llu ms", user, (unsigned long long)((to_ns - from_ns) / MS));
}

static int by_begin(const void *a, const void *b) {
  const span *one = a, *other = b;
  return one->from_ns < other->from_ns ? -1 : one->from_ns > other->from_ns;
}

/* Return how long a process did not run, counting each moment once. */
uint64_t world_stalled_ns(const world *w, uint64_t from_ns, uint64_t to_ns) {
  span in[SPANS_MOST];
  size_t count = 0;
  uint64_t sum = 0, end_ns = from_ns;
  for (size_t i = w->stalls.count; i-- > 0 && count < SPANS_MOST;)
    if (w->stalls.all[i].to_ns > from_ns && w->stalls.all[i].from_ns < to_ns) in[count++] = w->stalls.all[i];
  qsort(in, count, sizeof *in, by_begin);
  for (size_t i = 0; i < count; i++) {
    uint64_t from = in[i].from_ns > end_ns ? in[i].from_ns : end_ns, to = in[i].to_ns < to_ns ? in[i].to_ns : to_ns;
    if (to <= from) continue;
    sum += to - from;
    end_ns = to;
  }
  return sum;
}

size_t world_fault(world *w, unsigned places) {
  (void)add_span(&w->faults, clock_ns(), FOR_EVER, places);
  return w->faults.count - 1;
}

void world_healed(world *w, size_t fault) {
  w->faults.all[fault].to_ns = clock_ns();
}

uint64_t world_deadline_ns(const world *w, unsigned places, uint64_t from_ns, uint64_t within_ns) {
  for (;;) {
    uint64_t until_ns = from_ns + within_ns, longer_ns = from_ns;
    for (uint64_t more; (more = from_ns + within_ns + world_stalled_ns(w, from_ns, until_ns)) > until_ns;)
      until_ns = more;
    for (size_t i = 0; i < w->faults.count; i++) {
      const span *f = &w->faults.all[i];
      if ((f->places & places) && f->from_ns < until_ns && f->to_ns > longer_ns) longer_ns = f->to_ns;
    }
    if (longer_ns == FOR_EVER) return FOR_EVER;
    if (longer_ns == from_ns) return until_ns;
    from_ns = longer_ns;
  }
}

/* ------------------------------------------------------------------------------------------ output of nodes ------- */

static void take_got(world *w, int number, const char *mark, uint64_t at_ns) {
  char kind;
  int place, life, sent;
  assert_int_equal(sscanf(mark, "%c%d.%d.%d", &kind, &place, &life, &sent), 4);
  assert_true(number < (int)w->streams_count && sent < (int)w->messages_count && place < PLACES && life < LIVES_MOST);
  stream *s = &w->streams[number];
  message *m = &w->messages[sent];
  int *last = &s->last[place * LIVES_MOST + life];
  if (m->kind != kind || m->place != place || m->life != life || strcmp(m->name, s->name) != 0)
    world_fail(w, "stream %d of %c has message %d, which is not for it", number, 'a' + s->place, sent);
  if (sent <= *last)
    world_fail(w, "stream %d of %c: message %d %s %d", number, 'a' + s->place, sent, sent == *last ? "twice" : "behind",
               *last);
  *last = sent;
  m->got = grown(m->got, m->got_count, sizeof *m->got);
  m->got[m->got_count++] = number;
}

static void take_heard(world *w, int place, const char *mark, uint64_t at_ns) {
  int from, life, sent;
  if (sscanf(mark, "P%d.%d.%d", &from, &life, &sent) != 3 || sent >= (int)w->messages_count) return;
  message *m = &w->messages[sent];
  int own = w->players[place].life;
  if (m->heard_ns[place] && m->heard_life[place] == own) world_fail(w, "%c heard %d twice", 'a' + place, sent);
  m->heard_ns[place] = at_ns;
  m->heard_life[place] = own;
  for (size_t i = (size_t)sent + 1; i < w->messages_count; i++) {
    const message *later = &w->messages[i];
    if (later->kind == 'P' && later->place == m->place && later->life == m->life && later->heard_ns[place] &&
        later->heard_life[place] == own)
      world_fail(w, "%c heard %d behind %zu", 'a' + place, sent, i);
  }
}

static void add_told(world *w, char kind, int place, const char *of, const char *state, uint64_t at_ns) {
  w->reported = grown(w->reported, w->reported_count, sizeof *w->reported);
  reported *t = &w->reported[w->reported_count++];
  *t = (reported){.kind = kind, .place = place, .life = w->players[place].life, .of = -1, .at_ns = at_ns};
  if (*of >= 'a' && *of < 'a' + PLACES) t->of = *of - 'a';
  snprintf(t->state, sizeof t->state, "%s", state);
}

static void take_line(world *w, int place, const char *line) {
  player *p = &w->players[place];
  char word[32] = "", text[128] = "";
  int number, count = 0;
  unsigned long long first = 0, second = 0;
  assert_int_equal(sscanf(line, "%31s", word), 1);
  if (strcmp(word, "stats") != 0 && strcmp(word, "late") != 0) world_note(w, "%c.%d: %s", 'a' + place, p->life, line);
  if (sscanf(line, "got %d %127s %llu", &number, text, &first) == 3) {
    take_got(w, number, text, first);
  } else if (sscanf(line, "heard %127s %llu", text, &first) == 2) {
    take_heard(w, place, text, first);
  } else if (sscanf(line, "sent %d %llu", &number, &first) == 2) {
    w->messages[number].sent_ns = first;
  } else if (sscanf(line, "answer %d %127s %d %llu", &number, text, &count, &first) == 4) {
    message *m = &w->messages[number];
    m->times++;
    m->count = (unsigned)count;
    m->answered_ns = first;
    snprintf(m->error, sizeof m->error, "%.23s", text);
  } else if (sscanf(line, "opened %d %127s %llu", &number, text, &first) == 3) {
    if (strcmp(text, "OK") == 0)
      w->streams[number].opened_ns = first;
    else
      world_fail(w, "stream %d: %s", number, text);
  } else if (sscanf(line, "ended %d %127s %llu", &number, text, &first) == 3) {
    stream *s = &w->streams[number];
    snprintf(s->cause, sizeof s->cause, "%.15s", text);
    if (!s->left_ns) s->left_ns = first;
  } else if (sscanf(line, "gap %127s %llu %llu", text, &first, &second) == 3) {
    add_told(w, 'G', place, text, "", second);
  } else if (sscanf(line, "rendered %llu", &first) == 1) {
    add_told(w, 'R', place, "", "", first);
  } else if (sscanf(line, "late %llu %llu", &first, &second) == 2) {
    const char user[2] = {(char)('a' + place), '\0'};
    if (first < p->continued_ns && second > p->stopped_ns) first = p->continued_ns; /* this stop was intended */
    if (second > first + LATE_MS * MS) stalled(w, user, first, second);
  } else if (strcmp(word, "member") == 0) {
    char state[12];
    assert_int_equal(sscanf(line, "member %127s %11s %llu", text, state, &first), 3);
    add_told(w, 'M', place, text, state, first);
  } else if (strcmp(word, "stats") == 0) {
    stats *s = &p->stats;
    assert_int_equal(sscanf(line, "stats %zu %zu %llu %llu %llu %llu %llu %llu", &s->alive, &s->unsynced, &s->own,
                            &s->others, &s->sent, &s->over_budget, &s->replaced, &s->duplicates),
                     8);
    p->stats_count++;
  } else if (sscanf(line, "up %llu", &first) == 1) {
    p->is_up = true;
    p->up_ns = first;
  } else if (sscanf(line, "marks %llu", &p->marks) == 1) {
    p->marks_count++;
  } else if (strcmp(word, "log") == 0) {
    bool is_linked = strcmp(line, "log nats: up") == 0;
    if (is_linked || strcmp(line, "log nats: down") == 0) {
      p->is_linked = is_linked;
      p->linked_ns = clock_ns();
    }
  } else if (strcmp(word, "held") == 0) {
    p->held_count++;
  } else if (strcmp(word, "bye") == 0) {
    p->has_gone = true;
  } else {
    snprintf(p->said, sizeof p->said, "%.63s", line);
  }
}

/* False: it has ended. */
static bool read_player(world *w, int place) {
  player *p = &w->players[place];
  for (ssize_t n = 1; n > 0;) {
    if (p->room - p->len < READ_BYTES) {
      p->room = p->room * 2 + READ_BYTES;
      p->buffer = realloc(p->buffer, p->room);
      assert_non_null(p->buffer);
    }
    n = read(p->out, p->buffer + p->len, READ_BYTES);
    if (n == 0) return false;
    if (n < 0) return errno == EAGAIN || errno == EINTR;
    p->len += (size_t)n;
    size_t at = 0;
    for (char *end; (end = memchr(p->buffer + at, '\n', p->len - at)) != NULL; at = (size_t)(end - p->buffer) + 1) {
      *end = '\0';
      take_line(w, place, p->buffer + at);
    }
    memmove(p->buffer, p->buffer + at, p->len - at);
    p->len -= at;
  }
  return true;
}

/* ---------------------------------------------------------------------- the broker, and whether it responds ------- */

static void stop_asking(world *w) {
  if (w->probe >= 0) close(w->probe);
  w->probe = -1;
  w->asked_ns = 0;
}

static void begin_asking(world *w) {
  struct sockaddr_in address = {
      .sin_family = AF_INET, .sin_port = htons((uint16_t)w->server.port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  static const char hello[] = "CONNECT {\"verbose\":false,\"pedantic\":false}\r\nSUB > 1\r\nPING\r\n";
  w->heard_len = 0;
  stop_asking(w);
  w->probe = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  assert_true(w->probe >= 0);
  if (connect(w->probe, (struct sockaddr *)&address, sizeof address) ||
      send(w->probe, hello, sizeof hello - 1, MSG_NOSIGNAL) < 0 || fcntl(w->probe, F_SETFL, O_NONBLOCK) < 0) {
    stop_asking(w);
    return;
  }
  w->asked_ns = clock_ns();
}

/* Take one frame of the broker. */
static void take_frame(world *w, const char *frame, bool is_message, uint64_t now_ns) {
  if (is_message) {
    w->heard_count++;
    w->bad_subjects_count += !nats_subject_is_plain(frame);
  } else if (strncmp(frame, "PING", 4) == 0) {
    (void)send(w->probe, "PONG\r\n", 6, MSG_NOSIGNAL);
  } else if (strncmp(frame, "PONG", 4) == 0 && w->asked_ns) {
    if (now_ns - w->asked_ns > LATE_MS * MS && !w->is_broker_stopped) stalled(w, "broker", w->asked_ns, now_ns);
    w->asked_ns = 0;
    w->ask_ns = now_ns + ASK_EVERY_MS * MS;
  }
}

static void ping_broker(world *w, uint64_t now_ns) {
  if (w->probe < 0) return;
  for (ssize_t n = 1; n > 0 && w->probe >= 0;) {
    if (w->heard_room - w->heard_len < READ_BYTES) {
      w->heard_room = w->heard_room * 2 + READ_BYTES;
      w->heard = realloc(w->heard, w->heard_room);
      assert_non_null(w->heard);
    }
    n = recv(w->probe, w->heard + w->heard_len, READ_BYTES, 0);
    if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) stop_asking(w);
    if (n > 0) w->heard_len += (size_t)n;
  }
  size_t at = 0, len;
  bool is_message;
  for (; (len = nats_frame_len(w->heard + at, w->heard_len - at, &is_message)) > 0; at += len)
    take_frame(w, w->heard + at, is_message, now_ns);
  if (at) memmove(w->heard, w->heard + at, w->heard_len - at);
  w->heard_len -= at;
  if (w->probe >= 0 && !w->asked_ns && now_ns >= w->ask_ns && !w->is_broker_stopped) {
    (void)send(w->probe, "PING\r\n", 6, MSG_NOSIGNAL);
    w->asked_ns = now_ns;
  }
}

static void look_for_broker(world *w) {
  if (w->is_broker_up || !w->server.pid || !nats_server_listens(&w->server)) return;
  w->is_broker_up = true;
  world_note(w, "the broker listens");
  begin_asking(w);
}

void world_broker_launch(world *w) {
  world_note(w, "the broker is started");
  nats_server_launch(&w->server, w->broker_config);
}

void world_broker_kill(world *w) {
  world_note(w, "the broker is killed");
  stop_asking(w);
  w->is_broker_up = w->is_broker_stopped = w->is_broker_held = false;
  nats_server_kill(&w->server);
}

void world_broker_stop(world *w, bool stopped) {
  if (!w->server.pid) return;
  world_note(w, stopped ? "the broker is stopped" : "the broker goes on");
  w->is_broker_stopped = stopped;
  w->asked_ns = 0;
  nats_server_freeze(&w->server, stopped);
}

/* Delay the broker as a busy machine does. This is not a fault: a test's expectations still hold, only later. */
static void hold_broker(world *w, uint64_t now_ns) {
  enum { HELD_MS = 450, BETWEEN_MS = 2000 };
  if (!w->is_busy || w->is_broker_stopped || !w->is_broker_up || now_ns < w->hold_ns) return;
  w->is_broker_held = !w->is_broker_held;
  w->hold_ns = now_ns + (w->is_broker_held ? HELD_MS : 100 + random_below(&w->state, BETWEEN_MS)) * MS;
  nats_server_freeze(&w->server, w->is_broker_held);
}

/* ----------------------------------------------------------------------------------------------------- time ------- */

/* Prepare the fds of all; *due_ns: the time of the next action. */
static size_t prepare(world *w, struct pollfd *fds, uint64_t *due_ns) {
  size_t count = 0;
  for (int i = 0; i < PLACES; i++) {
    count += proxy_prepare(&w->proxies[i], fds + count, due_ns);
    if (w->players[i].pid) fds[count++] = (struct pollfd){.fd = w->players[i].out, .events = POLLIN};
  }
  if (w->probe >= 0) fds[count++] = (struct pollfd){.fd = w->probe, .events = POLLIN};
  if (!w->is_broker_up && w->server.pid && *due_ns > clock_ns() + 5 * MS) *due_ns = clock_ns() + 5 * MS;
  if (w->probe >= 0 && !w->asked_ns && w->ask_ns < *due_ns) *due_ns = w->ask_ns;
  if (w->is_busy && w->is_broker_up && w->hold_ns < *due_ns) *due_ns = w->hold_ns;
  return count;
}

void world_poll(world *w, uint64_t until_ns) {
  struct pollfd fds[PLACES * (PROXY_FDS_MOST + 1) + 1];
  uint64_t due_ns = until_ns, before_ns = clock_ns();
  size_t count = prepare(w, fds, &due_ns);
  uint64_t wait_ns = due_ns > before_ns ? due_ns - before_ns : 0;
  const struct timespec wait = {(time_t)(wait_ns / 1000000000), (long)(wait_ns % 1000000000)};
  (void)ppoll(fds, count, &wait, NULL);
  uint64_t now_ns = clock_ns();
  if (now_ns > before_ns + wait_ns + LATE_MS * MS) stalled(w, "world", before_ns + wait_ns, now_ns);
  ping_broker(w, now_ns);
  look_for_broker(w);
  hold_broker(w, now_ns);
  for (int i = 0; i < PLACES; i++) {
    proxy_carry(&w->proxies[i], now_ns);
    if (w->players[i].pid && !read_player(w, i) && !w->players[i].has_gone) fail_msg("%c has died by itself", 'a' + i);
  }
  uint64_t after_ns = clock_ns();
  if (after_ns - now_ns > LATE_MS * MS) stalled(w, "world, at work", now_ns, after_ns);
}

void world_pass(world *w, uint64_t ms) {
  uint64_t until_ns = clock_ns() + ms * MS;
  while (clock_ns() < until_ns) world_poll(w, until_ns);
}

/* ---------------------------------------------------------------------------------------------------- nodes ------- */

void world_start(world *w, int place, const char *const *settings) {
  player *p = &w->players[place];
  int in[2], out[2];
  char name[2] = {(char)('a' + place), '\0'}, life[16];
  const char *arguments[24] = {CLUSTER_NODE, name, life, w->proxies[place].url};
  size_t count = 4;
  for (size_t i = 0; settings && settings[i]; i++) arguments[count++] = settings[i];
  assert_true(!p->pid && p->life + 1 < LIVES_MOST);
  *p = (player){.life = p->life + 1, .died_ns = p->died_ns};
  snprintf(life, sizeof life, "%d", p->life);
  assert_int_equal(pipe2(in, O_CLOEXEC), 0);
  assert_int_equal(pipe2(out, O_CLOEXEC), 0);
  pid_t parent = getpid(), pid = fork();
  assert_true(pid >= 0);
  if (pid == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    setpgid(0, 0); /* so that a SIGCONT to the test's group does not continue a node that the test has stopped */
    if (getppid() != parent) _exit(1);
    dup2(in[0], STDIN_FILENO);
    dup2(out[1], STDOUT_FILENO);
    execv(CLUSTER_NODE, (char *const *)arguments);
    _exit(127);
  }
  close(in[0]);
  close(out[1]);
  p->pid = pid;
  p->in = in[1];
  p->out = out[0];
  fcntl(p->in, F_SETFL, O_NONBLOCK);
  fcntl(p->out, F_SETFL, O_NONBLOCK);
  world_note(w, "%s.%d is started, %d", name, p->life, (int)pid);
}

/* The node has ended: read its remaining output. */
static void end_player(world *w, int place) {
  player *p = &w->players[place];
  int status;
  while (waitpid(p->pid, &status, 0) < 0 && errno == EINTR) continue;
  while (read_player(w, place)) continue;
  close(p->in);
  close(p->out);
  free(p->buffer);
  p->buffer = NULL;
  p->len = p->room = 0;
  p->pid = 0;
  p->is_up = p->is_stopped = false;
  p->died_ns = clock_ns();
  for (size_t i = 0; i < w->streams_count; i++) {
    stream *s = &w->streams[i];
    if (s->place == place && s->life == p->life && !s->left_ns) s->left_ns = p->died_ns;
  }
  if (!WIFSIGNALED(status) && (!WIFEXITED(status) || WEXITSTATUS(status)))
    world_fail(w, "%c ended with %d", 'a' + place, status);
}

void world_kill(world *w, int place) {
  if (!w->players[place].pid) return;
  world_note(w, "%c.%d is killed", 'a' + place, w->players[place].life);
  kill(w->players[place].pid, SIGKILL);
  end_player(w, place);
}

void world_stop(world *w, int place, bool stopped) {
  player *p = &w->players[place];
  if (!p->pid || p->is_stopped == stopped) return;
  world_note(w, "%c.%d %s", 'a' + place, p->life, stopped ? "is stopped" : "goes on");
  p->is_stopped = stopped;
  *(stopped ? &p->stopped_ns : &p->continued_ns) = clock_ns();
  assert_int_equal(kill(p->pid, stopped ? SIGSTOP : SIGCONT), 0);
  /* One of its threads must run to stop them all; on a busy machine the others run until then. */
  siginfo_t info;
  if (stopped) assert_int_equal(waitid(P_PID, (id_t)p->pid, &info, WSTOPPED), 0);
}

void world_quit(world *w, int place) {
  world_say(w, place, "quit");
  WORLD_AWAIT(w, 20000, w->players[place].has_gone);
  end_player(w, place);
}

void world_say(world *w, int place, const char *format, ...) {
  char line[LINE_MOST];
  player *p = &w->players[place];
  va_list arguments;
  va_start(arguments, format);
  int len = vsnprintf(line, sizeof line - 1, format, arguments);
  va_end(arguments);
  assert_true(len > 0 && len < (int)sizeof line - 1 && p->pid);
  if (strcmp(line, "stats") != 0) world_note(w, "to %c.%d: %s", 'a' + place, p->life, line);
  line[len++] = '\n';
  while (write(p->in, line, (size_t)len) != len) { /* a line is shorter than PIPE_BUF: all or nothing */
    if (errno != EAGAIN) {
      world_fail(w, "%c.%d does not listen: %s", 'a' + place, p->life, strerror(errno));
      return;
    }
    world_poll(w, clock_ns() + MS);
  }
}

/* ------------------------------------------------------------------------------------- streams and messages ------- */

static int add_stream(world *w, int place, char kind, const char *name, bool replaces) {
  w->streams = grown(w->streams, w->streams_count, sizeof *w->streams);
  stream *s = &w->streams[w->streams_count];
  *s = (stream){.place = place, .life = w->players[place].life, .kind = kind, .replaces = replaces};
  snprintf(s->name, sizeof s->name, "%s", name);
  s->last = malloc(sizeof *s->last * PLACES * LIVES_MOST);
  assert_non_null(s->last);
  for (size_t i = 0; i < (size_t)PLACES * LIVES_MOST; i++) s->last[i] = -1;
  return (int)w->streams_count++;
}

int world_open(world *w, int place, const char *key, bool replaces) {
  int number = add_stream(w, place, 'K', key, replaces);
  world_say(w, place, "open %d %s %s", number, key, replaces ? "replace" : "many");
  return number;
}

int world_join(world *w, int place, const char *channel) {
  int number = add_stream(w, place, 'C', channel, false);
  world_say(w, place, "join %d %s", number, channel);
  return number;
}

int world_show(world *w, int place) {
  int number = add_stream(w, place, 'P', "", false);
  world_say(w, place, "show %d", number);
  return number;
}

void world_close(world *w, int number) {
  stream *s = &w->streams[number];
  if (!stream_is_open(w, s)) return;
  s->is_told_to_close = true;
  world_say(w, s->place, "close %d", number);
}

static int add_message(world *w, int place, char kind, const char *name) {
  w->messages = grown(w->messages, w->messages_count, sizeof *w->messages);
  message *m = &w->messages[w->messages_count];
  *m = (message){.kind = kind, .place = place, .life = w->players[place].life};
  snprintf(m->name, sizeof m->name, "%s", name);
  return (int)w->messages_count++;
}

int world_send(world *w, int place, char kind, const char *name) {
  int number = add_message(w, place, kind, name);
  const char *word = kind == 'D' ? "ask" : kind == 'B' ? "cast" : kind == 'P' ? "publish" : "refresh";
  world_say(w, place, "%s %d %s", word, number, name);
  return number;
}

int world_tell(world *w, int place, const char *name) {
  int number = add_message(w, place, 'D', name);
  world_say(w, place, "tell %d %s", number, name);
  return number;
}

stats world_stats(world *w, int place) {
  unsigned before = w->players[place].stats_count;
  world_say(w, place, "stats");
  WORLD_AWAIT(w, 10000, w->players[place].stats_count != before);
  return w->players[place].stats;
}

bool stream_is_open(const world *w, const stream *s) {
  return s->opened_ns && !s->left_ns && !s->is_told_to_close && w->players[s->place].pid &&
         w->players[s->place].life == s->life;
}

bool message_got(const message *m, int number) {
  for (size_t i = 0; i < m->got_count; i++)
    if (m->got[i] == number) return true;
  return false;
}

/* ------------------------------------------------------------------------------------------------ the world ------- */

void world_begin(world *w, uint64_t seed, const char *const *settings) {
  *w = (world){.seed = seed, .state = seed, .settings = settings, .probe = -1};
  w->is_busy = getenv("ROUNDS_BUSY") != NULL;
  world_forget_story(w);
  nats_server_init(&w->server);
  for (int i = 0; i < PLACES; i++) proxy_init(&w->proxies[i], w->server.port, &w->state);
  world_broker_launch(w);
  WORLD_AWAIT(w, 20000, w->is_broker_up);
}

static bool all_are_known(const world *w) {
  size_t count = 0;
  for (size_t i = 0; i < w->reported_count; i++)
    count += w->reported[i].kind == 'M' && !strcmp(w->reported[i].state, "ALIVE");
  return count >= PLACES * (PLACES - 1);
}

void world_start_all(world *w) {
  for (int i = 0; i < PLACES; i++) world_start(w, i, w->settings);
  for (int i = 0; i < PLACES; i++) WORLD_AWAIT(w, 20000, w->players[i].is_up);
  for (int i = 0; i < PLACES; i++)
    WORLD_AWAIT(w, 20000, world_stats(w, i).alive == PLACES - 1 && !w->players[i].stats.unsynced);
  WORLD_AWAIT(w, 20000, all_are_known(w)); /* by their names, which arrive with heartbeats */
}

void world_end(world *w) {
  for (int i = 0; i < PLACES; i++) world_kill(w, i);
  for (int i = 0; i < PLACES; i++) proxy_finish(&w->proxies[i]);
  stop_asking(w);
  nats_server_finish(&w->server);
  for (size_t i = 0; i < w->streams_count; i++) free(w->streams[i].last);
  for (size_t i = 0; i < w->messages_count; i++) free(w->messages[i].got);
  free(w->streams);
  free(w->messages);
  free(w->reported);
  free(w->heard);
  free(w->stalls.all);
  free(w->faults.all);
  fclose(w->trace);
  free(w->story);
}

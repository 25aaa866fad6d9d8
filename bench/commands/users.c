/* SPDX-License-Identifier: MIT */
/* Users of any vestry server, played from a script: each has a browser of vestry/testing/browser.h, with its cookies,
 * tokens and streams. A few threads play all users: a user that waits for a text or thinks occupies no thread.
 *
 *      open "/"
 *      type "Name" "user {user}"
 *      press "Enter"
 *      repeat 10
 *        press "+1"
 *        expect "{round} of 10"
 *        think 500 1500
 *      end */
#include <ctype.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"
#include "histogram.h"
#include "vestry/testing/browser.h"

enum { STEPS_MAX = 500, DEPTH_MAX = 8, TEXT_BYTES = 1024, WORDS_MAX = 4, FAILURES_SHOWN = 10, SHOWN_BYTES = 160 };
enum { IDLE_MS = 50, NAMES_MAX = 8 };
#define NS_A_MS UINT64_C(1000000)

typedef enum { OPEN, TYPE, PRESS, EXPECT, GONE, THINK, REPEAT, END } step_kind;
static const struct {
  const char *name;
  size_t least, most; /* words after the name */
  const char *words;
} kinds[] = {[OPEN] = {"open", 1, 1, "\"/path\""},
             [TYPE] = {"type", 2, 2, "\"label\" \"text\""},
             [PRESS] = {"press", 1, 1, "\"text of a button or link\""},
             [EXPECT] = {"expect", 1, 2, "\"text\" [MS]"},
             [GONE] = {"gone", 1, 2, "\"text\" [MS]"},
             [THINK] = {"think", 1, 2, "MS [MS]"},
             [REPEAT] = {"repeat", 1, 1, "COUNT"},
             [END] = {"end", 0, 0, ""}};
enum { KINDS = sizeof kinds / sizeof *kinds };

typedef struct step {
  step_kind kind;
  int line;
  char *words[WORDS_MAX];
  uint64_t numbers[2]; /* of think, repeat, and the patience of expect and gone */
  int other;           /* of repeat: its end; of end: its repeat */
} step;

typedef struct script {
  step steps[STEPS_MAX];
  int count;
  struct {
    const char *name, *value;
  } names[NAMES_MAX];
} script;

/* ---- the script -------------------------------------------------------------------------------------------------- */

static bool complain(const char *path, int line, const char *what, const char *which) {
  fprintf(stderr, "vestry-bench: users: %s:%d: %s%s\n", path, line, what, which);
  return false;
}

/* Split a line into words; a word in quotes may contain blanks, \" and \\. Returns their number; -1: a quote
 * is open. */
static int split(char *line, char *words[WORDS_MAX + 1]) {
  int count = 0;
  for (char *at = line;;) {
    at += strspn(at, " \t\r\n");
    if (!*at || *at == '#' || count > WORDS_MAX) return count;
    const bool is_quoted = *at == '"';
    char *to = at += is_quoted;
    words[count++] = to;
    while (*at && (is_quoted ? *at != '"' : !isspace((unsigned char)*at))) {
      if (is_quoted && *at == '\\' && at[1]) at++;
      *to++ = *at++;
    }
    if (is_quoted && !*at) return -1;
    if (*at) at++;
    *to = '\0';
  }
}

static bool read_number(const char *text, uint64_t *ret_number) {
  char *end;
  *ret_number = strtoull(text, &end, 10);
  return *text >= '0' && *text <= '9' && !*end;
}

static bool read_step(script *s, const char *path, int line, char *text) {
  char *words[WORDS_MAX + 1];
  const int count = split(text, words);
  if (count < 0) return complain(path, line, "a quote is not closed", "");
  if (!count) return true;
  size_t kind = 0;
  while (kind < KINDS && strcmp(kinds[kind].name, words[0]) != 0) kind++;
  if (kind == KINDS) return complain(path, line, "unknown step: ", words[0]);
  if (s->count == STEPS_MAX) return complain(path, line, "more than 500 steps", "");
  const size_t given = (size_t)count - 1;
  if (given < kinds[kind].least || given > kinds[kind].most)
    return complain(path, line, "expected: ", kinds[kind].words);
  step *made = &s->steps[s->count++];
  *made = (step){.kind = (step_kind)kind, .line = line};
  for (size_t i = 0; i < given; i++)
    if (!(made->words[i] = strdup(words[i + 1]))) return complain(path, line, "out of memory", "");
  const size_t first = kind == THINK || kind == REPEAT ? 0 : kind == EXPECT || kind == GONE ? 1 : given;
  for (size_t i = first; i < given; i++)
    if (!read_number(made->words[i], &made->numbers[i - first]))
      return complain(path, line, "no number: ", made->words[i]);
  if (kind == THINK && given == 1) made->numbers[1] = made->numbers[0];
  if (kind == THINK && made->numbers[1] < made->numbers[0])
    return complain(path, line, "the second number is less", "");
  return true;
}

/* Connect each repeat with its end. */
static bool match_repeats(script *s, const char *path) {
  int open[DEPTH_MAX], depth = 0;
  for (int i = 0; i < s->count; i++) {
    step *of = &s->steps[i];
    if (of->kind == REPEAT && depth == DEPTH_MAX)
      return complain(path, of->line, "more than 8 repeats in each other", "");
    if (of->kind == REPEAT) open[depth++] = i;
    if (of->kind != END) continue;
    if (!depth) return complain(path, of->line, "end without a repeat", "");
    of->other = open[--depth];
    s->steps[of->other].other = i;
  }
  return !depth || complain(path, s->steps[open[depth - 1]].line, "repeat without an end", "");
}

static bool read_script(script *s, const char *path) {
  FILE *file = fopen(path, "r");
  char text[TEXT_BYTES];
  bool is_good = true;
  if (!file) {
    fprintf(stderr, "vestry-bench: users: --script %s: it cannot be read\n", path);
    return false;
  }
  for (int line = 1; is_good && fgets(text, sizeof text, file); line++) is_good = read_step(s, path, line, text);
  fclose(file);
  if (is_good && (!s->count || s->steps[0].kind != OPEN))
    return complain(path, 1, "the first step is: open \"/path\"", "");
  return is_good && match_repeats(s, path);
}

static void free_script(script *s) {
  for (int i = 0; i < s->count; i++)
    for (int j = 0; j < WORDS_MAX; j++) free(s->steps[i].words[j]);
}

/* Read NAME=VALUE,NAME=VALUE, in place. */
static bool read_names(script *s, char *text) {
  size_t count = 0;
  for (char *next, *at = text; at && *at; at = next) {
    next = strchr(at, ',');
    if (next) *next++ = '\0';
    char *value = strchr(at, '=');
    if (!value || count == NAMES_MAX) {
      fprintf(stderr, "vestry-bench: users: --set: expected at most 8 of NAME=VALUE, separated by commas\n");
      return false;
    }
    *value++ = '\0';
    s->names[count].name = at, s->names[count++].value = value;
  }
  return true;
}

/* ---- a user ------------------------------------------------------------------------------------------------------ */

typedef struct tally {
  histogram took[KINDS];
  uint64_t count[KINDS], failed[KINDS];
} tally;

typedef struct user {
  unsigned number;
  vestry_browser *browser;
  vestry_browser_page *page;
  int at, depth;              /* the next step */
  uint64_t rounds[DEPTH_MAX]; /* of the repeats around it, from 1 */
  uint64_t due_ns;            /* not before this time */
  uint64_t begun_ns;          /* of a step that waits; 0: none */
  uint64_t acted_ns;          /* begin of the last open or press, for expect and gone */
  bool is_over;
} user;

typedef struct run {
  const script *script;
  struct users *all;
  unsigned first, count;
  pthread_t thread;
  tally tally;
  uint64_t random;
} run;

struct users {
  script script;
  uint64_t port, users, threads, ramp_ms, patience_ms, seed;
  pthread_mutex_t lock;
  unsigned failures_shown; /* guarded by lock */
  user *user;
};

/* Write a word with its variables: {user}, {round} and the names of --set. */
static const char *fill(const struct users *all, const user *u, const char *word, char text[TEXT_BYTES]) {
  size_t len = 0;
  while (*word && len + 1 < TEXT_BYTES) {
    const char *end = *word == '{' ? strchr(word, '}') : NULL, *value = NULL;
    const size_t name = end ? (size_t)(end - word) - 1 : 0;
    char number[24];
    if (name == 4 && !strncmp(word + 1, "user", 4)) snprintf(number, sizeof number, "%u", u->number), value = number;
    if (name == 5 && !strncmp(word + 1, "round", 5))
      snprintf(number, sizeof number, "%" PRIu64, u->depth ? u->rounds[u->depth - 1] : 0), value = number;
    for (size_t i = 0; name && !value && i < NAMES_MAX && all->script.names[i].name; i++)
      if (strlen(all->script.names[i].name) == name && !strncmp(word + 1, all->script.names[i].name, name))
        value = all->script.names[i].value;
    if (!value) {
      text[len++] = *word++;
      continue;
    }
    len += (size_t)snprintf(text + len, TEXT_BYTES - len, "%s", value);
    if (len >= TEXT_BYTES) len = TEXT_BYTES - 1;
    word = end + 1;
  }
  text[len] = '\0';
  return text;
}

static void fail(run *r, user *u, const step *of, const char *what, uint64_t waited_ms) {
  struct users *all = r->all;
  char text[TEXT_BYTES];
  u->is_over = true;
  r->tally.failed[of->kind]++;
  pthread_mutex_lock(&all->lock);
  if (all->failures_shown++ < FAILURES_SHOWN) {
    const char *shown = u->page ? vestry_browser_text(u->page) : NULL;
    printf("user %u, line %d: %s \"%s\": %s", u->number, of->line, kinds[of->kind].name,
           of->words[0] ? fill(all, u, of->words[0], text) : "", what);
    if (waited_ms) printf(" within %" PRIu64 " ms", waited_ms);
    if (u->page) printf("; the last status was %d", vestry_browser_status(u->page));
    if (shown) printf("; the page shows: %.*s", SHOWN_BYTES, shown);
    printf("\n");
  }
  pthread_mutex_unlock(&all->lock);
  vestry_browser_close(u->page);
  u->page = NULL;
}

static uint64_t any(run *r, uint64_t least, uint64_t most) { /* xorshift */
  r->random ^= r->random << 13, r->random ^= r->random >> 7, r->random ^= r->random << 17;
  return least + r->random % (most - least + 1);
}

static void step_is_done(run *r, user *u, const step *of, uint64_t since_ns) {
  histogram_add(&r->tally.took[of->kind], bench_now_ns() - since_ns);
  r->tally.count[of->kind]++;
  u->begun_ns = 0;
  u->at++;
}

/* Try a step that uses the page. NOT_FOUND: wait until the page has changed. */
static vestry_err attempt(run *r, user *u, const step *of) {
  char text[TEXT_BYTES], more[TEXT_BYTES];
  fill(r->all, u, of->words[0], text);
  switch (of->kind) {
  case OPEN:
    vestry_browser_close(u->page);
    u->page = NULL;
    return vestry_browser_open(u->browser, text, &u->page);
  case TYPE: return vestry_browser_fill(u->page, text, fill(r->all, u, of->words[1], more));
  case PRESS: return vestry_browser_press(u->page, text);
  default: return vestry_browser_shows(u->page, text) == (of->kind == EXPECT) ? VESTRY_OK : VESTRY_NOT_FOUND;
  }
}

static const char *wrong(step_kind kind, vestry_err error) {
  if (error != VESTRY_NOT_FOUND) return vestry_err_name(error);
  return kind == TYPE ? "no such field" : kind == PRESS ? "no such button" : kind == GONE ? "still shown" : "not shown";
}

/* Run a step that uses the page. Returns whether the user can go on at once. */
static bool use(run *r, user *u, const step *of) {
  const uint64_t now_ns = bench_now_ns();
  const bool acts = of->kind == OPEN || of->kind == PRESS;
  if (!u->begun_ns) u->begun_ns = now_ns;
  vestry_err error = attempt(r, u, of);
  const int status = u->page ? vestry_browser_status(u->page) : 0;
  if (!error && acts) u->acted_ns = now_ns;
  if (!error && acts && status >= 400) {
    fail(r, u, of, "rejected", 0);
  } else if (!error) {
    step_is_done(r, u, of, acts ? now_ns : of->kind == TYPE ? u->begun_ns : u->acted_ns);
  } else {
    const uint64_t patience_ms = of->numbers[0] ? of->numbers[0] : r->all->patience_ms;
    const bool waits = error == VESTRY_NOT_FOUND && of->kind != OPEN;
    if (waits && now_ns - u->begun_ns < patience_ms * NS_A_MS) return false;
    fail(r, u, of, wrong(of->kind, error), waits ? patience_ms : 0);
  }
  return !u->is_over;
}

/* Run steps of a user until it waits or is over. */
static void play(run *r, user *u) {
  const script *s = r->script;
  while (!u->is_over && u->due_ns <= bench_now_ns()) {
    const step *of = &s->steps[u->at];
    if (u->at == s->count) {
      u->is_over = true;
    } else if (of->kind == THINK) {
      u->due_ns = bench_now_ns() + any(r, of->numbers[0], of->numbers[1]) * NS_A_MS;
      u->at++;
    } else if (of->kind == REPEAT) {
      u->at = of->numbers[0] ? u->at + 1 : of->other + 1;
      if (of->numbers[0]) u->rounds[u->depth++] = 1;
    } else if (of->kind == END) {
      const bool again = u->rounds[u->depth - 1]++ < s->steps[of->other].numbers[0];
      u->at = again ? of->other + 1 : u->at + 1;
      u->depth -= !again;
    } else if (!use(r, u, of)) {
      return;
    }
  }
}

/* Wait until a page has received something, or a user is due. Pages of users that think are read, too. */
static void wait_for_any(run *r, vestry_browser_page **pages, user **of, bool *arrived) {
  const uint64_t now_ns = bench_now_ns();
  uint64_t wait_ms = IDLE_MS;
  size_t count = 0;
  for (unsigned i = 0; i < r->count; i++) {
    user *u = &r->all->user[r->first + i];
    const uint64_t left_ms = u->due_ns > now_ns ? (u->due_ns - now_ns) / NS_A_MS + 1 : IDLE_MS;
    if (!u->is_over && left_ms < wait_ms) wait_ms = left_ms;
    if (u->page) of[count] = u, pages[count++] = u->page;
  }
  if (!count) {
    bench_sleep_ms(wait_ms);
    return;
  }
  if (vestry_browser_poll(pages, count, wait_ms, arrived)) return;
  for (size_t i = 0; i < count; i++) {
    const bool waits = of[i]->begun_ns && !of[i]->is_over;
    if (arrived[i] && !waits) (void)vestry_browser_signal(of[i]->page, "_"); /* read the events */
    if (arrived[i] && waits) play(r, of[i]);
  }
}

static void *work(void *ctx) {
  run *r = ctx;
  vestry_browser_page **pages = calloc(r->count + 1, sizeof *pages);
  user **of = calloc(r->count + 1, sizeof *of);
  bool *arrived = calloc(r->count + 1, sizeof *arrived);
  for (bool goes_on = pages && of && arrived; goes_on;) {
    goes_on = false;
    const uint64_t now_ns = bench_now_ns();
    for (unsigned i = 0; i < r->count; i++) {
      user *u = &r->all->user[r->first + i];
      const uint64_t patience_ms =
          u->begun_ns && r->script->steps[u->at].numbers[0] ? r->script->steps[u->at].numbers[0] : r->all->patience_ms;
      if (!u->is_over && (!u->begun_ns || now_ns - u->begun_ns >= patience_ms * NS_A_MS)) play(r, u);
      goes_on |= !u->is_over;
    }
    if (goes_on) wait_for_any(r, pages, of, arrived);
  }
  free(pages);
  free(of);
  free(arrived);
  return NULL;
}

/* ---- the report -------------------------------------------------------------------------------------------------- */

static int report(const struct users *all, const run *runs, double seconds) {
  static tally sum;
  unsigned failed = 0;
  uint64_t actions = 0;
  for (unsigned i = 0; i < all->threads; i++)
    for (int kind = 0; kind < KINDS; kind++) {
      histogram_merge(&sum.took[kind], &runs[i].tally.took[kind]);
      sum.count[kind] += runs[i].tally.count[kind];
      sum.failed[kind] += runs[i].tally.failed[kind];
      failed += (unsigned)runs[i].tally.failed[kind];
    }
  actions = sum.count[OPEN] + sum.count[TYPE] + sum.count[PRESS];
  printf("users=%" PRIu64 " finished=%" PRIu64 " failed=%u seconds=%.1f actions=%" PRIu64 " a_second=%.1f\n",
         all->users, all->users - failed, failed, seconds, actions, seconds > 0 ? (double)actions / seconds : 0);
  for (int kind = 0; kind < KINDS; kind++)
    if (sum.count[kind] || sum.failed[kind])
      printf("%-6s count=%" PRIu64 " failed=%" PRIu64 " p50_ms=%.1f p99_ms=%.1f max_ms=%.1f\n", kinds[kind].name,
             sum.count[kind], sum.failed[kind], histogram_percentile_ns(&sum.took[kind], 0.5) / 1e6,
             histogram_percentile_ns(&sum.took[kind], 0.99) / 1e6, (double)sum.took[kind].max_ns / 1e6);
  return failed ? 1 : 0;
}

static bool create_users(struct users *all) {
  const vestry_browser_server server = {.port = (uint16_t)all->port, .patience_ms = all->patience_ms};
  const uint64_t now_ns = bench_now_ns();
  all->user = calloc(all->users, sizeof *all->user);
  for (unsigned i = 0; all->user && i < all->users; i++) {
    all->user[i].number = i + 1;
    all->user[i].due_ns = now_ns + all->ramp_ms * NS_A_MS * i / all->users;
    if (vestry_browser_connect(&server, &all->user[i].browser)) return false;
  }
  return all->user != NULL;
}

static void destroy_users(struct users *all) {
  for (unsigned i = 0; all->user && i < all->users; i++) {
    vestry_browser_close(all->user[i].page);
    vestry_browser_destroy(all->user[i].browser);
  }
  free(all->user);
}

static int play_all(struct users *all) {
  run *runs = calloc(all->threads, sizeof *runs);
  const uint64_t begun_ns = bench_now_ns();
  unsigned started = 0, first = 0;
  for (; runs && started < all->threads; started++) {
    run *r = &runs[started];
    r->count = (unsigned)(all->users / all->threads + (started < all->users % all->threads));
    r->all = all, r->script = &all->script, r->first = first;
    r->random = (all->seed + started + 1) * UINT64_C(0x9E3779B97F4A7C15);
    first += r->count;
    if (pthread_create(&r->thread, NULL, work, r)) break;
  }
  for (unsigned i = 0; i < started; i++) pthread_join(runs[i].thread, NULL);
  int status = 2;
  if (started == all->threads)
    status = report(all, runs, (double)(bench_now_ns() - begun_ns) / 1e9);
  else
    fprintf(stderr, "vestry-bench: users: no memory, or no thread; use fewer: --threads N\n");
  free(runs);
  return status;
}

int bench_users(int argc, char **argv) {
  static struct users all;
  const char *path = NULL, *names = NULL;
  all = (struct users){.users = 200, .threads = 8, .ramp_ms = 2000, .patience_ms = 10000, .seed = 1};
  const bench_option options[] = {{"--port", NULL, &all.port, 1, 65535},
                                  {"--script", &path, NULL, 0, 0},
                                  {"--set", &names, NULL, 0, 0},
                                  {"--users", NULL, &all.users, 1, 100000},
                                  {"--threads", NULL, &all.threads, 1, 64},
                                  {"--ramp-ms", NULL, &all.ramp_ms, 0, 3600000},
                                  {"--patience-ms", NULL, &all.patience_ms, 1, 3600000},
                                  {"--seed", NULL, &all.seed, 0, UINT64_MAX}};
  if (bench_options(argc, argv, options, sizeof options / sizeof *options)) return 2;
  if (!all.port || !path) {
    fprintf(stderr, "vestry-bench: users: --port and --script are necessary\n");
    return 2;
  }
  if (all.threads > all.users) all.threads = all.users;
  char *set = names ? strdup(names) : NULL;
  int status = 2;
  bench_raise_descriptors();
  pthread_mutex_init(&all.lock, NULL);
  if ((!set || read_names(&all.script, set)) && read_script(&all.script, path)) {
    if (create_users(&all))
      status = play_all(&all);
    else
      fprintf(stderr, "vestry-bench: users: out of memory\n");
    destroy_users(&all);
  }
  free_script(&all.script);
  free(set);
  pthread_mutex_destroy(&all.lock);
  return status;
}

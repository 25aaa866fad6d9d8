/* SPDX-License-Identifier: MIT */
#include "rounds/check.h"

#include <stdlib.h>

#include "support/test.h"

enum { SLOW_MS = 300 }; /* tolerance added to answer_ms */

/* --------------------------------------------------------------------------------------------------- losses ------- */

/* Find a gap or a render reported since then; NULL: none. */
static const reported *find_told(const world *w, char kind, int place, int life, int of, uint64_t since_ns) {
  const reported *found = NULL;
  for (size_t i = w->reported_count; i-- > 0;) {
    const reported *t = &w->reported[i];
    if (t->kind != kind || t->place != place || t->life != life || t->at_ns < since_ns) continue;
    if (kind == 'G' && t->of != of && t->of >= 0) continue;
    if (!found || t->at_ns < found->at_ns) found = t;
  }
  return found;
}

/* Judge a message that was not received at a node. kind: the report that would cover it. False: it is pending. */
static bool judge_loss(world *w, size_t number, int place, int life, char kind, verdict *v) {
  const message *m = &w->messages[number];
  uint64_t deadline_ns = world_deadline_ns(w, PLACE(m->place) | PLACE(place), m->sent_ns, TOLD_WITHIN_MS * MS);
  const reported *t = find_told(w, kind, place, life, m->place, m->sent_ns);
  const char *what = kind == 'G' ? "a gap" : "a render";
  if (!t) {
    if (clock_ns() < deadline_ns || clock_ns() - deadline_ns < 50 * MS) return false;
    world_fail(w, "message %zu of %c is lost at %c without a word: not %s within %d ms", number, 'a' + m->place,
               'a' + place, what, TOLD_WITHIN_MS);
    return true;
  }
  if (t->at_ns > deadline_ns)
    world_fail(w, "message %zu of %c is lost at %c, which was told %llu ms too late", number, 'a' + m->place,
               'a' + place, (unsigned long long)((t->at_ns - deadline_ns) / MS));
  uint64_t began_ns = deadline_ns - TOLD_WITHIN_MS * MS;
  if (kind == 'G') {
    v->lost++;
    if (deadline_ns != FOR_EVER && t->at_ns > began_ns && t->at_ns - began_ns > v->longest_ns)
      v->longest_ns = t->at_ns - began_ns;
  }
  return true;
}

static bool judge_event(world *w, size_t number, verdict *v) {
  const message *m = &w->messages[number];
  bool is_done = true;
  for (size_t i = 0; i < w->streams_count; i++) {
    const stream *s = &w->streams[i];
    if (s->kind != 'C' || !stream_is_open(w, s) || s->opened_ns > m->sent_ns || strcmp(s->name, m->name) != 0) continue;
    if (!message_got(m, (int)i)) is_done &= judge_loss(w, number, s->place, s->life, 'G', v);
  }
  return is_done;
}

static bool judge_published(world *w, size_t number, verdict *v) {
  const message *m = &w->messages[number];
  bool is_done = true;
  for (int i = 0; i < PLACES; i++) {
    const player *p = &w->players[i];
    if (!p->pid || !p->is_up || p->up_ns > m->sent_ns) continue;
    if (!m->heard_ns[i] || m->heard_life[i] != p->life) is_done &= judge_loss(w, number, i, p->life, 'G', v);
  }
  return is_done;
}

static bool judge_refresh(world *w, size_t number, verdict *v) {
  const message *m = &w->messages[number];
  bool is_done = true;
  for (size_t i = 0; i < w->streams_count; i++) {
    const stream *s = &w->streams[i];
    if (s->kind == 'P' && stream_is_open(w, s) && s->opened_ns <= m->sent_ns)
      is_done &= judge_loss(w, number, s->place, s->life, 'R', v);
  }
  return is_done;
}

/* -------------------------------------------------------------------------------------------------- answers ------- */

/* Count the streams of the key that ended at about that time, which may have been counted although they did not receive
 * it. */
static size_t left_since(const world *w, const message *m) {
  size_t count = 0;
  for (size_t i = 0; i < w->streams_count; i++) {
    const stream *s = &w->streams[i];
    bool has_left = s->left_ns ? s->left_ns + 50 * MS >= m->sent_ns : s->is_told_to_close;
    if (s->kind == 'K' && has_left && strcmp(s->name, m->name) == 0 && !message_got(m, (int)i)) count++;
  }
  return count;
}

static bool judge_dispatch(world *w, size_t number, uint64_t answer_ms, verdict *v) {
  const message *m = &w->messages[number];
  const player *p = &w->players[m->place];
  bool lives = p->pid && p->life == m->life;
  uint64_t deadline_ns = world_deadline_ns(w, STOPS(m->place), m->sent_ns, (answer_ms + SLOW_MS) * MS);
  if (!m->times) {
    if (!lives) return true;
    if (clock_ns() < deadline_ns + 50 * MS) return false;
    world_fail(w, "%c has asked %zu, and is not answered", 'a' + m->place, number);
    return true;
  }
  if (m->times > 1) world_fail(w, "%zu of %c is answered %u times", number, 'a' + m->place, m->times);
  if (m->answered_ns > deadline_ns)
    world_fail(w, "%zu of %c is answered %llu ms too late", number, 'a' + m->place,
               (unsigned long long)((m->answered_ns - deadline_ns) / MS));
  bool is_ok = strcmp(m->error, "OK") == 0;
  if (is_ok && m->got_count > m->count)
    world_fail(w, "%zu streams have %zu, and %u are told", m->got_count, number, m->count);
  if (is_ok && m->got_count + left_since(w, m) < m->count) {
    if (clock_ns() < world_deadline_ns(w, ~0U, m->answered_ns, TOLD_WITHIN_MS * MS)) return false;
    world_fail(w, "%zu streams have %zu, and %u are told", m->got_count, number, m->count);
  }
  if (strcmp(m->error, "NOT_FOUND") == 0 && m->got_count)
    world_fail(w, "nobody has %zu, %c is told, and %zu have", number, 'a' + m->place, m->got_count);
  v->asked++;
  v->ok += is_ok;
  v->not_found += strcmp(m->error, "NOT_FOUND") == 0;
  v->unknown += strcmp(m->error, "TIMEOUT") == 0;
  v->failed += strcmp(m->error, "IO") == 0;
  return true;
}

void check_messages(world *w, size_t from, uint64_t answer_ms, verdict *v) {
  v->pending = 0;
  for (size_t i = from; i < w->messages_count; i++) {
    message *m = &w->messages[i];
    verdict before = *v;
    if (m->is_judged || !m->sent_ns) continue; /* a node that was killed earlier has not sent it */
    switch (m->kind) {
    case 'B': m->is_judged = judge_event(w, i, v); break;
    case 'P': m->is_judged = judge_published(w, i, v); break;
    case 'R': m->is_judged = judge_refresh(w, i, v); break;
    default: m->is_judged = judge_dispatch(w, i, answer_ms, v); break;
    }
    if (!m->is_judged) *v = before;
    v->pending += !m->is_judged;
    v->messages += m->is_judged;
  }
}

/* ------------------------------------------------------------------------------------------- tables of keys ------- */

bool check_digests(world *w) {
  unsigned long long sum = 0;
  bool is_right = true;
  for (int i = 0; i < PLACES; i++) sum += world_stats(w, i).own;
  for (int i = 0; i < PLACES; i++) {
    const stats *s = &w->players[i].stats;
    is_right &= s->alive == PLACES - 1 && !s->unsynced && s->others == sum - s->own;
  }
  return is_right;
}

size_t open_under(const world *w, char kind, const char *name) {
  size_t count = 0;
  for (size_t i = 0; i < w->streams_count; i++) {
    const stream *s = &w->streams[i];
    count += s->kind == kind && stream_is_open(w, s) && strcmp(s->name, name) == 0;
  }
  return count;
}

bool check_replaced(const world *w) {
  for (size_t i = 0; i < w->streams_count; i++) {
    const stream *s = &w->streams[i];
    if (s->replaces && stream_is_open(w, s) && open_under(w, 'K', s->name) > 1) return false;
  }
  return true;
}

/* The last replaced stream of a key: find the stream that replaced it, which is open or has ended recently for another
 * reason. */
static bool was_not_replaced(const world *w, const stream *last) {
  for (size_t i = 0; i < w->streams_count; i++) {
    const stream *s = &w->streams[i];
    if (s == last || s->kind != 'K' || strcmp(s->name, last->name) != 0) continue;
    if (!s->left_ns || s->left_ns > last->left_ns) return false;
    if (strcmp(s->cause, "replaced") != 0 && s->left_ns + EQUAL_WITHIN_MS * MS > last->left_ns) return false;
  }
  return true;
}

void check_survivors(world *w) {
  for (size_t i = 0; i < w->streams_count; i++) {
    const stream *s = &w->streams[i];
    if (s->replaces && strcmp(s->cause, "replaced") == 0 && was_not_replaced(w, s))
      world_fail(w, "stream %zu of %c under %s was replaced, and by nobody", i, 'a' + s->place, s->name);
  }
}

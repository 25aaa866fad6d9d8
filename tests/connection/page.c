/* SPDX-License-Identifier: MIT */
#include "connection/page.h"

#include <stdlib.h>

#include "support/test.h"

enum { ROOT = 1, HTML_MAX = 8192, FOUND_MAX = 4096 };

static int add_node(page *p, char tag) {
  assert_true(p->count < PAGE_NODES);
  p->nodes[p->count] = (page_node){.tag = tag};
  return p->count++;
}

void page_init(page *p) {
  p->count = 1;
  add_node(p, 'd');
  p->signals = json_object();
}

void page_finish(page *p) {
  json_decref(p->signals);
}

static int *link_of(page *p, int node) {
  int *link = &p->nodes[p->nodes[node].parent].child;
  while (*link != node) link = &p->nodes[*link].next;
  return link;
}

static void insert(page *p, int *link, int parent, int node) {
  p->nodes[node].next = *link;
  p->nodes[node].parent = parent;
  *link = node;
}

static int *end_of(page *p, int parent) {
  int *link = &p->nodes[parent].child;
  while (*link) link = &p->nodes[*link].next;
  return link;
}

static void detach(page *p, int node) {
  if (!p->nodes[node].parent) return;
  *link_of(p, node) = p->nodes[node].next;
  p->nodes[node].parent = p->nodes[node].next = 0;
}

static int find_in(const page *p, int node, char id) {
  if (p->nodes[node].id == id) return node;
  for (int at = p->nodes[node].child, found; at; at = p->nodes[at].next)
    if ((found = find_in(p, at, id))) return found;
  return 0;
}

int page_find(const page *p, char id) {
  return find_in(p, ROOT, id);
}

bool page_is_inside(const page *p, int node, int ancestor) {
  for (; node; node = p->nodes[node].parent)
    if (node == ancestor) return true;
  return false;
}

static size_t print_node(const page *p, int node, char *to, size_t room) {
  const page_node *n = &p->nodes[node];
  size_t len = (size_t)snprintf(to, room, "<%c%c%s>", n->tag, n->id ? n->id : '-', n->text);
  for (int at = n->child; at; at = p->nodes[at].next) len += print_node(p, at, to + len, room - len);
  len += (size_t)snprintf(to + len, room - len, "</>");
  assert_true(len < room);
  return len;
}

size_t page_print(const page *p, char *to, size_t room) {
  return print_node(p, ROOT, to, room);
}

/* ---- HTML -------------------------------------------------------------------------------------------------------- */

static void copy_until(char to[24], const char **at, const char *stop) {
  size_t len = strcspn(*at, stop);
  assert_true(len < 24);
  memcpy(to, *at, len);
  to[len] = '\0';
  *at += len;
}

static void make_signal(page *p, char letter) {
  char name[2] = {letter, '\0'};
  if (!json_object_get(p->signals, name)) json_object_set_new(p->signals, name, json_string(""));
}

void page_type(page *p) {
  for (int i = 0; i < p->count; i++) p->nodes[i].is_typed = p->nodes[i].tag == 'f';
}

/* Parse the children of parent, up to an end tag or the end, and set the signals that they define. */
static const char *parse(page *p, const char *at, int parent) {
  while (*at && strncmp(at, "</", 2) != 0) {
    if (*at != '<') {
      int node = add_node(p, 't');
      copy_until(p->nodes[node].text, &at, "<");
      insert(p, end_of(p, parent), parent, node);
      continue;
    }
    int node = add_node(p, strncmp(at, "<textarea", 9) ? at[1] : 'f');
    insert(p, end_of(p, parent), parent, node);
    at += strcspn(at, " >");
    while (*at == ' ') {
      if (strncmp(at, " id=\"", 5) == 0) {
        p->nodes[node].id = at[5];
        at += 7;
      } else if (strncmp(at, " title=\"", 8) == 0) {
        at += 8;
        copy_until(p->nodes[node].text, &at, "\"");
        at++;
      } else if (strncmp(at, " data-bind:", 11) == 0) {
        make_signal(p, at[11]);
        at += 12;
      } else if (strncmp(at, " data-text=\"$", 13) == 0) {
        make_signal(p, at[13]);
        at += 15;
      } else {
        char name[2] = {at[14], '\0'};
        assert_int_equal(strncmp(at, " data-signals:", 14), 0);
        json_object_set_new(p->signals, name, json_integer(atoi(at + 17)));
        at += 17 + strcspn(at + 17, "\"") + 1;
      }
    }
    at = parse(p, at + 1, node);
    at += strcspn(at, ">") + 1;
  }
  return at;
}

static void empty(page *p, int node) {
  while (p->nodes[node].child) detach(p, p->nodes[node].child);
}

static void run_script(page *p, const char *html) {
  const char *copy = strstr(html, ">copy ");
  assert_non_null(copy);
  int from = page_find(p, copy[6]), to = page_find(p, copy[8]);
  if (!to) return;
  static char look[65536];
  size_t len = from ? print_node(p, from, look, sizeof look) : 0;
  unsigned hash = 1;
  for (size_t i = 0; i < len; i++) hash = hash * 31 + (unsigned char)look[i];
  empty(p, to);
  int text = add_node(p, 't');
  snprintf(p->nodes[text].text, sizeof p->nodes[text].text, "%u", hash);
  insert(p, &p->nodes[to].child, to, text);
}

/* ---- events ------------------------------------------------------------------------------------------------------ */

typedef struct patch {
  char selector[16], mode[16], html[HTML_MAX], json[HTML_MAX];
  bool is_elements, is_signals, if_missing;
} patch;

static void collect_p(const page *p, int node, int *found, size_t *count) {
  if (p->nodes[node].tag == 'p') {
    assert_true(*count < FOUND_MAX);
    found[(*count)++] = node;
  }
  for (int at = p->nodes[node].child; at; at = p->nodes[at].next) collect_p(p, at, found, count);
}

static size_t find_targets(const page *p, const char *selector, int *found) {
  size_t count = 0;
  int node = *selector == '#' ? page_find(p, selector[1]) : ROOT;
  if (!node) return 0;
  if (selector[0] == '#' && !selector[2])
    found[count++] = node;
  else
    collect_p(p, node, found, &count);
  return count;
}

/* The fields of a morph are the old ones if the target has them. */
static void keep_typed(page *p, int fresh, int target) {
  int old = p->nodes[fresh].tag == 'f' ? find_in(p, target, p->nodes[fresh].id) : 0;
  if (old) p->nodes[fresh].is_typed = p->nodes[old].is_typed;
  for (int at = p->nodes[fresh].child; at; at = p->nodes[at].next) keep_typed(p, at, target);
}

static void patch_one(page *p, const patch *e, int target) {
  if (!page_is_inside(p, target, ROOT)) return; /* removed together with an earlier target */
  int fresh = add_node(p, 'd'), parent = p->nodes[target].parent;
  parse(p, e->html, fresh);
  bool is_outer = !*e->mode || !strcmp(e->mode, "outer") || !strcmp(e->mode, "replace");
  if (!*e->mode || !strcmp(e->mode, "outer") || !strcmp(e->mode, "inner")) keep_typed(p, fresh, target);
  if (!strcmp(e->mode, "inner")) empty(p, target);
  int *link = !strcmp(e->mode, "prepend")                               ? &p->nodes[target].child
              : !strcmp(e->mode, "append") || !strcmp(e->mode, "inner") ? end_of(p, target)
                                                                        : link_of(p, target);
  if (!strcmp(e->mode, "after")) link = &p->nodes[target].next;
  int into = !strcmp(e->mode, "append") || !strcmp(e->mode, "prepend") || !strcmp(e->mode, "inner") ? target : parent;
  for (int child; (child = p->nodes[fresh].child) && strcmp(e->mode, "remove");) {
    p->nodes[fresh].child = p->nodes[child].next;
    insert(p, link, into, child);
    link = &p->nodes[child].next;
  }
  if (is_outer || !strcmp(e->mode, "remove")) detach(p, target);
}

static void patch_elements(page *p, const patch *e) {
  static int found[FOUND_MAX];
  if (!strncmp(e->html, "<script", 7)) {
    run_script(p, e->html);
    return;
  }
  char by_id[3] = {'#', e->html[0] ? e->html[9] : '\0', '\0'}; /* <div id="x */
  size_t count = find_targets(p, *e->selector ? e->selector : by_id, found);
  for (size_t i = 0; i < count; i++) patch_one(p, e, found[i]);
}

/* RFC 7386; if_missing: only missing names. */
static void merge(json_t *target, json_t *with, bool if_missing) {
  const char *name;
  json_t *value;
  json_object_foreach(with, name, value) {
    json_t *there = json_object_get(target, name);
    if (json_is_object(value)) {
      if (if_missing && there && !json_is_object(there)) continue;
      if (!json_is_object(there)) {
        json_object_set_new(target, name, json_object());
        there = json_object_get(target, name);
      }
      merge(there, value, if_missing);
    } else if (if_missing && there) {
      continue;
    } else if (json_is_null(value)) {
      json_object_del(target, name);
    } else {
      json_object_set_new(target, name, json_deep_copy(value));
    }
  }
}

static void apply(page *p, const patch *e) {
  if (e->is_elements) patch_elements(p, e);
  if (!e->is_signals) return;
  json_t *with = json_loads(e->json, 0, NULL);
  assert_non_null(with);
  merge(p->signals, with, e->if_missing);
  json_decref(with);
}

static bool take(const char *line, size_t len, const char *prefix, char *to, size_t room) {
  size_t prefix_len = strlen(prefix), had = strlen(to);
  if (len < prefix_len || memcmp(line, prefix, prefix_len) != 0) return false;
  assert_true(had + len - prefix_len < room);
  memcpy(to + had, line + prefix_len, len - prefix_len);
  to[had + len - prefix_len] = '\0';
  return true;
}

void page_apply(page *p, const char *text, size_t len) {
  static patch e;
  e = (patch){.is_elements = false};
  for (const char *at = text, *end = text + len; at < end;) {
    const char *stop = memchr(at, '\n', (size_t)(end - at));
    assert_non_null(stop);
    size_t line_len = (size_t)(stop - at);
    char kind[64] = "", ignored[256] = "";
    if (!line_len) {
      apply(p, &e);
      e = (patch){.is_elements = false};
    } else if (take(at, line_len, "event: ", kind, sizeof kind)) {
      e.is_elements = !strcmp(kind, "datastar-patch-elements");
      e.is_signals = !strcmp(kind, "datastar-patch-signals");
    } else if (*at != ':' && !take(at, line_len, "data: selector ", e.selector, sizeof e.selector) &&
               !take(at, line_len, "data: mode ", e.mode, sizeof e.mode) &&
               !take(at, line_len, "data: elements ", e.html, sizeof e.html) &&
               !take(at, line_len, "data: signals ", e.json, sizeof e.json)) {
      assert_true(take(at, line_len, "data: onlyIfMissing ", ignored, sizeof ignored));
      e.if_missing = true;
    }
    at = stop + 1;
  }
}

/* SPDX-License-Identifier: MIT */
#include "client_model.h"

#include <stdlib.h>

#include "support/test.h"

static client_node *arena;

static client_node *make_node(const char *name, size_t name_len, const char *text, size_t text_len) {
  client_node *made = calloc(1, sizeof *made);
  assert_true(made && name_len < sizeof made->name && text_len < sizeof made->text);
  memcpy(made->name, name, name_len);
  memcpy(made->text, text, text_len);
  made->all = arena;
  return arena = made;
}

void client_free(void) {
  for (client_node *next; arena; arena = next) {
    next = arena->all;
    free(arena);
  }
}

/* Insert a node into a parent before a child; NULL: as the last child. */
static void put_before(client_node *parent, client_node *before, client_node *child) {
  client_node **at = &parent->first;
  while (*at != before) at = &(*at)->next;
  child->next = before;
  child->parent = parent;
  *at = child;
}

void client_take_out(client_node *child) {
  client_node **at = &child->parent->first;
  while (*at != child) at = &(*at)->next;
  *at = child->next;
  child->parent = child->next = NULL;
}

static bool is(const client_node *of, const char *name) {
  return strcmp(of->name, name) == 0;
}

/* Read a start tag without its brackets. */
static client_node *read_element(const char *tag, size_t len) {
  const size_t name_len = strcspn(tag, " >");
  client_node *made = make_node(tag, name_len, tag + name_len, len - name_len);
  const char *id = strstr(made->text, " id=\"");
  if (id) memcpy(made->id, id + 5, strcspn(id + 5, "\""));
  made->is_ignored = strstr(made->text, " data-ignore-morph");
  return made;
}

static bool is_empty_element(const client_node *of) {
  return is(of, "input") || is(of, "img");
}

/* Parse HTML without errors into the children of a node. */
client_node *client_parse(const char *html) {
  client_node *root = make_node("#", 1, "", 0), *open = root;
  while (*html) {
    const bool is_tag = *html == '<' && ((html[1] >= 'a' && html[1] <= 'z') || html[1] == '/');
    if (strncmp(html, "<!--", 4) == 0) {
      const char *end = strstr(html, "-->") + 3;
      put_before(open, NULL, make_node("!", 1, html, (size_t)(end - html)));
      html = end;
    } else if (!is_tag) {
      size_t len = 1;
      while (html[len] && !(html[len] == '<' && (html[len + 1] == '/' || html[len + 1] == '!' ||
                                                 (html[len + 1] >= 'a' && html[len + 1] <= 'z'))))
        len++;
      put_before(open, NULL, make_node("", 0, html, len));
      html += len;
    } else if (html[1] == '/') {
      if (open->is_implied) open = open->parent;
      assert_int_equal(strncmp(html + 2, open->name, strlen(open->name)), 0);
      open = open->parent;
      html = strchr(html, '>') + 1;
    } else {
      const char *end = strchr(html, '>');
      client_node *made = read_element(html + 1, (size_t)(end - html - 1));
      if (is(made, "tr") && is(open, "table")) {
        client_node *body = make_node("tbody", 5, "", 0);
        body->is_implied = true;
        put_before(open, NULL, body);
        open = body;
      }
      put_before(open, NULL, made);
      if (!is_empty_element(made)) open = made;
      html = end + 1;
    }
  }
  assert_ptr_equal(open, root);
  return root;
}

client_node *client_copy(const client_node *of) {
  client_node *made = make_node("", 0, "", 0), *all = made->all;
  *made = *of;
  made->all = all;
  made->first = made->next = made->parent = NULL;
  client_node *last = NULL;
  for (const client_node *child = of->first; child; child = child->next) {
    client_node *twin = client_copy(child);
    twin->parent = made;
    if (last)
      last->next = twin;
    else
      made->first = twin;
    last = twin;
  }
  return made;
}

void client_write(const client_node *of, bool has_states, vsi_buffer *to) {
  for (const client_node *at = of->first; at; at = at->next) {
    if (!*at->name || is(at, "!")) {
      vsi_buffer_printf(to, "{%s}", at->text);
      continue;
    }
    vsi_buffer_printf(to, "<%s%s", at->name, at->text);
    if (has_states && *at->id) vsi_buffer_printf(to, " (%u)", at->state);
    vsi_buffer_append_str(to, ">");
    client_write(at, has_states, to);
    vsi_buffer_printf(to, "</%s>", at->name);
  }
}

static client_node *next_of(const client_node *at, const client_node *root) {
  if (at->first) return at->first;
  while (at != root && !at->next) at = at->parent;
  return at == root ? NULL : at->next;
}

static client_node *find(client_node *root, const char *id, size_t len) {
  for (client_node *at = root; at; at = next_of(at, root))
    if (strlen(at->id) == len && memcmp(at->id, id, len) == 0) return at;
  return NULL;
}

/* Change the old element into the fresh one, which takes its place. */
void client_morph(client_node *old, client_node *fresh) {
  if (old->is_ignored && fresh->is_ignored && is(old, fresh->name)) return;
  for (client_node *next, *at = fresh; at; at = next) {
    next = next_of(at, fresh);
    client_node *twin = *at->id ? find(old, at->id, strlen(at->id)) : NULL;
    if (!twin || !is(twin, at->name)) continue;
    at->state = twin->state;
    if (!twin->is_ignored || !at->is_ignored) continue;
    next = at; /* the client keeps it as it is */
    while (next != fresh && !next->next) next = next->parent;
    next = next == fresh ? NULL : next->next;
    memcpy(at->text, twin->text, sizeof at->text);
    at->first = client_copy(twin)->first;
    for (client_node *child = at->first; child; child = child->next) child->parent = at;
  }
  put_before(old->parent, old, fresh);
  client_take_out(old);
}

void client_number(client_node *root) {
  unsigned state = 0;
  for (client_node *at = root; at; at = next_of(at, root)) at->state = ++state;
}

/* Find the only element that one of a selector's parts names: "#content #x" or "#content [id="x"]". */
static client_node *select_one(client_node *root, const char *selector, size_t len) {
  assert_true(len >= 8 && memcmp(selector, "#content", 8) == 0);
  if (len == 8) return root->first;
  const char *id = selector + 9;
  size_t id_len = len - 9;
  assert_int_equal(selector[8], ' ');
  if (*id == '#') {
    id++, id_len--;
  } else {
    assert_true(memcmp(id, "[id=\"", 5) == 0 && memcmp(id + id_len - 2, "\"]", 2) == 0);
    id += 5, id_len -= 7;
  }
  client_node *found = find(root->first, id, id_len), *again = found;
  assert_non_null(found);
  while ((again = next_of(again, root))) assert_true(strlen(again->id) != id_len || memcmp(again->id, id, id_len) != 0);
  return found;
}

static void patch(client_node *root, const char *selector, const char *mode, const char *html) {
  if (strcmp(mode, "remove") == 0) {
    for (size_t len; *selector; selector += len + (selector[len] == ',')) {
      len = strcspn(selector, ",");
      client_take_out(select_one(root, selector, len));
    }
    return;
  }
  client_node *target = *selector ? select_one(root, selector, strlen(selector)) : root->first,
              *fresh = client_parse(html);
  if (!*mode) {
    assert_true(fresh->first && !fresh->first->next);
    client_node *child = fresh->first;
    client_take_out(child);
    client_morph(target, child);
    return;
  }
  client_node *parent = target, *before = NULL;
  if (strcmp(mode, "prepend") == 0) {
    before = target->first;
  } else if (strcmp(mode, "append") != 0) {
    parent = target->parent;
    before = strcmp(mode, "before") == 0 ? target : target->next;
  }
  for (client_node *next, *child = fresh->first; child; child = next) {
    next = child->next;
    client_take_out(child);
    put_before(parent, before, child);
  }
}

/* Perform the patches of an event, as the client reads it. */
void client_perform(client_node *root, vestry_slice event) {
  char *text = calloc(1, event.len + 1), *next;
  memcpy(text, event.data, event.len);
  for (char *block = text; *block; block = next) {
    char *end = strstr(block, "\n\n");
    assert_non_null(end);
    *end = '\0';
    next = end + 2;
    char selector[4096] = "", mode[16] = "", *html = calloc(1, event.len + 2);
    bool is_patch = false;
    for (char *line = strtok(block, "\n"); line; line = strtok(NULL, "\n")) {
      if (strncmp(line, "data: selector ", 15) == 0) snprintf(selector, sizeof selector, "%s", line + 15);
      if (strncmp(line, "data: mode ", 11) == 0) snprintf(mode, sizeof mode, "%s", line + 11);
      if (strcmp(line, "event: datastar-patch-elements") == 0) is_patch = true;
      if (strncmp(line, "data: elements ", 15) != 0) continue;
      if (*html) strcat(html, "\n");
      strcat(html, line + 15);
    }
    if (is_patch) patch(root, selector, mode, html);
    free(html);
  }
  free(text);
}

/* SPDX-License-Identifier: MIT */
/* A tree of segments, with a node for each continuation of a pattern. A path is followed down. At each node the literal
 * segment is tried first, then the parameter, then the rest. If a branch ends without a route for the method, the
 * search returns and tries the next. The number of such returns depends only on the patterns, which the application
 * chooses. */
#include "http/routes/trie.h"

#include <string.h>

#include "base/array.h"
#include "base/ascii.h"
#include "base/memory.h"
#include "base/utf8.h"

/* ---------------------------------------------------------------------------------------------------- patterns ---- */

/* Return the segment after a '/'; it ends at the next '/' or at the end of the text. */
static const char *segment_of(const char *slash, size_t *ret_len) {
  *ret_len = strcspn(slash + 1, "/");
  return slash + 1;
}

enum kind { LITERAL, PARAMETER, REST };

static enum kind kind_of(const char *segment, size_t len, vestry_slice *ret_name) {
  if (len < 2 || segment[0] != '{' || segment[len - 1] != '}') return LITERAL;
  bool is_rest = len >= 5 && memcmp(segment + len - 4, "...", 3) == 0;
  *ret_name = (vestry_slice){segment + 1, len - (is_rest ? 5 : 2)};
  return is_rest ? REST : PARAMETER;
}

static bool is_name(vestry_slice name) {
  const char *text = name.data;
  for (size_t i = 0; i < name.len; i++)
    if (!vsi_is_letter(text[i]) && !vsi_is_digit(text[i]) && text[i] != '_') return false;
  return name.len > 0;
}

/* Return whether a segment can occur in a path; adapters reject the others (vestry_target_read). */
static bool is_plain(const char *segment, size_t len, bool is_last) {
  if (!len) return is_last;
  for (size_t i = 0; i < len; i++)
    if ((unsigned char)segment[i] < 0x20 || segment[i] == 0x7f || strchr("\\{}", segment[i])) return false;
  return segment[len - 1] != '.';
}

vestry_err vsi_pattern_check(const char *pattern, bool may_have_rest) {
  if (!pattern || *pattern != '/' || !vsi_is_utf8(pattern, strlen(pattern))) return VESTRY_INVALID;
  vestry_slice names[VESTRY_ROUTE_PARAMETERS_MAX];
  size_t names_count = 0, len;
  for (const char *at = pattern; *at; at += 1 + len) {
    const char *segment = segment_of(at, &len);
    vestry_slice name;
    enum kind kind = kind_of(segment, len, &name);
    bool is_last = !segment[len];
    if (kind == LITERAL) {
      if (!is_plain(segment, len, is_last)) return VESTRY_INVALID;
      continue;
    }
    if (!is_name(name) || (kind == REST && (!is_last || !may_have_rest))) return VESTRY_INVALID;
    for (size_t i = 0; i < names_count; i++)
      if (names[i].len == name.len && memcmp(names[i].data, name.data, name.len) == 0) return VESTRY_INVALID;
    if (names_count == VESTRY_ROUTE_PARAMETERS_MAX) return VESTRY_LIMIT;
    names[names_count++] = name;
  }
  return VESTRY_OK;
}

bool vsi_pattern_fits(const char *pattern, const char *path, bool is_exact) {
  size_t len, path_len;
  for (; *pattern; pattern += 1 + len, path += 1 + path_len) {
    if (*path != '/') return false;
    const char *segment = segment_of(pattern, &len), *other = segment_of(path, &path_len);
    if (!len && !is_exact) return true; /* the pattern ends with a '/': all paths below it match */
    vestry_slice name;
    bool is_literal = kind_of(segment, len, &name) == LITERAL;
    if (is_literal ? len != path_len || memcmp(segment, other, len) != 0 : path_len == 0) return false;
  }
  return !is_exact || !*path;
}

/* ------------------------------------------------------------------------------------------------------ routes ---- */

vsi_route *vsi_route_create(const vestry_host *host, const char *method, const char *pattern, vestry_handler_fn handler,
                            void *app) {
  size_t method_len = strlen(method) + 1, pattern_len = strlen(pattern) + 1;
  vsi_route *route = vsi_calloc(host, 1, sizeof *route + method_len + 2 * pattern_len); /* names: less than that */
  if (!route) return NULL;
  route->handler = handler;
  route->app = app;
  route->method = memcpy(route->text, method, method_len);
  route->pattern = memcpy(route->text + method_len, pattern, pattern_len);
  char *text = route->text + method_len + pattern_len;
  size_t len;
  for (const char *at = pattern; *at; at += 1 + len) {
    const char *segment = segment_of(at, &len);
    vestry_slice name;
    if (kind_of(segment, len, &name) == LITERAL) continue;
    route->names[route->names_count++] = memcpy(text, name.data, name.len); /* terminated: the memory is zeroed */
    text += name.len + 1;
  }
  return route;
}

static vsi_route **place_of(vsi_route **first, const char *method) {
  while (*first && strcmp((*first)->method, method) != 0) first = &(*first)->next;
  return first;
}

/* ------------------------------------------------------------------------------------------------------- nodes ---- */

static int compare(const vsi_trie_node *node, const char *segment, size_t len) {
  int order = memcmp(node->segment, segment, node->segment_len < len ? node->segment_len : len);
  return order ? order : (node->segment_len > len) - (node->segment_len < len);
}

/* Return the position of a literal, or the position where it would be inserted. */
static size_t position_of(const vsi_trie_node *node, const char *segment, size_t len, bool *ret_found) {
  size_t low = 0, high = node->literals_count;
  *ret_found = false;
  while (low < high) {
    size_t middle = low + (high - low) / 2;
    int order = compare(node->literals[middle], segment, len);
    if (order == 0) {
      *ret_found = true;
      return middle;
    }
    if (order < 0)
      low = middle + 1;
    else
      high = middle;
  }
  return low;
}

static vsi_trie_node *make_node(vsi_trie_node *parent, const vestry_host *host, const char *segment, size_t len) {
  vsi_trie_node *node = vsi_calloc(host, 1, sizeof *node + len);
  if (!node) return NULL;
  node->parent = parent;
  node->segment_len = len;
  memcpy(node->segment, segment, len);
  return node;
}

static vsi_trie_node *literal_of(vsi_trie_node *node, const vestry_host *host, const char *segment, size_t len) {
  bool found;
  size_t position = position_of(node, segment, len, &found);
  if (found) return node->literals[position];
  if (!host) return NULL;
  if (VSI_ARRAY_RESERVE(host, node->literals, node->literals_count, node->literals_room, 1)) return NULL;
  vsi_trie_node *made = make_node(node, host, segment, len);
  if (!made) return NULL;
  memmove(node->literals + position + 1, node->literals + position,
          (node->literals_count - position) * sizeof(vsi_trie_node *));
  node->literals[position] = made;
  node->literals_count++;
  return made;
}

/* Return the child for a segment of a pattern. host: creates it if there is none; NULL: it is not created. */
static vsi_trie_node *child_of(vsi_trie_node *node, const vestry_host *host, const char *segment, size_t len) {
  vestry_slice name;
  enum kind kind = kind_of(segment, len, &name);
  if (kind == LITERAL) return literal_of(node, host, segment, len);
  vsi_trie_node **child = kind == PARAMETER ? &node->parameter : &node->rest;
  if (!*child && host) *child = make_node(node, host, "", 0);
  return *child;
}

/* Free a node that leads to no route, and the nodes above it that lead to none either. */
static void prune(vsi_trie_node *node, const vestry_host *host) {
  while (node->parent && !node->routes && !node->literals_count && !node->parameter && !node->rest) {
    vsi_trie_node *parent = node->parent;
    if (parent->parameter == node) {
      parent->parameter = NULL;
    } else if (parent->rest == node) {
      parent->rest = NULL;
    } else {
      bool found;
      size_t position = position_of(parent, node->segment, node->segment_len, &found);
      parent->literals_count--;
      memmove(parent->literals + position, parent->literals + position + 1,
              (parent->literals_count - position) * sizeof(vsi_trie_node *));
    }
    vsi_free(host, node->literals);
    vsi_free(host, node);
    node = parent;
  }
}

/* ---------------------------------------------------------------------------------------------------- the tree ---- */

vestry_err vsi_trie_add(vsi_trie_node *root, const vestry_host *host, const char *pattern, vsi_route *route) {
  vsi_trie_node *node = root;
  size_t len;
  for (const char *at = pattern; *at; at += 1 + len) {
    const char *segment = segment_of(at, &len);
    vsi_trie_node *child = child_of(node, host, segment, len);
    if (!child) {
      prune(node, host);
      return VESTRY_NO_MEMORY;
    }
    node = child;
  }
  vsi_route **place = place_of(&node->routes, route->method);
  if (*place) return VESTRY_EXISTS;
  *place = route;
  return VESTRY_OK;
}

static vsi_trie_node *node_of(vsi_trie_node *node, const char *pattern) {
  size_t len;
  for (const char *at = pattern; node && *at; at += 1 + len) {
    const char *segment = segment_of(at, &len);
    node = child_of(node, NULL, segment, len);
  }
  return node;
}

void vsi_trie_remove(vsi_trie_node *root, const vestry_host *host, const char *pattern, const char *method) {
  vsi_trie_node *node = node_of(root, pattern);
  vsi_route **place = place_of(&node->routes, method);
  *place = (*place)->next;
  prune(node, host);
}

/* A search for the route of a method, or for all methods. */
typedef struct search {
  const char *method; /* NULL: all */
  vsi_trie_method_fn call;
  void *ctx;
  vsi_captures *captures;
} search;

static vsi_route *routes_at(const vsi_trie_node *node, const search *s) {
  if (s->method) {
    vsi_route *first = node->routes, *found = *place_of(&first, s->method);
    return !found && strcmp(s->method, "HEAD") == 0 ? *place_of(&first, "GET") : found;
  }
  for (const vsi_route *route = node->routes; route; route = route->next) s->call(route->method, s->ctx);
  return NULL;
}

/* Follow the rest of a path. at: its '/', or its end. */
static vsi_route *follow(const vsi_trie_node *node, const char *at, const search *s) {
  if (!*at) return routes_at(node, s);
  size_t len;
  const char *segment = segment_of(at, &len);
  bool found;
  size_t position = position_of(node, segment, len, &found);
  vsi_route *route = found ? follow(node->literals[position], segment + len, s) : NULL;
  if (route) return route;
  vsi_captures *captures = s->captures;
  if (node->parameter && len) {
    captures->values[captures->count++] = (vestry_slice){segment, len};
    route = follow(node->parameter, segment + len, s);
    if (route) return route;
    captures->count--;
  }
  if (!node->rest) return NULL;
  captures->values[captures->count++] = (vestry_slice){segment, strlen(segment)};
  route = routes_at(node->rest, s);
  if (!route) captures->count--;
  return route;
}

vsi_route *vsi_trie_find(const vsi_trie_node *root, const char *method, const char *path, vsi_captures *ret_captures) {
  const search s = {.method = method, .captures = ret_captures};
  ret_captures->count = 0;
  return *path == '/' ? follow(root, path, &s) : NULL;
}

void vsi_trie_methods(const vsi_trie_node *root, const char *path, vsi_trie_method_fn call, void *ctx) {
  vsi_captures captures = {.count = 0};
  const search s = {.call = call, .ctx = ctx, .captures = &captures};
  if (*path == '/') (void)follow(root, path, &s);
}

/* Free the deepest nodes first, without recursion, because patterns may be long. */
void vsi_trie_finish(vsi_trie_node *root, const vestry_host *host) {
  vsi_trie_node *node = root;
  for (;;) {
    VSI_LIST_FREE(host, node->routes);
    if (node->literals_count)
      node = node->literals[node->literals_count - 1];
    else if (node->parameter)
      node = node->parameter;
    else if (node->rest)
      node = node->rest;
    else if (node->parent)
      prune(node, host), node = root;
    else
      break;
  }
  vsi_free(host, root->literals);
  *root = (vsi_trie_node){0};
}

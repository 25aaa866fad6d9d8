/* SPDX-License-Identifier: MIT */
#include "documents.h"

#include <assert.h>
#include <stdbool.h>
#include <string.h>

/* Kinds of children. */
enum { FLOW = 1, PHRASES = 2, ITEMS = 4, ROWS = 8, BODIES = 16, CELLS = 32, OPTIONS = 64, SHAPES = 128, RAW = 256 };

/* An element, or a text, whose name is empty. */
static const struct {
  const char *name;
  unsigned is, has; /* kind of the node; kinds of its children */
  bool is_empty;    /* it has no end tag */
} tags[] = {
    {"", FLOW | PHRASES, 0, false},
    {"!", FLOW | PHRASES | ITEMS, 0, false}, /* a comment */
    {" ", FLOW | ITEMS | ROWS | BODIES | CELLS, 0, false},
    {"div", FLOW, FLOW, false},
    {"div", FLOW, FLOW, false},
    {"section", FLOW, FLOW, false},
    {"details", FLOW, FLOW, false},
    {"p", FLOW, PHRASES, false},
    {"ul", FLOW, ITEMS, false},
    {"ul", FLOW, ITEMS, false},
    {"table", FLOW, ROWS, false},
    {"table", FLOW, BODIES, false},
    {"select", FLOW, OPTIONS, false},
    {"svg", FLOW, SHAPES, false},
    {"textarea", FLOW, RAW, false},
    {"span", FLOW | PHRASES, PHRASES, false},
    {"b", FLOW | PHRASES, PHRASES, false},
    {"input", FLOW | PHRASES, 0, true},
    {"img", FLOW | PHRASES, 0, true},
    {"li", ITEMS, FLOW, false},
    {"li", ITEMS, FLOW, false},
    {"tbody", BODIES, ROWS, false},
    {"tr", ROWS, CELLS, false},
    {"tr", ROWS, CELLS, false},
    {"td", CELLS, FLOW, false},
    {"option", OPTIONS, RAW, false},
    {"circle", SHAPES, 0, false},
};
enum { TEXT, COMMENT, SPACE, ROOT, TAGS = sizeof tags / sizeof *tags };

static const char *const ids[] = {"content",
                                  "r1",
                                  "r2",
                                  "r3",
                                  "r4",
                                  "r5",
                                  "r6",
                                  "r7",
                                  "r8",
                                  "r9",
                                  "r10",
                                  "r11",
                                  "r12",
                                  "r13",
                                  "r14",
                                  "r15",
                                  "row-1",
                                  "row-2",
                                  "row-3",
                                  "row-4",
                                  "7",
                                  "8",
                                  "a.b",
                                  "a:c",
                                  "-d",
                                  "_e",
                                  "answer-of-the-player",
                                  "answer-of-the-host",
                                  "0123456789abcdef0123456789abcdef",
                                  "f0e1d2c3b4a5968778695a4b3c2d1e0f",
                                  "q1",
                                  "q2",
                                  "q3",
                                  "q4",
                                  "Q1",
                                  "q"};
enum { IDS = sizeof ids / sizeof *ids };

static const char *const texts[] = {"",      "one", "two",       "a &lt; b", "x\ny", "&amp;",
                                    "1 < 2", "ü",   "id=\"r1\"", "three",    "-"};
enum { TEXTS = sizeof texts / sizeof *texts };

unsigned document_chance(document *doc, unsigned below) {
  doc->random ^= doc->random << 13;
  doc->random ^= doc->random >> 7;
  doc->random ^= doc->random << 17;
  return (unsigned)((doc->random >> 16) % below);
}

static bool accepts(unsigned parent, unsigned child) {
  if (child == TEXT && tags[parent].has == RAW) return true;
  if ((child == TEXT || child == SPACE) && tags[parent].has & RAW) return child == TEXT;
  return (tags[parent].has & tags[child].is) != 0;
}

/* Return an id that no node of the tree has; 0: there is none. */
static uint8_t free_id(document *doc) {
  const unsigned from = document_chance(doc, IDS);
  for (unsigned i = 0; i < IDS; i++) {
    const unsigned id = (from + i) % IDS;
    bool is_free = id != 0;
    for (size_t k = 0; k < doc->count; k++) is_free &= doc->nodes[k].id != id;
    if (is_free) return (uint8_t)id;
  }
  return 0;
}

/* Nothing has an id inside of an element that the client ignores: it would stay there when the server has moved it. */
static void clean(document *doc, unsigned at, bool is_inside) {
  document_node *node = &doc->nodes[at];
  if (is_inside) node->id = 0, node->is_ignored = false;
  if (!doc->ignores) node->is_ignored = false;
  for (unsigned i = 0; i < node->children_count; i++) clean(doc, node->children[i], is_inside || node->is_ignored);
}

static bool may_have_id(unsigned tag) {
  return tag >= ROOT;
}

/* Add a node to the tree at a place. */
static void link_node(document *doc, unsigned parent, unsigned at, unsigned node) {
  document_node *to = &doc->nodes[parent];
  assert(to->children_count < DOCUMENT_CHILDREN);
  memmove(to->children + at + 1, to->children + at, to->children_count - at);
  to->children[at] = (uint8_t)node;
  to->children_count++;
}

static void grow(document *doc, unsigned parent, unsigned depth) {
  if (doc->count == DOCUMENT_NODES || doc->nodes[parent].children_count == DOCUMENT_CHILDREN) return;
  unsigned tag = document_chance(doc, TAGS);
  for (unsigned i = 0; i < TAGS && !accepts(doc->nodes[parent].tag, tag); i++) tag = (tag + 1) % TAGS;
  if (!accepts(doc->nodes[parent].tag, tag)) return;
  const unsigned node = (unsigned)doc->count++;
  doc->nodes[node] = (document_node){.tag = (uint8_t)tag};
  if (may_have_id(tag) && document_chance(doc, 3)) doc->nodes[node].id = free_id(doc);
  if (document_chance(doc, 2)) doc->nodes[node].value = (uint8_t)document_chance(doc, TEXTS);
  if (doc->nodes[node].id && !document_chance(doc, 20)) doc->nodes[node].is_ignored = true;
  link_node(doc, parent, document_chance(doc, doc->nodes[parent].children_count + 1u), node);
  const unsigned children = depth < 6 ? document_chance(doc, 5) : 0;
  for (unsigned i = 0; i < children; i++) grow(doc, node, depth + 1);
}

void document_make(document *doc, uint64_t seed, unsigned most) {
  *doc = (document){.ignores = doc->ignores};
  doc->random = seed * UINT64_C(0x9e3779b97f4a7c15) + 1;
  for (int i = 0; i < 8; i++) (void)document_chance(doc, 2);
  doc->nodes[0] = (document_node){.tag = ROOT};
  doc->count = 1;
  const unsigned count = 1 + document_chance(doc, most);
  for (unsigned i = 0; i < count && doc->count < most; i++) grow(doc, 0, 0);
  clean(doc, 0, false);
}

/* Nodes of the tree, in its order, and their parents. */
typedef struct tree {
  unsigned nodes[DOCUMENT_NODES], parents[DOCUMENT_NODES], ends[DOCUMENT_NODES];
  size_t count;
} tree;

static void walk(const document *doc, unsigned node, unsigned parent, tree *t) {
  const size_t at = t->count++;
  t->nodes[at] = node;
  t->parents[at] = parent;
  for (unsigned i = 0; i < doc->nodes[node].children_count; i++) walk(doc, doc->nodes[node].children[i], node, t);
  t->ends[at] = (unsigned)t->count;
}

static unsigned unlink_node(document *doc, unsigned parent, unsigned node) {
  document_node *from = &doc->nodes[parent];
  unsigned at = 0;
  while (from->children[at] != node) at++;
  memmove(from->children + at, from->children + at + 1, from->children_count - at - 1u);
  from->children_count--;
  return at;
}

static void forget(document *doc, unsigned node) {
  doc->nodes[node].id = 0;
  for (unsigned i = 0; i < doc->nodes[node].children_count; i++) forget(doc, doc->nodes[node].children[i]);
}

/* Move a node within its parent, or to another one that accepts it. */
static void move(document *doc, const tree *t, size_t which) {
  const unsigned node = t->nodes[which], parent = t->parents[which];
  unsigned to = parent;
  if (document_chance(doc, 2)) {
    const size_t from = document_chance(doc, (unsigned)t->count);
    for (size_t i = 0; i < t->count; i++) {
      const size_t at = (from + i) % t->count;
      const bool is_inside = at >= which && at < t->ends[which];
      if (is_inside || !accepts(doc->nodes[t->nodes[at]].tag, doc->nodes[node].tag)) continue;
      to = t->nodes[at];
      break;
    }
  }
  if (to != parent && doc->nodes[to].children_count == DOCUMENT_CHILDREN) return;
  (void)unlink_node(doc, parent, node);
  link_node(doc, to, document_chance(doc, doc->nodes[to].children_count + 1u), node);
}

static void change_one(document *doc) {
  tree t = {.count = 0};
  walk(doc, 0, 0, &t);
  const size_t which = document_chance(doc, (unsigned)t.count);
  document_node *node = &doc->nodes[t.nodes[which]];
  switch (document_chance(doc, 9)) {
  case 0:
  case 1: node->value = (uint8_t)document_chance(doc, TEXTS); break;
  case 2:
  case 3: grow(doc, t.nodes[which], 4); break;
  case 4:
    if (which) {
      (void)unlink_node(doc, t.parents[which], t.nodes[which]);
      forget(doc, t.nodes[which]);
    }
    break;
  case 5:
  case 6:
    if (which) move(doc, &t, which);
    break;
  case 7:
    if (which && may_have_id(node->tag)) {
      node->id = document_chance(doc, 2) ? free_id(doc) : 0;
      node->is_ignored &= node->id != 0;
    }
    break;
  case 8:
    if (which && node->id && !document_chance(doc, 4)) node->is_ignored ^= true;
    break;
  }
}

void document_change(document *doc) {
  const unsigned changes = 1 + document_chance(doc, 4);
  for (unsigned i = 0; i < changes; i++) change_one(doc);
  clean(doc, 0, false);
}

static void write_node(const document *doc, unsigned at, vsi_buffer *html) {
  const document_node *node = &doc->nodes[at];
  const char *text = texts[node->value];
  if (node->tag == TEXT) {
    vsi_buffer_append_str(html, node->value ? text : "text");
  } else if (node->tag == SPACE) {
    vsi_buffer_append_str(html, node->value % 2 ? "\n" : " ");
  } else if (node->tag == COMMENT) {
    vsi_buffer_printf(html, "<!--%u <b id=\"r1\"> -->", node->value);
  } else {
    const char *name = at ? tags[node->tag].name : "main";
    vsi_buffer_printf(html, "<%s", name);
    if (node->id || !at) vsi_buffer_printf(html, " id=\"%s\"", ids[node->id]);
    if (node->value) vsi_buffer_printf(html, " title=\"%u\"", node->value);
    if (node->is_ignored) vsi_buffer_append_str(html, " data-ignore-morph");
    vsi_buffer_append_str(html, ">");
    if (tags[node->tag].is_empty && at) return;
    for (unsigned i = 0; i < node->children_count; i++) write_node(doc, node->children[i], html);
    vsi_buffer_printf(html, "</%s>", name);
  }
}

void document_write(const document *doc, vsi_buffer *ret_html) {
  write_node(doc, 0, ret_html);
}

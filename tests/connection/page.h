/* SPDX-License-Identifier: MIT */
/* A small model of a page: a tree of elements with ids, and signals; it reads events as a Datastar client does. */
#ifndef TESTS_CONNECTION_PAGE_H
#define TESTS_CONNECTION_PAGE_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

enum { PAGE_NODES = 20000 };

typedef struct page_node {
  char tag;                /* 'd': div; 'p'; 't': text; 'f': textarea */
  bool is_typed;           /* a user has typed into it */
  char id;                 /* 'a' …; 0: none */
  char text[24];           /* of a text; of an element its title */
  int parent, next, child; /* 0: none; the root is 1 */
} page_node;

typedef struct page {
  page_node nodes[PAGE_NODES];
  int count;
  json_t *signals;
} page;

void page_init(page *p);
void page_finish(page *p);
/* Apply a stream of events, whole ones. Elements: div with id and title, p (with data-signals:NAME="NUMBER", or
 * data-text="$NAME"), textarea with id (and data-bind:NAME), text. A morph keeps what is typed where the id stays.
 * Selectors: "#x", "p", "#x p". Scripts: "copy x y" makes what x looks like the text in y. */
void page_apply(page *p, const char *text, size_t len);
/* A user types into all fields. */
void page_type(page *p);
/* 0: not there. */
int page_find(const page *p, char id);
bool page_is_inside(const page *p, int node, int ancestor);
/* The tree as text; returns its length. */
size_t page_print(const page *p, char *to, size_t room);

#endif

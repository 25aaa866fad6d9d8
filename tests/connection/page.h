/* SPDX-License-Identifier: MIT */
/* A small model of a page: a tree of elements with ids, and signals. It applies events like a Datastar client. */
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
  char text[24];           /* of a text node its content; of an element its title */
  int parent, next, child; /* 0: none; the root is 1 */
} page_node;

typedef struct page {
  page_node nodes[PAGE_NODES];
  int count;
  json_t *signals;
} page;

void page_init(page *p);
void page_finish(page *p);
/* Apply a stream of complete events. Elements: div with id and title, p (with data-signals:NAME="NUMBER", or
 * data-text="$NAME"), textarea with id (and data-bind:NAME), text. A morph keeps typed text if the id remains.
 * Selectors: "#x", "p", "#x p". Scripts: "copy x y" writes the printed form of x into y. */
void page_apply(page *p, const char *text, size_t len);
/* Simulate a user who types into all fields. */
void page_type(page *p);
/* 0: not found. */
int page_find(const page *p, char id);
bool page_is_inside(const page *p, int node, int ancestor);
/* Print the tree as text; returns its length. */
size_t page_print(const page *p, char *to, size_t room);

#endif

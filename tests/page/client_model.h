/* SPDX-License-Identifier: MIT */
/* A model of the document and of the client's patches, for contents of documents.c. Morphing keeps elements with an id
 * that are in the old and in the new content; the state of an element stands for all that a user has changed of it. */
#ifndef TESTS_PAGE_CLIENT_MODEL_H
#define TESTS_PAGE_CLIENT_MODEL_H

#include <stdbool.h>

#include "base/buffer.h"

typedef struct client_node {
  char name[16]; /* "": a text; "!": a comment */
  char text[96]; /* of a text or a comment; of an element: its attributes */
  char id[48];
  bool is_ignored, is_implied;
  unsigned state;
  struct client_node *first, *next, *parent;
  struct client_node *all; /* of the arena */
} client_node;

/* Parse HTML without errors into the children of a node. All nodes exist until client_free. */
client_node *client_parse(const char *html);
client_node *client_copy(const client_node *of);
void client_free(void);
/* Give each element a state of its own. */
void client_number(client_node *root);
/* Write the children of a node; has_states: with the states of elements with an id. */
void client_write(const client_node *of, bool has_states, vsi_buffer *to);
void client_take_out(client_node *child);
/* Change the old element into the fresh one, which takes its place. */
void client_morph(client_node *old, client_node *fresh);
/* Perform the patches in the text of a stream. The root's child is the content. Each selector must find exactly one
 * element. */
void client_perform(client_node *root, vestry_slice events);

#endif

/* SPDX-License-Identifier: MIT */
/* Random contents of pages, and random changes of them, for tests of the patches that turn one into another. */
#ifndef TESTS_PAGE_DOCUMENTS_H
#define TESTS_PAGE_DOCUMENTS_H

#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"

enum { DOCUMENT_NODES = 192, DOCUMENT_CHILDREN = 24 };

typedef struct document_node {
  uint8_t tag;     /* index in a table of documents.c */
  uint8_t id;      /* number of an id; 0: none */
  uint8_t value;   /* of an attribute, or of a text; 0: none */
  bool is_ignored; /* data-ignore-morph */
  uint8_t children[DOCUMENT_CHILDREN], children_count;
} document_node;

typedef struct document {
  document_node nodes[DOCUMENT_NODES]; /* index 0: the root */
  size_t count;                        /* including nodes that were removed from the tree */
  uint64_t random;
  bool ignores; /* elements may have data-ignore-morph */
} document;

/* Make a document: <main id="content"> with up to `most` elements. */
void document_make(document *doc, uint64_t seed, unsigned most);
/* Change the text, an attribute, an id, the order or the shape in one to four places. */
void document_change(document *doc);
void document_write(const document *doc, vsi_buffer *ret_html);
/* Return a random number below `below`. */
unsigned document_chance(document *doc, unsigned below);

#endif

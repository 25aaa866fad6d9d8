/* SPDX-License-Identifier: MIT */
/* The document of a page of the browser of tests, with its signals, and the events that change it. Its document is kept
 * as text with an index of its elements; a patch replaces a part of both. Attributes and texts are read when they are
 * needed, so there is no other state that could differ. */
#ifndef VSI_TESTING_BROWSER_DOCUMENT_H
#define VSI_TESTING_BROWSER_DOCUMENT_H

#include "testing/browser_request.h"
#include "testing/markup.h"

enum { VSI_PAGE_STREAMS = 8, VSI_PAGE_NAME_BYTES = 128 };

struct vestry_browser_page {
  vestry_browser *browser;
  const vestry_host *host;
  char *url;
  vsi_buffer html, text, value; /* value: of an attribute */
  vsi_markup markup;            /* of html */
  json_t *signals, *typed;      /* typed: by the name of a field in a form */
  struct {
    vestry_memory_exchange *exchange;
    bool is_of_page; /* opened by a data-init: opened again if a server ends it */
  } streams[VSI_PAGE_STREAMS];
  size_t streams_count;
  uint64_t again_ns; /* when streams that a server has ended are opened again; 0: none has ended */
  int status;
  unsigned long submissions_count;
  char *leaves_for; /* a redirect that an event has requested; NULL: none */
  bool reloads;
};

/* Set a signal by its path. Takes the value. */
void vsi_page_signal_set(vestry_browser_page *page, const char *path, json_t *value);
/* Return a signal, borrowed; NULL: there is none. */
json_t *vsi_page_signal(const vestry_browser_page *page, const char *path);
/* Get the signal to which a field is bound. */
bool vsi_page_bound_to(vestry_browser_page *page, size_t element, char name[VSI_PAGE_NAME_BYTES]);
bool vsi_page_is_checkable(vestry_browser_page *page, size_t element);
/* Set the signals of an element's attributes. */
void vsi_page_take_signals(vestry_browser_page *page, size_t element);
/* Read the elements of another document. OK | NO_MEMORY */
vestry_err vsi_page_read(vestry_browser_page *page);
/* Find the element of a selector as vestry writes them: the name of an element, or ids inside of each other, such as
 * #content [id="a:b"]. VSI_NO_ELEMENT: there is none. */
size_t vsi_page_selected(const vestry_browser_page *page, const char *selector);
/* Apply the bytes that an exchange has received since the last call: events, or the body of another answer. The rest of
 * an event stays there until it is complete. OK | NO_MEMORY */
vestry_err vsi_page_take_received(vestry_browser_page *page, vestry_memory_exchange *exchange);

#endif

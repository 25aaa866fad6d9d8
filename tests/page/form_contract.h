/* SPDX-License-Identifier: MIT */
/* The contract of stored forms, for every storage: memory and databases run the same tests. */
#ifndef TESTS_PAGE_FORM_CONTRACT_H
#define TESTS_PAGE_FORM_CONTRACT_H

#include "serve/wire.h"
#include "support/site.h"
#include "vestry/app/form.h"

typedef struct form_suite {
  site on;
  vestry_forms *forms;
  void *world;  /* of form_world */
  bool refuses; /* the submit is refused */
} form_suite;

/* A storage of forms. */
typedef struct form_world {
  vestry_forms_storage *(*open)(form_suite *s); /* called before the forms are created */
  void (*close)(form_suite *s);                 /* called after they were destroyed */
  void (*pass_s)(form_suite *s, int seconds);
} form_world;
/* Set before tests run; NULL: in memory. */
extern const form_world *form_contract_world;

/* A tab of a browser: its session, its sealed id, and the form as the last page showed it. */
typedef struct form_tab {
  char cookie[200], sealed[65], html[300000];
  uint64_t generation, number;
} form_tab;

/* Open a site with the form "report" of the fields title, text and tags. GET / shows "report:7", POST /known does so
 * for a known tab, POST /report submits it, POST /logout forgets all forms. */
void form_begin(form_suite *s, const vestry_forms_options *options);
void form_end(form_suite *s);
vestry_forms_stats form_stats(const form_suite *s);

/* Send a request and return the status. form: the body, sent with the tab's id; NULL: none. ret_text: as large as
 * form_tab.html, or NULL. */
int form_call(form_suite *s, form_tab *t, const char *method, const char *path, const char *form, char *ret_text);
/* Load the page for its tab, which is known once a document has given it an id. */
void form_load(form_suite *s, form_tab *t);
/* Send a message with this number, of the generation that the page shows. Its answer has the current state. */
int form_send(form_suite *s, form_tab *t, uint64_t number, const char *what);
/* Assert that the page has this text. */
void form_shows(form_suite *s, form_tab *t, const char *text);

/* Run the contract. Returns how many tests failed. */
int form_contract_run(const char *name);

/* A case with a site of default options. */
#define FORM_CASE(name) TEST_CASE_WITH(name, form_suite, s, form_begin(s, NULL), form_end(s))

#endif

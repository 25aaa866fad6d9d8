/* SPDX-License-Identifier: MIT */
/* What is promised of forms that come back, wherever they are kept: memory and a database run the same tests. */
#ifndef TESTS_PAGE_FORM_CONTRACT_H
#define TESTS_PAGE_FORM_CONTRACT_H

#include "serve/wire.h"
#include "support/site.h"
#include "vestry/app/form.h"

typedef struct form_suite {
  site on;
  vestry_forms *forms;
  void *world;  /* of form_world */
  bool refuses; /* the submit */
} form_suite;

/* Where they are kept. */
typedef struct form_world {
  vestry_forms_storage *(*open)(form_suite *s); /* before the forms are created */
  void (*close)(form_suite *s);                 /* after they were destroyed */
  void (*pass_s)(form_suite *s, int seconds);
} form_world;
/* Set before tests run; NULL: in memory. */
extern const form_world *form_contract_world;

/* A browser's tab: its session, its id with the seal, the form as the last page showed it. */
typedef struct form_tab {
  char cookie[200], sealed[65], html[70000];
  uint64_t generation, number;
} form_tab;

/* A site with the form "report" of the fields title, text and tags; GET / shows "report:7", POST /known does of a tab
 * that is known, POST /report submits it, POST /logout forgets all. */
void form_begin(form_suite *s, const vestry_forms_options *options);
void form_end(form_suite *s);
vestry_forms_stats form_stats(const form_suite *s);

/* Returns the status. form: the body, beside the tab's id; NULL: none. ret_text: as large as form_tab.html, or NULL. */
int form_call(form_suite *s, form_tab *t, const char *method, const char *path, const char *form, char *ret_text);
/* What the page shows now to its tab, which is known, once it has its id from a document. */
void form_load(form_suite *s, form_tab *t);
/* A letter of a number, of the generation that the page shows. Its answer says what is known. */
int form_say(form_suite *s, form_tab *t, uint64_t number, const char *what);
/* The page has this text. */
void form_shows(form_suite *s, form_tab *t, const char *text);

/* Run all that is promised. Returns how many tests failed. */
int form_contract_run(const char *name);

#endif

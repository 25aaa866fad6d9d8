/* SPDX-License-Identifier: MIT */
/* What is promised of forms in a database beyond form_contract.h, whichever it is: they outlive their process, are of
 * all processes, and are cleared in the transaction of the submit; pages follow that, and nothing that is typed. */
#ifndef TESTS_PAGE_FORM_DATABASE_CONTRACT_H
#define TESTS_PAGE_FORM_DATABASE_CONTRACT_H

#include "app/page/form_storage.h"
#include "page/form_contract.h"

/* A node whose page shows the form "report:7", and follows the database. */
typedef struct form_live {
  site on;
  void *world; /* of form_database */
  vestry_forms_storage *stored;
  vestry_forms *forms;
  vestry_memory_exchange *stream;
  int renders;
} form_live;

/* At which level pages follow. What is exact renders no page that it does not concern; what it concerns is rendered in
 * any case. */
typedef struct form_level {
  int level;
  bool typed_here, typed_there, cleared_here, cleared_there;
} form_level;

typedef struct form_database {
  form_world world;
  /* An empty one with a table report(title), for all suites until it is removed. world.open makes one for its suite, if
   * there is none. */
  void (*make)(void);
  void (*remove)(void);
  int64_t (*number)(const form_suite *s, const char *sql);
  void (*check)(const form_suite *s); /* that its tables agree */
  /* A transaction: a report is inserted, the form of the request is cleared. It ends with that error, or with its
   * own. */
  vestry_err (*submit)(form_suite *s, const vestry_request *req, vestry_err end);
  /* What vestry_forms_clear says in a transaction that reads. */
  vestry_err (*clear_reading)(form_suite *s, const vestry_request *req);
  /* A storage of its own; what was made is closed, also after it has failed: world is set then, too. */
  vestry_err (*open_alone)(const vestry_host *host, void **ret_world, vestry_forms_storage **ret_storage);
  void (*close_alone)(void *world, vestry_forms_storage *storage);
  /* Sets world and stored; the site is open, and is the caller's. */
  void (*open_live)(form_live *l, int level);
  void (*close_live)(form_live *l);                                  /* the forms are destroyed */
  vestry_err (*clear_live)(form_live *l, const vestry_request *req); /* in a transaction */
  void (*settle_live)(form_live *l);                                 /* refreshes for all that is committed are due */
  bool does_without; /* without memory a form is kept, and bounds are looked after by the next one */
  const form_level *levels;
  size_t levels_count;
} form_database;

/* Run form_contract.h's tests, and these. Returns how many failed. */
int form_database_run(const char *name, const form_database *database);

/* ---- for tests of one database ---- */

/* form_begin, with POST /submit, which ends its transaction with form_end_of_submit: OK unless a test sets it. */
void form_begin_submit(form_suite *s);
extern vestry_err form_end_of_submit;

/* A suite's tab in a thread of its own. */
typedef struct form_person {
  form_suite *s;
  form_tab tab;
  bool is_wrong;
} form_person;
/* A request without the suite's own threads: its status; 0: none. */
int form_ask_alone(form_person *p, const char *where, const char *what);

#endif

/* SPDX-License-Identifier: MIT */
/* The contract of forms in a database, beyond form_contract.h: they outlive their process, all processes share them,
 * and the transaction of the submit clears them; pages follow that, but not typing. */
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

/* Level at which pages follow. Where a flag is set, the event causes no render of a page that it does not concern. A
 * page that it concerns is rendered at each level. */
typedef struct form_level {
  int level;
  bool typed_here, typed_there, cleared_here, cleared_there;
} form_level;

typedef struct form_database {
  form_world world;
  /* Create an empty database with a table report(title), for all suites until it is removed. world.open creates one for
   * its suite if there is none. */
  void (*make)(void);
  void (*remove)(void);
  void (*empty)(void); /* another program deletes the rows by which pages follow clearings */
  int64_t (*number)(const form_suite *s, const char *sql);
  void (*check)(const form_suite *s); /* assert that its tables agree */
  /* Run a transaction that inserts a report and clears the form of the request. It ends with this error, or with its
   * own. */
  vestry_err (*submit)(form_suite *s, const vestry_request *req, vestry_err end);
  /* Return the result of vestry_forms_clear in a read transaction. */
  vestry_err (*clear_reading)(form_suite *s, const vestry_request *req);
  /* Open a separate storage. close_alone is called also after a failure: world is set then, too. */
  vestry_err (*open_alone)(const vestry_host *host, void **ret_world, vestry_forms_storage **ret_storage);
  void (*close_alone)(void *world, vestry_forms_storage *storage);
  /* Set world and stored; the site is open, and belongs to the caller. */
  void (*open_live)(form_live *l, int level);
  void (*close_live)(form_live *l);                                  /* the forms are already destroyed */
  vestry_err (*clear_live)(form_live *l, const vestry_request *req); /* in a transaction */
  void (*settle_live)(form_live *l);                                 /* makes the refreshes of all commits due */
  bool does_without; /* without memory a form is still stored, and the next one checks the limits */
  const form_level *levels;
  size_t levels_count;
} form_database;

/* Run the tests of form_contract.h, and these. Returns how many failed. */
int form_database_run(const char *name, const form_database *database);

/* -------------------------------------------------------------------------------- for tests of one database ------- */

/* form_begin, with POST /submit, whose transaction ends with form_end_of_submit: OK unless a test sets it. */
void form_begin_submit(form_suite *s);
extern vestry_err form_end_of_submit;

/* A tab of a suite, used by its own thread. */
typedef struct form_person {
  form_suite *s;
  form_tab tab;
  bool is_wrong;
} form_person;
/* Send a request without running the suite's runtime, and return its status; 0: none. */
int form_ask_alone(form_person *p, const char *where, const char *what);

#endif

/* SPDX-License-Identifier: MIT */
/* The auction: users offer lots with pictures, and bid for them. Pages show the content of the database, and only its
 * commits cause renders. pages.c renders the pages, actions.c handles the actions, auction.c contains the start and end
 * of the program. */
#ifndef AUCTION_H
#define AUCTION_H

#include "../shared/program.h"
#include "vestry/app/clock.h"
#include "vestry/app/input.h"
#include "vestry/app/upload.h"
#include "vestry/data/sqlite.h"

enum { NAME_MAX = 40, TITLE_MAX = 80, ABOUT_MAX = 1000, MINUTES_MAX = 1380, CENTS_MAX = 100000000 };
enum { STEP_CENTS = 50, FIRST_LOTS = 3, ROOM = 64 };

struct app {
  struct program program;
  char pictures[4096]; /* folder of the pictures */
  vestry_sql_pool *db; /* this, and pages, jobs and forms: of the application */
  vestry_pages *pages;
  vestry_page *lots;
  vestry_jobs *jobs;
  vestry_forms *forms;
  vestry_files *files; /* files of the folder */
  vestry_upload_folder *folder;
  vestry_uploads *uploads;
  vestry_rate *rate;
};

/* Render functions (vestry/app/page.h): the list of lots, one lot, the form for a new lot. */
vestry_err page_lots(vestry_render *render, vestry_html *html, void *app);
vestry_err page_lot(vestry_render *render, vestry_html *html, void *app);
vestry_err page_offer(vestry_render *render, vestry_html *html, void *app);
vestry_err page_may_see(const vestry_request *req, void *app);
/* Answer with the login page. name: the rejected name; NULL: none */
vestry_err page_login(struct app *app, vestry_reply *reply, const char *name, const char *complaint);

/* Add routes, guards and uploads. */
vestry_err actions_mount(struct app *app);
/* Enqueue a job that ends a lot at its time, in the transaction that creates the lot. */
vestry_err actions_end_later(struct app *app, vestry_sql_transaction *transaction, int64_t lot, int64_t ends_ms);

/* Files of this folder, converted to arrays by the build. */
extern const unsigned char auction_css[], schema_sql[];
extern const size_t auction_css_len, schema_sql_len;

#endif

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

enum { NAME_MAX = 40, TITLE_MAX = 80, ABOUT_MAX = 1000, MINUTES_MAX = 1380, CENTS_MAX = 99999999 };
enum { STEP_CENTS = 50, FIRST_LOTS = 3, ROOM = 64 };

struct app {
  struct program program;
  char pictures[4096]; /* folder of the pictures */
  vestry_files *files; /* files of the folder */
  vestry_upload_folder *folder;
  vestry_uploads *uploads;
  vestry_rate *rate;
};

/* Pages and documents: the list of lots, one lot, the form for a new lot, the log-in. */
void page_lots(vestry_call *call);
void page_lot(vestry_call *call);
void page_offer(vestry_call *call);
void page_login(vestry_call *call);
vestry_err page_may_see(const vestry_request *req, void *app);

/* The other functions of the application's table. */
void action_log_in(vestry_call *call);
void action_log_out(vestry_call *call);
void action_admit_members(vestry_call *call);
void action_bid(vestry_call *call);
void action_report(vestry_call *call);
void action_picture(vestry_call *call);
void action_end_lot(vestry_call *call);
/* POST /lots, the `done` of the uploads. */
vestry_err action_offer(const vestry_request *req, vestry_reply *reply, void *app);
extern const vestry_application_form login_form;

/* Files of this folder, converted to arrays by the build. */
extern const unsigned char auction_css[], schema_sql[];
extern const size_t auction_css_len, schema_sql_len;

#endif

/* SPDX-License-Identifier: MIT */
/* The chat: people log in with a name and talk in channels. All data is in a database, and pages are rendered from it.
 * An action changes rows and is complete; every tab that shows these rows renders again when they are on the disk.
 *
 *    page.c     the content of a tab: a private page, with parts that many tabs share
 *    actions.c  actions: log in and out, change the channel, send, edit and delete messages
 *    tabs.c     the state of a tab: its channel, its drafts
 *    cluster.c  several processes on one database, which notify each other of commits
 *    chat.c     start and end of the program
 *
 * The database is SQLite or PostgreSQL: ../shared/database.h. */
#ifndef CHAT_CHAT_H
#define CHAT_CHAT_H

#include "../shared/database.h"
#include "../shared/program.h"
#include "vestry/app/presence.h"

enum {
  NAME_MAX = 40,   /* characters in names of people and channels */
  TEXT_MAX = 2000, /* characters in a message */
  CHANNELS_MAX = 200,
  SHOWN = 100, /* messages of a channel, and additional ones for each request for older messages */
  SHOWN_MAX = 500,
  GROUP_S = 300,             /* messages of a person within this time share one name and time */
  ZONE_S = 900,              /* in each zone, days begin at a multiple of this time */
  GONE_MAX = 500,            /* maximum number of deleted messages that are excluded from the unread count */
  PEOPLE_MAX = 20,           /* people shown by name */
  DRAFTS_MAX = 16,           /* for each tab */
  DRAFT_BYTES = 32,          /* of a draft's name */
  SLOT_S = 10,               /* interval in which the messages of a person are counted */
  INTERVAL_MS = 50,          /* between two renders of a fragment */
  TALLY_MS = 500,            /* interval in which the tallies of channels are checked */
  QUEUED_MAX_BYTES = 8 << 20 /* for each tab: SHOWN_MAX escaped messages of TEXT_MAX characters */
};

struct app {
  struct program program;
  const char *cluster_url, *node, *secret_file; /* of several processes; NULL: there is only one */
  struct cluster *cluster;                      /* of several processes; NULL: there is only one */
  bool welcomes;                                /* add a first conversation */
  int64_t rate;                                 /* maximum number of messages of a person within SLOT_S */
  struct database db;
  vestry_pages *pages; /* of the application */
  vestry_page *page;
  vestry_presence *presence;
  vestry_sql_tabs *tabs;
  vestry_sql_pool *tabs_pool; /* NULL: SQLite */
  vestry_runtime *clerk;      /* a thread for tallies */
  vestry_timer *timer;
};

/* Render the page of the path / (a vestry_page_fn); ctx is the struct app. */
vestry_err page_render(vestry_render *render, vestry_html *html, void *ctx);
/* Answer with the login page, which leads to this channel (0: to /). name, error: of the login that was rejected. */
vestry_err page_login(struct app *app, const vestry_request *req, vestry_reply *reply, int channel, const char *name,
                      const char *error);
/* Write the name of a draft, which is a signal and a member of the tab's state. The name contains the tab, so that a
 * page which was rendered before its tab was known (vestry/app/tab.h) leaves no draft behind. */
vestry_err page_draft(const vestry_request *req, int channel, char name[DRAFT_BYTES]);
/* Called when a user has joined or left; ctx is the struct app. */
void page_on_presence(const vestry_presence_change *change, void *ctx);

/* Return whether a request may see the page (a vestry_page_allow_fn): users who have logged in. */
vestry_err page_may_see(const vestry_request *req, void *ctx);

/* Begin to store states of tabs; end it after the streams have ended, before the application is destroyed. */
vestry_err tabs_begin(struct app *app);
void tabs_end(struct app *app);
/* Get the state of a request's tab: an empty object if it has none. render: the render that reads it, which is repeated
 * when the state is written; NULL: none. The caller owns the result (json_decref). NULL: no memory, or not possible
 * now. */
json_t *tabs_get(struct app *app, const vestry_request *req, vestry_render *render);
/* Changes the state of a tab. OK | any error: the state is not changed. */
typedef vestry_err (*tabs_fn)(json_t *state, void *ctx);
/* Run a transaction by fn (NULL: none), and change the state of the tab by tab. No other request of the tab can change
 * the state meanwhile. With SQLite both are one transaction; with PostgreSQL the state is written afterwards. */
vestry_err tabs_change(struct app *app, const vestry_request *req, vestry_sql_act_fn fn, tabs_fn tab, void *ctx);

/* Join the cluster, if the options name one. Call it before the server starts, while the pages follow the database. */
vestry_err cluster_begin(struct app *app);
/* Show the cluster, if there is one, and the broker's metrics in the console. */
void cluster_show(struct app *app);
/* Leave the cluster. Call it after the server has stopped, before the pages and the database are destroyed. */
void cluster_leave(struct app *app);
/* Free the cluster, after the pages and the instance were destroyed. */
void cluster_end(struct app *app);

/* Add the routes and guards. */
vestry_err actions_mount(struct app *app);

/* Files of this folder, converted to arrays by the build. */
extern const unsigned char chat_css[], chat_js[], schema_sql[], schema_postgres_sql[];
extern const size_t chat_css_len, chat_js_len, schema_sql_len, schema_postgres_sql_len;

#endif

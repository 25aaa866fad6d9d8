/* SPDX-License-Identifier: MIT */
/* The chat: people log in by a name and talk in channels. All of it is in a database, and pages are made of what is
 * there: an action changes rows and is done, and every tab that shows these rows renders again, once they are on the
 * disk.
 *
 *    page.c     what a tab shows: a page of its own, and in it what many see
 *    actions.c  what people do: come, go, look elsewhere, say something, take it back
 *    topics.c   with SQLite: what a page names that reads of a table of everybody's
 *    cluster.c  several processes on one database, which tell each other to look
 *    chat.c     from the command line to the end
 *
 * The database is SQLite or PostgreSQL: ../shared/database.h. */
#ifndef CHAT_CHAT_H
#define CHAT_CHAT_H

#include "../shared/database.h"
#include "../shared/program.h"
#include "vestry/app/csrf.h"
#include "vestry/app/files.h"
#include "vestry/app/once.h"
#include "vestry/app/presence.h"
#include "vestry/app/session.h"

enum {
  NAME_MAX = 40,   /* characters, of people and channels */
  TEXT_MAX = 2000, /* characters, of a message */
  CHANNELS_MAX = 200,
  SHOWN = 100, /* messages of a channel; and so many more each time that older ones are wanted */
  SHOWN_MAX = 500,
  GROUP_S = 300,             /* what somebody says within so long has one name and one time */
  GONE_MAX = 500,            /* deleted messages of a channel that are not counted as unread */
  PEOPLE_MAX = 20,           /* that are named */
  DRAFTS_MAX = 16,           /* of a tab */
  DRAFT_BYTES = 32,          /* of a draft's name */
  SLOT_S = 10,               /* messages of a person are counted for so long */
  INTERVAL_MS = 50,          /* between two renders of one thing, when much is said */
  SWEEP_MS = 60000,          /* so often sessions that are over are deleted */
  TALLY_MS = 500,            /* so often it is looked how far channels go */
  QUEUED_MAX_BYTES = 8 << 20 /* of a tab: SHOWN_MAX messages of TEXT_MAX characters, however they are escaped */
};

struct app {
  struct program program;
  struct database_options kept;                 /* where, and what */
  const char *cluster_url, *node, *secret_file; /* of several processes; NULL: it is alone */
  struct cluster *cluster;                      /* likewise */
  bool welcomes;                                /* whoever comes first finds a conversation */
  uint64_t rate;                                /* messages of a person within SLOT_S */
  struct database db;
  unsigned char secret[SECRET_BYTES];
  vestry_pages *pages;
  vestry_page *page;
  vestry_presence *presence;
  vestry_csrf *csrf;
  vestry_once *once;
  vestry_file script; /* of the files */
  vestry_files *files;
  vestry_runtime *clerk; /* a thread that counts */
  vestry_timer *timer, *sweeper;
  vestry_session_options sessions;
};

/* The page of the path /, as a vestry_page_fn; its app is the struct app. */
vestry_err page_render(vestry_render *render, vestry_html *html, void *ctx);
/* The log-in instead, which leads to that channel (0: to /), and why the last one was none. */
vestry_err page_login(struct app *app, const vestry_request *req, vestry_reply *reply, int channel, const char *name,
                      const char *error);
/* The signal, and the member of a tab's state, that a draft is. It is the tab's: a page that was rendered before its
 * tab was known (vestry/app/tab.h) leaves nothing behind. */
vestry_err page_draft(const vestry_request *req, int channel, char name[DRAFT_BYTES]);
/* Somebody has come, or has left; ctx is the struct app. */
void page_on_presence(const vestry_presence_change *change, void *ctx);

/* A vestry_page_allow_fn: who has logged in. */
vestry_err page_may_see(const vestry_request *req, void *ctx);

/* Join the others, if there is to be a cluster; before anybody is answered, and while the pages follow the database. */
vestry_err cluster_begin(struct app *app);
/* To the console, with the broker's metrics: what it has joined, if anything. */
void cluster_show(struct app *app);
/* Say goodbye. When nobody is answered any more; the pages and the database are there yet. */
void cluster_leave(struct app *app);
/* Free it, when the pages and the instance are gone. */
void cluster_end(struct app *app);
/* A session has ended: in the other processes too. scope: as its requests had it. */
void cluster_session_ended(struct app *app, const char *scope, size_t len);

/* A vestry_sqlite_topics_fn. */
void say_topics(vestry_sqlite_change *change, const char *table, int64_t rowid, void *app);

/* The routes, and who may use them. */
vestry_err actions_mount(struct app *app);

/* Files of this folder, made into arrays by the build. */
extern const unsigned char chat_css[], chat_js[], schema_sql[], schema_postgres_sql[];
extern const size_t chat_css_len, chat_js_len, schema_sql_len, schema_postgres_sql_len;

#endif

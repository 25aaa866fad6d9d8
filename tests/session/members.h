/* SPDX-License-Identifier: MIT */
/* A site with sessions, for tests: handlers, a clock turned by hand, storage whose calls can fail, and a browser. */
#ifndef TESTS_SESSION_MEMBERS_H
#define TESTS_SESSION_MEMBERS_H

#include "app/session/token.h"
#include "serve/wire.h"
#include "vestry/app/session.h"

extern _Atomic(int64_t) members_clock_s;
extern void (*members_at_next_look)(void *ctx); /* at the clock, once; NULL: nothing */
extern void *members_at_next_look_ctx;
int64_t members_now_s(void *ctx);

/* What storage holds; each call can fail. */
typedef struct shelf {
  pthread_mutex_t lock;
  struct {
    char hash[40];
    vestry_session_record record;
  } rows[32];
  int saves, loads;
  vestry_err fails;
  vestry *ends_before_save; /* all sessions of the user end in the middle of a save; NULL: not */
  /* Called once, in the middle; NULL: not. */
  void (*after_save)(void *ctx), (*after_load)(void *ctx), (*after_forget_user)(void *ctx);
  void *ctx;
} shelf;

extern const vestry_session_storage_ops shelf_ops;
size_t shelf_count(const shelf *s);

enum way { IN_MEMORY, STORED, SIGNED };
extern const char members_secret[35];
vestry_session_options members_way(enum way way, shelf *s);

typedef struct browser {
  char cookie[2 * VSI_TOKEN_MAX_LEN]; /* "name=value"; "": none */
  char set[2 * VSI_TOKEN_MAX_LEN];    /* what the last answer's Set-Cookie said; "": nothing */
} browser;

/* Its handlers of /, /login, /logout and /live. */
vestry_err members_who(const vestry_request *req, vestry_reply *reply, void *app);
vestry_err members_login(const vestry_request *req, vestry_reply *reply, void *app);
vestry_err members_logout(const vestry_request *req, vestry_reply *reply, void *app);
vestry_err members_live(const vestry_request *req, vestry_reply *reply, void *app);
/* Routes: / says who somebody is; /login?user=, /logout, /live, /picture. */
void members_begin(site *w, const vestry_session_options *options);
/* r: with method and path. */
void members_ask(site *w, browser *b, wire *r);
int members_status(site *w, browser *b, const char *method, const char *path, const char *query);
void members_assert_is(site *w, browser *b, const char *user);
void members_log_in(site *w, browser *b, const char *query);

#endif

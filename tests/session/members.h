/* SPDX-License-Identifier: MIT */
/* A site with sessions, for tests: handlers, a manual clock, storage whose calls can fail, and a browser. */
#ifndef TESTS_SESSION_MEMBERS_H
#define TESTS_SESSION_MEMBERS_H

#include "app/session/token.h"
#include "serve/wire.h"
#include "vestry/app/session.h"

extern _Atomic(int64_t) members_clock_s;
extern void (*members_at_next_look)(void *ctx); /* called once when the clock is read; NULL: nothing */
extern void *members_at_next_look_ctx;
int64_t members_now_s(void *ctx);

/* In-memory session storage; each call can fail. */
typedef struct shelf {
  pthread_mutex_t lock;
  struct {
    char hash[40];
    vestry_session_record record;
  } rows[32];
  int saves, loads;
  int64_t now_s;                   /* the storage's clock, as load returns it; 0: none */
  vestry_err fails, removals_fail; /* returned by all functions; by remove and remove_user */
  const char *rejected;            /* remove_user of this user fails; NULL: of none */
  vestry *ends_before_save;        /* end all sessions of the user during the next save; NULL: do not */
  /* Called once, during the named operation; NULL: not called. */
  void (*after_save)(void *ctx), (*after_load)(void *ctx), (*before_forget)(void *ctx), (*after_forget_user)(void *ctx);
  void *ctx;
} shelf;

extern const vestry_session_storage_ops shelf_ops;
size_t shelf_count(const shelf *s);

enum way { IN_MEMORY, STORED };
vestry_session_options members_way(enum way way, shelf *s);

typedef struct browser {
  char cookie[1200]; /* "name=value"; "": none */
  char set[1200];    /* value of the last reply's Set-Cookie; "": none */
} browser;

/* The handlers of /, /login, /logout and /live. */
vestry_err members_who(const vestry_request *req, vestry_reply *reply, void *app);
vestry_err members_login(const vestry_request *req, vestry_reply *reply, void *app);
vestry_err members_logout(const vestry_request *req, vestry_reply *reply, void *app);
vestry_err members_live(const vestry_request *req, vestry_reply *reply, void *app);
/* Routes: / returns the user's name, /login?user= logs in; also /logout, /live and /picture. */
void members_begin(site *w, const vestry_session_options *options);
/* r: with method and path set. */
void members_ask(site *w, browser *b, wire *r);
int members_status(site *w, browser *b, const char *method, const char *path, const char *query);
void members_assert_is(site *w, browser *b, const char *user);
void members_log_in(site *w, browser *b, const char *query);

#endif

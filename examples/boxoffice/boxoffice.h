/* SPDX-License-Identifier: MIT */
/* The box office: a hall of 2,000 seats, people and robots who buy them, and nodes that may be killed meanwhile. What
 * pages show is in the database, and it alone says which page is rendered when. hall.c is what people see, sales.c what
 * they do, robots.c who buys when nobody does, boxoffice.c from start to end. */
#ifndef BOXOFFICE_H
#define BOXOFFICE_H

#include <stdatomic.h>
#include <stdio.h>

#include "../shared/database.h"
#include "../shared/house.h"
#include "../shared/program.h"
#include "../shared/robots.h"
#include "vestry/app/once.h"

enum { BLOCKS = 10, ROWS = 20, PLACES = 10, NAME_MAX_CHARS = 40, EUROS = 25 };
enum { HELD_MAX = 6, HOLD_MS = 60000, SWEEP_MS = 400, PAUSE_MS = 10000 };

struct app {
  struct program program;
  uint64_t robots_count, pace_ms, nodes_count;
  FILE *told; /* the payments that robots were told of; NULL: nobody asks */
  char **argv;
  char door[QR_DOOR_BYTES];     /* where a phone finds the page, */
  atomic_bool has_door;         /* once it does */
  struct database_options kept; /* where, and what */
  struct database db;
  vestry_pages *pages;
  vestry_forms *forms;
  vestry_once *once;
  vestry_runtime *clerk; /* writes now and then, in a thread of its own */
  vestry_timer *sweeper;
  struct house house; /* which has the node */
  struct robots *robots;
  unsigned char secret[SECRET_BYTES];
  atomic_uint renders[BLOCKS]; /* of each block, by this process */
};

/* Whose a request is: a tab's, which is a number at random. 0: not known yet. */
int64_t buyer_of(const vestry_request *req);

vestry_err hall_page(vestry_render *render, vestry_html *html, void *app);

vestry_err sales_mount(struct app *app);
/* A timer's: holds that are over, and the next evening. */
void sales_sweep(vestry_timer *timer, void *app);

/* What a robot does next (robots.h). */
uint64_t robot_buys(struct robot *robot, const char *answer, void *app);

/* Files of this folder, made into arrays by the build. */
extern const unsigned char boxoffice_css[], schema_sql[], schema_postgres_sql[];
extern const size_t boxoffice_css_len, schema_sql_len, schema_postgres_sql_len;

#endif

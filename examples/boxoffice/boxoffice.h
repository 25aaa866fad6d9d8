/* SPDX-License-Identifier: MIT */
/* The box office: a hall of 2,000 seats, people and robots that buy them, and nodes that may be killed meanwhile. Pages
 * show the content of the database, and only its commits cause renders.
 *
 *    hall.c       the pages
 *    sales.c      the actions
 *    house.c      statistics of all nodes
 *    nodes.c      the nodes, and the port in front of them; qr.c: access for phones
 *    robots.c     robots that use a page over HTTP; buyers.c: robots that buy seats
 *    boxoffice.c  start and end of the program */
#ifndef BOXOFFICE_H
#define BOXOFFICE_H

#include <stdatomic.h>
#include <stdio.h>

#include "../shared/database.h"
#include "../shared/program.h"
#include "house.h"
#include "robots.h"

enum { BLOCKS = 10, ROWS = 20, PLACES = 10, NAME_MAX_CHARS = 40, EUROS = 25 };
enum { HELD_MAX = 6, HOLD_MS = 60000, SWEEP_MS = 400, PAUSE_MS = 10000 };

struct app {
  struct program program;
  int64_t robots_count, pace_ms, nodes_count;
  const char *receipts_file, *node; /* of the command line; NULL: not given */
  FILE *receipts;                   /* file for payments that were confirmed to robots; NULL: none */
  char **argv;
  char door[QR_DOOR_BYTES]; /* URL of the page for phones */
  atomic_bool has_door;     /* door is set */
  struct database db;
  vestry_forms *forms;   /* of the application */
  vestry_runtime *clerk; /* a thread for periodic writes */
  vestry_timer *sweeper;
  struct house house; /* contains the node */
  struct robots *robots;
  atomic_uint renders[BLOCKS]; /* renders of each block by this process */
};

/* Return the buyer of a request: a random number of its tab. 0: not known yet. */
int64_t buyer_of(const vestry_request *req);

vestry_err hall_page(vestry_render *render, vestry_html *html, void *app);

extern const vestry_entry sales_entries[]; /* the actions; 0 ends them */
/* Timer function: release expired holds, and begin the next evening. */
void sales_sweep(vestry_timer *timer, void *app);

/* Perform the next step of a robot (robots.h). */
uint64_t robot_buys(struct robot *robot, const char *answer, void *app);

/* Files of this folder, converted to arrays by the build. */
extern const unsigned char boxoffice_css[], schema_sql[], schema_postgres_sql[];
extern const size_t boxoffice_css_len, schema_sql_len, schema_postgres_sql_len;

#endif

/* SPDX-License-Identifier: MIT */
/* What the small examples share: an instance in a server, from the command line to the last answer, and the frame of
 * their pages.
 *
 *    program_start(&program, argc, argv, "hello", "A page that says hello", &(vestry_options){0});
 *    vestry_route(program.v, "GET", "/", hello, &app);
 *    program_wait(&program);
 *    return program_finish(&program); */
#ifndef EXAMPLES_PROGRAM_H
#define EXAMPLES_PROGRAM_H

#include "head.h"
#include "options.h"
#include "vestry/vestry.h"

/* The streams that stay open under one key. */
enum { PAGES_MAX = 1000 };

/* Where these examples keep their streams: none of them tells sessions apart. */
#define NO_SCOPE ((vestry_scope){0})

struct program {
  /* What a program has of its own, set before the start; zero: nothing. */
  const struct option *names; /* of all its options, OPTIONS_OF_ALL among them */
  options_own_fn read_own;    /* takes those of its own, with own as its ctx */
  void *own;
  const char *own_help;
  const unsigned char *style; /* its own, after the one that all have; NULL: small.css */
  size_t style_len;
  bool runs_scripts;          /* it sends script elements of its own: a policy for a client before 1.0.3 lets them in */
  bool (*prepare)(void *own); /* the options have been read, and the instance is to be created: what it needs is opened
                                 here. false: it cannot be, and why has been said */

  vestry *v;
  struct server_options options;
  bool served; /* the server could be started */
};

/* Read the command line, create the instance. Ends the process if that is not to be, or cannot be.
 * about: what --help says in the first line. options: of the instance, the bounds of requests being set where 0 */
void program_start(struct program *program, int argc, char **argv, const char *name, const char *about,
                   const vestry_options *options);
/* Start the server, if that can be, and serve until SIGINT or SIGTERM, then stop it: no handler runs any more, and
 * streams are aborted, so that the browsers come back. */
void program_wait(struct program *program);
/* Destroy the instance. Returns the status of the process. */
int program_finish(struct program *program);

/* Answer with a page: its body by a format of vestry/html.h, in the frame that all have. */
vestry_err program_page(const struct program *program, vestry_reply *reply, const char *title, const char *body, ...)
    VESTRY_PRINTF(4, 5);
/* The same frame around a body that html is given in between; begun here, finished there. */
void program_page_begin(const struct program *program, vestry_reply *reply, vestry_html *html, const char *title);
vestry_err program_page_end(vestry_reply *reply, vestry_html *html);
/* The same frame around what a live page renders: to the beginning of the body, and from behind its content. */
void program_live_begin(const struct program *program, vestry_render *render, vestry_html *html, const char *title);
vestry_err program_live_end(vestry_html *html);

/* A text among a request's signals, borrowed from it; NULL: there is none of at most so many bytes. */
const char *program_text(const vestry_request *req, const char *path, size_t max_bytes);

#endif

/* SPDX-License-Identifier: MIT */
/* Common code of the small examples: an instance in a server, from the command line to the exit status, and the frame
 * of their pages.
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

/* Maximum number of streams under one key. */
enum { PAGES_MAX = 1000 };

/* Scope of the streams of the small examples, which do not distinguish sessions. */
#define NO_SCOPE ((vestry_scope){0})

struct program {
  /* Settings of the program, made before the start; zero: none. */
  const struct option *names; /* all its options, including OPTIONS_OF_ALL */
  options_own_fn read_own;    /* reads the program's own options, with own as its ctx */
  void *own;
  const char *own_help;
  const unsigned char *style; /* its style sheet, after the common one; NULL: small.css */
  size_t style_len;
  bool runs_scripts; /* it sends script elements: the policy for a client before 1.0.3 allows them */

  vestry *v;
  vestry_application *app; /* made by program_create; NULL: by program_start */
  struct server_options options;
  bool served; /* the server was started */
};

/* Read the command line and create the instance. Ends the process after --help and after an error. about: first line of
 * --help. options: of the instance; bounds of requests that are 0 get defaults */
void program_start(struct program *program, int argc, char **argv, const char *name, const char *about,
                   const vestry_options *options);
/* In two steps, for an application (vestry/app/application.h): read the command line, then create the application,
 * whose options need no name and no bounds. Both end the process after an error. */
void program_read(struct program *program, int argc, char **argv, const char *name, const char *about);
void program_create(struct program *program, const vestry_application_options *options);
/* Start the server, serve until SIGINT or SIGTERM, then stop it: no handler runs any more, and streams are aborted, so
 * that the browsers reconnect. */
void program_wait(struct program *program);
/* Destroy the application, or the instance. Returns the status of the process. */
int program_finish(struct program *program);

/* Answer with a page: a body from a format of vestry/html.h, within the common frame. */
vestry_err program_page(const struct program *program, vestry_reply *reply, const char *title, const char *body, ...)
    VESTRY_PRINTF(4, 5);
/* Begin and end the common frame; the caller adds the body to html in between. begin initializes html, end finishes
 * it. */
void program_page_begin(const struct program *program, vestry_reply *reply, vestry_html *html, const char *title);
vestry_err program_page_end(vestry_reply *reply, vestry_html *html);
/* Begin and end the common frame of a live page: up to the beginning of the body, and after its content. */
void program_live_begin(const struct program *program, vestry_render *render, vestry_html *html, const char *title);
vestry_err program_live_end(vestry_html *html);

/* Get a text signal of a request, borrowed from the request; NULL: there is none, or it has more than max_bytes. */
const char *program_text(const vestry_request *req, const char *path, size_t max_bytes);
/* Return whether a text has the form name@example.org, without characters that mail servers reject. */
bool program_is_email(const char *text);

#endif

/* SPDX-License-Identifier: MIT */
/* Common code of the examples, on top of vestry/app/program.h: options for the client, the console and traces, and the
 * frame of their pages.
 *
 *    program_start(&program, argc, argv, "hello", "A page that says hello", &(vestry_options){0});
 *    vestry_route(program.v, "GET", "/", hello, &app);
 *    program_wait(&program);
 *    return program_finish(&program); */
#ifndef EXAMPLES_PROGRAM_H
#define EXAMPLES_PROGRAM_H

#include "client.h"
#include "head.h"
#include "vestry/app/program.h"
#include "vestry/ops/observe.h"
#include "vestry/ops/trace_file.h"
#include "vestry/vestry.h"

/* Maximum number of streams under one key, and of options. */
enum { PAGES_MAX = 1000, OPTIONS_MAX = 16, CONSOLE_URL_BYTES = 64 };

/* Scope of the streams of the small examples, which do not distinguish sessions. */
#define NO_SCOPE ((vestry_scope){0})

struct program {
  /* Settings of the program, made before the start; zero: none. */
  const vestry_program_option *own;              /* its options */
  const vestry_application_options *application; /* with a database: the command line has --db */
  const unsigned char *style;                    /* its style sheet, after the common one; NULL: small.css */
  size_t style_len;
  size_t max_head_bytes; /* of a request; 0: 16,384 */
  bool runs_scripts;     /* it sends script elements: the policy for a client before 1.0.3 allows them */
  void (*on_ready)(vestry_server *server, void *own); /* own: that of the application */

  vestry *v;
  vestry_application *app;           /* made by program_create; NULL: by program_start */
  vestry_program *is;                /* with the values of the command line */
  struct client client;              /* of the pages */
  vestry_application_document frame; /* of the documents of an application */
  vestry_csp policy;                 /* of the frame */
  bool has_console;                  /* set by --console, which exists while program_wait serves */
  vestry_observe_options shown;      /* objects that the console shows, set before by the program */
  const char *trace;                 /* --trace; NULL: not given */
  vestry_trace_file *spans;
  vestry_program_option options[OPTIONS_MAX];
  vestry_file table[3];
  vestry_files *files;
  bool served;
};

/* Read the command line and create the instance. Ends the process after --help and after an error. about: first line of
 * --help. options: of the instance; bounds of requests that are 0 get defaults */
void program_start(struct program *program, int argc, char **argv, const char *name, const char *about,
                   const vestry_options *options);
/* In two steps: read the command line, then create the instance, or the application (vestry/app/application.h), whose
 * options need no name, no bounds and no document. All end the process after an error. */
void program_read(struct program *program, int argc, char **argv, const char *name, const char *about);
void program_instance(struct program *program, const vestry_options *options);
void program_create(struct program *program, const vestry_application_options *options);
/* Start the server, serve until SIGINT or SIGTERM, then stop it: no handler runs any more, and streams are aborted, so
 * that the browsers reconnect. */
void program_wait(struct program *program);
/* Destroy the application, or the instance. Returns the status of the process. */
int program_finish(struct program *program);
/* program_read, program_create with program->application, program_wait and program_finish. */
int program_main(struct program *program, int argc, char **argv, const char *name, const char *about);

/* Print why a value of an option is refused, and end the process. */
_Noreturn void program_refuse(const char *name, const char *option, const char *value, const char *wanted);
/* Return "https" if the server has TLS, otherwise "http". */
const char *program_scheme(const struct program *program);
/* Return whether the console may be mounted; if not, print a message. It serves requests of this machine only, so these
 * must be possible and distinguishable. passes_on: a process of this machine forwards the connections, so that all of
 * them seem to come from this machine */
bool program_allows_console(const struct program *program, bool passes_on);
/* Write the URL of the console at a port, for browsers on this machine. address: NULL: 127.0.0.1 */
void program_console_url(const struct program *program, const char *address, unsigned port,
                         char url[CONSOLE_URL_BYTES]);

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

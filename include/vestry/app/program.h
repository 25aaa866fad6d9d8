/* SPDX-License-Identifier: MIT */
/** A program of an application: its command line, its server, signals, and an orderly end.
 *
 *      int main(int argc, char **argv) {
 *        static const vestry_program_adapter adapters[] = {{&vestry_server_microhttpd, NULL}, {NULL, NULL}};
 *        const vestry_program_options options = {
 *            .about = "A shelf of notes", .adapters = adapters, .application = &shelf};
 *        return vestry_program_main(argc, argv, &options);
 *      }
 *
 *  The options of the command line are those of the program, and:
 *
 *      --port N              port to listen on; 0: a free one
 *      --listen ADDRESS      address to listen on
 *      --unix-socket PATH    UNIX socket to listen on instead, for a proxy
 *      --adapter NAME        server, if there are several
 *      --threads N           threads of the server
 *      --streams N           maximum number of open streams
 *      --certificate FILE    key and certificate in PEM, for TLS
 *      --no-tls              HTTP without TLS, where the server has it by default
 *      --behind-proxy        clients reach the server only through a proxy (vestry_options.is_behind_proxy)
 *      --db PLACE            file or URL of the database, if there is one
 *      --log LEVEL           error, warn, info or debug
 *      --help
 *
 *  A value follows as the next argument, or after "=". If an option is repeated, its last value counts. */
#ifndef VESTRY_PROGRAM_H
#define VESTRY_PROGRAM_H

#include "vestry/app/application.h"

#ifdef __cplusplus
extern "C" {
#endif

/** A server that the command line can select. The table ends with zeros; its first one is the default. */
typedef struct vestry_program_adapter {
  const vestry_server_adapter *server; /**< its name is the value of --adapter */
  /** Make a key and a certificate, for a server that has TLS unless --no-tls or --unix-socket is given, such as
   *  vestry_h2_certificate. pem: at least 4,096 bytes. NULL: TLS only with --certificate */
  vestry_err (*make_certificate)(const char *address, char *pem);
} vestry_program_adapter;

/** An option of a program's command line. The table ends with zeros. */
typedef struct vestry_program_option {
  const char *name;     /**< without "--" */
  const char *argument; /**< word for its value in the help, such as "FILE"; NULL: it has no value, and sets a bool */
  const char *help;     /**< its description; a line feed begins a line */
  vestry_into into;     /**< receives the value: an integer, also within bounds, a number, a text or a bool. A text is
                             borrowed from argv */
} vestry_program_option;

/** Options of a program. Zero selects the default, which is given in [brackets]. */
typedef struct vestry_program_options {
  const char *name;                              /**< for messages [that of the application] */
  const char *about;                             /**< first line of --help [""] */
  const vestry_program_adapter *adapters;        /**< mandatory; borrowed until vestry_program_end, as the next two */
  const vestry_program_option *options;          /**< own options [none] */
  const vestry_application_options *application; /**< the application; its name is that of the program */
  uint16_t port;                                 /**< where --port does not select another one [8080] */
  uint64_t drain_ms;                             /**< as in vestry_server_options [0: all streams at once] */
  uint64_t stop_ms;                              /**< as in vestry_server_options [5,000] */
  void (*on_ready)(vestry_server *server, void *own); /**< called when the server listens, after its URL was printed
                                                           [none] */
  void *ready_own;                                    /**< passed to on_ready [own of the application] */
  uint32_t max_streams;   /**< maximum number of open streams where --streams does not select another one, as in
                               vestry_server_options [10,000; civetweb: as many as its threads] */
  uint32_t threads_count; /**< threads of the server where --threads does not select another number, as in
                               vestry_server_options [as many as the adapter needs] */
  size_t max_head_bytes;  /**< maximum size of a request's head, as in vestry_server_options [16,384] */
} vestry_program_options;

/** A program whose command line was read. Read only. */
typedef struct vestry_program {
  const char *name;                     /**< for messages */
  vestry_application *app;              /**< NULL before vestry_program_begin */
  const vestry_server_adapter *adapter; /**< that of --adapter */
  const vestry_server_options *server;  /**< with the values of the command line */
  const char *database;                 /**< of --db; NULL: not given */
} vestry_program;

/** Run a program: vestry_program_read, _begin, _serve and _end.
 *  Returns  the status for the process: 0, also for --help; 1: the program could not start or be served; 2: a wrong
 *           command line. The reason was printed to stderr, or is in the log
 *  Threads  main; blocks until SIGINT, SIGTERM or vestry_server_end */
VESTRY_API int vestry_program_main(int argc, char **argv, const vestry_program_options *options);

/** Read the command line. Prints the help, or the reason of an error.
 *  options      its texts and argv are borrowed until vestry_program_end
 *  ret_program  owned by the caller, for vestry_program_end; untouched if the process has to end
 *  Returns      -1: continue | the status with which the process has to end
 *  Threads      main */
VESTRY_API int vestry_program_read(int argc, char **argv, const vestry_program_options *options,
                                   vestry_program **ret_program);
/** Create the application at the place of the command line.
 *  application  NULL: that of the options
 *  Returns      OK | the errors of vestry_application_create, after the reason was logged
 *  Threads      as vestry_application_create */
VESTRY_API vestry_err vestry_program_begin(vestry_program *program, const vestry_application_options *application);
/** Serve until SIGINT, SIGTERM or vestry_server_end. Prints the URL when the server listens.
 *  v        an instance of the program itself, instead of an application; NULL: the application
 *  Returns  OK | INVALID | the errors of vestry_application_run, after the reason was printed
 *  Threads  main; blocks */
VESTRY_API vestry_err vestry_program_serve(vestry_program *program, vestry *v);
/** Destroy the application and the program. NULL is accepted.
 *  Returns  0: the program was served; otherwise 1
 *  Threads  as vestry_application_destroy */
VESTRY_API int vestry_program_end(vestry_program *program);

#ifdef __cplusplus
}
#endif
#endif

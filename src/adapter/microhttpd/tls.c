/* SPDX-License-Identifier: MIT */
/* The certificates of a server and its key for session tickets, of which each TLS session gets the latest. */
#include "adapter/microhttpd/tls.h"

#include <errno.h>
#include <fcntl.h>
#include <gnutls/x509.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "base/memory.h"
#include "base/mutex.h"

/* TLS 1.3, and the ciphers of TLS 1.2 that HTTP/2 permits (RFC 9113, 9.2.2). X25519 comes first, because browsers send
 * a key share for it, and for no other group that GnuTLS has: otherwise each handshake needs another round trip. */
#define PRIORITY                                                                                                       \
  "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2:-KX-ALL:+ECDHE-ECDSA:+ECDHE-RSA:-CIPHER-ALL:+AES-128-GCM:+AES-256-GCM:"  \
  "+CHACHA20-POLY1305:-MAC-ALL:+AEAD:-GROUP-ALL:+GROUP-X25519:+GROUP-SECP256R1:+GROUP-SECP384R1:"                      \
  "+GROUP-SECP521R1:%SERVER_PRECEDENCE"

#define DAY_NS UINT64_C(86400000000000)

/* MOST_MESSAGE_BYTES: of a message of a handshake. GnuTLS would take 128 KiB, which 1,000 clients could hold. */
enum { MOST_FILE_BYTES = 256 << 10, MOST_MESSAGE_BYTES = 20 << 10, NAME_BYTES = 256, MOST_PROTOCOLS = 2 };

/* A pair for clients that request one of its names. */
typedef struct named {
  gnutls_x509_crt_t leaf;
  gnutls_certificate_credentials_t credentials; /* the pair, and others whose first name is the same */
} named;

/* Certificates are never freed before all sessions have ended, because sessions refer to them. */
typedef struct certificates {
  gnutls_certificate_credentials_t credentials; /* all pairs */
  size_t count;                                 /* of the pairs */
  named *named;                                 /* one for each pair; NULL: there is one pair */
  struct certificates *next;
} certificates;

struct vsi_tls {
  const vestry_host *host;
  gnutls_priority_t priority;
  char **files;         /* keys and certificates alternate, ended by NULL; NULL: none */
  vsi_mutex tls_lock;   /* innermost */
  certificates *latest; /* guarded by tls_lock, as are the next members; the former ones follow it */
  gnutls_datum_t ticket_key;
  uint64_t ticket_ns; /* when it was made */
};

/* Return the number of texts before the NULL that ends them. texts NULL: 0 */
static size_t count_of(const char *const *texts) {
  size_t count = 0;
  while (texts && texts[count]) count++;
  return count;
}

static gnutls_datum_t datum_of(const char *text) {
  return (gnutls_datum_t){(unsigned char *)(uintptr_t)text, (unsigned)strlen(text)};
}

/* ------------------------------------------------------------------------------------------------------- files ---- */

/* Read a file: 0, or errno. ret_text: owned. */
static int read_file(const vestry_host *host, const char *path, char **ret_text) {
  const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  size_t len = 0;
  int error = fd < 0 ? errno : 0;
  char *text = vsi_alloc(host, MOST_FILE_BYTES + 1);
  if (!error && !text) error = ENOMEM;
  for (ssize_t got = 1; !error && got; len += got > 0 ? (size_t)got : 0) {
    got = read(fd, text + len, MOST_FILE_BYTES + 1 - len);
    if (got < 0 && errno != EINTR) error = errno;
    if (len + (size_t)(got > 0 ? got : 0) > MOST_FILE_BYTES) error = EFBIG;
  }
  if (fd >= 0) close(fd);
  if (!error) {
    text[len] = '\0';
    *ret_text = vsi_strdup(host, text, strlen(text));
    if (!*ret_text) error = ENOMEM;
  }
  if (text) gnutls_memset(text, 0, MOST_FILE_BYTES + 1);
  vsi_free(host, text);
  return error;
}

void vsi_texts_forget(const vestry_host *host, char **texts) {
  for (char **at = texts; at && *at; at++) {
    gnutls_memset(*at, 0, strlen(*at));
    vsi_free(host, *at);
  }
  vsi_free(host, texts);
}

vestry_err vsi_texts_copy(const vestry_host *host, const char *const *texts, char ***ret_copies) {
  const size_t count = count_of(texts);
  if (!texts) return VESTRY_OK;
  char **copies = vsi_calloc(host, count + 1, sizeof *copies);
  *ret_copies = copies;
  for (size_t i = 0; copies && i < count; i++)
    if (!(copies[i] = vsi_strdup(host, texts[i], strlen(texts[i])))) return VESTRY_NO_MEMORY;
  return copies ? VESTRY_OK : VESTRY_NO_MEMORY;
}

/* Read the files: OK | NO_MEMORY | IO (logged). ret_texts: for vsi_texts_forget. */
static vestry_err read_files(const vsi_tls *tls, const char *function, bool is_renewal, char ***ret_texts) {
  const size_t count = count_of((const char *const *)tls->files);
  char **texts = vsi_calloc(tls->host, count + 1, sizeof *texts);
  int error = texts ? 0 : ENOMEM;
  for (size_t i = 0; !error && i < count; i++) {
    error = read_file(tls->host, tls->files[i], &texts[i]);
    if (error && error != ENOMEM)
      vsi_log(tls->host, VESTRY_LOG_ERROR, "%s: cannot read %s: %s%s", function, tls->files[i], strerror(error),
              is_renewal ? "; the former certificates stay" : "");
  }
  if (!error) {
    *ret_texts = texts;
    return VESTRY_OK;
  }
  vsi_texts_forget(tls->host, texts);
  return error == ENOMEM ? VESTRY_NO_MEMORY : VESTRY_IO;
}

/* ------------------------------------------------------------------------------------------------------- pairs ---- */

/* Return whether a text in PEM has the end of each part. GnuTLS ignores the beginning of a last part, which is the
 * chain of a file that is being written. */
static bool is_whole(const char *text) {
  static const char begin[] = "-----BEGIN ", end[] = "-----END ";
  const char *rest = text;
  for (const char *at = strstr(text, begin); at; at = strstr(rest, begin)) {
    const char *next = strstr(at + sizeof begin - 1, begin), *over = strstr(at, end);
    if (!over || (next && next < over)) return false;
    rest = strstr(over + sizeof end - 1, "-----");
    if (!rest) return false;
    rest += strlen("-----");
  }
  rest += strspn(rest, " \t\r\n");
  return !*rest || strncmp(begin, rest, strlen(rest)) != 0;
}

/* Return the certificate of a pair, for gnutls_x509_crt_deinit; NULL: no memory. */
static gnutls_x509_crt_t leaf_of(gnutls_certificate_credentials_t credentials, size_t pair) {
  gnutls_x509_crt_t *chain, leaf = NULL;
  unsigned count;
  if (gnutls_certificate_get_x509_crt(credentials, (unsigned)pair, &chain, &count)) return NULL;
  if (count) leaf = *chain;
  for (unsigned i = 1; i < count; i++) gnutls_x509_crt_deinit(chain[i]);
  gnutls_free(chain);
  return leaf;
}

/* A certificate is valid from `from` until `until`; both 0: never. */
typedef struct validity {
  time_t from, until;
} validity;

static validity validity_of(gnutls_certificate_credentials_t credentials, size_t pair) {
  gnutls_x509_crt_t leaf = leaf_of(credentials, pair);
  if (!leaf) return (validity){0, 0};
  const validity found = {gnutls_x509_crt_get_activation_time(leaf), gnutls_x509_crt_get_expiration_time(leaf)};
  gnutls_x509_crt_deinit(leaf);
  return found;
}

static bool is_valid_at(validity of, time_t now) {
  return of.from <= now && now < of.until;
}

/* Pairs of a call: texts, and where they are from. */
typedef struct source {
  const vsi_tls *tls;
  const char *function;
  const char *const *texts, *const *files; /* files NULL: none */
  gnutls_certificate_credentials_t former; /* NULL: none */
} source;

static void log_pair(const source *from, vestry_log_level level, size_t pair, const char *fault) {
  const char *stay = from->former && level == VESTRY_LOG_ERROR ? "; the former certificates stay" : "";
  if (from->files)
    vsi_log(from->tls->host, level, "%s: the key %s and the certificate %s %s%s", from->function, from->files[2 * pair],
            from->files[2 * pair + 1], fault, stay);
  else
    vsi_log(from->tls->host, level, "%s: the key and the certificate of pair %zu %s%s", from->function, pair + 1, fault,
            stay);
}

/* A certificate that is not valid now must not replace one that is. But it does not prevent the renewal of the other
 * pairs, nor a start, if it makes nothing worse. */
static int check_validity(const source *from, gnutls_certificate_credentials_t credentials, size_t pair) {
  enum { DAY_BYTES = 16 };
  const time_t now = time(NULL);
  const validity made = validity_of(credentials, pair);
  char fault[128], begin[DAY_BYTES] = "?", end[DAY_BYTES] = "?";
  struct tm day;
  if (is_valid_at(made, now)) return 0;
  const bool is_worse = from->former && is_valid_at(validity_of(from->former, pair), now);
  if (gmtime_r(&made.from, &day)) strftime(begin, sizeof begin, "%Y-%m-%d", &day);
  if (gmtime_r(&made.until, &day)) strftime(end, sizeof end, "%Y-%m-%d", &day);
  snprintf(fault, sizeof fault, "%s: the certificate is valid from %s to %s only",
           is_worse ? "cannot be used" : "are not valid today", begin, end);
  log_pair(from, is_worse ? VESTRY_LOG_ERROR : VESTRY_LOG_WARN, pair, fault);
  return is_worse ? GNUTLS_E_EXPIRED : 0;
}

static int set_pair(const source *from, gnutls_certificate_credentials_t credentials, size_t pair) {
  const gnutls_datum_t key = datum_of(from->texts[2 * pair]), certificate = datum_of(from->texts[2 * pair + 1]);
  return gnutls_certificate_set_x509_key_mem(credentials, &certificate, &key, GNUTLS_X509_FMT_PEM);
}

static int add_pair(const source *from, gnutls_certificate_credentials_t credentials, size_t pair) {
  char fault[256];
  int error = GNUTLS_E_PREMATURE_TERMINATION;
  const char *reason = "a text has no end, as if the file were still being written";
  if (is_whole(from->texts[2 * pair]) && is_whole(from->texts[2 * pair + 1])) {
    error = set_pair(from, credentials, pair);
    reason = gnutls_strerror(error);
  }
  if (error >= 0) return check_validity(from, credentials, pair);
  if (error == GNUTLS_E_MEMORY_ERROR) return error;
  snprintf(fault, sizeof fault, "cannot be used: %s; both must be in PEM, and belong together", reason);
  log_pair(from, VESTRY_LOG_ERROR, pair, fault);
  return error;
}

static bool have_same_name(gnutls_x509_crt_t a, gnutls_x509_crt_t b) {
  char name_a[NAME_BYTES], name_b[NAME_BYTES];
  size_t len_a = sizeof name_a, len_b = sizeof name_b;
  return gnutls_x509_crt_get_subject_alt_name(a, 0, name_a, &len_a, NULL) >= 0 &&
         gnutls_x509_crt_get_subject_alt_name(b, 0, name_b, &len_b, NULL) >= 0 && len_a == len_b &&
         memcmp(name_a, name_b, len_a) == 0;
}

/* Make the pairs for single names. Certificates of different algorithms for the same name stay together. */
static int add_named(const source *from, certificates *made) {
  int error = 0;
  if (made->count < 2) return 0;
  made->named = vsi_calloc(from->tls->host, made->count, sizeof *made->named);
  if (!made->named) return GNUTLS_E_MEMORY_ERROR;
  for (size_t i = 0; i < made->count; i++)
    if (!(made->named[i].leaf = leaf_of(made->credentials, i))) return GNUTLS_E_MEMORY_ERROR;
  for (size_t i = 0; i < made->count && error >= 0; i++) {
    named *to = &made->named[i];
    error = gnutls_certificate_allocate_credentials(&to->credentials);
    if (error >= 0) error = set_pair(from, to->credentials, i);
    for (size_t k = 0; k < made->count && error >= 0; k++)
      if (k != i && have_same_name(to->leaf, made->named[k].leaf)) error = set_pair(from, to->credentials, k);
  }
  return error;
}

static void free_certificates(const vestry_host *host, certificates *of) {
  for (size_t i = 0; of->named && i < of->count; i++) {
    if (of->named[i].leaf) gnutls_x509_crt_deinit(of->named[i].leaf);
    if (of->named[i].credentials) gnutls_certificate_free_credentials(of->named[i].credentials);
  }
  vsi_free(host, of->named);
  if (of->credentials) gnutls_certificate_free_credentials(of->credentials);
  vsi_free(host, of);
}

/* Read pairs: OK | NO_MEMORY | IO (logged) */
static vestry_err read_pairs(const source *from, certificates **ret_certificates) {
  const vestry_host *host = from->tls->host;
  certificates *made = vsi_calloc(host, 1, sizeof *made);
  if (!made) return VESTRY_NO_MEMORY;
  int error = gnutls_certificate_allocate_credentials(&made->credentials);
  for (; error >= 0 && from->texts[2 * made->count]; made->count++)
    error = add_pair(from, made->credentials, made->count);
  if (error >= 0) error = add_named(from, made);
  if (error >= 0) {
    *ret_certificates = made;
    return VESTRY_OK;
  }
  free_certificates(host, made);
  return error == GNUTLS_E_MEMORY_ERROR ? VESTRY_NO_MEMORY : VESTRY_IO;
}

/* -------------------------------------------------------------------------------------------------------- life ---- */

const char *vsi_tls_find_conflict(const vsi_tls_options *options) {
  if (!options->key != !options->certificate || !!options->key + !!options->pairs + !!options->files > 1)
    return "tls_key and tls_certificate must be set together, and not beside tls_pairs or tls_files";
  if (count_of(options->pairs) % 2 || count_of(options->files) % 2)
    return "tls_pairs or tls_files has a key without a certificate";
  if ((options->pairs && !*options->pairs) || (options->files && !*options->files))
    return "tls_pairs or tls_files is empty; set neither for a server without TLS";
  return NULL;
}

/* Read the first pairs. */
static vestry_err begin(vsi_tls *tls, const char *function, const vsi_tls_options *options) {
  const char *const single[] = {options->key, options->certificate, NULL};
  const char *const *pairs = options->pairs ? options->pairs : single;
  char **read = NULL;
  if (gnutls_priority_init(&tls->priority, PRIORITY, NULL) || gnutls_session_ticket_key_generate(&tls->ticket_key))
    return VESTRY_NO_MEMORY;
  tls->ticket_ns = vsi_now_ns(tls->host);
  vestry_err error = vsi_texts_copy(tls->host, options->files, &tls->files);
  if (!error && tls->files) error = read_files(tls, function, false, &read);
  if (read) pairs = (const char *const *)read;
  const source from = {tls, function, pairs, (const char *const *)tls->files, NULL};
  if (!error) error = read_pairs(&from, &tls->latest);
  vsi_texts_forget(tls->host, read);
  return error;
}

vestry_err vsi_tls_create(const vestry_host *host, const char *function, const vsi_tls_options *options,
                          vsi_tls **ret_tls) {
  if (!options->key && !options->pairs && !options->files) return VESTRY_OK;
  vsi_tls *tls = vsi_calloc(host, 1, sizeof *tls);
  if (!tls) return VESTRY_NO_MEMORY;
  tls->host = host;
  vsi_mutex_init(&tls->tls_lock, VSI_LOCK_TLS);
  const vestry_err error = begin(tls, function, options);
  if (error)
    vsi_tls_destroy(tls);
  else
    *ret_tls = tls;
  return error;
}

void vsi_tls_destroy(vsi_tls *tls) {
  if (!tls) return;
  for (certificates *at = tls->latest, *next; at; at = next) {
    next = at->next;
    free_certificates(tls->host, at);
  }
  if (tls->priority) gnutls_priority_deinit(tls->priority);
  if (tls->ticket_key.data) gnutls_memset(tls->ticket_key.data, 0, tls->ticket_key.size);
  gnutls_free(tls->ticket_key.data);
  vsi_texts_forget(tls->host, tls->files);
  vsi_mutex_finish(&tls->tls_lock);
  vsi_free(tls->host, tls);
}

/* Two renewals at a time are in some order. */
static vestry_err replace(vsi_tls *tls, const char *function, const char *const *pairs, const char *const *files) {
  certificates *made;
  vsi_mutex_lock(&tls->tls_lock);
  gnutls_certificate_credentials_t former = tls->latest->credentials; /* it exists until all sessions have ended */
  vsi_mutex_unlock(&tls->tls_lock);
  const source from = {tls, function, pairs, files, former};
  const vestry_err error = read_pairs(&from, &made);
  if (error) return error;
  vsi_mutex_lock(&tls->tls_lock);
  made->next = tls->latest;
  tls->latest = made;
  vsi_mutex_unlock(&tls->tls_lock);
  return VESTRY_OK;
}

vestry_err vsi_tls_renew(vsi_tls *tls, const vestry_host *host, const char *const *pairs) {
  static const char function[] = "vestry_server_renew";
  char **read = NULL;
  if (!tls || (!pairs && !tls->files) || (pairs && !*pairs) || count_of(pairs) % 2)
    return vsi_mistake(host, function, "the server has no TLS, or there is no pair, or a key without a certificate");
  if (pairs) return replace(tls, function, pairs, NULL);
  vestry_err error = read_files(tls, function, true, &read);
  if (!error) error = replace(tls, function, (const char *const *)read, (const char *const *)tls->files);
  vsi_texts_forget(host, read);
  return error;
}

/* ------------------------------------------------------------------------------------------------------ alerts ---- */

/* GnuTLS returns the error of a handshake to libmicrohttpd, which sends no alert, but logs a line at once. So each step
 * notes the alert that its failure needs:
 *
 *   the ClientHello is read     protocol_version if it is older than TLS 1.2, else no_application_protocol
 *   select_pair is called       handshake_failure: there is no common cipher, curve or signature
 *   a message is sent           none */
static _Thread_local struct {
  gnutls_session_t session; /* whose ClientHello this thread has read last; NULL: it is accepted */
  gnutls_alert_description_t why;
} shaking;

static void note(gnutls_session_t session, gnutls_alert_description_t why) {
  shaking.session = session;
  shaking.why = why;
}

/* Implements gnutls_handshake_hook_func. message: a ClientHello begins with the version (RFC 8446, 4.1.2). */
static int follow(gnutls_session_t session, unsigned type, unsigned when, unsigned incoming,
                  const gnutls_datum_t *message) {
  enum { TLS1_2 = 0x0303 };
  (void)when;
  if (!incoming) shaking.session = NULL;
  if (type != GNUTLS_HANDSHAKE_CLIENT_HELLO) return 0;
  const bool is_old = message->size > 1 && (message->data[0] << 8 | message->data[1]) < TLS1_2;
  note(session, is_old ? GNUTLS_A_PROTOCOL_VERSION : GNUTLS_A_NO_APPLICATION_PROTOCOL);
  return 0;
}

void vsi_tls_refuse(void) {
  if (shaking.session) (void)gnutls_alert_send(shaking.session, GNUTLS_AL_FATAL, shaking.why);
  shaking.session = NULL;
}

/* --------------------------------------------------------------------------------------------------- a session ---- */

/* GnuTLS derives keys for tickets from this one, and changes them every few hours. It is replaced once a day, so that a
 * later thief of this process's memory cannot read older sessions. */
static void renew_ticket_key_locked(vsi_tls *tls) {
  gnutls_datum_t made;
  const uint64_t now_ns = vsi_now_ns(tls->host);
  if (now_ns - tls->ticket_ns < DAY_NS || gnutls_session_ticket_key_generate(&made)) return;
  gnutls_memset(tls->ticket_key.data, 0, tls->ticket_key.size);
  gnutls_free(tls->ticket_key.data);
  tls->ticket_key = made;
  tls->ticket_ns = now_ns;
}

/* Select the certificate for the name that the client requests, which GnuTLS does not for names with wildcards. An
 * exact name is preferred. GnuTLS calls it when the client's version and protocols are accepted, and its ciphers are
 * not looked at yet. */
static int select_pair(gnutls_session_t session) {
  static const unsigned flags[] = {GNUTLS_VERIFY_DO_NOT_ALLOW_WILDCARDS, 0};
  const certificates *of = gnutls_db_get_ptr(session);
  note(session, GNUTLS_A_HANDSHAKE_FAILURE);
  if (!of->named) return 0;
  char name[NAME_BYTES];
  size_t len = sizeof name;
  unsigned type;
  if (gnutls_server_name_get(session, name, &len, &type, 0) || type != GNUTLS_NAME_DNS) return 0;
  for (size_t i = 0; i < sizeof flags / sizeof *flags; i++)
    for (const named *at = of->named; at < of->named + of->count; at++)
      if (gnutls_x509_crt_check_hostname2(at->leaf, name, flags[i]))
        return gnutls_credentials_set(session, GNUTLS_CRD_CERTIFICATE, at->credentials);
  return 0;
}

bool vsi_tls_secure(vsi_tls *tls, gnutls_session_t session, const char *const *protocols) {
  gnutls_datum_t accepted[MOST_PROTOCOLS];
  const size_t count = count_of(protocols);
  for (size_t i = 0; i < count; i++) accepted[i] = datum_of(protocols[i]);
  gnutls_handshake_set_max_packet_length(session, MOST_MESSAGE_BYTES);
  if (gnutls_priority_set(session, tls->priority) ||
      gnutls_alpn_set_protocols(session, accepted, (unsigned)count, GNUTLS_ALPN_MANDATORY))
    return false;
  vsi_mutex_lock(&tls->tls_lock);
  renew_ticket_key_locked(tls);
  const bool is_secure = !gnutls_session_ticket_enable_server(session, &tls->ticket_key) &&
                         !gnutls_credentials_set(session, GNUTLS_CRD_CERTIFICATE, tls->latest->credentials);
  gnutls_db_set_ptr(session, tls->latest); /* for select_pair; there is no such database */
  gnutls_handshake_set_post_client_hello_function(session, select_pair);
  gnutls_handshake_set_hook_function(session, GNUTLS_HANDSHAKE_ANY, GNUTLS_HOOK_PRE, follow);
  vsi_mutex_unlock(&tls->tls_lock);
  return is_secure;
}

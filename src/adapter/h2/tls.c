/* SPDX-License-Identifier: MIT */
/* TLS of HTTP/2, and the decision which protocol a connection begins with. */
#include "adapter/h2/adapter.h"

#include <errno.h>
#include <fcntl.h>
#include <gnutls/x509.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"

/* TLS 1.3, and the ciphers of TLS 1.2 that HTTP/2 permits (RFC 9113, 9.2.2). X25519 comes first, because browsers send
 * a key share for it, and for no other group that GnuTLS has: otherwise each handshake needs another round trip. */
#define PRIORITY                                                                                                       \
  "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2:-KX-ALL:+ECDHE-ECDSA:+ECDHE-RSA:-CIPHER-ALL:+AES-128-GCM:+AES-256-GCM:"  \
  "+CHACHA20-POLY1305:-MAC-ALL:+AEAD:-GROUP-ALL:+GROUP-X25519:+GROUP-SECP256R1:+GROUP-SECP384R1:"                      \
  "+GROUP-SECP521R1:%SERVER_PRECEDENCE"

#define DAY_NS UINT64_C(86400000000000)

/* MOST_MESSAGE_BYTES: of a message of a handshake. GnuTLS would take 128 KiB, which 1,000 clients could hold. */
enum { MOST_FILE_BYTES = 256 << 10, MOST_MESSAGE_BYTES = 20 << 10, NAME_BYTES = 256 };

/* A pair for clients that request one of its names. */
typedef struct named {
  gnutls_x509_crt_t leaf;
  gnutls_certificate_credentials_t credentials; /* the pair, and others whose first name is the same */
} named;

/* Certificates are never freed while the adapter exists, because sessions refer to them. */
typedef struct vsi_h2_certificates {
  gnutls_certificate_credentials_t credentials; /* all pairs */
  size_t count;                                 /* of the pairs */
  named *named;                                 /* one for each pair; NULL: there is one pair */
  struct vsi_h2_certificates *next;
} vsi_h2_certificates;

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

void vsi_h2_tls_forget(const vestry_host *host, char **texts) {
  for (char **at = texts; at && *at; at++) {
    gnutls_memset(*at, 0, strlen(*at));
    vsi_free(host, *at);
  }
  vsi_free(host, texts);
}

vestry_err vsi_h2_tls_read(const vsi_h2 *adapter, bool is_renewal, char ***ret_texts) {
  const char *function = is_renewal ? "vestry_h2_renew" : "vestry_h2_create";
  const vestry_host *host = adapter->host;
  size_t count = 0;
  while (adapter->files[count]) count++;
  char **texts = vsi_calloc(host, count + 1, sizeof *texts);
  int error = texts ? 0 : ENOMEM;
  for (size_t i = 0; !error && i < count; i++) {
    error = read_file(host, adapter->files[i], &texts[i]);
    if (error && error != ENOMEM)
      vsi_log(host, VESTRY_LOG_ERROR, "%s: cannot read %s: %s%s", function, adapter->files[i], strerror(error),
              is_renewal ? "; the former certificates stay" : "");
  }
  if (!error) {
    *ret_texts = texts;
    return VESTRY_OK;
  }
  vsi_h2_tls_forget(host, texts);
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
  vsi_h2 *adapter;
  const char *function;
  const char *const *texts, *const *files; /* files NULL: none */
  gnutls_certificate_credentials_t former; /* NULL: none */
} source;

static void log_pair(const source *from, vestry_log_level level, size_t pair, const char *fault) {
  const char *stay = from->former && level == VESTRY_LOG_ERROR ? "; the former certificates stay" : "";
  if (from->files)
    vsi_log(from->adapter->host, level, "%s: the key %s and the certificate %s %s%s", from->function,
            from->files[2 * pair], from->files[2 * pair + 1], fault, stay);
  else
    vsi_log(from->adapter->host, level, "%s: the key and the certificate of pair %zu %s%s", from->function, pair + 1,
            fault, stay);
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
static int add_named(const source *from, vsi_h2_certificates *made) {
  int error = 0;
  if (made->count < 2) return 0;
  made->named = vsi_calloc(from->adapter->host, made->count, sizeof *made->named);
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

static void free_certificates(const vestry_host *host, vsi_h2_certificates *certificates) {
  for (size_t i = 0; certificates->named && i < certificates->count; i++) {
    if (certificates->named[i].leaf) gnutls_x509_crt_deinit(certificates->named[i].leaf);
    if (certificates->named[i].credentials) gnutls_certificate_free_credentials(certificates->named[i].credentials);
  }
  vsi_free(host, certificates->named);
  if (certificates->credentials) gnutls_certificate_free_credentials(certificates->credentials);
  vsi_free(host, certificates);
}

/* Read pairs: OK | NO_MEMORY | IO (logged) */
static vestry_err read_pairs(const source *from, vsi_h2_certificates **ret_certificates) {
  const vestry_host *host = from->adapter->host;
  vsi_h2_certificates *made = vsi_calloc(host, 1, sizeof *made);
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

/* Return the names of the files that the pairs were read from; NULL: they are texts of the application. */
static const char *const *files_of(const vsi_h2 *adapter, bool is_from_files) {
  return is_from_files ? (const char *const *)adapter->files : NULL;
}

vestry_err vsi_h2_tls_init(vsi_h2 *adapter, const char *const *pairs) {
  const source from = {adapter, "vestry_h2_create", pairs, files_of(adapter, adapter->files), NULL};
  if (gnutls_priority_init(&adapter->priority, PRIORITY, NULL) ||
      gnutls_session_ticket_key_generate(&adapter->ticket_key))
    return VESTRY_NO_MEMORY;
  adapter->ticket_ns = vsi_now_ns(adapter->host);
  adapter->is_tls = true;
  return read_pairs(&from, &adapter->latest);
}

void vsi_h2_tls_finish(vsi_h2 *adapter) {
  for (vsi_h2_certificates *at = adapter->latest, *next; at; at = next) {
    next = at->next;
    free_certificates(adapter->host, at);
  }
  if (adapter->priority) gnutls_priority_deinit(adapter->priority);
  if (adapter->ticket_key.data) gnutls_memset(adapter->ticket_key.data, 0, adapter->ticket_key.size);
  gnutls_free(adapter->ticket_key.data);
}

/* Two renewals at a time are in some order. */
vestry_err vsi_h2_tls_renew(vsi_h2 *adapter, const char *const *pairs, bool is_from_files) {
  vsi_h2_certificates *made;
  vsi_mutex_lock(&adapter->tls_lock);
  gnutls_certificate_credentials_t former = adapter->latest->credentials; /* it exists until the adapter ends */
  vsi_mutex_unlock(&adapter->tls_lock);
  const source from = {adapter, "vestry_h2_renew", pairs, files_of(adapter, is_from_files), former};
  const vestry_err error = read_pairs(&from, &made);
  if (error) return error;
  vsi_mutex_lock(&adapter->tls_lock);
  made->next = adapter->latest;
  adapter->latest = made;
  vsi_mutex_unlock(&adapter->tls_lock);
  return VESTRY_OK;
}

/* --------------------------------------------------------------------------------------------------- a session ---- */

/* GnuTLS derives keys for tickets from this one, and changes them every few hours. It is replaced once a day, so that a
 * later thief of this process's memory cannot read older sessions. */
static void renew_ticket_key_locked(vsi_h2 *adapter) {
  gnutls_datum_t made;
  const uint64_t now_ns = vsi_now_ns(adapter->host);
  if (now_ns - adapter->ticket_ns < DAY_NS || gnutls_session_ticket_key_generate(&made)) return;
  gnutls_memset(adapter->ticket_key.data, 0, adapter->ticket_key.size);
  gnutls_free(adapter->ticket_key.data);
  adapter->ticket_key = made;
  adapter->ticket_ns = now_ns;
}

/* Select the certificate for the name that the client requests, which GnuTLS does not for names with wildcards. An
 * exact name is preferred. */
static int select_pair(gnutls_session_t session) {
  static const unsigned flags[] = {GNUTLS_VERIFY_DO_NOT_ALLOW_WILDCARDS, 0};
  const vsi_h2_certificates *of = gnutls_db_get_ptr(session);
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

/* Give a session the latest certificates, and a key for tickets. */
static bool secure(vsi_h2 *adapter, gnutls_session_t session) {
  vsi_mutex_lock(&adapter->tls_lock);
  renew_ticket_key_locked(adapter);
  gnutls_db_set_ptr(session, adapter->latest); /* for select_pair; there is no such database */
  if (adapter->latest->named) gnutls_handshake_set_post_client_hello_function(session, select_pair);
  const bool is_secure = !gnutls_priority_set(session, adapter->priority) &&
                         !gnutls_credentials_set(session, GNUTLS_CRD_CERTIFICATE, adapter->latest->credentials) &&
                         !gnutls_session_ticket_enable_server(session, &adapter->ticket_key);
  vsi_mutex_unlock(&adapter->tls_lock);
  return is_secure;
}

/* A session of HTTP/1.1 keeps what libmicrohttpd has given it if there is no memory for more. A client that offers
 * other protocols only is refused (RFC 7301, 3.2), so that no other server's bytes are taken for a request. */
void vsi_h2_tls_secure(void *adapter, gnutls_session_t session) {
  const gnutls_datum_t protocols[] = {datum_of("http/1.1"), datum_of("http/1.0")};
  (void)secure(adapter, session);
  (void)gnutls_alpn_set_protocols(session, protocols, 2, GNUTLS_ALPN_MANDATORY);
}

gnutls_session_t vsi_h2_tls_begin(vsi_h2 *adapter, int fd) {
  const gnutls_datum_t protocol = datum_of("h2");
  gnutls_session_t session;
  if (gnutls_init(&session, GNUTLS_SERVER | GNUTLS_NONBLOCK | GNUTLS_NO_SIGNAL)) return NULL;
  if (!secure(adapter, session) || gnutls_alpn_set_protocols(session, &protocol, 1, GNUTLS_ALPN_MANDATORY)) {
    gnutls_deinit(session);
    return NULL;
  }
  gnutls_handshake_set_max_packet_length(session, MOST_MESSAGE_BYTES);
  gnutls_handshake_set_timeout(session, GNUTLS_INDEFINITE_TIMEOUT); /* the deadline is that of the session */
  gnutls_transport_set_int(session, fd);
  return session;
}

/* --------------------------------------------------------------------------------------------- the first bytes ---- */

/* A part of a message that is read from its beginning. Reading beyond its end sets is_short. */
typedef struct reader {
  const uint8_t *at, *end;
  bool is_short;
} reader;

static size_t take_number(reader *from, size_t bytes) {
  size_t number = 0;
  if ((size_t)(from->end - from->at) < bytes) {
    from->is_short = true;
    return 0;
  }
  while (bytes--) number = number << 8 | *from->at++;
  return number;
}

/* Take a part whose length precedes it in this number of bytes. */
static reader take_part(reader *from, size_t length_bytes) {
  const size_t len = take_number(from, length_bytes);
  if ((size_t)(from->end - from->at) < len) from->is_short = true;
  if (from->is_short) return (reader){from->at, from->at, true};
  const uint8_t *begin = from->at;
  from->at += len;
  return (reader){begin, from->at, false};
}

static bool offers_h2(reader protocols) {
  while (protocols.at < protocols.end && !protocols.is_short) {
    const reader name = take_part(&protocols, 1);
    if (!name.is_short && name.end - name.at == 2 && memcmp(name.at, "h2", 2) == 0) return true;
  }
  return false;
}

/* A ClientHello (RFC 8446, 4.1.2; RFC 7301, 3.1) in one record:
 *
 *   record      22, version (2), length (2)
 *   handshake   1, length (3), version (2), random (32), session id <1>, ciphers <2>, compression <1>, extensions <2>
 *   extension   type (2), data <2>; ALPN: 16, names <2>, each <1> */
static vsi_h2_hello read_client_hello(const uint8_t *bytes, size_t len) {
  enum { HANDSHAKE = 22, CLIENT_HELLO = 1, FIXED = 34, ALPN = 16 };
  reader all = {bytes, bytes + len, false};
  if (take_number(&all, 1) != HANDSHAKE && len) return VSI_H2_HELLO_H1;
  (void)take_number(&all, 2);
  reader record = take_part(&all, 2);
  if (record.is_short) return VSI_H2_HELLO_PART;
  if (take_number(&record, 1) != CLIENT_HELLO) return VSI_H2_HELLO_H1;
  reader hello = take_part(&record, 3);
  (void)take_number(&hello, FIXED);
  (void)take_part(&hello, 1);
  (void)take_part(&hello, 2);
  (void)take_part(&hello, 1);
  reader extensions = take_part(&hello, 2);
  while (!extensions.is_short && extensions.at < extensions.end) {
    const size_t type = take_number(&extensions, 2);
    reader data = take_part(&extensions, 2);
    if (type == ALPN && !data.is_short) return offers_h2(take_part(&data, 2)) ? VSI_H2_HELLO_H2 : VSI_H2_HELLO_H1;
  }
  return VSI_H2_HELLO_H1;
}

vsi_h2_hello vsi_h2_hello_read(const uint8_t *bytes, size_t len, bool is_tls) {
  if (is_tls) return read_client_hello(bytes, len);
  const size_t part = len < NGHTTP2_CLIENT_MAGIC_LEN ? len : NGHTTP2_CLIENT_MAGIC_LEN;
  if (memcmp(bytes, NGHTTP2_CLIENT_MAGIC, part) != 0) return VSI_H2_HELLO_H1;
  return part < NGHTTP2_CLIENT_MAGIC_LEN ? VSI_H2_HELLO_PART : VSI_H2_HELLO_H2;
}

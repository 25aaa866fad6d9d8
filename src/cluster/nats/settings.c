/* SPDX-License-Identifier: MIT */
/* Each connection is new and goes to one server (link.c). libnats must not reconnect, because it would keep messages
 * meanwhile and give up after two refusals. The host's name in the server's certificate is always checked, even by a
 * libnats that was built without this check. */
#include "cluster/nats/settings.h"

#include <stdio.h>

#include "base/log.h"
#include "base/memory.h"
#include "base/thread.h"

enum { HOST_MAX = 256, MAX_MS = 600000 };

/* ---- checks and defaults ----------------------------------------------------------------------------------------- */

/* Return which options exclude or require each other, or are invalid. NULL: none */
static const char *find_conflict(const vestry_nats_options *o) {
  if (!o->servers != !o->servers_count) return "servers and servers_count must be set together";
  if (o->credentials_file && o->nkey) return "at most one of credentials_file and nkey can be set";
  if (!o->nkey != !o->nkey_seed_file) return "nkey and nkey_seed_file must be set together";
  if (!o->tls_certificate_file != !o->tls_key_file) return "tls_certificate_file and tls_key_file must be set together";
  return NULL;
}

static vestry_err check(const vestry_host *host, const vestry_nats_options *o) {
  const vsi_option_range ranges[] = {
      {"servers_count", o->servers_count, 1, 1000},
      {"ping_ms", o->ping_ms, 1, MAX_MS},
      {"write_ms", o->write_ms, 1, MAX_MS},
      {"reconnect_max_ms", o->reconnect_max_ms, 1, MAX_MS},
  };
  const char *conflict = find_conflict(o);
  if (conflict) return vsi_mistake(host, "vestry_nats_create", conflict);
  return vsi_option_ranges_check(host, "vestry_nats_create", ranges, sizeof ranges / sizeof *ranges);
}

#define DEFAULT(member, value)                                                                                         \
  if (!o->member) o->member = value

static void fill_in(vestry_nats_options *o) {
  static const char *const nearest[] = {"nats://127.0.0.1:4222"};
  if (!o->servers_count) o->servers = nearest, o->servers_count = 1;
  DEFAULT(host, vestry_host_default());
  DEFAULT(name, "vestry");
  DEFAULT(ping_ms, 1000);
  DEFAULT(write_ms, 1000);
  DEFAULT(reconnect_max_ms, 1000);
  DEFAULT(max_send_queue_bytes, (size_t)8 << 20);
}

/* ---- options of libnats ------------------------------------------------------------------------------------------ */

static natsStatus set_common(natsOptions *nats, const vestry_nats_options *o) {
  natsStatus s = natsOptions_SetAllowReconnect(nats, false);
  if (!s) s = natsOptions_SetSendAsap(nats, true); /* no thread that waits a millisecond for more */
  if (!s) s = natsOptions_SetIgnoreDiscoveredServers(nats, true);
  if (!s) s = natsOptions_SetName(nats, o->name);
  if (!s) s = natsOptions_SetTimeout(nats, VSI_NATS_CONNECT_MS);
  if (!s) s = natsOptions_SetPingInterval(nats, 0); /* libnats would close a connection while other threads use it */
  if (!s) s = natsOptions_SetWriteDeadline(nats, (int64_t)o->write_ms);
  return s;
}

static natsStatus set_identity(natsOptions *nats, const vestry_nats_options *o) {
  if (o->credentials_file) return natsOptions_SetUserCredentialsFromFiles(nats, o->credentials_file, NULL);
  if (o->nkey) return natsOptions_SetNKeyFromSeed(nats, o->nkey, o->nkey_seed_file);
  return NATS_OK;
}

/* Set the TLS options anew for each connection. If a former connection still uses the TLS context, libnats creates a
 * new one, which has none of the authorities that were loaded before. */
static natsStatus set_tls(vsi_nats_settings *settings, const char *host) {
  natsStatus s = natsOptions_SetSecure(settings->nats, false);
  if (!s) s = natsOptions_SetSecure(settings->nats, true);
  if (!s) s = natsOptions_SetExpectedHostname(settings->nats, host);
  if (!s && settings->ca_file) s = natsOptions_LoadCATrustedCertificates(settings->nats, settings->ca_file);
  if (!s && settings->certificate_file)
    s = natsOptions_LoadCertificatesChain(settings->nats, settings->certificate_file, settings->key_file);
  return s;
}

static bool has_scheme(const char *url, const char *scheme) {
  return strncmp(url, scheme, strlen(scheme)) == 0;
}

/* Check that an address has a host that can be found in it, as libnats reads it. */
static bool is_address(const char *url) {
  if (strlen(url) >= HOST_MAX) return false;
  for (const char *c = url; *c; c++)
    if ((unsigned char)*c <= ' ' || *c == 0x7f || *c == ',') return false;
  return has_scheme(url, "nats://") || has_scheme(url, "tls://");
}

/* Convert an error of libnats's options. */
static vestry_err error_of(natsStatus status) {
  switch (status) {
  case NATS_NO_MEMORY: return VESTRY_NO_MEMORY;
  case NATS_INVALID_ARG: return VESTRY_INVALID;
  case NATS_ILLEGAL_STATE: return VESTRY_UNSUPPORTED; /* libnats was built without TLS */
  default: return VESTRY_IO;
  }
}

static vestry_err make_nats(vsi_nats_settings *s) {
  sigset_t before = vsi_signals_block(); /* for the threads that libnats starts here */
  natsStatus status = natsOptions_Create(&s->nats);
  vsi_signals_restore(before);
  if (!status) status = set_common(s->nats, &s->options);
  const char *part = "credentials";
  if (!status) status = set_identity(s->nats, &s->options);
  if (!status && s->tls) {
    part = "TLS";
    status = set_tls(s, NULL);
  }
  if (!status) return VESTRY_OK;
  vsi_log(s->host, VESTRY_LOG_ERROR, "nats: %s: %s", part, natsStatus_GetText(status));
  return error_of(status);
}

/* Log the index of a server, not its address, which may contain a password. */
static vestry_err refuse_server(const vestry_host *host, size_t number) {
  vsi_log(host, VESTRY_LOG_ERROR,
          "vestry_nats_create: options.servers[%zu] must be nats://HOST:PORT or tls://HOST:PORT", number);
  return VESTRY_INVALID;
}

static vestry_err copy_texts(vsi_nats_settings *s) {
  const vestry_nats_options *o = &s->options;
  s->servers = vsi_calloc(s->host, o->servers_count, sizeof *s->servers);
  if (!s->servers) return VESTRY_NO_MEMORY;
  for (size_t i = 0; i < o->servers_count; i++) {
    if (!o->servers[i] || !is_address(o->servers[i])) return refuse_server(s->host, i);
    if (has_scheme(o->servers[i], "tls://")) s->tls = true;
    s->servers[i] = vsi_strdup(s->host, o->servers[i], strlen(o->servers[i]));
    if (!s->servers[i]) return VESTRY_NO_MEMORY;
  }
  const struct {
    const char *from;
    char **to;
  } texts[] = {
      {o->tls_ca_file, &s->ca_file}, {o->tls_certificate_file, &s->certificate_file}, {o->tls_key_file, &s->key_file}};
  for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
    if (texts[i].from && !(*texts[i].to = vsi_strdup(s->host, texts[i].from, strlen(texts[i].from))))
      return VESTRY_NO_MEMORY;
  return VESTRY_OK;
}

vestry_err vsi_nats_settings_init(vsi_nats_settings *s, const vestry_nats_options *given) {
  memset(s, 0, sizeof *s);
  s->options = given ? *given : (vestry_nats_options){0};
  if (check(s->options.host ? s->options.host : vestry_host_default(), &s->options)) return VESTRY_INVALID;
  fill_in(&s->options);
  s->host = s->options.host;
  s->tls = s->options.tls || s->options.tls_ca_file || s->options.tls_certificate_file;
  vestry_err error = copy_texts(s);
  if (!error) error = make_nats(s);
  if (error) vsi_nats_settings_finish(s);
  return error;
}

void vsi_nats_settings_finish(vsi_nats_settings *s) {
  natsOptions_Destroy(s->nats);
  for (size_t i = 0; s->servers && i < s->options.servers_count; i++) vsi_free(s->host, s->servers[i]);
  vsi_free(s->host, s->servers);
  char *const texts[] = {s->ca_file, s->certificate_file, s->key_file};
  for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) vsi_free(s->host, texts[i]);
  memset(s, 0, sizeof *s);
}

/* ---- one connection ---------------------------------------------------------------------------------------------- */

/* Find the host in an address: after the scheme and the user, before the port. */
static void host_of(const char *url, char ret_host[HOST_MAX]) {
  const char *from = strstr(url, "://") + 3;
  size_t len = strcspn(from, "/?#");
  for (size_t i = 0; i < len; i++)
    if (from[i] == '@') from += i + 1, len -= i + 1, i = SIZE_MAX;
  if (*from == '[') {
    from++;
    len = strcspn(from, "]");
  } else {
    size_t port = strcspn(from, ":");
    if (port < len) len = port;
  }
  snprintf(ret_host, HOST_MAX, "%.*s", (int)len, from);
}

natsStatus vsi_nats_settings_choose(vsi_nats_settings *s, size_t server) {
  natsStatus status = natsOptions_SetURL(s->nats, s->servers[server]);
  if (status || !s->tls) return status;
  char host[HOST_MAX];
  host_of(s->servers[server], host);
  return set_tls(s, host);
}

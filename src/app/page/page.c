/* SPDX-License-Identifier: MIT */
#include "app/page/page.h"

#include <stdio.h>
#include <string.h>

#include "app/page/render.h"
#include "app/page/view.h"
#include "app/stream/stream.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/options.h"

vestry_err vestry_page_create(vestry_pages *pages, const vestry_page_options *given, vestry_page **ret_page) {
  vestry_page_options options;
  if (!pages || !ret_page) return VESTRY_INVALID;
  if (VSI_OPTIONS_TAKE(vestry_page_options, options, given) || !options.render == !options.handler)
    return vsi_mistake(pages->host, "vestry_page_create",
                       "one of render and handler is wanted, or the options are of a later vestry");
  const char *id = options.id ? options.id : "content", *element = options.element ? options.element : "main";
  const char *signals = options.signals ? options.signals : VSI_STREAM_SIGNALS;
  if (!vsi_is_element_id(id) || !vsi_is_element_name(element))
    return vsi_mistake(pages->host, "vestry_page_create", "id or element cannot be an element's");
  if (options.layout && !vsi_is_element_id(options.layout))
    return vsi_mistake(pages->host, "vestry_page_create",
                       "layout is a letter, then letters, digits, '-' and '_', at most 128 bytes");
  size_t id_len = strlen(id) + 1, element_len = strlen(element) + 1, signals_len = strlen(signals) + 1;
  size_t layout_len = options.layout ? strlen(options.layout) + 1 + element_len + id_len : 0;
  vestry_page *page = vsi_calloc(pages->host, 1, sizeof *page + id_len + element_len + signals_len + layout_len);
  if (!page) return VESTRY_NO_MEMORY;
  char *texts = (char *)(page + 1);
  page->pages = pages;
  page->render = options.render;
  page->handler = options.handler;
  page->topics = options.topics;
  page->allow = options.allow;
  page->app = options.app;
  page->when_hidden = options.when_hidden;
  page->id = memcpy(texts, id, id_len);
  page->element = memcpy(texts + id_len, element, element_len);
  page->signals = memcpy(texts + id_len + element_len, signals, signals_len);
  if (options.layout) {
    char *layout = texts + id_len + element_len + signals_len;
    snprintf(layout, layout_len, "%s/%s/%s", options.layout, element, id);
    page->layout = layout;
    atomic_store_explicit(&pages->has_shells, true, memory_order_relaxed);
  }
  vsi_pages_lock(pages);
  page->next = pages->pages_list;
  pages->pages_list = page;
  vsi_pages_unlock(pages);
  *ret_page = page;
  return VESTRY_OK;
}

static vestry_err ask(const vestry_request *req, vestry_reply *reply, void *app) {
  const vestry_page *page = app;
  (void)reply;
  return page->allow(req, page->app);
}

bool vsi_page_allows(const vestry_page *page, vsi_request_copy *request) {
  vestry_reply reply;
  vsi_reply_init(&reply, page->pages->host);
  vestry_err error = vsi_request_copy_handle(request, &reply, ask, (void *)(uintptr_t)page);
  vsi_reply_finish(&reply);
  return !error;
}

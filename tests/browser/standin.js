// SPDX-License-Identifier: MIT
// A replacement of the Datastar client, so that the tests need no network: the features that the pages of the examples
// use, written from the description of the protocol. It is not Datastar; DATASTAR_JS names the real client to test
// with.
//
// Clients before 1.0.3 repeat a request unchanged; current ones build its URL and body anew. So does this one, unless
// `standinRetries` is 'kept' (harness.js).

// Clients since 1.0.3 compile by scripts with the nonce of the document's html element; so does this one. Without a
// nonce it needs 'unsafe-eval', as they do.

// -------------------------------------------------------------------------------------------------- nonce ---------
const nonce = document.documentElement.getAttribute('data-nonce');
if (nonce === '') throw new Error('NonceRequired');
document.documentElement.removeAttribute('data-nonce');
const trusted = nonce !== null
  ? globalThis.trustedTypes?.createPolicy('datastar', { createHTML: (html) => html, createScript: (script) => script })
  : undefined;
const asHTML = (text) => (trusted ? trusted.createHTML(text) : text);

// Return a script with this text, which runs when it is inserted.
function scriptOf(text) {
  const script = document.createElement('script');
  if (nonce !== null) script.nonce = nonce;
  script.text = trusted ? trusted.createScript(text) : text;
  return script;
}

const compiled = new Map();
function functionOf(parameters, body) {
  if (nonce === null) return new Function(...parameters, body);
  const text = `document.currentScript.made = function (${parameters}) {${body}\n}`;
  if (!compiled.has(text)) {
    const script = scriptOf(text);
    document.head.append(script);
    script.remove();
    if (!script.made) throw new Error(`this is no code, or the policy refuses it: ${body}`);
    compiled.set(text, script.made);
  }
  return compiled.get(text);
}

// ------------------------------------------------------------------------------------------------ signals ---------
// A signal is a property of `signals`; reading a signal inside an effect subscribes the effect to it.
const values = {};
const readers = new Map(); // name -> the effects that read it
const dirty = new Set();
let running = null;

const signals = new Proxy(values, {
  get(target, name) {
    if (running && typeof name === 'string') {
      if (!readers.has(name)) readers.set(name, new Set());
      readers.get(name).add(running);
    }
    return within(target[name], name);
  },
  set(target, name, value) {
    if (Object.is(target[name], value)) return true;
    target[name] = value;
    touch(name);
    return true;
  },
});

function touch(name) {
  for (const effect of readers.get(name) ?? []) dirty.add(effect);
  queueMicrotask(settle);
}

const isObject = (value) => typeof value === 'object' && value !== null && !Array.isArray(value);

// A change inside of a signal's value is a change of the signal.
function within(value, name) {
  if (!isObject(value)) return value;
  return new Proxy(value, {
    get: (target, key) => within(target[key], name),
    set(target, key, fresh) {
      if (Object.is(target[key], fresh)) return true;
      target[key] = fresh;
      touch(name);
      return true;
    },
  });
}

// For each attribute: how to end its behaviour, and to restore what a morph has changed.
let making = null;

function effect(run) {
  let isOver = false;
  making?.ends.push(() => (isOver = true));
  const self = () => {
    if (isOver) return;
    const outer = running;
    running = self;
    try {
      run();
    } finally {
      running = outer;
    }
  };
  self();
  return self;
}

function settle() {
  for (const effect of dirty) {
    dirty.delete(effect);
    effect();
  }
}

// RFC 7386, one level of nesting at a time; at the top level a signal is set so that its readers run.
function merge(target, patch, onlyIfMissing) {
  for (const [name, value] of Object.entries(patch)) {
    if (value === null) {
      if (onlyIfMissing) continue;
      target[name] = undefined; // its readers run
      delete target[name];
    } else if (typeof value === 'object' && !Array.isArray(value)) {
      target[name] = merge({ ...(target[name] ?? {}) }, value, onlyIfMissing);
    } else if (!onlyIfMissing || target[name] === undefined) {
      target[name] = value;
    }
  }
  return target;
}

// Return the signals by path, without objects that become empty.
function outgoing({ include = '.*', exclude = '(^|\\.)_' } = {}) {
  const pick = (object, path) => {
    const kept = {};
    for (const [name, value] of Object.entries(object)) {
      if (isObject(value)) {
        const inside = pick(value, `${path}${name}.`);
        if (Object.keys(inside).length) kept[name] = inside;
      } else if (new RegExp(include).test(path + name) && !new RegExp(exclude).test(path + name)) {
        kept[name] = value;
      }
    }
    return kept;
  };
  return JSON.stringify(pick(values, ''));
}

// -------------------------------------------------------------------------------------------- expressions ---------
// `$name` is a signal, `@action(` a call of an action; strings are unchanged.
function compile(source, wantsValue) {
  const body = source.replace(
    /('(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*")|\$(\w+)|@(\w+)\(/g,
    (all, text, signal, action) => text ?? (signal ? `$.${signal}` : `actions.${action}(el, `),
  );
  return functionOf(['$', 'actions', 'el', 'evt'], wantsValue ? `return (${body})` : body);
}

function expression(el, source, wantsValue = false) {
  const run = compile(source, wantsValue);
  return (evt) => run(signals, actions, el, evt);
}

// ------------------------------------------------------------------------------------------------ actions ---------
const announce = (type, el, argsRaw = {}) =>
  document.dispatchEvent(new CustomEvent('datastar-fetch', { detail: { type, el, argsRaw } }));
const underWay = new Map(); // "METHOD url" -> AbortController: a second request cancels the first
const pause = (ms, signal) =>
  new Promise((done) => {
    setTimeout(done, ms);
    signal.addEventListener('abort', done);
  });

const actions = {};
for (const method of ['GET', 'POST', 'PUT', 'PATCH', 'DELETE', 'QUERY']) {
  actions[method.toLowerCase()] = (el, url, options) => request(method, el, url, options);
}

actions.peek = (el, read) => {
  const outer = running;
  running = null;
  try {
    return read();
  } finally {
    running = outer;
  }
};

function cancellation(given, name) {
  if (given instanceof AbortController) return given;
  const cancel = new AbortController();
  if (given === 'disabled') return cancel;
  underWay.get(name)?.abort();
  underWay.set(name, cancel);
  return cancel;
}

// The server's delay (an event stream's `retry`) applies before each first retry from then on. Headers are sent again
// unchanged, except for the last `id`. A stream is closed while the page is hidden, and opened again when it is shown.
// A form that has become invalid ends a retry silently.
async function request(method, el, url, options = {}) {
  const { retry = 'auto', retryScaler = 2, retryMaxWait = 30000, retryMaxCount = 10 } = options;
  const { openWhenHidden = method !== 'GET' } = options;
  const cancel = cancellation(options.requestCancellation, `${method} ${url}`);
  let attempt = new AbortController();
  const turn = () => attempt.abort();
  if (!openWhenHidden) document.addEventListener('visibilitychange', turn);
  announce('started', el);
  const headers = { 'Datastar-Request': 'true', Accept: 'text/event-stream, text/html, application/json', ...options.headers };
  const built = prepare(method, el, url, options);
  if (!built) return new Promise(() => {});
  let { input, init } = built;
  const rebuild = () => {
    const anew = prepare(method, el, url, options);
    if (anew) ({ input, init } = anew);
    return Boolean(anew);
  };
  let first = options.retryInterval ?? 1000;
  let wait = first;
  const take = {
    retry: (asked) => (first = wait = asked),
    isOver: () => cancel.signal.aborted,
    id: (id) => (id ? (headers['last-event-id'] = id) : delete headers['last-event-id']),
  };
  for (let tries = 0; !cancel.signal.aborted; ) {
    attempt = new AbortController();
    try {
      const signal = AbortSignal.any([cancel.signal, attempt.signal]);
      const answer = await fetch(input, { ...init, headers: { ...headers, ...init.headers }, signal });
      const failed = answer.status >= 400;
      if (failed) announce('error', el, { status: String(answer.status) });
      if (answer.status === 200) {
        tries = 0;
        wait = first;
        await consume(answer, el, take);
      }
      if (!(failed && retry === 'error') && !((failed || answer.status === 200) && retry === 'always')) break;
    } catch {
      if (cancel.signal.aborted) break;
      if (attempt.signal.aborted) {
        while (document.hidden && !cancel.signal.aborted) await pause(20, cancel.signal);
        if (!rebuild()) return new Promise(() => {});
        continue;
      }
    }
    if (tries++ >= retryMaxCount) {
      announce('retries-failed', el);
      break;
    }
    announce('retrying', el);
    await pause(wait, cancel.signal);
    if (globalThis.standinRetries !== 'kept' && !cancel.signal.aborted && !rebuild()) return new Promise(() => {});
    wait = Math.min(wait * retryScaler, retryMaxWait);
  }
  document.removeEventListener('visibilitychange', turn);
  announce('finished', el);
}

function prepare(method, el, url, { filterSignals, payload, contentType, selector }) {
  const input = new URL(url, document.baseURI);
  const inQuery = method === 'GET' || method === 'DELETE';
  if (contentType === 'form') {
    const form = selector ? document.querySelector(selector) : el.closest('form');
    if (!form) throw new Error(`no form for ${url}`);
    if (!form.noValidate && !form.reportValidity()) return null;
    const fields = new FormData(form);
    if (el.type === 'submit' && el.name) fields.append(el.name, el.value);
    if (form.getAttribute('enctype') === 'multipart/form-data' && !inQuery) return { input, init: { method, body: fields } };
    const body = new URLSearchParams(fields);
    if (!inQuery) return { input, init: { method, body } };
    for (const [name, value] of body) input.searchParams.append(name, value);
    return { input, init: { method } };
  }
  const body = payload === undefined ? outgoing(filterSignals) : JSON.stringify(payload);
  if (!inQuery) return { input, init: { method, headers: { 'Content-Type': 'application/json' }, body } };
  input.searchParams.set('datastar', body);
  return { input, init: { method } };
}

async function consume(answer, el, take) {
  const type = answer.headers.get('Content-Type') ?? '';
  if (type.startsWith('text/javascript')) {
    document.head.append(scriptOf(await answer.text()));
  }
  if (type.startsWith('text/html')) {
    const named = (name) => answer.headers.get(`datastar-${name}`) ?? undefined;
    const args = { elements: await answer.text(), selector: named('selector'), mode: named('mode') };
    announce('datastar-patch-elements', el, args);
  }
  if (type.startsWith('application/json')) announce('datastar-patch-signals', el, { signals: await answer.text() });
  if (!type.startsWith('text/event-stream')) return;
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let text = '';
  for (let since = performance.now(); ; ) {
    const { done, value } = await reader.read(); // throws when the stream is cut
    if (done || take.isOver()) return;
    text += value;
    for (let end; (end = text.indexOf('\n\n')) >= 0; text = text.slice(end + 2)) receive(text.slice(0, end), el, take);
    if (performance.now() - since < 30) continue;
    await turn();
    since = performance.now();
  }
}

// Data that was read already is processed at once, so no click or request of a test would get its turn: yield here. Not
// by a timer, because a background page waits a second for it.
const turn = () =>
  new Promise((done) => {
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = () => {
      port1.close();
      done();
    };
    port2.postMessage(null);
  });

function receive(block, el, take) {
  let type = '';
  const args = {};
  for (const line of block.split('\n')) {
    if (line.startsWith('event: ')) type = line.slice(7);
    if (line.startsWith('id: ')) take.id(line.slice(4));
    if (/^retry: \d+$/.test(line)) take.retry(Number(line.slice(7)));
    if (!line.startsWith('data: ')) continue;
    const [, key, value] = /^data: (\S+) ?(.*)$/.exec(line);
    args[key] = key in args ? `${args[key]}\n${value}` : value;
  }
  if (type) announce(type, el, args);
}

// Listeners of the event apply it, so a page that handles it before the document does can hold it back.
document.addEventListener('datastar-fetch', ({ detail: { type, argsRaw: args } }) => {
  if (type === 'datastar-patch-signals') merge(signals, JSON.parse(args.signals), args.onlyIfMissing === 'true');
  if (type === 'datastar-patch-elements') patchElements(args);
});

// A script parsed into a template does not run; a copy made here does. Of its attributes, only the one that removes it
// is handled.
function alive(el) {
  if (el.tagName !== 'SCRIPT') return el;
  const script = scriptOf(el.text);
  for (const { name, value } of el.attributes) script.setAttribute(name, value);
  return script;
}

function patchElements({ elements = '', selector, mode = 'outer' }) {
  if (mode === 'remove') return document.querySelectorAll(selector).forEach((el) => el.remove());
  const parsed = document.createElement('template');
  parsed.innerHTML = asHTML(elements);
  const fresh = [...parsed.content.children].map(alive);
  const target = selector && document.querySelector(selector);
  if (['append', 'prepend', 'before', 'after'].includes(mode)) target?.[mode](...fresh);
  else if (mode === 'inner') target && morphInside(target, parsed.content);
  else for (const el of fresh) morph(target ?? document.getElementById(el.id), el);
  for (const el of mode === 'inner' ? [target] : fresh.map((el) => (el.isConnected ? el : target ?? document.getElementById(el.id))))
    if (el) bringToLife(el);
}

// Elements are kept where possible: by id, or by position and name.
function morph(old, fresh) {
  if (!old) return;
  if (old.tagName !== fresh.tagName || fresh.tagName === 'SCRIPT') return old.replaceWith(fresh);
  if (old.hasAttribute('data-ignore-morph') && fresh.hasAttribute('data-ignore-morph')) return;
  if (old.isEqualNode(fresh)) return;
  const kept = (fresh.getAttribute('data-preserve-attr') ?? '').split(' ');
  // If such an attribute changes, the property changes, also of a box that a user has clicked.
  for (const name of ['checked', 'disabled', 'selected'])
    if (name in old && old.hasAttribute(name) !== fresh.hasAttribute(name) && !kept.includes(name)) old[name] = fresh.hasAttribute(name);
  for (const { name, value } of fresh.attributes) {
    if (old.getAttribute(name) === value || kept.includes(name)) continue;
    old.setAttribute(name, value);
    if (name === 'value') old.value = value;
  }
  for (const { name } of [...old.attributes]) if (!fresh.hasAttribute(name) && !kept.includes(name)) old.removeAttribute(name);
  morphInside(old, fresh);
}

// Remove elements that do not stay first, so that a list without its first element need not move all others one by one.
function morphInside(old, fresh) {
  const staying = new Set(Array.from(fresh.children ?? [], (el) => el.id));
  for (const el of [...old.children]) if (el.id && !staying.has(el.id)) el.remove();
  const named = new Map(Array.from(old.children, (el) => [el.id, el]));
  let at = old.firstChild;
  for (const child of [...fresh.childNodes]) {
    const twin = child.id
      ? named.get(child.id)
      : at && at.nodeName === child.nodeName && !at.id ? at : null;
    if (!twin || twin.nodeName !== child.nodeName) {
      old.insertBefore(child, at);
      continue;
    }
    if (twin === at) at = at.nextSibling;
    else old.insertBefore(twin, at);
    if (twin.nodeType === Node.ELEMENT_NODE) morph(twin, child);
    else if (twin.data !== child.data) twin.data = child.data;
  }
  while (at) {
    const next = at.nextSibling;
    at.remove();
    at = next;
  }
}

// --------------------------------------------------------------------------------------------- attributes ---------
const delayOf = (modifiers) => Number(/^(?:delay|debounce)\.(\d+)ms$/.exec(modifiers ?? '')?.[1] ?? 0);

const attributes = {
  signals: (el, source, key, modifiers) => {
    const value = expression(el, source, true)();
    const named = key ? { [key.replace(/-./g, (dash) => dash[1].toUpperCase())]: value } : value;
    merge(signals, named, modifiers === 'ifmissing');
  },
  bind: (el, source, key) => {
    const value = () => (el.type === 'number' ? Number(el.value) : el.value);
    if (signals[key] === undefined) signals[key] = value();
    const heard = () => (signals[key] = value());
    el.addEventListener('input', heard);
    making.ends.push(() => el.removeEventListener('input', heard));
    effect(() => {
      if (value() !== signals[key]) el.value = signals[key];
    });
  },
  computed: (el, source, key) => {
    const value = expression(el, source, true);
    effect(() => (signals[key] = value()));
  },
  effect: (el, source) => effect(expression(el, source)),
  text: (el, source) => watch(el, source, (value) => (el.textContent = value)),
  show: (el, source) => watch(el, source, (value) => (el.style.display = value ? '' : 'none')),
  class: (el, source, key) => watch(el, source, (value) => el.classList.toggle(key, Boolean(value))),
  attr: (el, source, key) =>
    watch(el, source, (value) => (value === false ? el.removeAttribute(key) : el.setAttribute(key, value))),
  on: (el, source, key, modifiers) => {
    const onDocument = key.startsWith('datastar-') || modifiers === 'document';
    const target = onDocument ? document : modifiers === 'window' ? window : el;
    const run = expression(el, source);
    const wait = delayOf(modifiers);
    let waiting;
    const heard = (evt) => {
      if (key === 'submit') evt.preventDefault();
      clearTimeout(waiting);
      if (wait) waiting = setTimeout(run, wait, evt);
      else run(evt);
    };
    target.addEventListener(key, heard, modifiers === 'capture');
    making.ends.push(() => target.removeEventListener(key, heard, modifiers === 'capture'));
  },
  'on-interval': (el, source, key, modifiers) => {
    const [, count, unit] = /^duration\.(\d+)(m?s)$/.exec(modifiers ?? 'duration.1s');
    const beat = setInterval(expression(el, source), count * (unit === 's' ? 1000 : 1));
    making.ends.push(() => clearInterval(beat));
  },
  init: (el, source, key, modifiers) => {
    const run = expression(el, source);
    const delay = delayOf(modifiers);
    if (delay) setTimeout(run, delay);
    else run();
  },
  indicator: (el, source, key) => {
    let count = 0;
    signals[key] = false;
    document.addEventListener('datastar-fetch', ({ detail }) => {
      if (detail.el !== el) return;
      if (detail.type === 'started') count++;
      if (detail.type === 'finished') count--;
      signals[key] = count > 0;
    });
  },
};

function watch(el, source, apply) {
  const value = expression(el, source, true);
  making.shows.push(effect(() => apply(value())));
}

const living = new Map(); // element -> the behaviour of its attributes, by their names

function bringToLife(root) {
  for (const [el, all] of living) {
    if (el.isConnected) continue;
    for (const one of all.values()) for (const end of one.ends) end();
    living.delete(el);
  }
  for (const el of [root, ...root.querySelectorAll('*')]) {
    const all = living.get(el) ?? new Map();
    for (const [name, one] of all) {
      if (el.getAttribute(name) === one.value) continue;
      for (const end of one.ends) end();
      all.delete(name);
    }
    for (const { name, value } of [...el.attributes]) {
      const [, plugin, key, modifiers] = /^data-(on-interval|[a-z]+)(?::(.+?))?(?:__(.+))?$/.exec(name) ?? [];
      if (!attributes[plugin]) continue;
      if (all.has(name)) {
        for (const show of all.get(name).shows) show();
        continue;
      }
      const one = { value, ends: [], shows: [] };
      all.set(name, one);
      living.set(el, all);
      making = one;
      attributes[plugin](el, value, key, modifiers);
      making = null;
    }
  }
}

bringToLife(document.documentElement);

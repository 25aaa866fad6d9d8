// A stand-in for the Datastar client, so that the tests need no network: what the examples' pages use of it, written
// from the protocol's description. It is not Datastar; DATASTAR_JS names the real client to test with.

// ------------------------------------------------------------------------------------------------ signals ---------
// A signal is a property of `signals`; reading one inside an effect subscribes the effect to it.
const values = {};
const readers = new Map(); // name -> the effects that read it
const dirty = new Set();
let running = null;

// `$a.b = 1` is a change of a.
const inside = (name, object) =>
  new Proxy(object, {
    set(target, key, value) {
      signals[name] = { ...target, [key]: value };
      return true;
    },
  });

const signals = new Proxy(values, {
  get(target, name) {
    if (running && typeof name === 'string') {
      if (!readers.has(name)) readers.set(name, new Set());
      readers.get(name).add(running);
    }
    const value = target[name];
    return value && typeof value === 'object' && !Array.isArray(value) ? inside(name, value) : value;
  },
  set(target, name, value) {
    if (Object.is(target[name], value)) return true;
    target[name] = value;
    for (const effect of readers.get(name) ?? []) dirty.add(effect);
    queueMicrotask(settle);
    return true;
  },
});

function effect(run) {
  const self = () => {
    const outer = running;
    running = self;
    try {
      run();
    } finally {
      running = outer;
    }
  };
  self();
}

function settle() {
  for (const effect of dirty) {
    dirty.delete(effect);
    effect();
  }
}

// RFC 7386, one level of nesting deeper at a time; at the top level a signal is set so that its readers hear of it.
function merge(target, patch, onlyIfMissing) {
  for (const [name, value] of Object.entries(patch)) {
    if (value === null) {
      if (!onlyIfMissing) target[name] = undefined;
    } else if (typeof value === 'object' && !Array.isArray(value)) {
      target[name] = merge({ ...(target[name] ?? {}) }, value, onlyIfMissing);
    } else if (!onlyIfMissing || target[name] === undefined) {
      target[name] = value;
    }
  }
  return target;
}

const outgoing = () => JSON.stringify(values, (name, value) => (name.startsWith('_') ? undefined : value));

// -------------------------------------------------------------------------------------------- expressions ---------
// `$name` is a signal, `@action(` a call of ours; strings are left alone.
function compile(source, wantsValue) {
  const body = source.replace(
    /('(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*")|\$(\w+)|@(\w+)\(/g,
    (all, text, signal, action) => text ?? (signal ? `$.${signal}` : `actions.${action}(el, `),
  );
  return new Function('$', 'actions', 'el', 'evt', wantsValue ? `return (${body})` : body);
}

function expression(el, source, wantsValue = false) {
  const run = compile(source, wantsValue);
  return (evt) => run(signals, actions, el, evt);
}

// ------------------------------------------------------------------------------------------------ actions ---------
const announce = (type, el, argsRaw = {}) =>
  document.dispatchEvent(new CustomEvent('datastar-fetch', { detail: { type, el, argsRaw } }));
const pause = (ms) => new Promise((done) => setTimeout(done, ms));
const underWay = new Map(); // "METHOD url" -> AbortController: a second one cancels the first

const actions = {};
for (const method of ['GET', 'POST', 'PUT', 'PATCH', 'DELETE']) {
  actions[method.toLowerCase()] = (el, url, options) => request(method, el, url, options);
}

// What the server asks for (an event stream's `retry`) is the wait before each first retry from then on.
async function request(method, el, url, options = {}) {
  const { retry = 'auto', retryScaler = 2, retryMaxWait = 30000, retryMaxCount = 10 } = options;
  const name = `${method} ${url}`;
  const cancel = new AbortController();
  underWay.get(name)?.abort();
  underWay.set(name, cancel);
  announce('started', el);
  const { input, init } = prepare(method, url, options.headers); // once: what is sent again is the same
  let first = options.retryInterval ?? 1000;
  let wait = first;
  for (let tries = 0; !cancel.signal.aborted; ) {
    try {
      const answer = await fetch(input, { ...init, signal: cancel.signal });
      const failed = answer.status >= 400;
      if (failed) announce('error', el, { status: String(answer.status) });
      if (answer.status === 200) {
        tries = 0;
        wait = first;
        await consume(answer, el, {
          retry: (asked) => (first = wait = asked),
          id: (last) => (init.headers['last-event-id'] = last),
        });
      }
      if (!(failed && retry === 'error') && !((failed || answer.status === 200) && retry === 'always')) break;
    } catch {
      if (cancel.signal.aborted) break;
    }
    if (tries++ >= retryMaxCount) {
      announce('retries-failed', el);
      break;
    }
    announce('retrying', el);
    await pause(wait);
    wait = Math.min(wait * retryScaler, retryMaxWait);
  }
  announce('finished', el);
}

function prepare(method, url, more) {
  const input = new URL(url, document.baseURI);
  const headers = { 'Datastar-Request': 'true', Accept: 'text/event-stream, text/html, application/json', ...more };
  if (method === 'GET' || method === 'DELETE') {
    input.searchParams.set('datastar', outgoing());
    return { input, init: { method, headers } };
  }
  headers['Content-Type'] = 'application/json';
  return { input, init: { method, headers, body: outgoing() } };
}

async function consume(answer, el, set) {
  if (!answer.headers.get('Content-Type')?.startsWith('text/event-stream')) return;
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let text = '';
  for (;;) {
    const { done, value } = await reader.read(); // throws when the stream is cut
    if (done) return;
    text += value;
    for (let end; (end = text.indexOf('\n\n')) >= 0; text = text.slice(end + 2)) receive(text.slice(0, end), el, set);
  }
}

function receive(block, el, set) {
  let type = '';
  const args = {};
  for (const line of block.split('\n')) {
    if (line.startsWith('event: ')) type = line.slice(7);
    if (/^retry: \d+$/.test(line)) set.retry(Number(line.slice(7)));
    if (line.startsWith('id: ')) set.id(line.slice(4));
    if (!line.startsWith('data: ')) continue;
    const [, key, value] = /^data: (\S+) ?(.*)$/.exec(line);
    args[key] = key in args ? `${args[key]}\n${value}` : value;
  }
  if (type === 'datastar-patch-signals') merge(signals, JSON.parse(args.signals), args.onlyIfMissing === 'true');
  if (type === 'datastar-patch-elements') patchElements(args);
  if (type) announce(type, el, args);
}

// A script that was parsed into a template does not run; a copy that is made here does. Of its attributes the one that
// removes it is looked at.
function alive(el) {
  if (el.tagName !== 'SCRIPT') return el;
  const script = document.createElement('script');
  for (const { name, value } of el.attributes) script.setAttribute(name, value);
  script.textContent = el.textContent;
  return script;
}

function patchElements({ elements = '', selector, mode = 'outer' }) {
  if (mode === 'remove') return document.querySelectorAll(selector).forEach((el) => el.remove());
  const parsed = document.createElement('template');
  parsed.innerHTML = elements;
  const fresh = [...parsed.content.children].map(alive);
  const target = selector && document.querySelector(selector);
  const focused = document.activeElement.id;
  // What neither side wants to be changed stays the same element.
  for (const el of fresh.flatMap((el) => [...el.querySelectorAll('[data-ignore-morph][id]')])) {
    const old = document.getElementById(el.id);
    if (mode === 'outer' && old?.matches('[data-ignore-morph]')) el.replaceWith(old);
  }
  if (mode === 'append' || mode === 'prepend') target?.[mode](...fresh);
  else if (mode === 'inner') target?.replaceChildren(...parsed.content.childNodes);
  else for (const el of fresh) (target ?? document.getElementById(el.id))?.replaceWith(el);
  for (const el of fresh) if (el.isConnected) bringToLife(el);
  // Who had the focus keeps it: a morph leaves it the same element.
  if (focused && document.activeElement === document.body) document.getElementById(focused)?.focus();
}

// --------------------------------------------------------------------------------------------- attributes ---------
const delayOf = (modifiers) => Number(/^(?:delay|debounce)\.(\d+)ms$/.exec(modifiers ?? '')?.[1] ?? 0);

const attributes = {
  signals: (el, source, key) => {
    const value = expression(el, source, true)();
    merge(signals, key ? { [key.replace(/-./g, (dash) => dash[1].toUpperCase())]: value } : value);
  },
  bind: (el, source, key) => {
    const value = () => (el.type === 'number' ? Number(el.value) : el.value);
    if (signals[key] === undefined) signals[key] = value();
    el.addEventListener('input', () => (signals[key] = value()));
    effect(() => {
      if (value() !== signals[key]) el.value = signals[key];
    });
  },
  effect: (el, source) => expression(el, source)(),
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
    target.addEventListener(key, (evt) => {
      if (key === 'submit') evt.preventDefault();
      clearTimeout(waiting);
      if (wait) waiting = setTimeout(run, wait, evt);
      else run(evt);
    });
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
  effect(() => apply(value()));
}

const living = new WeakSet();

function bringToLife(root) {
  for (const el of [root, ...root.querySelectorAll('*')]) {
    if (living.has(el)) continue;
    living.add(el);
    for (const { name, value } of [...el.attributes]) {
      const [, plugin, key, modifiers] = /^data-([a-z]+)(?::(.+?))?(?:__(.+))?$/.exec(name) ?? [];
      attributes[plugin]?.(el, value, key, modifiers);
    }
  }
}

bringToLife(document.documentElement);

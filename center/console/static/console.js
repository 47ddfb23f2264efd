// What the pages do in the browser by themselves: ages that tick, cells of tables, keys on rows.
window.posdiag = (() => {
  const LOOKS = {
    yes: ["ok", "✓"], ok: ["ok", "✓"], online: ["ok", "✓"], succeeded: ["ok", "✓"], done: ["ok", "✓"], cleared: ["ok", "✓"],
    degraded: ["warn", "!"], minor: ["warn", "!"], warning: ["warn", "!"], flapping: ["warn", "~"],
    no: ["bad", "✕"], critical: ["bad", "✕"], major: ["bad", "▲"], raised: ["bad", "✕"], failed: ["bad", "✕"],
    offline: ["gone", "◌"], maintenance: ["calm", "⚙"], unknown: ["unknown", "?"], stale: ["stale", "◷"], unsupported: ["none", "–"],
    other: ["none", "•"], still: ["none", "•"], apart: ["none", "–"],
  };
  const LENGTHS = [["day", 86400], ["hour", 3600], ["minute", 60]];

  const formats = {};  // to make one takes longer than all else in a cell

  function age(at) {
    const seconds = (new Date(at) - Date.now()) / 1000;
    const language = document.documentElement.lang || "en";
    const words = (formats[language] ??= new Intl.RelativeTimeFormat(language, { numeric: "always", style: "short" }));
    for (const [name, length] of LENGTHS) if (Math.abs(seconds) >= length) return words.format(Math.trunc(seconds / length), name);
    return words.format(Math.trunc(seconds), "second");
  }

  // The time at a place, as the pages that the center builds show it: 2026-11-22 09:30 UTC+08:00.
  function clock(at, zone) {
    const asked = { year: "numeric", month: "2-digit", day: "2-digit", hour: "2-digit", minute: "2-digit", timeZoneName: "longOffset" };
    const key = `clock ${zone ?? ""}`;
    try {
      formats[key] ??= new Intl.DateTimeFormat("sv", zone ? { ...asked, timeZone: zone } : asked);
    } catch {  // a zone that this browser does not know
      return clock(at, "UTC");
    }
    return formats[key].format(new Date(at)).replace("GMT", "UTC");
  }

  function element(tag, look, words) {
    const made = document.createElement(tag);
    if (look) made.className = look;
    if (words !== undefined) made.textContent = words;
    return made;
  }

  const cells = {
    number: (cell) => element("span", "figures", cell.value ?? "–"),
    age: (cell) => {
      if (!cell.value) return element("span", "quiet", "–");
      const made = element("time", "ago", age(cell.value));
      made.dataset.at = made.dateTime = cell.value;
      made.title = clock(cell.value, cell.data.timezone);
      return made;
    },
    due: (cell) => {
      if (!cell.value) return element("span", "quiet", "–");
      const made = cells.age(cell);
      const left = new Date(cell.value) - Date.now();
      const share = cell.data.due_share ?? (left < 0 ? 1 : 0);
      made.classList.add(left < 0 ? "look-bad" : share >= 0.75 ? "look-warn" : "look-calm");
      if (left < 0) made.prepend("✕ "); else if (share >= 0.75) made.prepend("! ");
      return made;
    },
    light: (cell) => {
      const [look, sign] = LOOKS[cell.value] ?? ["none", "•"];
      const made = element("span", `light look-${look}`);
      const mark = element("span", "sign", sign);
      mark.ariaHidden = "true";
      made.append(mark, element("span", "", cell.data[`${cell.colDef.field}_words`] ?? cell.value ?? ""));
      return made;
    },
    twofold: (cell) => {
      const made = element("span", "twofold");
      const { under } = cell.colDef.context;
      made.append(element("span", "", cell.value ?? ""));
      if (!cell.api.getColumn(under)?.isVisible()) made.append(element("span", "quiet", cell.data[under] ?? ""));
      return made;
    },
    noise: (cell) => {
      const counts = cell.context.noise?.[cell.value] ?? Array(24).fill(0);
      const most = Math.max(1, ...counts);
      const made = element("span", "blocks");
      made.role = "img";
      made.ariaLabel = counts.join(" ");
      for (const n of counts) {
        const block = element("i");
        block.style.height = `${Math.max(1, Math.round((16 * n) / most))}px`;
        if (!n) block.className = "zero";
        made.append(block);
      }
      return made;
    },
  };

  function open(event) {
    if (event.event?.target?.closest?.("a, button, input") || window.getSelection()?.toString()) return;
    if (event.data?.where) go(event.data.where, event.event);
  }

  function go(where, event) {
    if (event?.ctrlKey || event?.metaKey) window.open(where, "_blank", "noopener");
    else window.location.assign(where);
  }

  function step(api, from, by) {
    const to = Math.min(Math.max(0, from + by), api.getDisplayedRowCount() - 1);
    const row = api.getDisplayedRowAtIndex(to);
    if (!row) return;
    api.ensureIndexVisible(to);
    api.setFocusedCell(to, api.getAllDisplayedColumns()[0]);
    row.setSelected(true, true);
  }

  function key(event) {
    const pressed = event.event;
    if (pressed.ctrlKey || pressed.altKey || pressed.metaKey) return;
    if (pressed.key === "j") step(event.api, event.rowIndex, 1);
    else if (pressed.key === "k") step(event.api, event.rowIndex, -1);
    else if (pressed.key === "Enter") open(event);
    else if (pressed.key.length === 1) tell(pressed.target, { key: pressed.key, id: event.data?.id });
  }

  // The element of the table hears what its rows were told, whoever made the row.
  function tell(target, detail) {
    const table = target.closest(".table");
    const id = table && Number(table.id.slice(1));
    if (id) window.getElement(id).$emit("rowKey", detail);
  }

  const BAR = 18;  // what a bar to scroll with takes, and the frame

  // Shows as many columns as have room in the table; those that yield first are the first to go.
  function fit(event) {
    if (!event.clientWidth) return;
    const all = event.api.getColumns() ?? [];
    const wide = (column) => column.getColDef().minWidth ?? column.getColDef().width;
    const others = event.api.getAllDisplayedColumns().filter((column) => !all.includes(column));  // what rows are picked by
    let room = event.clientWidth - BAR;
    for (const column of [...others.map((other) => other.getActualWidth()), ...all.map(wide)]) room -= column;
    const hide = [];
    const order = all.filter((column) => column.getColDef().context.yields).sort((a, b) => b.getColDef().context.yields - a.getColDef().context.yields);
    for (const column of order) {
      if (room >= 0) break;
      hide.push(column);
      room += wide(column);
    }
    event.api.setColumnsVisible(hide, false);
    event.api.setColumnsVisible(all.filter((column) => !hide.includes(column)), true);
    const twofold = all.filter((column) => column.getColDef().context.under);
    if (twofold.length) event.api.refreshCells({ columns: twofold, force: true });
  }

  // j and k begin on the first row wherever the page has the focus.
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.altKey || event.metaKey || event.target.closest("input, textarea, select, .ag-root, dialog, .q-dialog")) return;
    if (event.key !== "j" && event.key !== "k") return;
    const table = document.querySelector("[data-triage]");
    const id = table && Number(table.id.slice(1));
    const api = id && window.getElement(id)?.api;
    if (api) step(api, event.key === "j" ? -1 : api.getDisplayedRowCount(), event.key === "j" ? 1 : -1);
  });

  // Shows only rows of the table that have these words, once nobody types any more.
  let typing;
  function filter(words) {
    clearTimeout(typing);
    typing = setTimeout(() => {
      const table = document.querySelector(".table");
      window.getElement(Number(table.id.slice(1)))?.api?.setGridOption("quickFilterText", words ?? "");
    }, 150);
  }

  // Shows rows that are new or changed, and drops those with these ids; which a table has, it knows itself.
  function put(id, rows, gone) {
    const table = window.getElement(id);
    if (!table) return;  // the page has been built anew
    const api = table.api;
    if (!api) return setTimeout(() => put(id, rows, gone), 20);  // it is being built
    const has = (row) => api.getRowNode(String(row)) !== undefined;
    api.applyTransaction({
      add: rows.filter((row) => !has(row.id)),
      update: rows.filter((row) => has(row.id)),
      remove: gone.filter(has).map((id) => ({ id })),
    });
  }

  setInterval(() => {
    for (const each of document.querySelectorAll("time.ago[data-at]")) {
      const words = age(each.dataset.at);
      if (each.lastChild && each.lastChild.textContent !== words) each.lastChild.textContent = words;
    }
  }, 5000);

  // Copies the text beside a button; without a secure address the text is only marked.
  function copy(event) {
    const from = event.target.closest(".copied")?.querySelector("pre, code");
    if (!from) return;
    const link = from.hasAttribute("data-link") ? new URL(from.textContent, window.location.href).href : from.textContent;
    const range = document.createRange();
    range.selectNodeContents(from);
    window.getSelection().removeAllRanges();
    window.getSelection().addRange(range);
    navigator.clipboard?.writeText(link);
  }

  // Sends a chosen file to the API as it is, and tells the page how that ended: "" for well.
  async function attach(event, emit) {
    const input = event.target, file = input.files?.[0];
    if (!file) return;
    if (file.size > 5 * 1024 * 1024) return emit(input.dataset.tooLarge);
    const answer = await fetch(`${input.dataset.path}?file=${encodeURIComponent(file.name)}`, {
      method: "POST", body: file, headers: { "content-type": file.type || "text/plain", "x-csrf-token": input.dataset.csrf },
    }).catch((error) => ({ ok: false, json: async () => ({ error: String(error) }) }));
    input.value = "";
    emit(answer.ok ? "" : (await answer.json().catch(() => ({}))).error ?? String(answer.status));
  }

  // What stands there until the screen does is in the screen's colours, and goes with the wait for it.
  function opening(dark) {
    document.body.classList.toggle("body--dark", dark ?? matchMedia("(prefers-color-scheme: dark)").matches);
    addEventListener("load", () => document.querySelector(".opening")?.remove());
  }

  return { age, cells, open, key, fit, filter, put, copy, attach, opening };
})();

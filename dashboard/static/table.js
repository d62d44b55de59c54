// A table whose rows open by a click or by Enter. All text goes in as text; numbers are never cut.
const NOTHING = "–";

function element(name, className, text) {
  const made = document.createElement(name);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}

function sorted(rows, state) {
  if (state.by === null) return rows;
  const sign = state.down ? -1 : 1;
  const order = (a, b) => {
    const [x, y] = [a.cells[state.by], b.cells[state.by]];
    if ((x.text === NOTHING) !== (y.text === NOTHING)) return x.text === NOTHING ? 1 : -1;
    if (x.value !== null && y.value !== null) return sign * (x.value - y.value);
    return sign * x.text.localeCompare(y.text, undefined, { numeric: true });
  };
  return [...rows].sort(order);
}

function head(data, state, redraw) {
  const row = element("tr");
  data.columns.forEach((column, at) => {
    const cell = element("th", column.right ? "right" : "");
    cell.scope = "col";
    const button = element("button", "", column.title);
    button.type = "button";
    if (state.by === at) cell.setAttribute("aria-sort", state.down ? "descending" : "ascending");
    button.onclick = () => {
      state.down = state.by === at && !state.down;
      state.by = at;
      redraw();
    };
    button.dataset.focus = `column-${at}`;
    cell.append(button);
    row.append(cell);
  });
  const made = element("thead");
  made.append(row);
  return made;
}

function shown(cell) {
  if (cell.share === null) return element("span", cell.value === null ? "text" : "", cell.text);
  const made = element("span", "share");
  const bar = element("i");
  bar.style.setProperty("--share", `${Math.min(100, Math.max(0, 100 * cell.share))}%`);
  made.append(bar, element("span", "", cell.text));
  return made;
}

function body(data, state, open) {
  const made = element("tbody");
  for (const row of sorted(data.rows, state)) {
    const line = element("tr", row.href ? "opens" : "");
    if (row.id === data.current) line.setAttribute("aria-current", "true");
    row.cells.forEach((cell, at) => {
      const isName = at === 0 && data.named;
      const place = element(isName ? "th" : "td", data.columns[at].right ? "right" : "");
      if (isName) place.scope = "row";
      const inner = shown(cell);
      if (cell.text.length > 24) inner.title = cell.text;
      if (at === 0 && row.href) {
        const link = element("a");
        link.href = row.href;
        link.dataset.focus = `row-${row.id}`;
        link.append(inner);
        place.append(link);
      } else {
        place.append(inner);
      }
      line.append(place);
    });
    if (row.href) {
      line.onclick = (event) => {
        const elsewhere = event.ctrlKey || event.metaKey || event.shiftKey;
        if (elsewhere || String(window.getSelection()).length) return; // a new tab, or text that is being copied
        event.preventDefault();
        open(row.id);
      };
    }
    made.append(line);
  }
  return made;
}

export default function ({ data, parentElement, setTriggerValue }) {
  const box = parentElement.querySelector(".box");
  const state = (box.sorting ??= { by: null, down: false });
  const draw = () => {
    const focused = parentElement.activeElement?.dataset?.focus;
    const table = element("table");
    table.setAttribute("aria-label", data.name);
    table.append(head(data, state, draw), body(data, state, (id) => setTriggerValue("open", id)));
    box.style.maxHeight = data.height ? `${data.height}px` : "";
    box.replaceChildren(table);
    if (focused) box.querySelector(`[data-focus="${CSS.escape(focused)}"]`)?.focus({ preventScroll: true });
  };
  draw();
}

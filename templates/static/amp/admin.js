/* Small behaviour of our admin pages: copy an id, ask before a form is sent, add and remove rows. Pages work without it. */
"use strict";

document.addEventListener("click", (event) => {
  const code = event.target.closest("[data-copy]");
  if (code && navigator.clipboard) {
    event.preventDefault();
    navigator.clipboard.writeText(code.dataset.copy || code.textContent.trim()).then(() => {
      code.classList.add("amp-copied");
      setTimeout(() => code.classList.remove("amp-copied"), 1500);
    });
    return;
  }
  const opener = event.target.closest("[data-opens]");
  if (opener) {
    event.preventDefault();
    opener.closest("details.amp-menu")?.removeAttribute("open");
    document.getElementById(opener.dataset.opens).showModal();
  }
  const closer = event.target.closest("[data-closes]");
  if (closer) {
    event.preventDefault();
    closer.closest("dialog").close();
  }
  const adder = event.target.closest("[data-adds]");
  if (adder) {
    event.preventDefault();
    addRow(document.getElementById(adder.dataset.adds));
  }
  const remover = event.target.closest("[data-removes]");
  if (remover) {
    event.preventDefault();
    const row = remover.closest("[data-row]");
    row.querySelectorAll("input, select").forEach((field) => { field.value = ""; });
    row.hidden = true;
  }
  if (event.target.closest("[data-prints]")) window.print();
  document.querySelectorAll("details.amp-menu[open]").forEach((menu) => {
    if (!menu.contains(event.target)) menu.open = false;
  });
});

// A wide table scrolls within its card: the keyboard reaches it too.
document.addEventListener("DOMContentLoaded", () => {
  document.querySelectorAll(".amp-scroll, .amp-pre").forEach((region) => { region.tabIndex = 0; });
});

// A select that is searched is a box of its own: it gets the name of its label.
window.addEventListener("load", () => {
  document.querySelectorAll("select.unfold-admin-autocomplete").forEach((select) => {
    const box = select.nextElementSibling?.querySelector("[role=combobox]");
    const label = select.labels[0];
    if (!box || !label) return;
    label.id ||= `${select.id}-label`;
    box.setAttribute("aria-labelledby", `${label.id} ${box.getAttribute("aria-labelledby") || ""}`.trim());
    const shown = box.querySelector("[role=textbox]");
    for (const name of ["role", "aria-readonly"]) shown?.removeAttribute(name);
    django.jQuery(select).on("select2:open", () => {
      const typed = document.querySelector(".select2-container--open .select2-search__field");
      typed?.setAttribute("aria-label", label.textContent);
      typed?.focus();
    });
  });
});

document.addEventListener("change", (event) => {
  const row = event.target.closest("[data-row]");
  if (row && event.target.tagName === "SELECT") {
    row.querySelector("input").placeholder = event.target.selectedOptions[0].dataset.hint || "";
  }
});

document.addEventListener("submit", (event) => {
  const form = event.target;
  if (form.dataset.confirm && !window.confirm(form.dataset.confirm)) {
    event.preventDefault();
    return;
  }
  form.closest("details.amp-menu")?.removeAttribute("open");
  // A second click must not send the form again.
  if (form.method === "post" && !("stays" in form.dataset)) setTimeout(() => form.querySelectorAll("button[type=submit]").forEach((b) => { b.disabled = true; }), 0);
});

window.addEventListener("pageshow", () => {
  document.querySelectorAll("form button[type=submit]:disabled").forEach((button) => { button.disabled = false; });
});

function addRow(list) {
  const hidden = list.querySelector("[data-row][hidden]");
  if (hidden) hidden.hidden = false;
}

// How much of the inbox is unread, beside its entry in the menu: asked for afterwards, so that no page waits for it.
window.addEventListener("load", async () => {
  const entry = document.querySelector('a[href$="/alerts/inbox/"]');
  if (!entry) return;
  const answer = await fetch(`${entry.href}unread/`, { headers: { Accept: "application/json" } }).catch(() => null);
  const unread = answer && answer.ok && !answer.redirected ? (await answer.json()).unread : 0;
  if (!unread) return;
  const number = document.createElement("span");
  number.className = "amp-unread";
  number.textContent = unread > 99 ? "99+" : String(unread);
  entry.append(number);
});

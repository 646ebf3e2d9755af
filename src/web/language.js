// The language menu in the header of every page.
//
// Invariant: the language is stored as a tag in a cookie limited to this server's paths, and the server answers in it. The
// page's guard asks before a reload would lose anything. The menu keeps the keyboard focus.

const choice = document.getElementById("language");

choice.addEventListener("change", () => {
  const path = document.body.dataset.prefix || "/";
  const secure = location.protocol === "https:" ? "; Secure" : "";
  document.cookie = `flaskpaste_language=${choice.value}; Path=${path}; Max-Age=31536000; SameSite=Lax${secure}`;
  history.replaceState("language", "");
  // If the page stays, it stays in its language.
  choice.value = document.documentElement.lang;
  location.reload();
});

if (history.state === "language") {
  history.replaceState(null, "");
  // After the page's own autofocus.
  requestAnimationFrame(() => choice.focus());
}

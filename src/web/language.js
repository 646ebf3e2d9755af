// The choice of language in the header of every page.
//
// Invariant: it is kept in a cookie of the paths of this server, as a tag and nothing else, and the server answers in it. What
// would be lost by loading the page anew is asked about first, by the guard of the page. The keyboard goes on where it was.

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
  // After the field that the page itself begins with.
  requestAnimationFrame(() => choice.focus());
}

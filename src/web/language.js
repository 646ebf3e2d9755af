// The choice of language in the header of every page.
//
// Invariant: it is kept in a cookie of the paths of this server, as a tag and nothing else, and the server answers in it. What
// would be lost by loading the page anew is asked about first, by the guard of the page. The keyboard goes on where it was.

const choice = document.getElementById("language");
/** Says to the page that is loaded anew why. */
const CHOSEN = "flaskpaste-language-chosen";

choice.addEventListener("change", () => {
  const path = document.body.dataset.prefix || "/";
  const secure = location.protocol === "https:" ? "; Secure" : "";
  document.cookie = `flaskpaste_language=${choice.value}; Path=${path}; Max-Age=31536000; SameSite=Lax${secure}`;
  try { sessionStorage.setItem(CHOSEN, "1"); } catch { /* The keyboard begins anew, then. */ }
  // If the page stays, it stays in its language.
  choice.value = document.documentElement.lang;
  location.reload();
});

try {
  // After the field that the page itself begins with.
  if (sessionStorage.getItem(CHOSEN)) requestAnimationFrame(() => choice.focus());
  sessionStorage.removeItem(CHOSEN);
} catch { /* See above. */ }

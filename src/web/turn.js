// Turning a page into that of a paste, from the template that came with it.
//
// Invariant: nothing else is put into the page. Must never be called twice.

/** Shows the paste with this id, of which the server says this. */
export function turn(id, answer) {
  const { body } = document;
  [body.dataset.answer, body.dataset.view] = [JSON.stringify(answer), "paste"];
  // Its script begins when it is in the page.
  const page = document.importNode(document.getElementById("leased").content, true);
  page.querySelector("#title code").textContent = id;
  document.title = `${page.querySelector("#title").textContent} · flaskpaste`;
  document.querySelector("main").replaceChildren(page);
}

// Turns a page into the page of a paste, from the template it contains.
//
// Invariant: nothing else is put into the page. Must never be called twice.

/** Shows the paste with this id and server answer. */
export function turn(id, answer) {
  const { body } = document;
  [body.dataset.answer, body.dataset.view] = [JSON.stringify(answer), "paste"];
  // Its script starts when it is inserted.
  const page = document.importNode(document.getElementById("leased").content, true);
  page.querySelector("#title code").textContent = id;
  document.title = `${page.querySelector("#title").textContent} · flaskpaste`;
  document.querySelector("main").replaceChildren(page);
}

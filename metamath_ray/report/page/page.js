"use strict";
/* Filters the samples by kind, model and text; without it, all of them are there to be read. */
const browser = document.getElementById("browser");

if (browser) {
  const samples = [...browser.querySelectorAll(".samples > li")].map((item) => ({ item, text: item.textContent.toLowerCase() }));
  const buttons = [...browser.querySelectorAll("[data-filter]")];
  const search = browser.querySelector("input");
  const wanted = { kind: "", model: "" };

  const show = () => {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    let count = 0;
    for (const { item, text } of samples) {
      const fits = Object.entries(wanted).every(([name, value]) => !value || item.dataset[name] === value);
      item.hidden = !(fits && words.every((word) => text.includes(word)));
      count += !item.hidden;
    }
    for (const button of buttons) button.setAttribute("aria-pressed", String(wanted[button.dataset.filter] === button.value));
    browser.querySelector("output").textContent = `${count} of ${samples.length} shown`;
  };

  for (const button of buttons) {
    button.addEventListener("click", () => {
      wanted[button.dataset.filter] = button.value;
      show();
    });
  }
  search.addEventListener("input", show);
  browser.querySelector(".controls").hidden = false;
  show();
}

// Makes elements without markup in strings.

export const $ = (id) => document.getElementById(id);

// `properties`: `class`, `dataset`, `style` (custom properties too), `on` (listeners); other names are attributes,
// of which null and false leave none, true an empty one.
export function element(tag, { class: className, dataset, style, on, ...attributes } = {}, ...children) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  Object.assign(made.dataset, dataset);
  for (const [name, value] of Object.entries(style ?? {})) made.style.setProperty(name, value);
  for (const [name, listener] of Object.entries(on ?? {})) made.addEventListener(name, listener);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === true) made.setAttribute(name, "");
    else if (value !== null && value !== false && value !== undefined) made.setAttribute(name, value);
  }
  made.append(...children.filter((child) => child !== null));
  return made;
}

// Sets text only when it differs, so that a screen reader is not told the same again.
export function write(target, text) {
  if (target.textContent !== text) target.textContent = text;
}

export function show(target, shown) {
  target.hidden = !shown;
}

// Black or white, whichever reads better on `colour` (#rrggbb): one of them always has 4.5:1.
function inkOn(colour) {
  const [red, green, blue] = [1, 3, 5].map((i) => {
    const part = parseInt(colour.slice(i, i + 2), 16) / 255;
    return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
  });
  const luminance = 0.2126 * red + 0.7152 * green + 0.0722 * blue;
  return luminance > 0.179 ? "#000000" : "#ffffff";
}

// The style that carries a channel's colour; a colour that is no #rrggbb becomes grey.
export function channelStyle(channel) {
  const colour = /^#[0-9a-f]{6}$/i.test(channel.colour ?? "") ? channel.colour : "#5b6478";
  return { "--channel": colour, "--on-channel": inkOn(colour) };
}

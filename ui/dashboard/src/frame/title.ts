// The title of the tab: how many activities need a person or failed unseen, what is open, and the name of the program.

let badge = 0;
let text = '';

function show(): void {
  const title = (badge ? `(${badge}) ` : '') + (text ? text + ' · ' : '') + 'agentexec';
  if (document.title !== title) document.title = title;
}

/** Names what is open; '' for nothing. */
export function setTitle(next: string): void {
  text = next;
  show();
}

/** Puts a number before the title; 0 for none. */
export function setBadge(next: number): void {
  badge = next;
  show();
}

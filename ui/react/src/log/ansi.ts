// Escape sequences of terminals in messages. Only colours are shown; every other sequence is dropped.

import Anser from 'anser';
import { withoutSequences } from '@agentexec/client/text';

/** The colours there are: each is a token. */
export type AnsiColor = 'red' | 'green' | 'yellow' | 'blue' | 'magenta' | 'cyan' | 'gray';

/** A part of a text that has one colour. */
export interface Piece {
  text: string;
  color: AnsiColor | null;
  back: AnsiColor | null;
}

const COLOR = /^\x1b\[[\d;:]*m$/;

/** The text in parts of one colour each, without escape sequences. */
export function pieces(text: string): Piece[] {
  if (!text.includes('\x1b')) return [{ text, color: null, back: null }];
  const colors = withoutSequences(text, (sequence) => (COLOR.test(sequence) ? sequence.replaceAll(':', ';') : ''));
  if (!colors.includes('\x1b')) return [{ text: colors, color: null, back: null }];
  return Anser.ansiToJson(colors, { json: true, remove_empty: true }).map(({ content, fg, bg }) => ({ text: content, color: tokenOf(fg), back: tokenOf(bg) }));
}

// tokenOf maps a colour ("187, 0, 0") to the token with the nearest hue; black and grey are grey, white is the text's colour.
function tokenOf(rgb: string | null): AnsiColor | null {
  if (!rgb) return null;
  const [r = 0, g = 0, b = 0] = rgb.split(',').map(Number);
  const [most, least] = [Math.max(r, g, b), Math.min(r, g, b)];
  if (most - least < 40) return most > 200 ? null : 'gray';
  const sixth = most === r ? ((g - b) / (most - least) + 6) % 6 : most === g ? (b - r) / (most - least) + 2 : (r - g) / (most - least) + 4;
  const hue = sixth * 60;
  return hue < 18 || hue >= 335 ? 'red' : hue < 72 ? 'yellow' : hue < 165 ? 'green' : hue < 200 ? 'cyan' : hue < 265 ? 'blue' : 'magenta';
}

/**
 * The heights of rows, with their sums at hand: a Fenwick tree, so that finding a row and changing its height take as
 * long for 100,000 rows as a search in a sorted list does.
 */
export class Heights {
  #sums = new Float64Array(1024);
  #each = new Float64Array(1024);
  #length = 0;

  get length(): number {
    return this.#length;
  }

  get total(): number {
    return this.top(this.#length);
  }

  /** The height of one row. */
  at(index: number): number {
    return this.#each[index] ?? 0;
  }

  /** The height above a row. */
  top(index: number): number {
    let sum = 0;
    for (let i = Math.min(index, this.#length); i > 0; i -= i & -i) sum += this.#sums[i - 1]!;
    return sum;
  }

  /** The row at this distance from the top; the last one below all of them, 0 where there is none. */
  index(y: number): number {
    let at = 0;
    for (let step = 2 ** Math.floor(Math.log2(Math.max(1, this.#length))); step >= 1; step /= 2) {
      if (at + step > this.#length || this.#sums[at + step - 1]! > y) continue;
      at += step;
      y -= this.#sums[at - 1]!;
    }
    return Math.max(0, Math.min(at, this.#length - 1));
  }

  push(height: number): void {
    if (this.#length === this.#each.length) this.#grow();
    const i = ++this.#length;
    this.#each[i - 1] = height;
    let sum = height;
    for (let below = i - 1; below > i - (i & -i); below -= below & -below) sum += this.#sums[below - 1]!;
    this.#sums[i - 1] = sum;
  }

  /** Adds rows of one height until there are this many. */
  fill(length: number, height: number): void {
    if (this.#length) {
      while (this.#length < length) this.push(height);
      return;
    }
    while (this.#each.length < length) this.#grow();
    this.#each.fill(height, 0, length);
    for (let i = 1; i <= length; i++) this.#sums[i - 1] = height * (i & -i);
    this.#length = length;
  }

  set(index: number, height: number): void {
    const more = height - this.#each[index]!;
    this.#each[index] = height;
    for (let i = index + 1; i <= this.#length; i += i & -i) this.#sums[i - 1]! += more;
  }

  /** Keeps the first ones. */
  truncate(length: number): void {
    this.#length = Math.min(length, this.#length);
  }

  #grow(): void {
    const [sums, each] = [this.#sums, this.#each];
    this.#sums = new Float64Array(2 * sums.length);
    this.#each = new Float64Array(2 * each.length);
    this.#sums.set(sums);
    this.#each.set(each);
  }
}
